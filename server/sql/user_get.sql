select {user} from {visible_users} u where u.id = :user_id
