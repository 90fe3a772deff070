-- The pairs whose run is there, but not for their caller. (Looked up as in senders.sql.)
forbidden as materialized (
    select p.n
      from pair p
      cross join lateral (select r.id from live_runs r where r.id = p.run_id group by r.id) r
     where p.n not in (select n from reached)
)
