-- The default range of a report: three months ago to tomorrow.
between coalesce(:start_date, now() - interval '3 months') and coalesce(:end_date, now() + interval '1 day')
