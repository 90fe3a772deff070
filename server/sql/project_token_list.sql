select case when k.id is not null then {project_token} end
  from {reachable_projects} p
  left join project_tokens k on k.project_id = p.id and k.revoked_at is null
 where p.id = :project_id
 order by k.created_at, k.id
