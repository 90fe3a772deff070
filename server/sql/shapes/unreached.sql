-- The pairs whose run is not reached, and those of them that have such a run.
unreached as materialized (
    select p.n, p.run_id from pair p where p.n not in (select n from reached)
), forbidden as materialized (
    select u.n from unreached u join live_runs r on r.id = u.run_id
)
