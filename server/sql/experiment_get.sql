select {experiment} from visible_experiments(:caller) e where e.id = :experiment_id
