(select p.* from live_projects p, {who}, lateral (select p.id as project_id, p.organization_id) x where {reaches})
