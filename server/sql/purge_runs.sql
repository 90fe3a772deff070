with chunk as (
    select r.id
      from runs r
      join experiments e on e.id = r.experiment_id
      join projects p on p.id = e.project_id
     where p.id = :project_id and p.deleted_at is not null
     limit 1000
), gone as (
    delete from runs where id in (select id from chunk) returning 1
)
select count(*) from gone
