-- Who may send what. A pair is a run and who asks to write to it; each emission names its pair by number.
pair as materialized (
    select p.n, p.run_id, p.user_id, p.project_id, p.everywhere, p.sent
      from unnest(:pair_runs::uuid[], :pair_users::uuid[], :pair_projects::uuid[], :pair_everywhere::boolean[],
                  :pair_emissions::integer[])
           with ordinality p (run_id, user_id, project_id, everywhere, sent, n)
), reached as materialized (
    select who.n, who.sent from pair who join live_runs x on x.id = who.run_id where {reaches}
), allowed as materialized (
    select array_agg(r.n is not null order by p.n) as pairs, sum(r.sent) as sent from pair p left join reached r on r.n = p.n
)
