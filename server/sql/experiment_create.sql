with e as (
    insert into experiments (project_id, timestamp, name, description, country_name, country_iso_code, region,
                             on_cloud, cloud_provider, cloud_region)
    select p.id, coalesce(:timestamp, now()), :name, :description, :country_name, :country_iso_code, :region,
           :on_cloud, :cloud_provider, :cloud_region
      from {reachable_projects} p
     where p.id = :project_id
    returning *
)
select {experiment} from e
