-- What is added up, in run_sums and in emission_hours.
emissions_count, emissions_sum, cpu_energy, gpu_energy, ram_energy, energy_consumed, duration, cpu_power,
cpu_power_count, gpu_power, gpu_power_count, ram_power, ram_power_count, emissions_rate, emissions_rate_count,
cpu_utilization_percent, cpu_utilization_percent_count, gpu_utilization_percent, gpu_utilization_percent_count,
ram_utilization_percent, ram_utilization_percent_count
