with k as (
    insert into user_tokens (user_id, name, token_hash, expires_at)
    select u.id, :name, :token_hash, now() + :expires_in_days::integer * interval '1 day'
      from {visible_users} u
     where u.id = (:caller::caller).user_id
    returning *
), recorded as (
    {record} 'user_token_created', s.organization_id, null, k.id, k.name, {actor}
      from k left join told_memberships s on s.user_id = k.user_id
)
select {user_token} from k
