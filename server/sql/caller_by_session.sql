select s.user_id
  from sessions s
  join users u on u.id = s.user_id
 where s.token_hash = :token_hash and s.expires_at > now() and u.is_active
