-- Adding a member again changes nothing.
with o as (
    select id from administered_organizations(:caller) where id = :organization_id
), known as (
    select id, email from users where lower(email) = lower(:email) and is_active
), added as (
    insert into memberships (organization_id, user_id)
    select o.id, known.id from o, known
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
