-- What it was before is read under a lock, so that each change of `public` is recorded once.
with before as materialized (
    select id, public from projects
     where id in (select id from {reachable_projects} p where id = :project_id)
       for no key update
), p as (
    update projects
       set name = coalesce(:name, name), description = coalesce(:description, description),
           public = coalesce(:public, public)
     where id in (select id from before)
    returning *
), recorded as (
    {record} case when p.public then 'project_published' else 'project_closed' end, p.organization_id, p.id,
             p.id, p.name, {actor}
      from p join before on before.id = p.id and before.public <> p.public
)
select {project} from p
