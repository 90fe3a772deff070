json_build_object('id', e.id, 'timestamp', e.timestamp, 'name', e.name, 'description', e.description,
                  'project_id', e.project_id, 'country_name', e.country_name,
                  'country_iso_code', e.country_iso_code, 'region', e.region, 'on_cloud', e.on_cloud,
                  'cloud_provider', e.cloud_provider, 'cloud_region', e.cloud_region)
