-- The last run of each experiment is one look at an index, however many runs there are.
with {asked}
select coalesce((select {run}
                   from {visible_experiments} e
                   cross join asked
                   cross join lateral (
                       select *
                         from {visible_runs} r
                        where r.experiment_id = e.id and r.timestamp >= asked.start and r.timestamp < asked.stop
                        order by r.timestamp desc, r.id desc
                        limit 1) r
                  where e.project_id = p.id
                  order by r.timestamp desc, r.id desc
                  limit 1), '{}'::json)
  from {visible_projects} p
 where p.id = :project_id
