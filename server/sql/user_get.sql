select {user} from visible_users(:caller) u where u.id = :user_id
