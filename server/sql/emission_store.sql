-- Stores a batch of emissions, in one transaction: skips what is there already, and adds to the sums what was really
-- inserted.
--
-- Rows are written in key order, table by table: two servers that store emissions of the same runs wait for each other,
-- and never in a circle. Sorting costs next to nothing, since the server sends them sorted.
--
-- Answers ascending arrays of numbers (null: none): the pairs without a run (404), the pairs whose caller may not write to
-- the run (403), and the emissions that were there already; how many are stored now; and the emissions that are late (422),
-- since theirs of that time have been dropped.
with {senders}, stored as (
    {insert_sent}
    on conflict do nothing
    returning *
), added as materialized (
    select m.run_id, hour_of(m.timestamp) as hour, min(m.timestamp) as first_timestamp,
           max(m.timestamp) as last_timestamp, {sums_of_emissions}
      from stored m
     group by m.run_id, hour_of(m.timestamp)
), hours as (
    insert into emission_hours as s (run_id, hour, {sum_columns})
    select run_id, hour, {sum_columns}
      from added
     order by run_id, hour
    on conflict (run_id, hour) do update set {add_to_sums}
), totals as (
    insert into run_sums as s (run_id, first_timestamp, last_timestamp, {sum_columns})
    select run_id, min(first_timestamp), max(last_timestamp), {sums_of_sums}
      from added
     group by run_id
     order by run_id
    on conflict (run_id) do update set {add_to_totals}
), {forbidden}, {unstored}
select (select array_agg(n order by n) from pair where n not in (select n from reached union all select n from forbidden)),
       (select array_agg(n order by n) from forbidden),
       (select array_agg(n order by n) from unstored where not late),
       (select emissions from counted),
       (select array_agg(n order by n) from unstored where late)
