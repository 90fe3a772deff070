select month, outcome, moved, reason from make_missing_emission_partition(:ahead, :before)
