select {team} from {reachable_teams} t order by t.created_at, t.id
