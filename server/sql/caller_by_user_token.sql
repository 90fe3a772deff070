select k.id, k.user_id, (k.last_used is null or k.last_used < now() - interval '5 minutes')
       and current_setting('transaction_read_only') = 'off'
  from user_tokens k
  join users u on u.id = k.user_id
 where k.token_hash = :token_hash and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
   and u.is_active
