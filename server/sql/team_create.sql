with t as (
    insert into teams (organization_id, name, description)
    select o.id, :name, :description from {reachable_organizations} o where o.id = :organization_id
    returning *
)
select {team} from t
