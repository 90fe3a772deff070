select row_to_json(answer) from (
    select p.id as project_id, p.name, p.description, p.organization_id, report.*
      from visible_projects(:caller) p
      cross join lateral (
          select {report}
            from visible_emissions(:caller) m
           where m.project_id = p.id and m.timestamp {range}) report
     where p.id = :project_id) answer
