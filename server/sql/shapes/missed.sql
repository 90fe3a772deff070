-- The pairs that were not reached, and whether there is such a run.
missed as (
    select n, exists (select from live_runs r where r.id = p.run_id) as there from pair p where not reached
)
