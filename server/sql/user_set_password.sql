-- Ends the user's sessions as well, and the tokens that the password gave: whoever had the old one is out.
with u as (
    update users set password_hash = :password_hash where lower(email) = lower(:email) returning id, email
), ended as (
    delete from sessions where user_id in (select id from u)
), revoked as (
    update user_tokens set revoked_at = now()
     where user_id in (select id from u) and name = 'sign-in' and revoked_at is null
    returning id, user_id, name
), recorded as (
    {record} 'password_set', s.organization_id, null, u.id, u.email, {actor}
      from u left join told_memberships s on s.user_id = u.id
), recorded_too as (
    {record} 'user_token_revoked', s.organization_id, null, k.id, k.name, {actor}
      from revoked k left join told_memberships s on s.user_id = k.user_id
)
select id from u
