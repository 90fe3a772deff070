select {team} from reachable_teams(:caller) t order by t.created_at, t.id
