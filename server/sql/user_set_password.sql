-- Ends the user's sessions as well: whoever had the old password is out.
with u as (
    update users set password_hash = :password_hash where lower(email) = lower(:email) returning id
), ended as (
    delete from sessions where user_id in (select id from u)
)
select id from u
