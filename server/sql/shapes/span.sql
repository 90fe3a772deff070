-- The range that is asked for, to the microsecond: [start, stop), by default from three months ago to tomorrow. Whole hours
-- are [whole_start, whole_stop); where there are none, both are the same.
span as materialized (
    select start, stop, whole_start, greatest(hour_of(stop), whole_start) as whole_stop
      from (select start, stop, least(hour_of(start - interval '1 microsecond') + interval '1 hour', stop) as whole_start
              from (select coalesce(:start_date, now() - interval '3 months') as start,
                           coalesce(:end_date, now() + interval '1 day') + interval '1 microsecond' as stop) r) r
)
