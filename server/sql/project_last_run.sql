with {span}
select coalesce((select {run}
                   from visible_runs(:caller) r, span
                  where r.project_id = p.id and r.timestamp >= span.start and r.timestamp < span.stop
                  order by r.timestamp desc, r.id desc
                  limit 1), '{}'::json)
  from visible_projects(:caller) p
 where p.id = :project_id
