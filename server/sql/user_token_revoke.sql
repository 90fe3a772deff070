with k as (
    update user_tokens set revoked_at = now()
     where user_id = (:caller::caller).user_id and id = :token_id and revoked_at is null
    returning id, user_id, name
), recorded as (
    {record} 'user_token_revoked', s.organization_id, null, k.id, k.name, {actor}
      from k left join told_memberships s on s.user_id = k.user_id
)
select case when k.id is null then json_build_object('detail', 'No such token of yours') end,
       case when k.id is null then 404 end
  from (select) one left join k on true
