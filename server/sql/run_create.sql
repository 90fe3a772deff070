-- The client may choose the id, and may send a run again: the stored run is the answer then. Status 0 means that
-- another session's insert of this id is committing right now, unseen by this statement: the server asks again.
-- A tracker that had to drop emissions sends the run again with their number, which only grows.
with e as (
    select id from {reachable_experiments} e where id = :experiment_id
), made as (
    insert into runs (id, experiment_id, timestamp, os, python_version, codecarbon_version, cpu_count, cpu_model,
                      gpu_count, gpu_model, longitude, latitude, region, provider, ram_total_size, tracking_mode,
                      emissions_dropped)
    select :id, e.id, :timestamp, :os, :python_version, :codecarbon_version, :cpu_count, :cpu_model,
           :gpu_count, :gpu_model, :longitude, :latitude, :region, :provider, :ram_total_size, :tracking_mode,
           coalesce(:emissions_dropped, 0)
      from e
    on conflict (id) do nothing
    returning *
), told as (
    update runs
       set emissions_dropped = :emissions_dropped
      from e
     where runs.id = :id and runs.experiment_id = e.id and runs.emissions_dropped < :emissions_dropped
    returning runs.*
), r as (
    select * from made
    union all
    select * from told
    union all
    select * from runs where id = :id and not exists (select from told)
)
select case when r.experiment_id = e.id then {run}
            when r.id is not null
            then json_build_object('detail', 'This id belongs to a run of another experiment') end,
       case when r.experiment_id = e.id then 201 when r.id is not null then 409 else 0 end
  from e left join r on true
 limit 1
