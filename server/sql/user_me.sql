select json_build_object('user', {user}) from visible_users(:caller) u where u.id = :user_id
