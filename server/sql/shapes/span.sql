-- What is reported on: the range that is asked for, [start, stop). Whole hours are [whole_start, whole_stop); where there
-- are none, both are the same. An edge before the watermark is moved outwards to a whole hour: there are no emissions left
-- to tell the parts of one.
{asked}, span as materialized (
    select start, stop, whole_start, greatest(hour_of(stop), whole_start) as whole_stop
      from (select start, stop, least(hour_of(start - interval '1 microsecond') + interval '1 hour', stop) as whole_start
              from (select case when start < {kept_from} then hour_of(start) else start end as start,
                           case when stop < {kept_from} then hour_of(stop - interval '1 microsecond') + interval '1 hour'
                                else stop end as stop
                      from asked) r) r
)
