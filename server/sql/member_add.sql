-- Adding a member again changes nothing. What they do alone (see 0008_told.sql) is told to those who add somebody of no
-- organisation, and to those who are told already, as admins of another one.
with o as (
    select id from {administered_organizations} o where id = :organization_id
), known as (
    select id, email from users where lower(email) = lower(:email) and is_active
), added as (
    insert into memberships (organization_id, user_id, is_told)
    select o.id, known.id,
           not exists (select from memberships m where m.user_id = known.id)
           or exists (select from told_memberships m where m.user_id = known.id
                         and m.organization_id in (select id from {administered_organizations} mine))
      from o, known
    on conflict do nothing
    returning organization_id, user_id
), recorded as (
    {record} 'member_added', s.organization_id, null, known.id, known.email, {actor}
      from added s join known on known.id = s.user_id
)
select case when known.id is null
            then json_build_object('detail', 'No user has this e-mail address')
            else json_build_object('status', 'ok') end,
       case when known.id is null then 404 end
  from o left join known on true
