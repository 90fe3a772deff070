select {user} from visible_users(:caller) u order by u.created_at, u.id
