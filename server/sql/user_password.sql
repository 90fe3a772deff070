-- For signing in: the hash to compare with.
select id, password_hash from users where lower(email) = lower(:email) and is_active
