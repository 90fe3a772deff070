-- For the command line: by id or by hash, whosever it is.
with gone as (
    update project_tokens set revoked_at = now()
     where (id = :id::uuid or token_hash = :token_hash::bytea) and revoked_at is null
    returning id, project_id, name
), gone_too as (
    update user_tokens set revoked_at = now()
     where (id = :id::uuid or token_hash = :token_hash::bytea) and revoked_at is null
    returning id, user_id, name
), recorded as (
    {record} 'project_token_revoked', p.organization_id, p.id, k.id, k.name, {actor}
      from gone k join projects p on p.id = k.project_id
), recorded_too as (
    {record} 'user_token_revoked', s.organization_id, null, k.id, k.name, {actor}
      from gone_too k left join told_memberships s on s.user_id = k.user_id
)
select id from gone union all select id from gone_too
