-- One page, newest first: the one with a number, or the one that follows a cursor. The second column, beside the first
-- item, is the rest of the page's object.
--
-- What a page skips is not read: hours tell how many emissions they have, so that only the skipped ones of a single hour
-- are passed by, and none before the first page and behind the last. The way to a page starts at the end of the run that
-- is nearer. One emission more than a page holds tells whether another page follows. What lies before the watermark does
-- not count; it is left out behind the limit, since the planner takes a range with both ends for a short one, and sorts it.
with chosen as materialized (
    select s.emissions_count, s.first_timestamp
      from {visible_runs} r
      left join {visible_run_sums} s on s.run_id = :run_id
     where r.id = :run_id
), there as materialized (
    select {kept_from} as kept_from, (:page::bigint - 1) * :size::bigint as newer,
           case when c.first_timestamp < {kept_from} then h.emissions_count else coalesce(c.emissions_count, 0) end as total
      from chosen c
      cross join lateral (
          select coalesce(sum(h.emissions_count), 0)::bigint as emissions_count
            from emission_hours h
           where h.run_id = :run_id and h.hour >= {kept_from} and c.first_timestamp < {kept_from}) h
), way as (
    select c.kept_from, from_oldest,
           case when from_oldest then greatest(c.total - c.newer - :size::bigint - 1, 0) else c.newer end as skipped,
           case when from_oldest then greatest(least(c.total - c.newer, :size::bigint + 1), 0)
                else :size::bigint + 1 end as wanted
      from there c
      cross join lateral (select c.total - c.newer - :size::bigint - 1 < c.newer as from_oldest) d
     where :cursor_timestamp::timestamptz is null
), place as materialized (
    select w.kept_from, w.from_oldest, h.hour, coalesce(w.skipped - h.passed, 0)::bigint as skipped, w.wanted
      from way w
      left join lateral (
          (select hour, reached - emissions_count as passed
             from (select h.hour, h.emissions_count,
                          sum(h.emissions_count) over (order by h.hour desc rows unbounded preceding) as reached
                     from emission_hours h
                    where h.run_id = :run_id and w.skipped > 0 and not w.from_oldest) h
            where reached > w.skipped
            order by hour desc
            limit 1)
          union all
          (select hour, reached - emissions_count
             from (select h.hour, h.emissions_count,
                          sum(h.emissions_count) over (order by h.hour rows unbounded preceding) as reached
                     from emission_hours h
                    where h.run_id = :run_id and w.skipped > 0 and w.from_oldest and h.hour >= w.kept_from) h
            where reached > w.skipped
            order by hour
            limit 1)) h on true
), older_than as (
    select p.kept_from, coalesce(p.hour + interval '1 hour', 'infinity') as timestamp,
           '00000000-0000-0000-0000-000000000000'::uuid as id, p.skipped
      from place p
     where not p.from_oldest
    union all
    select c.kept_from, :cursor_timestamp, :cursor_id, 0 from there c where :cursor_timestamp::timestamptz is not null
), found as (
    select m.*
      from older_than p
      cross join lateral (
          select * from emissions m
           where m.run_id = :run_id and m.timestamp <= p.timestamp and (m.timestamp, m.id) < (p.timestamp, p.id)
           order by m.timestamp desc, m.id desc
          offset p.skipped limit :size::bigint + 1) m
     where m.timestamp >= p.kept_from
    union all
    select m.*
      from place p
      cross join lateral (
          select * from emissions m
           where m.run_id = :run_id and m.timestamp >= coalesce(p.hour, p.kept_from)
           order by m.timestamp, m.id
          offset p.skipped limit p.wanted) m
     where p.from_oldest
), page as materialized (
    select m.*, row_number() over (order by m.timestamp desc, m.id desc) as n from found m
)
select case when m.id is not null then {emission} end,
       case when coalesce(m.n, 1) = 1 then
           json_build_object('total', c.total, 'page', case when :cursor_timestamp::timestamptz is null then :page::bigint end,
                             'size', :size::bigint, 'pages', (c.total + :size::bigint - 1) / :size::bigint,
                             'cursor', (select {cursor} from page l
                                         where l.n = :size::bigint and exists (select from page f where f.n > l.n)))
       end
  from there c
  left join page m on m.n <= :size::bigint
 order by m.n
