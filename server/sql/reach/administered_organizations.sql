(select o.* from organizations o, {who}, lateral (select o.id as organization_id) x where {administers})
