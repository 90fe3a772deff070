-- Who has this address, if they are active.
select id from users where lower(email) = lower(:email) and is_active
