with u as (
    insert into users (id, email, name, password_hash)
    values (coalesce(:id, gen_random_uuid()), :email, :name, :password_hash)
    returning *
), recorded as (
    {record} 'user_added', null, null, u.id, u.email, {actor} from u
)
select {user} from u
