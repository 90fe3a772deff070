-- The schema's version, and what a server must have been built for to work on it. The column may not be there yet.
select coalesce(max(version), 0), coalesce(max((to_jsonb(m) ->> 'oldest_server')::integer), 0) from schema_migrations m
