with s as (
    insert into sessions (token_hash, user_id, expires_at)
    values (:token_hash, :user_id, now() + interval '7 days')
    returning user_id
), {signed_in}
select null::json from s
