-- The admins' rows, and the member's own, are locked in key order first, so that two admins who demote each other at once
-- leave one.
with o as (
    select id from {administered_organizations} o where id = :organization_id
), locked as (
    select a.user_id, a.is_admin from memberships a
     where a.organization_id in (select id from o) and (a.is_admin or a.user_id = :user_id)
     order by a.user_id for update
), last as (
    select count(*) = 1 and bool_and(user_id = :user_id) and not :is_admin::boolean as refused from locked where is_admin
), s as (
    update memberships set is_admin = :is_admin::boolean
     where organization_id in (select id from o) and user_id = :user_id and not (select refused from last)
    returning *
), recorded as (
    {record} case when s.is_admin then 'member_promoted' else 'member_demoted' end, s.organization_id, null,
             u.id, u.email, {actor}
      from s
      join locked before on before.user_id = s.user_id and before.is_admin <> s.is_admin
      join users u on u.id = s.user_id
)
select case when (select refused from last)
            then json_build_object('detail', 'This is the organisation''s last admin')
            when u.id is null
            then json_build_object('detail', 'No such member of this organisation')
            else {member} end,
       case when (select refused from last) then 409 when u.id is null then 404 end
  from o left join s on true left join users u on u.id = s.user_id
