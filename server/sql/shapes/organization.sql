json_build_object('id', o.id, 'name', o.name, 'description', o.description)
