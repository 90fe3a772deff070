select coalesce((select {run}
                   from visible_runs(:caller) r
                  where r.project_id = p.id and r.timestamp {range}
                  order by r.timestamp desc, r.id desc
                  limit 1), '{}'::json)
  from visible_projects(:caller) p
 where p.id = :project_id
