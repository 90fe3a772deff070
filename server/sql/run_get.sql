select {run} from {visible_runs} r where r.id = :run_id
