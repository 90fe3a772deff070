-- Stores a batch of emissions, in one transaction: skips what is there already, and adds to the sums what was really
-- inserted. A pair is a run and who asks to write to it; each emission names its pair by number.
--
-- Rows are written in key order, table by table: two servers that store emissions of the same runs wait for each other,
-- and never in a circle. Sorting costs next to nothing, since the server sends them sorted.
--
-- Answers arrays of numbers (null: none): the pairs without a run (404), the pairs whose caller may not write to the run
-- (403), and the emissions that were there already.
with pair as materialized (
    select p.n, p.run_id, p.emissions,
           exists (select from reachable_runs(row(p.user_id, p.project_id, p.everywhere)::caller) r where r.id = p.run_id)
               as reached
      from unnest(:pair_runs::uuid[], :pair_users::uuid[], :pair_projects::uuid[], :pair_everywhere::boolean[],
                  :pair_emissions::integer[])
           with ordinality p (run_id, user_id, project_id, everywhere, emissions, n)
), reached as materialized (
    select array_agg(reached order by n) as pairs, sum(emissions) filter (where reached) as emissions from pair
), stored as (
    insert into emissions (run_id, timestamp, id, duration, emissions_sum, emissions_rate, cpu_power, gpu_power,
                           ram_power, cpu_energy, gpu_energy, ram_energy, energy_consumed, cpu_utilization_percent,
                           gpu_utilization_percent, ram_utilization_percent, wue)
    select s.run_id, s.timestamp, s.id, s.duration, s.emissions_sum, s.emissions_rate, s.cpu_power, s.gpu_power,
           s.ram_power, s.cpu_energy, s.gpu_energy, s.ram_energy, s.energy_consumed, s.cpu_utilization_percent,
           s.gpu_utilization_percent, s.ram_utilization_percent, s.wue
      from {sent}
     where (select pairs from reached)[s.pair]
     order by s.run_id, s.timestamp, s.id
    on conflict do nothing
    returning *
), added as materialized (
    select m.run_id, hour_of(m.timestamp) as hour, min(m.timestamp) as first_timestamp,
           max(m.timestamp) as last_timestamp, {sums_of_emissions}
      from stored m
     group by m.run_id, hour_of(m.timestamp)
), hours as (
    insert into emission_hours as s (run_id, hour, {sum_columns})
    select run_id, hour, {sum_columns}
      from added
     order by run_id, hour
    on conflict (run_id, hour) do update set {add_to_sums}
), totals as (
    insert into run_sums as s (run_id, first_timestamp, last_timestamp, {sum_columns})
    select run_id, min(first_timestamp), max(last_timestamp), {sums_of_sums}
      from added
     group by run_id
     order by run_id
    on conflict (run_id) do update set
        first_timestamp = least(s.first_timestamp, excluded.first_timestamp),
        last_timestamp = greatest(s.last_timestamp, excluded.last_timestamp),
        {add_to_sums}
), missed as (
    select n, exists (select from live_runs r where r.id = p.run_id) as there from pair p where not reached
)
select (select array_agg(n) from missed where not there),
       (select array_agg(n) from missed where there),
       case when (select coalesce(sum(emissions_count), 0) from added) < (select emissions from reached)
            then (select array_agg(s.n)
                    from {sent}
                   where (select pairs from reached)[s.pair]
                     and (s.run_id, s.timestamp, s.id) not in (select run_id, timestamp, id from stored)) end
