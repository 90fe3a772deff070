select rebuild_sums(:run_id)
