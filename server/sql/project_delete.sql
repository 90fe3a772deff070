-- Marked only: purge_*.sql remove the rows later.
update projects
   set deleted_at = now()
 where id in (select p.id
                from reachable_projects(:caller) p
                join administered_organizations(:caller) o on o.id = p.organization_id
               where p.id = :project_id)
   and deleted_at is null
returning null::json
