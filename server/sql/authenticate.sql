-- Signing in for a program: a user token of a day.
with s as (
    insert into user_tokens (user_id, name, token_hash, expires_at)
    values (:user_id, 'sign-in', :token_hash, now() + interval '1 day')
    returning user_id
), {signed_in}
select null::json from s
