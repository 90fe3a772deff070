-- The caller's projects are found first: the condition of reachable_runs alone would be tried on every run there is.
select {run}
  from reachable_runs(:caller) r
 where r.project_id = any (array(select id from reachable_projects(:caller)))
 order by r.timestamp, r.id
