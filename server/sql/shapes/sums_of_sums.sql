-- The sum columns of rows that have them.
sum(emissions_count), sum(emissions_sum), sum(cpu_energy), sum(gpu_energy), sum(ram_energy),
sum(energy_consumed), sum(duration), sum(cpu_power), sum(cpu_power_count), sum(gpu_power), sum(gpu_power_count),
sum(ram_power), sum(ram_power_count), sum(emissions_rate), sum(emissions_rate_count),
sum(cpu_utilization_percent), sum(cpu_utilization_percent_count), sum(gpu_utilization_percent),
sum(gpu_utilization_percent_count), sum(ram_utilization_percent), sum(ram_utilization_percent_count)
