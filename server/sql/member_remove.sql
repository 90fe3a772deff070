with o as (
    select id from {administered_organizations} o where id = :organization_id
), admins as (
    select a.user_id from memberships a where a.organization_id in (select id from o) and a.is_admin
     order by a.user_id for update
), last as (
    select count(*) = 1 and bool_and(user_id = :user_id) as refused from admins
), s as (
    delete from memberships
     where organization_id in (select id from o) and user_id = :user_id and not (select refused from last)
    returning organization_id, user_id
), recorded as (
    {record} 'member_removed', s.organization_id, null, u.id, u.email, {actor}
      from s join users u on u.id = s.user_id
)
select case when (select refused from last)
            then json_build_object('detail', 'This is the organisation''s last admin')
            when s.user_id is null
            then json_build_object('detail', 'No such member of this organisation') end,
       case when (select refused from last) then 409 when s.user_id is null then 404 end
  from o left join s on true
