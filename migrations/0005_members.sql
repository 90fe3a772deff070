-- The functions of 0002_reach.sql and 0003_sums.sql, which answer the same and no longer look at every organisation to find
-- those of the caller: a user is a member of few, and there may be thousands. (They cannot share the condition as a function
-- of its own: PostgreSQL looks through one with a subquery only where it stands in FROM.)

create or replace function reachable_teams(who caller) returns setof teams language sql stable as $$
    select t.* from teams t
     where (who).everywhere
        or t.organization_id in (select own.organization_id from memberships own where own.user_id = (who).user_id)
$$;

create or replace function reachable_projects(who caller) returns setof live_projects language sql stable as $$
    select p.* from live_projects p
     where p.id = (who).project_id
        or (who).everywhere
        or p.organization_id in (select own.organization_id from memberships own where own.user_id = (who).user_id)
$$;

create or replace function reachable_experiments(who caller) returns setof live_experiments language sql stable as $$
    select e.* from live_experiments e
     where e.project_id = (who).project_id
        or (who).everywhere
        or e.organization_id in (select own.organization_id from memberships own where own.user_id = (who).user_id)
$$;

create or replace function reachable_runs(who caller) returns setof live_runs language sql stable as $$
    select r.* from live_runs r
     where r.project_id = (who).project_id
        or (who).everywhere
        or r.organization_id in (select own.organization_id from memberships own where own.user_id = (who).user_id)
$$;

create or replace function visible_projects(who caller) returns setof live_projects language sql stable as $$
    select p.* from live_projects p
     where p.public
        or p.id = (who).project_id
        or (who).everywhere
        or p.organization_id in (select own.organization_id from memberships own where own.user_id = (who).user_id)
$$;

create or replace function visible_experiments(who caller) returns setof live_experiments language sql stable as $$
    select e.* from live_experiments e
     where e.public
        or e.project_id = (who).project_id
        or (who).everywhere
        or e.organization_id in (select own.organization_id from memberships own where own.user_id = (who).user_id)
$$;

create or replace function visible_runs(who caller) returns setof live_runs language sql stable as $$
    select r.* from live_runs r
     where r.public
        or r.project_id = (who).project_id
        or (who).everywhere
        or r.organization_id in (select own.organization_id from memberships own where own.user_id = (who).user_id)
$$;

create or replace function visible_emissions(who caller) returns setof live_emissions language sql stable as $$
    select m.* from live_emissions m
     where m.public
        or m.project_id = (who).project_id
        or (who).everywhere
        or m.organization_id in (select own.organization_id from memberships own where own.user_id = (who).user_id)
$$;

create or replace function visible_run_sums(who caller) returns setof live_run_sums language sql stable as $$
    select s.* from live_run_sums s
     where s.public
        or s.project_id = (who).project_id
        or (who).everywhere
        or s.organization_id in (select own.organization_id from memberships own where own.user_id = (who).user_id)
$$;
