-- A row if it is this session's turn to migrate, until the end of its transaction. It does not wait for it.
select 1 where pg_try_advisory_xact_lock(hashtext('carbond migrations'))
