-- What a later release may do without asking (migrations/README.md): each table gets columns, a new one comes, and so does
-- an index of a small one. Servers of the release before go on.

do $$
declare
    name text;
begin
    for name in select c.oid::regclass::text from pg_class c
                 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition loop
        execute format('alter table %s add column later_note text, add column later_count integer not null default 7', name);
    end loop;
end
$$;

create or replace view live_runs as
    select p.organization_id, p.public, e.project_id, r.*
      from runs r
      join experiments e on e.id = r.experiment_id
      join live_projects p on p.id = e.project_id;

create table later_things (
    id         uuid primary key default gen_random_uuid(),
    project_id uuid not null references projects (id)
);
create index teams_later_note on teams (later_note);
