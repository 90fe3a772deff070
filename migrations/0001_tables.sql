-- What is stored. Everything hangs on one tree:
--
--   organizations -< teams -< projects -< experiments -< runs -< emissions
--         \-< memberships >- users
--
-- Small tables (all but runs and emissions) use triggers for nothing and keep foreign keys along the tree.
-- Ids of what people see are random UUIDs; ids of emissions are made by the server or the client.

create table users (
    id            uuid primary key default gen_random_uuid(),
    email         text not null,
    name          text not null,
    password_hash text,                              -- Argon2id; null: cannot sign in with a password
    is_active     boolean not null default true,
    created_at    timestamptz not null default now()
);
create unique index users_email on users (lower(email));

create table organizations (
    id          uuid primary key default gen_random_uuid(),
    name        text not null,
    description text not null,
    created_at  timestamptz not null default now()
);

create table memberships (
    organization_id uuid not null references organizations (id) on delete cascade,
    user_id         uuid not null references users (id) on delete cascade,
    is_admin        boolean not null default false,
    created_at      timestamptz not null default now(),
    primary key (organization_id, user_id)
);
create index memberships_user on memberships (user_id);

create table teams (
    id              uuid primary key default gen_random_uuid(),
    organization_id uuid not null references organizations (id),
    name            text not null,
    description     text not null,
    created_at      timestamptz not null default now()
);
create index teams_organization on teams (organization_id);

create table projects (
    id              uuid primary key default gen_random_uuid(),
    organization_id uuid not null references organizations (id),
    team_id         uuid references teams (id),
    name            text not null,
    description     text not null,
    public          boolean not null default false,
    created_at      timestamptz not null default now(),
    -- Set when the project is deleted: every view below hides it from then on, and a background task removes
    -- its rows in chunks.
    deleted_at      timestamptz
);
create index projects_organization on projects (organization_id);
create index projects_team on projects (team_id);
create index projects_deleted on projects (deleted_at) where deleted_at is not null;

create table experiments (
    id               uuid primary key default gen_random_uuid(),
    project_id       uuid not null references projects (id),
    timestamp        timestamptz not null default now(),
    name             text not null,
    description      text not null,
    country_name     text,
    country_iso_code text,
    region           text,
    on_cloud         boolean,
    cloud_provider   text,
    cloud_region     text,
    created_at       timestamptz not null default now()
);
create index experiments_project on experiments (project_id, created_at, id);

create table runs (
    id                 uuid primary key,
    experiment_id      uuid not null references experiments (id),
    timestamp          timestamptz not null,
    os                 text,
    python_version     text,
    codecarbon_version text,
    cpu_count          integer,
    cpu_model          text,
    gpu_count          integer,
    gpu_model          text,
    longitude          double precision,
    latitude           double precision,
    region             text,
    provider           text,
    ram_total_size     double precision,             -- GB
    tracking_mode      text
);
create index runs_experiment on runs (experiment_id, timestamp, id);

-- The primary key is an emission's identity: what comes again with the same three is the same emission. A page
-- of a run's emissions is one range of it. There is deliberately no foreign key to runs (it is the largest single
-- cost of a large batch): the statement that inserts joins the run, and a deleted project's rows are removed only
-- when every statement that could still have seen its runs has ended (see server/sql/purge_*.sql).
create table emissions (
    run_id                  uuid not null,
    timestamp               timestamptz not null,
    id                      uuid not null,
    duration                double precision not null, -- s
    emissions_sum           double precision,          -- kg CO2eq
    emissions_rate          double precision,          -- kg CO2eq/s
    cpu_power               double precision,          -- W
    gpu_power               double precision,          -- W
    ram_power               double precision,          -- W
    cpu_energy              double precision,          -- kWh
    gpu_energy              double precision,          -- kWh
    ram_energy              double precision,          -- kWh
    energy_consumed         double precision,          -- kWh
    cpu_utilization_percent double precision,
    gpu_utilization_percent double precision,
    ram_utilization_percent double precision,
    wue                     double precision not null default 0, -- L/kWh
    primary key (run_id, timestamp, id)
) partition by range (timestamp);
create index emissions_id on emissions (id);
create table emissions_default partition of emissions default;

-- Secrets are stored as SHA-256 of 256 random bits: nothing to guess, so no salt and no slow hash is needed.
create table project_tokens (
    id         uuid primary key default gen_random_uuid(),
    project_id uuid not null references projects (id),
    name       text not null,
    access     smallint not null check (access in (1, 2, 3)), -- 1 read, 2 write, 3 both
    token_hash bytea not null unique,
    created_at timestamptz not null default now(),
    last_used  timestamptz,
    revoked_at timestamptz
);
create index project_tokens_project on project_tokens (project_id);

create table user_tokens (
    id         uuid primary key default gen_random_uuid(),
    user_id    uuid not null references users (id) on delete cascade,
    name       text not null,
    token_hash bytea not null unique,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used  timestamptz,
    revoked_at timestamptz
);
create index user_tokens_user on user_tokens (user_id);

create table sessions (
    token_hash bytea primary key,
    user_id    uuid not null references users (id) on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index sessions_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);
