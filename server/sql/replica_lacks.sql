-- What keeps a replica from answering for the database of that position; null: nothing. Positions of two timelines say nothing
-- of each other: a standby that did not follow a promotion may be far, and lack all that came after it.
select case when not pg_is_in_recovery() then 'it is no standby'
            when (split_part(:position, ' ', 1) = (select system_identifier::text from pg_control_system())
                  and split_part(:position, ' ', 2) = (select oid::text from pg_database where datname = current_database()))
                 is not true
            then 'it is of another database'
            when (split_part(:position, ' ', 3) = {timeline}::text) is not true then 'it is on another timeline'
            when (pg_last_wal_replay_lsn() >= split_part(:position, ' ', 4)::pg_lsn) is not true then 'it is behind'
       end
