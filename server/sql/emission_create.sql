-- An emission that is there already (the same run, timestamp and id) is left as it is and answered alike.
with r as (
    select id from reachable_runs(:caller) where id = :run_id
), stored as (
    insert into emissions (run_id, timestamp, id, duration, emissions_sum, emissions_rate, cpu_power, gpu_power,
                           ram_power, cpu_energy, gpu_energy, ram_energy, energy_consumed, cpu_utilization_percent,
                           gpu_utilization_percent, ram_utilization_percent, wue)
    select r.id, :timestamp, :id, :duration, :emissions_sum, :emissions_rate, :cpu_power, :gpu_power,
           :ram_power, :cpu_energy, :gpu_energy, :ram_energy, :energy_consumed, :cpu_utilization_percent,
           :gpu_utilization_percent, :ram_utilization_percent, coalesce(:wue, 0)
      from r
    on conflict do nothing
    returning *
), added as materialized (
    select m.run_id, hour_of(m.timestamp) as hour, min(m.timestamp) as first_timestamp,
           max(m.timestamp) as last_timestamp, {sums_of_emissions}
      from stored m
     group by m.run_id, hour_of(m.timestamp)
), hours as (
    insert into emission_hours as s (run_id, hour, {sum_columns})
    select run_id, hour, {sum_columns} from added
    on conflict (run_id, hour) do update set {add_to_sums}
), totals as (
    insert into run_sums as s (run_id, first_timestamp, last_timestamp, {sum_columns})
    select run_id, first_timestamp, last_timestamp, {sum_columns} from added
    on conflict (run_id) do update set
        first_timestamp = least(s.first_timestamp, excluded.first_timestamp),
        last_timestamp = greatest(s.last_timestamp, excluded.last_timestamp),
        {add_to_sums}
)
select to_json(:id::uuid) from r
