-- An experiment without emissions in range is kept, with zeros.
select case when e.id is not null then (select row_to_json(answer) from (
           select e.id as experiment_id, e.timestamp, e.name, e.description, e.project_id, e.country_name,
                  e.country_iso_code, e.region, e.on_cloud, e.cloud_provider, e.cloud_region, report.*) answer) end
  from visible_projects(:caller) p
  left join visible_experiments(:caller) e on e.project_id = p.id
  cross join lateral (
      select {report}
        from visible_emissions(:caller) m
       where m.experiment_id = e.id and m.timestamp {range}) report
 where p.id = :project_id
 order by e.created_at, e.id
