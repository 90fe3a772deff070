-- The timeline that a cluster is on: a promotion writes the new one down before it lets anybody write, a standby some time after
-- it has followed (with its next restartpoint, or when it next writes a page).
(select greatest(c.timeline_id, r.min_recovery_end_timeline) from pg_control_checkpoint() c, pg_control_recovery() r)
