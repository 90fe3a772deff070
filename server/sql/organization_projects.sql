select case when p.id is not null then {project} end
  from {reachable_organizations} o
  left join {reachable_projects} p on p.organization_id = o.id
 where o.id = :organization_id
 order by p.created_at, p.id
