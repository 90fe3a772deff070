-- The sum columns of rows that have them. (A sum of bigint is a numeric, which is slow to add up further.)
sum(emissions_count)::bigint, sum(emissions_sum), sum(cpu_energy), sum(gpu_energy), sum(ram_energy),
sum(energy_consumed), sum(duration), sum(cpu_power), sum(cpu_power_count)::bigint,
sum(gpu_power), sum(gpu_power_count)::bigint, sum(ram_power), sum(ram_power_count)::bigint,
sum(emissions_rate), sum(emissions_rate_count)::bigint,
sum(cpu_utilization_percent), sum(cpu_utilization_percent_count)::bigint,
sum(gpu_utilization_percent), sum(gpu_utilization_percent_count)::bigint,
sum(ram_utilization_percent), sum(ram_utilization_percent_count)::bigint
