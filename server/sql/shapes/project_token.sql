json_build_object('id', k.id, 'project_id', k.project_id, 'name', k.name, 'access', k.access, 'token', null,
                  'last_used', k.last_used, 'revoked', k.revoked_at is not null)
