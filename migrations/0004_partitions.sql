-- A partition of emissions for each month, made by the server ahead of need (server/upkeep/partitions.c). What has no
-- partition yet is in the default one, and moves when its month gets its own.
--
-- CREATE TABLE ... PARTITION OF would take ACCESS EXCLUSIVE on emissions: behind one slow reader it waits, and behind it
-- every insert. So a partition is made beside the table and attached. Who can wait for whom, step by step:
--
--   create table ... like     ACCESS SHARE on emissions                  nobody
--   move the month's rows     ROW EXCLUSIVE on emissions_default         who sends one of these very rows again
--   lock                      ACCESS EXCLUSIVE on emissions_default      who reads the default partition or writes into it:
--                                                                        100 ms at most while the lock itself waits, then
--                                                                        until the end
--   move what came meanwhile  (the same)
--   attach                    SHARE UPDATE EXCLUSIVE on emissions        other makers of partitions alone; it reads all of
--                                                                        the default partition, and who reads a run's
--                                                                        emissions waits for that: hence the second kind of
--                                                                        month in missing_emission_partitions
--
-- A reader that waits for the default partition has already looked up which others there are. It would miss the rows that
-- leave the one for the other, so if there are any, emissions itself is locked as well, and everybody waits: 100 ms at
-- most while the lock waits (nothing is waited for while it is held), then for the last three steps. These read both
-- partitions, but the rows have been moved before: a tenth of a second or two for a million of them. A month made ahead
-- has no rows to move: then no writer into another partition ever waits.
--
-- A writer that waits for the default partition while its month gets its own is refused by PostgreSQL (23514), and
-- tries again (server/db/connection.c). Everything is one transaction: after a crash there is nothing to clean up.

-- The month that a moment is in, and the one after it: their beginnings in UTC.
create function month_of(moment timestamptz) returns timestamptz language sql immutable as $$
    select date_trunc('month', moment at time zone 'UTC') at time zone 'UTC'
$$;

create function month_after(month timestamptz) returns timestamptz language sql immutable as $$
    select (month at time zone 'UTC' + interval '1 month') at time zone 'UTC'
$$;

-- emissions_2026_11
create function emission_partition_name(month timestamptz) returns text language sql stable as $$
    select 'emissions_' || to_char(month at time zone 'UTC', 'YYYY_MM')
$$;

-- The months' partitions that there are.
create view emission_partitions as
    select c.oid, c.relname::text as name
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'emissions'::regclass and c.oid <> 'emissions_default'::regclass;

-- How much of the default partition a look at it takes, in percent: a thousand pages; while there are fewer, all of them.
create function share_of_strays() returns real language sql as $$
    select least(100, 100 * 1000 / greatest(1, pg_relation_size('emissions_default') / 8192.0))
$$;

-- The months of which the default partition holds many rows: somebody brings in the past, or a clock is wrong.
create function months_of_strays(many integer) returns setof timestamptz language sql as $$
    select month_of(m.timestamp)
      from emissions_default m tablesample system (share_of_strays())
     group by 1
    having count(*) * 100 >= many * share_of_strays()
$$;

-- About how many rows the default partition holds; null for a role that may not look at it.
create function count_strays() returns bigint language plpgsql as $$
begin
    return (select round(count(*) * 100 / share_of_strays())
              from emissions_default tablesample system (share_of_strays()));
exception
    when insufficient_privilege then return null;
end
$$;

-- The months that should have a partition and have none: the one before this, this one and so many ahead; and those of
-- many strays, so that the default partition stays small. These only until there are partitions of ten years: each costs
-- every reader a little, and nobody should be able to make them without end.
create function missing_emission_partitions(ahead integer) returns setof timestamptz language sql as $$
    select month
      from (select month_of(now()) at time zone 'UTC' as now) this,
           generate_series(this.now - interval '1 month', this.now + ahead * interval '1 month', interval '1 month') m,
           lateral (select m at time zone 'UTC' as month) wanted
     where emission_partition_name(month) not in (select name from emission_partitions)
    union
    select month
      from months_of_strays(10000) month
     where (select count(*) from emission_partitions) < 120
       and emission_partition_name(month) not in (select name from emission_partitions)
$$;

-- Moves what the default partition holds of a month into that month's table. Answers how many rows.
create function move_strays(month timestamptz) returns bigint language plpgsql as $$
declare
    moved bigint;
begin
    execute format('with stray as (delete from emissions_default where timestamp >= $1 and timestamp < $2 returning *)
                    insert into %I select * from stray', emission_partition_name(month))
      using month, month_after(month);
    get diagnostics moved = row_count;
    return moved;
end
$$;

-- Raises lock_not_available if somebody reads emissions right now: then there is no use in moving rows. Leaves no lock.
create function try_to_lock_emissions() returns void language plpgsql as $$
begin
    lock table only emissions in access exclusive mode;
    raise sqlstate 'CBOND' using message = 'it was to be had';
exception when sqlstate 'CBOND' then
    return;
end
$$;

-- Makes a month's partition. Answers how many rows moved into it; raises lock_not_available when somebody was in the way.
create function make_emission_partition(month timestamptz) returns bigint language plpgsql
set timezone = 'UTC' set lock_timeout = '100ms' as $$
declare
    name text := emission_partition_name(month);
    moved bigint;
    late bigint;
begin
    execute format('create table %I (like emissions including all)', name);
    if exists (select from emissions_default where timestamp >= month and timestamp < month_after(month)) then
        perform try_to_lock_emissions();
    end if;
    moved := move_strays(month);
    if moved > 0 then
        lock table only emissions in access exclusive mode;
        lock table emissions_default in access exclusive mode nowait;
    else
        lock table emissions_default in access exclusive mode;
    end if;
    late := move_strays(month);
    if moved = 0 and late > 0 then
        raise lock_not_available using message = 'the first emissions of the month have just arrived';
    end if;
    execute format('alter table emissions attach partition %I for values from (%L) to (%L)',
                   name, month, month_after(month));
    return moved + late;
end
$$;

-- Makes the last partition that is missing before a moment (null: at all). The latest months come first: those of the past
-- may have many rows to move. Answers what came of it:
--
--   null    none is missing
--   made    it is there now, and `moved` rows in it
--   busy    another process is making one
--   held    a lock was not to be had within its time, or
--   failed  something else: `reason` tells. Nothing has changed
create function make_missing_emission_partition(ahead integer, before timestamptz, out month timestamptz, out outcome text,
                                                out moved bigint, out reason text) language plpgsql as $$
begin
    if not pg_try_advisory_xact_lock(hashtext('carbond partitions')) then
        outcome := 'busy';
        return;
    end if;
    select max(m) into month from missing_emission_partitions(ahead) m where before is null or m < before;
    if month is not null then
        moved := make_emission_partition(month);
        outcome := 'made';
    end if;
exception
    when lock_not_available or deadlock_detected then
        outcome := 'held';
        reason := sqlerrm;
    when others then
        outcome := 'failed';
        reason := sqlerrm;
end
$$;
