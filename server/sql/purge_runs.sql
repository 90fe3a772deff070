-- The sums go with their runs; hours first, since a run has many and no chunk should be large.
with chunk as (
    select r.id
      from runs r
      join experiments e on e.id = r.experiment_id
      join projects p on p.id = e.project_id
     where p.id = :project_id and p.deleted_at is not null
     limit 100
), hours as (
    delete from emission_hours where run_id in (select id from chunk)
), totals as (
    delete from run_sums where run_id in (select id from chunk)
), gone as (
    delete from runs where id in (select id from chunk) returning 1
)
select count(*) from gone
