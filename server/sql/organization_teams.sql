select case when t.id is not null then {team} end
  from {reachable_organizations} o
  left join {reachable_teams} t on t.organization_id = o.id
 where o.id = :organization_id
 order by t.created_at, t.id
