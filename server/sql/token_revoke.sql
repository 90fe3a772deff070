-- For the command line: by id or by hash, whosever it is.
with gone as (
    update project_tokens set revoked_at = now()
     where (id = :id::uuid or token_hash = :token_hash::bytea) and revoked_at is null
    returning id
), gone_too as (
    update user_tokens set revoked_at = now()
     where (id = :id::uuid or token_hash = :token_hash::bytea) and revoked_at is null
    returning id
)
select id from gone union all select id from gone_too
