select {user_token}
  from user_tokens k
 where k.user_id = (:caller::caller).user_id and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
 order by k.created_at, k.id
