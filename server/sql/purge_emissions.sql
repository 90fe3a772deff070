-- A chunk of a deleted project's emissions, run by run along the primary key. Answers how many went.
with run as (
    select r.id
      from runs r
      join experiments e on e.id = r.experiment_id
      join projects p on p.id = e.project_id
     where p.id = :project_id and p.deleted_at is not null
       and exists (select from emissions m where m.run_id = r.id)
     limit 1
), chunk as (
    select m.run_id, m.timestamp, m.id from emissions m where m.run_id = (select id from run)
     order by m.run_id, m.timestamp, m.id limit 5000
), gone as (
    delete from emissions m using chunk c
     where m.run_id = c.run_id and m.timestamp = c.timestamp and m.id = c.id
    returning 1
)
select count(*) from gone
