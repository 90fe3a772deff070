-- Who did what, when and from where: sign-ins, tokens, members, deletions, what was made public.
--
-- A deed is recorded by the statement that does it (server/sql/shapes/record.sql), so there is none without its record.
-- A record keeps the names of that day and has no foreign keys: it outlives what it tells of. What concerns a user
-- (a sign-in) is recorded once for each organisation that they are a member of then, and without one if they are of none.
-- After a time all records go (server/upkeep/expiry.c), and with them the addresses that they hold.

create table audit_records (
    id              uuid primary key default gen_random_uuid(),
    timestamp       timestamptz not null default now(),
    organization_id uuid,          -- whose admins may read it; null: whoever runs the server
    action          text not null, -- signed_in, project_deleted ...
    address         text,          -- the client's; null: the command line
    actor_id        uuid,          -- the user who did it; null: the command line, or nobody knows
    actor           text,          -- their e-mail address
    project_id      uuid,          -- of a project or its token
    target_id       uuid,          -- the user, token, project or organisation that it was done to
    target          text           -- its name, or e-mail address
);
create index audit_records_organization on audit_records (organization_id, timestamp, id);
create index audit_records_timestamp on audit_records (timestamp);

create function administered_audit_records(who caller) returns setof audit_records language sql stable as $$
    select a.* from audit_records a
     where (who).everywhere
        or a.organization_id in (select own.organization_id from memberships own
                                  where own.user_id = (who).user_id and own.is_admin)
$$;
