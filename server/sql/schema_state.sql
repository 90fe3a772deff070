-- When a migration was applied, and whether in our wording.
select to_char(applied_at, 'YYYY-MM-DD HH24:MI:SS TZ'), checksum = md5(:text) from schema_migrations where version = :version
