-- Compares the sums of some runs, at most :runs, with what their emissions add up to: all in one snapshot, so that what is
-- being stored meanwhile is seen with its sums or not at all. The runs are those that follow :after (null: the first ones)
-- among all that occur anywhere, and end with the one that has the 100,000th emission from there on, or hour.
--
-- Answers, run by run, the number of its emissions and what is wrong (null: nothing): with which sums, and how. A run
-- that is not there should have no sums, and no emissions. What a deleted project leaves is not looked at: it is about to
-- be removed, emissions first.
--
-- Before the watermark there are no emissions left to compare with. Hours there are taken for right, and the totals of a run
-- should be what they and its emissions add up to; when its first emission was, only the totals know.
--
-- How far that is, the totals know, if they are right; then few rows are left to be counted. Without them the planner, which
-- does not know that either, would sort all that follow, for each chunk anew.
--
-- The tables are read from the first run of the chunk to the last, a range of their primary keys: were each run looked up
-- by itself, the planner would take a partition of a single run for one that each run fills.
with start (run_id) as (
    select coalesce(:after::uuid, '00000000-0000-0000-0000-000000000000')
), counted as (
    select run_id, sum(emissions_count) over (order by run_id) as emissions
      from (select run_id, emissions_count from run_sums
             where run_id > (select run_id from start) order by run_id limit :runs::integer) s
), enough_runs (run_id) as materialized (
    select coalesce(least((select id from runs where id > (select run_id from start)
                            order by id offset :runs::integer - 1 limit 1),
                          (select run_id from counted where emissions >= 100000 order by run_id limit 1)),
                    'ffffffff-ffff-ffff-ffff-ffffffffffff')
), stop (run_id) as materialized (
    (select run_id from emissions
      where run_id > (select run_id from start) and run_id < (select run_id from enough_runs)
      order by run_id offset 99999 limit 1)
    union all
    (select run_id from emission_hours
      where run_id > (select run_id from start) and run_id < (select run_id from enough_runs)
      order by run_id offset 99999 limit 1)
    union all
    select run_id from enough_runs
    order by run_id limit 1
), found (run_id) as materialized (
    select id from runs where id > (select run_id from start) and id <= (select run_id from stop)
    union
    (select run_id from run_sums
      where run_id > (select run_id from start) and run_id <= (select run_id from stop)
      order by run_id limit :runs::integer)
    union
    select run_id from emission_hours where run_id > (select run_id from start) and run_id <= (select run_id from stop)
    union
    select run_id from emissions where run_id > (select run_id from start) and run_id <= (select run_id from stop)
    order by 1 limit :runs::integer
), chunk as materialized (
    select f.run_id, r.id is not null as there, r.id is not null and l.id is null as deleted
      from (select run_id from found union all select run_id from start where :after::uuid is null) f
      left join runs r on r.id = f.run_id
      left join live_runs l on l.id = f.run_id
), edge as materialized (
    select (select run_id from chunk order by run_id limit 1) as first,
           (select run_id from chunk order by run_id desc limit 1) as last
), raw as materialized (
    select c.there, h.*
      from raw_hours h
      join chunk c on c.run_id = h.run_id and not c.deleted
     where h.run_id between (select first from edge) and (select last from edge) and h.hour >= {kept_from}
), hours (run_id, hour, first_timestamp, last_timestamp, {sum_columns}) as (
    select run_id, hour, first_timestamp, last_timestamp, {sum_columns} from raw where there
    union all
    select run_id, hour, null, null, {sum_columns}
      from emission_hours
      join chunk c using (run_id)
     where run_id between (select first from edge) and (select last from edge) and c.there and not c.deleted
       and hour < {kept_from}
), expected (run_id, what, first_timestamp, last_timestamp, {sum_columns}) as (
    select run_id, 'totals', case when min(hour) >= {kept_from} then min(first_timestamp) end, max(last_timestamp),
           {sums_of_sums}
      from hours
     group by run_id
    union all
    select run_id, 'hour ' || hour, null, null, {sum_columns} from hours
), stored (run_id, what, first_timestamp, last_timestamp, {sum_columns}) as (
    select run_id, 'totals', first_timestamp, last_timestamp, {sum_columns}
      from run_sums
      join chunk c using (run_id)
     where run_id between (select first from edge) and (select last from edge) and not c.deleted
    union all
    select run_id, 'hour ' || hour, null, null, {sum_columns}
      from emission_hours
      join chunk c using (run_id)
     where run_id between (select first from edge) and (select last from edge) and not c.deleted
), wrong as (
    select run_id, what, case when e.run_id is null then 'should not be there'
                              when s.run_id is null then 'missing'
                              else d.differences end as difference
      from stored s
      full join expected e using (run_id, what)
      cross join lateral (
          select string_agg(format('%s is %s, should be %s', name, to_jsonb(s) ->> name, to_jsonb(e) ->> name), ', ')
                     as differences
            from unnest(array[
                     case when s.first_timestamp <> e.first_timestamp then 'first_timestamp' end,
                     case when s.last_timestamp <> e.last_timestamp then 'last_timestamp' end,
                     {differing_sums}]) name
           where name is not null) d
     where s.run_id is null or e.run_id is null or d.differences is not null
    union all
    select run_id, 'emissions', 'of a run that is not there' from raw where not there group by run_id
)
select c.run_id, coalesce(a.emissions, 0), w.what, w.difference
  from chunk c
  left join (select run_id, sum(emissions_count) as emissions from raw group by run_id) a on a.run_id = c.run_id
  left join wrong w on w.run_id = c.run_id
 order by c.run_id, w.what = 'totals' desc, w.what
