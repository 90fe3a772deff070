-- Records a wrong password: for the organisations of the user whose address was given. Of an address that is nobody's no
-- more is kept than that it happened: people type passwords there. (And it takes the same time.)
with u as (
    select u.id, u.email from (select) one left join users u on u.id = :user_id
)
{record} 'sign_in_failed', m.organization_id, null, u.id, u.email, null, null
  from u left join told_memberships m on m.user_id = u.id
returning null::json
