with k as (
    insert into project_tokens (project_id, name, access, token_hash)
    select p.id, :name, :access, :token_hash from {reachable_projects} p where p.id = :project_id
    returning *
), recorded as (
    {record} 'project_token_created', p.organization_id, p.id, k.id, k.name, {actor}
      from k join {reachable_projects} p on p.id = k.project_id
)
select {project_token} from k
