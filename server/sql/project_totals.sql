-- What the projects that emitted the most add up to, of all organisations: for the operator's figures. A row a run is read,
-- and no emission. Added up as numeric, which is the same in any order: Prometheus takes a counter that became smaller, be it
-- by a rounding, for one that began anew.
with totals as (
    select s.project_id, sum(s.emissions_sum::numeric) as emissions_sum, sum(s.energy_consumed::numeric) as energy_consumed,
           sum(s.duration::numeric) as duration, sum(s.emissions_count) as emissions_count
      from live_run_sums s
     group by s.project_id
)
select o.name, p.name, p.id, t.emissions_sum, t.energy_consumed, t.duration, t.emissions_count
  from totals t
  join live_projects p on p.id = t.project_id
  join organizations o on o.id = p.organization_id
 order by t.emissions_sum desc, p.id
 limit :projects::integer
