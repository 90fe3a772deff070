create table later_things (
    id         uuid primary key default gen_random_uuid(),
    project_id uuid not null references projects (id)
);
