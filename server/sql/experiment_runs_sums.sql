-- A run without emissions in range is left out.
select case when r.id is not null then (select row_to_json(answer) from (
           select r.id as run_id, r.timestamp, r.experiment_id, r.emissions, r.cpu_energy, r.gpu_energy, r.ram_energy,
                  r.energy_consumed, r.duration, r.cpu_power, r.gpu_power, r.ram_power, r.emissions_rate,
                  r.cpu_utilization_percent, r.gpu_utilization_percent, r.ram_utilization_percent,
                  r.emissions_count) answer) end
  from visible_experiments(:caller) e
  left join (
      select run.id, run.timestamp, run.experiment_id, report.*
        from visible_runs(:caller) run
        cross join lateral (
            select {report}
              from visible_emissions(:caller) m
             where m.run_id = run.id and m.timestamp {range}) report
       where report.emissions_count > 0) r on r.experiment_id = e.id
 where e.id = :experiment_id
 order by r.timestamp, r.id
