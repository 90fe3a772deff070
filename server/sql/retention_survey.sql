-- What carbond retention would do: where the watermark would be and is, and what lies before, each with its size. A
-- watermark of null has never been set.
with target as (
    select watermark_after(:keep::interval, :clock) as kept_from
)
select 'watermark', to_char(t.kept_from, 'YYYY-MM-DD'), to_char(nullif(r.kept_from, '-infinity'), 'YYYY-MM-DD')
  from target t cross join retention r
union all
(select 'partition', p.name, pg_size_pretty(pg_total_relation_size(p.oid))
   from target t join emission_partition_ends p on p.ends <= t.kept_from
  order by p.ends)
union all
select 'strays', count(*)::text, null from emissions_default m, target t where m.timestamp < t.kept_from
