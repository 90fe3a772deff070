-- The columns of the report `r`, in the order in which they are answered.
r.emissions, r.cpu_energy, r.gpu_energy, r.ram_energy, r.energy_consumed, r.duration, r.cpu_power, r.gpu_power,
r.ram_power, r.emissions_rate, r.cpu_utilization_percent, r.gpu_utilization_percent, r.ram_utilization_percent,
r.emissions_count
