select case when e.id is not null then {experiment} end
  from {visible_projects} p
  left join {visible_experiments} e on e.project_id = p.id
 where p.id = :project_id
 order by e.created_at, e.id
