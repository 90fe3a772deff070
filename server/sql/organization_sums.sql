with {span},
chosen as materialized (
    select s.*
      from {visible_run_sums} s, span
     where s.organization_id = :organization_id and {overlaps_span}
), {parts}
select row_to_json(answer) from (
    select o.id as organization_id, o.name, o.description, report.*
      from {reachable_organizations} o
      cross join (select {report} from parts m) report
     where o.id = :organization_id) answer
