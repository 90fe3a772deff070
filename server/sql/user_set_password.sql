-- Ends the user's sessions as well, and the tokens that the password gave: whoever had the old one is out.
with u as (
    update users set password_hash = :password_hash where lower(email) = lower(:email) returning id
), ended as (
    delete from sessions where user_id in (select id from u)
), revoked as (
    update user_tokens set revoked_at = now()
     where user_id in (select id from u) and name = 'sign-in' and revoked_at is null
)
select id from u
