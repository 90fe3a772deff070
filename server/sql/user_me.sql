select json_build_object('user', {user}) from {visible_users} u where u.id = :user_id
