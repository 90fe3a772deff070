with {span},
chosen as materialized (
    select s.*
      from {visible_run_sums} s, span
     where s.project_id = :project_id and {overlaps_span}
), {parts}
select row_to_json(answer) from (
    select p.id as project_id, p.name, p.description, p.organization_id, report.*
      from {visible_projects} p
      cross join (select {report} from parts m) report
     where p.id = :project_id) answer
