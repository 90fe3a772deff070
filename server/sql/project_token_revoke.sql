with p as (
    select id, organization_id from {reachable_projects} p where id = :project_id
), k as (
    update project_tokens set revoked_at = now()
     where project_id in (select id from p) and id = :token_id and revoked_at is null
    returning id, project_id, name
), recorded as (
    {record} 'project_token_revoked', p.organization_id, p.id, k.id, k.name, {actor} from k join p on p.id = k.project_id
)
select case when k.id is null then json_build_object('detail', 'No such token in this project') end,
       case when k.id is null then 404 end
  from p left join k on true
