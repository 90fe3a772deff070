json_build_object('id', a.id, 'timestamp', a.timestamp, 'action', a.action, 'organization_id', a.organization_id,
                  'address', coalesce(a.address, 'command line'), 'actor_id', a.actor_id, 'actor', a.actor,
                  'project_id', a.project_id, 'target_id', a.target_id, 'target', a.target)
