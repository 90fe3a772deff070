json_build_object('id', u.id, 'email', u.email, 'name', u.name, 'is_active', u.is_active,
                  'organization_id', s.organization_id, 'is_admin', s.is_admin)
