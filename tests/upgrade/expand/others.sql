-- The tables that storing an emission does not need.
alter table audit_records add column later_note text, add column later_count integer not null default 7;
alter table organizations add column later_note text, add column later_count integer not null default 7;
alter table project_tokens add column later_note text, add column later_count integer not null default 7;
alter table schema_migrations add column later_note text, add column later_count integer not null default 7;
alter table sessions add column later_note text, add column later_count integer not null default 7;
alter table teams add column later_note text, add column later_count integer not null default 7;
alter table user_tokens add column later_note text, add column later_count integer not null default 7;
alter table users add column later_note text, add column later_count integer not null default 7;
create index teams_later_note on teams (later_note);
