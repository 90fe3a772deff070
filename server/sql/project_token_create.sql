with k as (
    insert into project_tokens (project_id, name, access, token_hash)
    select p.id, :name, :access, :token_hash from reachable_projects(:caller) p where p.id = :project_id
    returning *
)
select {project_token} from k
