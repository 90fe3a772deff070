-- A run without emissions in range is left out.
with {span},
chosen as materialized (
    select s.*
      from {visible_run_sums} s, span
     where s.experiment_id = :experiment_id and {overlaps_span}
), {parts}, reports as materialized (
    select m.run_id, {report}
      from parts m
     group by m.run_id
    having sum(m.emissions_count) > 0
)
select case when r.run_id is not null then (select row_to_json(answer) from (
           select r.run_id, run.timestamp, run.experiment_id, {report_columns}) answer) end
  from {visible_experiments} e
  left join ({visible_runs} run join reports r on r.run_id = run.id) on run.experiment_id = e.id
 where e.id = :experiment_id
 order by run.timestamp, run.id
