with k as (
    update user_tokens set revoked_at = now()
     where user_id = (:caller::caller).user_id and id = :token_id and revoked_at is null
    returning id
)
select case when k.id is null then json_build_object('detail', 'No such token of yours') end,
       case when k.id is null then 404 end
  from (select) one left join k on true
