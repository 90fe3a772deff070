-- Records that the user of `s` has signed in.
recorded as (
    {record} 'signed_in', m.organization_id, null, u.id, u.email, u.id, u.email
      from s join users u on u.id = s.user_id left join told_memberships m on m.user_id = u.id
)
