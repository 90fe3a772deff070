-- An experiment without emissions in range is kept, with zeros.
with {span},
chosen as materialized (
    select s.*
      from {visible_run_sums} s, span
     where s.project_id = :project_id and {overlaps_span}
), {parts}, reports as materialized (
    select e.id, {report}
      from {visible_experiments} e
      left join parts m on m.experiment_id = e.id
     where e.project_id = :project_id
     group by e.id
)
select case when e.id is not null then (select row_to_json(answer) from (
           select e.id as experiment_id, e.timestamp, e.name, e.description, e.project_id, e.country_name,
                  e.country_iso_code, e.region, e.on_cloud, e.cloud_provider, e.cloud_region,
                  {report_columns}) answer) end
  from {visible_projects} p
  left join ({visible_experiments} e join reports r on r.id = e.id) on e.project_id = p.id
 where p.id = :project_id
 order by e.created_at, e.id
