select k.id, k.project_id, k.access, (k.last_used is null or k.last_used < now() - interval '5 minutes')
       and current_setting('transaction_read_only') = 'off'
  from project_tokens k
  join live_projects p on p.id = k.project_id
 where k.token_hash = :token_hash and k.revoked_at is null
