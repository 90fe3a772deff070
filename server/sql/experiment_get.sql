select {experiment} from {visible_experiments} e where e.id = :experiment_id
