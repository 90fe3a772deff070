-- Who may send what. A pair is a run and who asks to write to it; each emission names its pair by number.
--
-- Each pair's run is looked up by itself (cross join lateral, which group by keeps from becoming a join): the plan is kept,
-- and whatever the tables held when it was made, it never tries all pairs with all runs.
pair as materialized (
    select p.n, p.run_id, p.user_id, p.project_id, p.everywhere, p.sent
      from unnest(:pair_runs::uuid[], :pair_users::uuid[], :pair_projects::uuid[], :pair_everywhere::boolean[],
                  :pair_emissions::integer[])
           with ordinality p (run_id, user_id, project_id, everywhere, sent, n)
), reached as materialized (
    select who.n, who.sent
      from pair who
      cross join lateral (select x.id from live_runs x where x.id = who.run_id and {reaches} group by x.id) r
), allowed as materialized (
    select array_agg(n in (select n from reached) order by n) as pairs, (select sum(sent) from reached) as sent from pair
)
