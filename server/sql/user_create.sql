with u as (
    insert into users (id, email, name, password_hash)
    values (coalesce(:id, gen_random_uuid()), :email, :name, :password_hash)
    returning *
)
select {user} from u
