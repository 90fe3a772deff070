-- Who may send what. A pair is a run and who asks to write to it; each emission names its pair by number.
pair as materialized (
    select p.n, p.run_id, p.sent,
           exists (select from reachable_runs(row(p.user_id, p.project_id, p.everywhere)::caller) r where r.id = p.run_id)
               as reached
      from unnest(:pair_runs::uuid[], :pair_users::uuid[], :pair_projects::uuid[], :pair_everywhere::boolean[],
                  :pair_emissions::integer[])
           with ordinality p (run_id, user_id, project_id, everywhere, sent, n)
), reached as materialized (
    select array_agg(reached order by n) as pairs, sum(sent) filter (where reached) as sent from pair
)
