json_build_object('id', p.id, 'name', p.name, 'description', p.description, 'organization_id', p.organization_id,
                  'team_id', p.team_id, 'public', p.public,
                  'experiments', (select coalesce(json_agg(e.id order by e.created_at, e.id), '[]')
                                    from {visible_experiments} e where e.project_id = p.id))
