select case when r.id is not null then {run} end
  from {visible_experiments} e
  left join {visible_runs} r on r.experiment_id = e.id
 where e.id = :experiment_id
 order by r.timestamp, r.id
