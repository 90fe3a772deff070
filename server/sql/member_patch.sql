-- The admins' rows are locked in key order first, so that two admins who demote each other at once leave one.
with o as (
    select id from administered_organizations(:caller) where id = :organization_id
), admins as (
    select a.user_id from memberships a where a.organization_id in (select id from o) and a.is_admin
     order by a.user_id for update
), last as (
    select count(*) = 1 and bool_and(user_id = :user_id) and not :is_admin::boolean as refused from admins
), s as (
    update memberships set is_admin = :is_admin::boolean
     where organization_id in (select id from o) and user_id = :user_id and not (select refused from last)
    returning *
)
select case when (select refused from last)
            then json_build_object('detail', 'This is the organisation''s last admin')
            when u.id is null
            then json_build_object('detail', 'No such member of this organisation')
            else {member} end,
       case when (select refused from last) then 409 when u.id is null then 404 end
  from o left join s on true left join users u on u.id = s.user_id
