-- A partition is attached while nobody else is on emissions. Until now, one with no rows to move was attached beside readers
-- and writers, since PostgreSQL allows that (SHARE UPDATE EXCLUSIVE). But a session that is just finding out which partitions
-- there are does not notice (seen with PostgreSQL 15.18): until partitions change again it goes on without the new one, reads
-- past it, and stores its emissions in the default partition, where readers of that month do not look.
--
-- Who can wait for whom now, step by step:
--
--   look who stays            none                                       nobody: one that stays for half a second is given
--                                                                        way to
--   create table ... like     ACCESS SHARE on emissions                  nobody
--   move the month's rows     ROW EXCLUSIVE on emissions_default         who sends one of these very rows again: it is on
--                                                                        emissions, so this attempt comes to nothing
--   lock                      ACCESS EXCLUSIVE on emissions and on       everybody: half a second at most while the one or
--                             emissions_default                          the other waits, then until the end
--   move what came meanwhile  (the same)
--   attach                    (the same): it reads all of the default    hence the second kind of month in
--                             partition and of the new one               missing_emission_partitions
--
-- The rows have been moved before, so the last steps take some milliseconds; with a million rows, some tenths of a second.
-- Everything is one transaction: after a crash there is nothing to clean up. A transaction by hand with a snapshot from
-- before (repeatable read) does not find the moved rows in their month.

-- The other transactions that are on emissions right now, or on the default partition alone (an autovacuum).
create function emission_holders() returns text[] language sql as $$
    select coalesce(array_agg(virtualtransaction), '{}')
      from pg_locks
     where database = (select oid from pg_database where datname = current_database())
       and relation in ('emissions'::regclass, 'emissions_default'::regclass)
       and granted and pid is distinct from pg_backend_pid()
$$;

-- Raises lock_not_available if one of them stays. Whoever waits for a lock makes all who come after wait as well. It is
-- patient with transactions that wait for a slow disk or a distant standby: of these there are always some.
create function give_way_to_emission_holders() returns void language plpgsql as $$
declare
    staying text[] := emission_holders();
begin
    for look in 1 .. 25 loop
        if staying = '{}' then
            return;
        end if;
        perform pg_sleep(0.02);
        staying := array(select unnest(staying) intersect select unnest(emission_holders()));
    end loop;
    raise lock_not_available using message = 'a transaction stays on the table emissions';
end
$$;

-- Makes a month's partition. Answers how many rows moved into it; raises lock_not_available when somebody was in the way.
create or replace function make_emission_partition(month timestamptz) returns bigint language plpgsql
set timezone = 'UTC' set lock_timeout = '500ms' as $$
declare
    name text := emission_partition_name(month);
    moved bigint;
begin
    perform give_way_to_emission_holders();
    execute format('create table %I (like emissions including all)', name);
    moved := move_strays(month);
    lock table only emissions in access exclusive mode;
    lock table emissions_default in access exclusive mode;
    moved := moved + move_strays(month);
    execute format('alter table emissions attach partition %I for values from (%L) to (%L)',
                   name, month, month_after(month));
    return moved;
end
$$;

drop function try_to_lock_emissions();

-- As in 0009_retention.sql, but for the first line and the patience.
create or replace function drop_emission_partition(name text) returns void language plpgsql set lock_timeout = '500ms' as $$
begin
    perform give_way_to_emission_holders();
    lock table only emissions in access exclusive mode;
    execute format('lock table %I in access exclusive mode nowait', name);
    lock table emissions_default in access exclusive mode nowait;
    execute format('drop table %I', name);
end
$$;

-- Changes nothing, but whoever has missed a partition before finds out: none of them is on emissions meanwhile.
alter table only emissions alter column wue set default 0;

-- What went into the default partition although its month has its own. That one has it already if it was sent again since:
-- then the sums have counted it twice, and `carbond verify-sums --repair` puts them right.
with misplaced as (
    delete from emissions_default
     where emission_partition_name(month_of(timestamp)) in (select name from emission_partitions)
    returning *
)
insert into emissions select * from misplaced on conflict do nothing;
