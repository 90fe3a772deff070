json_build_object('id', u.id, 'email', u.email, 'name', u.name, 'is_active', u.is_active,
                  'organizations', (select coalesce(json_agg(o.id order by o.created_at, o.id), '[]')
                                      from organizations o join memberships s on s.organization_id = o.id
                                     where s.user_id = u.id
                                       and o.id in (select id from {reachable_organizations} mine)))
