update user_tokens set last_used = now() where id = :token_id returning null::json
