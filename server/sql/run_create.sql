-- The client may choose the id, and may send a run again: the stored run is the answer then. Status 0 means that
-- another session's insert of this id is committing right now, unseen by this statement: the server asks again.
with e as (
    select id from reachable_experiments(:caller) where id = :experiment_id
), made as (
    insert into runs (id, experiment_id, timestamp, os, python_version, codecarbon_version, cpu_count, cpu_model,
                      gpu_count, gpu_model, longitude, latitude, region, provider, ram_total_size, tracking_mode)
    select :id, e.id, :timestamp, :os, :python_version, :codecarbon_version, :cpu_count, :cpu_model,
           :gpu_count, :gpu_model, :longitude, :latitude, :region, :provider, :ram_total_size, :tracking_mode
      from e
    on conflict (id) do nothing
    returning *
), r as (
    select * from made
    union all
    select * from runs where id = :id
)
select case when r.experiment_id = e.id then {run}
            when r.id is not null
            then json_build_object('detail', 'This id belongs to a run of another experiment') end,
       case when r.experiment_id = e.id then 201 when r.id is not null then 409 else 0 end
  from e left join r on true
 limit 1
