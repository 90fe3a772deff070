-- A team's project belongs to the team's organisation; where both are named they must agree.
with place as (
    select o.id as organization_id, t.id as team_id
      from {reachable_organizations} o
      left join {reachable_teams} t on t.organization_id = o.id and t.id = :team_id
     where o.id = coalesce(:organization_id, t.organization_id)
       and (:team_id is null or t.id is not null)
), p as (
    insert into projects (organization_id, team_id, name, description)
    select organization_id, team_id, :name, :description from place
    returning *
)
select {project} from p
