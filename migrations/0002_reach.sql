-- Who may see what, in one place. The server's statements read projects, experiments, runs and emissions only
-- through these functions; a test over server/sql proves it.
--
--   reachable_*     what belongs to the caller: by membership of the organisation, or by a project token
--   visible_*       what is reachable, and what belongs to a public project
--   administered_*  what the caller is an admin of
--
-- All are plain SQL functions, so that the planner looks through them as through a view.

-- Who asks: a user, or the project of a project token, or (with authentication switched off) everyone everywhere.
-- All members null: nobody.
create type caller as (user_id uuid, project_id uuid, everywhere boolean);

-- The tree with its ancestors beside each row, without what is deleted. The ancestors stand first, so that a later
-- migration can add columns at the end.
create view live_projects as
    select * from projects where deleted_at is null;

create view live_experiments as
    select p.organization_id, p.public, e.*
      from experiments e join live_projects p on p.id = e.project_id;

create view live_runs as
    select p.organization_id, p.public, e.project_id, r.*
      from runs r
      join experiments e on e.id = r.experiment_id
      join live_projects p on p.id = e.project_id;

create view live_emissions as
    select p.organization_id, p.public, e.project_id, r.experiment_id, m.*
      from emissions m
      join runs r on r.id = m.run_id
      join experiments e on e.id = r.experiment_id
      join live_projects p on p.id = e.project_id;

create function reachable_organizations(who caller) returns setof organizations language sql stable as $$
    select o.* from organizations o
     where (who).everywhere
        or o.id in (select m.organization_id from memberships m where m.user_id = (who).user_id)
$$;

create function administered_organizations(who caller) returns setof organizations language sql stable as $$
    select o.* from organizations o
     where (who).everywhere
        or o.id in (select m.organization_id from memberships m where m.user_id = (who).user_id and m.is_admin)
$$;

create function reachable_teams(who caller) returns setof teams language sql stable as $$
    select t.* from teams t where t.organization_id in (select o.id from reachable_organizations(who) o)
$$;

create function reachable_projects(who caller) returns setof live_projects language sql stable as $$
    select p.* from live_projects p
     where p.id = (who).project_id
        or p.organization_id in (select o.id from reachable_organizations(who) o)
$$;

create function reachable_experiments(who caller) returns setof live_experiments language sql stable as $$
    select e.* from live_experiments e
     where e.project_id = (who).project_id
        or e.organization_id in (select o.id from reachable_organizations(who) o)
$$;

create function reachable_runs(who caller) returns setof live_runs language sql stable as $$
    select r.* from live_runs r
     where r.project_id = (who).project_id
        or r.organization_id in (select o.id from reachable_organizations(who) o)
$$;

create function visible_projects(who caller) returns setof live_projects language sql stable as $$
    select p.* from live_projects p
     where p.public
        or p.id = (who).project_id
        or p.organization_id in (select o.id from reachable_organizations(who) o)
$$;

create function visible_experiments(who caller) returns setof live_experiments language sql stable as $$
    select e.* from live_experiments e
     where e.public
        or e.project_id = (who).project_id
        or e.organization_id in (select o.id from reachable_organizations(who) o)
$$;

create function visible_runs(who caller) returns setof live_runs language sql stable as $$
    select r.* from live_runs r
     where r.public
        or r.project_id = (who).project_id
        or r.organization_id in (select o.id from reachable_organizations(who) o)
$$;

create function visible_emissions(who caller) returns setof live_emissions language sql stable as $$
    select m.* from live_emissions m
     where m.public
        or m.project_id = (who).project_id
        or m.organization_id in (select o.id from reachable_organizations(who) o)
$$;

-- A user sees themselves and whoever shares an organisation with them.
create function visible_users(who caller) returns setof users language sql stable as $$
    select u.* from users u
     where (who).everywhere
        or u.id = (who).user_id
        or u.id in (select other.user_id
                      from memberships mine
                      join memberships other on other.organization_id = mine.organization_id
                     where mine.user_id = (who).user_id)
$$;
