-- Its creator becomes its first admin.
with o as (
    insert into organizations (name, description) values (:name, :description) returning *
), admin as (
    insert into memberships (organization_id, user_id, is_admin)
    select o.id, (:caller::caller).user_id, true from o
    returning organization_id, user_id
), recorded as (
    {record} 'organization_created', s.organization_id, null, u.id, u.email, {actor}
      from admin s join users u on u.id = s.user_id
)
select {organization} from o
