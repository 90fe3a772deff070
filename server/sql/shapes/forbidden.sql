-- The pairs whose run is there, but not for their caller.
forbidden as materialized (
    select p.n from pair p join live_runs r on r.id = p.run_id where p.n not in (select n from reached)
)
