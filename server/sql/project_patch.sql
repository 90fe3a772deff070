with p as (
    update projects
       set name = coalesce(:name, name), description = coalesce(:description, description),
           public = coalesce(:public, public)
     where id in (select id from reachable_projects(:caller) where id = :project_id)
    returning *
)
select {project} from p
