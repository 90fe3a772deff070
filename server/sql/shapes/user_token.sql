json_build_object('id', k.id, 'name', k.name, 'token', null, 'created_at', k.created_at,
                  'expires_at', k.expires_at, 'last_used', k.last_used)
