-- Marked only: purge_*.sql remove the rows later.
with p as (
    update projects
       set deleted_at = now()
     where id in (select p.id
                    from {reachable_projects} p
                    join {administered_organizations} o on o.id = p.organization_id
                   where p.id = :project_id)
       and deleted_at is null
    returning *
), recorded as (
    {record} 'project_deleted', p.organization_id, p.id, p.id, p.name, {actor} from p
)
select null::json from p
