-- The one user that everyone is when authentication is switched off, made when first needed. It has no password.
with known as (
    select id from users where lower(email) = 'local@carbond'
), made as (
    insert into users (email, name)
    select 'local@carbond', 'Local admin' where not exists (select from known)
    on conflict do nothing
    returning id
)
select id from known union all select id from made
