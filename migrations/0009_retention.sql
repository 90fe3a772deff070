-- Old emissions go, and the sums that they have been added to stay (carbond retention, --retention of carbond serve).
--
-- Of what lay before the watermark only the sums know. So an emission before it is refused: had it been dropped, and were
-- it sent again, it would be counted twice. The statement that stores looks at the watermark by itself
-- (server/sql/shapes/insert_sent.sql); that it never looks at an old one is for raise_watermark to see to.
--
-- The watermark is the beginning of a month, in UTC, and only ever moves forward. So hours lie wholly before or behind it.
-- Whatever is still there before it, since somebody broke off, is as good as gone: no page shows it, no sum is made of it.
create table retention (
    only_row  boolean primary key default true check (only_row),
    kept_from timestamptz not null
);
insert into retention (kept_from) values ('-infinity');

-- Whoever stores emissions locks run_sums before the statement takes its snapshot, until it has committed. So who stored by
-- the old watermark has committed when this has its lock, and who comes later sees the new one. Readers are in nobody's
-- way.
create function raise_watermark(target timestamptz, address text) returns void language plpgsql as $$
begin
    lock table run_sums in share row exclusive mode;
    update retention set kept_from = target where kept_from < target;
    if found then
        insert into audit_records (action, address, target)
        values ('emissions_dropped', address, 'before ' || to_char(target at time zone 'UTC', 'YYYY-MM-DD'));
    end if;
end
$$;

-- Where each partition ends, which itself is not in it any more.
create view emission_partition_ends as
    select p.oid, p.name, substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([^'']+)''\)')::timestamptz as ends
      from emission_partitions p join pg_class c on c.oid = p.oid;

-- To drop a partition locks emissions, and everybody waits: for 100 ms at most while the lock itself waits behind a slow
-- reader, then for some changes of the catalogue; the file goes after the commit. Nothing is waited for while it is held
-- (nowait): an autovacuum of the partition would not give way so soon.
create function drop_emission_partition(name text) returns void language plpgsql as $$
begin
    lock table only emissions in access exclusive mode;
    execute format('lock table %I in access exclusive mode nowait', name);
    lock table emissions_default in access exclusive mode nowait;
    execute format('drop table %I', name);
end
$$;

-- How many pages the default partition has.
create function default_partition_pages() returns bigint language sql as $$
    select pg_relation_size('emissions_default') / current_setting('block_size')::bigint
$$;

-- What the default partition holds before a moment, in some of its pages: no index finds it. Behind these pages nothing
-- old can come in any more, so one way through them is enough.
create function remove_old_strays(moment timestamptz, page bigint, pages bigint) returns bigint language plpgsql as $$
declare
    removed bigint;
begin
    delete from emissions_default
     where ctid >= format('(%s,0)', page)::tid and ctid < format('(%s,0)', page + pages)::tid and timestamp < moment;
    get diagnostics removed = row_count;
    return removed;
end
$$;

-- Where the watermark should be. The clock of whoever asks counts as well: one that is ahead, here or there, drops nothing.
create function watermark_after(keep interval, clock timestamptz) returns timestamptz language plpgsql
set timezone = 'UTC' as $$
begin
    return greatest((select kept_from from retention), month_of(least(now(), clock) - keep));
end
$$;

-- One step of dropping what is older than it is kept; each is a transaction, and after a crash the next one goes on.
-- `page` is where the way through the default partition has come to. Answers what came of it:
--
--   raised   the watermark: to `what`. The way begins anew, at `next_page`
--   dropped  the partition `what`
--   removed  so many emissions of the default partition; go on at `next_page`, `what` is how many pages there are
--   done     nothing is left before the watermark, which is `what`
--   busy     another process is at work on the partitions
--   held     a lock was not to be had within its time, or
--   failed   something else: `what` tells. Nothing has changed
create function retention_step(keep interval, clock timestamptz, address text, page bigint, out outcome text, out what text,
                               out removed bigint, out next_page bigint) language plpgsql
set timezone = 'UTC' set lock_timeout = '100ms' as $$
declare
    at_once constant bigint := 256; -- pages: some ten thousand rows
    pages constant bigint := default_partition_pages();
    since constant timestamptz := watermark_after(keep, clock);
    old record;
begin
    what := to_char(since, 'YYYY-MM-DD');
    if since > (select kept_from from retention) then
        perform raise_watermark(since, address);
        outcome := 'raised';
        next_page := 0;
        return;
    end if;
    if not pg_try_advisory_xact_lock(hashtext('carbond partitions')) then
        outcome := 'busy';
        return;
    end if;
    select p.name, pg_size_pretty(pg_total_relation_size(p.oid)) as size into old
      from emission_partition_ends p
     where p.ends <= since
     order by p.ends
     limit 1;
    if found then
        perform drop_emission_partition(old.name);
        outcome := 'dropped';
        what := old.name || ', ' || old.size;
    elsif page < pages then
        outcome := 'removed';
        what := pages;
        removed := remove_old_strays(since, page, at_once);
        next_page := page + at_once;
    else
        outcome := 'done';
    end if;
exception
    when lock_not_available or deadlock_detected then
        outcome := 'held';
        what := sqlerrm;
    when others then
        outcome := 'failed';
        what := sqlerrm;
end
$$;

-- rebuild_sums of 0003_sums.sql, which knew of no watermark. Hours before it are never touched. The totals are made of all
-- hours; but what they count from before the watermark beyond what its hours do, nobody can tell to be wrong: then they are
-- left as they are. Answers what came of it:
--
--   rebuilt  the sums are what the emissions and the hours before the watermark add up to
--   unclear  the hours behind the watermark are; the totals are left
--   held     nothing was done, since a lock was not to be had in time
drop function rebuild_sums(uuid);
create function rebuild_sums(of_run uuid) returns text language plpgsql set lock_timeout = '500ms' as $$
declare
    since timestamptz;
    before run_sums;
    raw record;
    hours record;
begin
    lock table emissions in access share mode;
    lock table run_sums in share row exclusive mode;
    if not exists (select from runs where id = of_run) then
        delete from emission_hours where run_id = of_run;
        delete from run_sums where run_id = of_run;
        return 'rebuilt';
    end if;

    select kept_from into since from retention;
    select * into before from run_sums where run_id = of_run;
    select count(*) as emissions, min(timestamp) as first, max(timestamp) as last into raw
      from emissions
     where run_id = of_run and timestamp >= since;
    select coalesce(sum(emissions_count) filter (where hour < since), 0) as emissions,
           coalesce(sum(emissions_count) filter (where hour >= since), 0) as emissions_behind,
           min(hour) filter (where hour < since) as first, max(hour) filter (where hour < since) as last into hours
      from emission_hours
     where run_id = of_run;

    delete from emission_hours where run_id = of_run and hour >= since;
    insert into emission_hours
        select run_id, hour, emissions_count, emissions_sum, cpu_energy, gpu_energy, ram_energy, energy_consumed,
               duration, cpu_power, cpu_power_count, gpu_power, gpu_power_count, ram_power, ram_power_count,
               emissions_rate, emissions_rate_count, cpu_utilization_percent, cpu_utilization_percent_count,
               gpu_utilization_percent, gpu_utilization_percent_count,
               ram_utilization_percent, ram_utilization_percent_count
          from raw_hours
         where run_id = of_run and hour >= since;
    if before.first_timestamp < since
       and before.emissions_count - greatest(raw.emissions, hours.emissions_behind) > hours.emissions then
        return 'unclear';
    end if;

    delete from run_sums where run_id = of_run;
    insert into run_sums
        select run_id,
               -- Of emissions that are gone the hour is known; the moment only if the totals had it right.
               case when hours.first is null then raw.first
                    when hour_of(before.first_timestamp) = hours.first then before.first_timestamp
                    else hours.first end,
               case when raw.last is not null then raw.last
                    when hour_of(before.last_timestamp) = hours.last then before.last_timestamp
                    else hours.last + interval '1 hour' - interval '1 microsecond' end,
               sum(emissions_count), sum(emissions_sum), sum(cpu_energy), sum(gpu_energy), sum(ram_energy),
               sum(energy_consumed), sum(duration), sum(cpu_power), sum(cpu_power_count),
               sum(gpu_power), sum(gpu_power_count), sum(ram_power), sum(ram_power_count),
               sum(emissions_rate), sum(emissions_rate_count),
               sum(cpu_utilization_percent), sum(cpu_utilization_percent_count),
               sum(gpu_utilization_percent), sum(gpu_utilization_percent_count),
               sum(ram_utilization_percent), sum(ram_utilization_percent_count)
          from emission_hours
         where run_id = of_run
         group by run_id;
    return 'rebuilt';
exception when lock_not_available then
    return 'held';
end
$$;
