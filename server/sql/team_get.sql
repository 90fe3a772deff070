select {team} from {reachable_teams} t where t.id = :team_id
