-- Whose session has expired is signed out already.
with s as (
    delete from sessions where token_hash = :token_hash returning user_id, expires_at
), recorded as (
    {record} 'signed_out', m.organization_id, null, u.id, u.email, u.id, u.email
      from s join users u on u.id = s.user_id left join told_memberships m on m.user_id = u.id
     where s.expires_at > now()
)
select null::json from s
