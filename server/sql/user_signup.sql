-- Signing up makes a personal organisation and team, and a user token.
with u as (
    insert into users (email, name, password_hash) values (:email, :name, :password_hash) returning *
), o as (
    insert into organizations (name, description)
    select u.name, 'Personal organisation of ' || u.name from u
    returning *
), t as (
    insert into teams (organization_id, name, description)
    select o.id, o.name, 'Personal team of ' || o.name from o
), s as (
    insert into memberships (organization_id, user_id, is_admin) select o.id, u.id, true from o, u
), k as (
    insert into user_tokens (user_id, name, token_hash) select u.id, 'sign-up', :token_hash from u
), recorded as (
    {record} 'signed_up', o.id, null, u.id, u.email, u.id, u.email from u, o
)
select json_build_object('id', u.id, 'email', u.email, 'name', u.name, 'is_active', u.is_active,
                         'organizations', json_build_array(o.id), 'api_key', null)
  from u, o
