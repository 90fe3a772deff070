-- Whose admins are told of what a user does alone: signing in, and their own tokens. Anybody may make an organisation and
-- add whom they like; so would they learn when a stranger signs in, and from where.

-- False: the user was of other organisations already when a stranger to these added them (server/sql/member_add.sql). Of
-- members who are there already nobody knows any more.
alter table memberships add column is_told boolean not null default true;

create view told_memberships as
    select * from memberships where is_told;
