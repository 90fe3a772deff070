select {team} from reachable_teams(:caller) t where t.id = :team_id
