select {run} from reachable_runs(:caller) r order by r.timestamp, r.id
