select {run} from visible_runs(:caller) r where r.id = :run_id
