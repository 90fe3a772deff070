with o as (
    update organizations
       set name = coalesce(:name, name), description = coalesce(:description, description)
     where id in (select id from {administered_organizations} o where id = :organization_id)
    returning *
)
select {organization} from o
