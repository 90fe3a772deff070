json_build_object('id', r.id, 'timestamp', r.timestamp, 'experiment_id', r.experiment_id, 'os', r.os,
                  'python_version', r.python_version, 'codecarbon_version', r.codecarbon_version,
                  'cpu_count', r.cpu_count, 'cpu_model', r.cpu_model, 'gpu_count', r.gpu_count,
                  'gpu_model', r.gpu_model, 'longitude', r.longitude, 'latitude', r.latitude,
                  'region', r.region, 'provider', r.provider, 'ram_total_size', r.ram_total_size,
                  'tracking_mode', r.tracking_mode, 'emissions_dropped', r.emissions_dropped)
