-- One of a deleted project's runs: a chunk of its emissions, and with the last chunk the run itself and its sums. Answers
-- 0 when no run is left. What is removed is a range of the primary key whose ends are known before the scan begins: a
-- join would make the planner read whole partitions.
with run as materialized (
    select r.id
      from runs r
      join experiments e on e.id = r.experiment_id
      join projects p on p.id = e.project_id
     where p.id = :project_id and p.deleted_at is not null
     order by r.id
     limit 1
), last_of_chunk as materialized (
    select m.timestamp, m.id from emissions m where m.run_id = (select id from run)
     order by m.timestamp, m.id offset 4999 limit 1
), whole as materialized (
    select id from run where not exists (select from last_of_chunk)
), emissions_gone as (
    delete from emissions m
     where m.run_id = (select id from run)
       and m.timestamp <= coalesce((select timestamp from last_of_chunk), 'infinity')
       and (m.timestamp, m.id) <= (coalesce((select timestamp from last_of_chunk), 'infinity'),
                                   coalesce((select id from last_of_chunk), 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
), hours_gone as (
    delete from emission_hours where run_id = (select id from whole)
), totals_gone as (
    delete from run_sums where run_id = (select id from whole)
), gone as (
    delete from runs where id = (select id from whole)
)
select count(*) from run
