-- Which database this is, on which timeline, and how far its log is stored: whatever was acknowledged lies before.
select (select system_identifier from pg_control_system()) || ' ' ||
       (select oid from pg_database where datname = current_database()) || ' ' ||
       {timeline} || ' ' ||
       case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end
