-- The caller's projects are found first: the condition of reachable_runs alone would be tried on every run there is.
select {run}
  from {reachable_runs} r
 where r.project_id = any (array(select id from {reachable_projects} p))
 order by r.timestamp, r.id
