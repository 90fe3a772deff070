select case when p.id is not null then {project} end
  from reachable_organizations(:caller) o
  left join reachable_projects(:caller) p on p.organization_id = o.id
 where o.id = :organization_id
 order by p.created_at, p.id
