-- The emissions of a batch whose senders may write to their runs, and that are not late, in key order.
insert into emissions (run_id, timestamp, id, duration, emissions_sum, emissions_rate, cpu_power, gpu_power,
                       ram_power, cpu_energy, gpu_energy, ram_energy, energy_consumed, cpu_utilization_percent,
                       gpu_utilization_percent, ram_utilization_percent, wue)
select s.run_id, s.timestamp, s.id, s.duration, s.emissions_sum, s.emissions_rate, s.cpu_power, s.gpu_power,
       s.ram_power, s.cpu_energy, s.gpu_energy, s.ram_energy, s.energy_consumed, s.cpu_utilization_percent,
       s.gpu_utilization_percent, s.ram_utilization_percent, s.wue
  from {sent}
 where (select pairs from allowed)[s.pair]
   and s.timestamp >= {kept_from}
 order by s.run_id, s.timestamp, s.id
