json_build_object('id', m.id, 'timestamp', m.timestamp, 'run_id', m.run_id, 'duration', m.duration,
                  'emissions_sum', m.emissions_sum, 'emissions_rate', m.emissions_rate,
                  'cpu_power', m.cpu_power, 'gpu_power', m.gpu_power, 'ram_power', m.ram_power,
                  'cpu_energy', m.cpu_energy, 'gpu_energy', m.gpu_energy, 'ram_energy', m.ram_energy,
                  'energy_consumed', m.energy_consumed,
                  'cpu_utilization_percent', m.cpu_utilization_percent,
                  'gpu_utilization_percent', m.gpu_utilization_percent,
                  'ram_utilization_percent', m.ram_utilization_percent, 'wue', m.wue)
