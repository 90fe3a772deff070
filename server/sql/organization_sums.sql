select row_to_json(answer) from (
    select o.id as organization_id, o.name, o.description, report.*
      from reachable_organizations(:caller) o
      cross join lateral (
          select {report}
            from visible_emissions(:caller) m
           where m.organization_id = o.id and m.timestamp {range}) report
     where o.id = :organization_id) answer
