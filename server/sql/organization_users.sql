select {member}
  from {reachable_organizations} o
  join memberships s on s.organization_id = o.id
  join {visible_users} u on u.id = s.user_id
 where o.id = :organization_id
 order by s.created_at, u.id
