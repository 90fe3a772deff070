select case when p.id is not null then {project} end
  from {reachable_teams} t
  left join {reachable_projects} p on p.team_id = t.id
 where t.id = :team_id
 order by p.created_at, p.id
