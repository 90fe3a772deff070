create or replace view live_runs as
    select p.organization_id, p.public, e.project_id, r.*
      from runs r
      join experiments e on e.id = r.experiment_id
      join live_projects p on p.id = e.project_id;
