select {user} from {visible_users} u order by u.created_at, u.id
