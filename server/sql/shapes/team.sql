json_build_object('id', t.id, 'name', t.name, 'description', t.description, 'organization_id', t.organization_id)
