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
)
select to_json(:id::uuid) from r
