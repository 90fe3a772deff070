-- A batch, as the server sends it: a number for each emission's pair, the identity, and the numbers.
unnest(:pairs::integer[], :run_ids::uuid[], :timestamps::timestamptz[], :ids::uuid[],
       :duration::float8[], :emissions_sum::float8[], :emissions_rate::float8[], :cpu_power::float8[],
       :gpu_power::float8[], :ram_power::float8[], :cpu_energy::float8[], :gpu_energy::float8[],
       :ram_energy::float8[], :energy_consumed::float8[], :cpu_utilization_percent::float8[], :gpu_utilization_percent::float8[],
       :ram_utilization_percent::float8[], :wue::float8[])
    with ordinality s (pair, run_id, timestamp, id,
                       duration, emissions_sum, emissions_rate, cpu_power, gpu_power, ram_power, cpu_energy, gpu_energy, ram_energy,
                       energy_consumed, cpu_utilization_percent, gpu_utilization_percent, ram_utilization_percent, wue, n)
