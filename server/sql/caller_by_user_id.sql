select id from users where id = :user_id and is_active
