-- The first user, and all that a tracker needs; no row if there is a user, or somebody else is faster with the same address.
-- Asked once more with the same token, it answers what it has made: the word of it may have been lost.
with u as (
    insert into users (email, name, password_hash)
    select :email, 'Admin', :password_hash where {nobody_yet}
    on conflict do nothing
    returning *
), o as (
    insert into organizations (name, description) select 'First organization', '' from u returning *
), m as (
    insert into memberships (organization_id, user_id, is_admin) select o.id, u.id, true from o, u
), p as (
    insert into projects (organization_id, name, description) select o.id, 'First project', '' from o returning *
), e as (
    insert into experiments (project_id, name, description) select p.id, 'First experiment', '' from p returning *
), k as (
    insert into project_tokens (project_id, name, access, token_hash)
    select p.id, 'First token', 3, :token_hash from p
    returning *
), user_recorded as (
    {record} 'user_added', null, null, u.id, u.email, null, null from u
), organization_recorded as (
    {record} 'organization_created', o.id, null, u.id, u.email, null, null from u, o
), token_recorded as (
    {record} 'project_token_created', p.organization_id, p.id, k.id, k.name, null, null from k, p
)
select o.id, p.id, e.id from o, p, e
union all
select p.organization_id, p.id, e.id
  from project_tokens k
  join projects p on p.id = k.project_id
  join experiments e on e.project_id = p.id
 where k.token_hash = :token_hash
