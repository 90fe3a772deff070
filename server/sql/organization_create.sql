-- Its creator becomes its first admin.
with o as (
    insert into organizations (name, description) values (:name, :description) returning *
), admin as (
    insert into memberships (organization_id, user_id, is_admin)
    select o.id, (:caller::caller).user_id, true from o
)
select {organization} from o
