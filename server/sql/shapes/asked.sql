-- The range that is asked for, to the microsecond: [start, stop), by default from three months ago to tomorrow.
asked as materialized (
    select coalesce(:start_date, now() - interval '3 months') as start,
           coalesce(:end_date, now() + interval '1 day') + interval '1 microsecond' as stop
)
