-- What a report adds up, of the runs that the statement has `chosen` from those that its caller may see: the totals of
-- those that lie wholly in its span; of those that straddle an edge, the whole hours, and the emissions at the two ragged
-- ends. Each run is looked up by itself (cross join lateral): whatever the planner expects of their number, it never
-- reads the emissions of others.
straddling as materialized (
    select c.run_id, c.experiment_id, c.first_timestamp, c.last_timestamp, span.*
      from chosen c, span
     where c.first_timestamp < span.start or c.last_timestamp >= span.stop
), parts as (
    select c.run_id, c.experiment_id, {sum_columns}
      from chosen c, span
     where c.first_timestamp >= span.start and c.last_timestamp < span.stop
    union all
    select s.run_id, s.experiment_id, h.*
      from straddling s
      cross join lateral (
          select {sums_of_sums}
            from emission_hours h
           where h.run_id = s.run_id and h.hour >= s.whole_start and h.hour < s.whole_stop
           group by h.run_id) h
    union all
    select s.run_id, s.experiment_id, m.*
      from straddling s
      cross join lateral (values (s.start, s.whole_start), (s.whole_stop, s.stop)) ragged (start, stop)
      cross join lateral (
          select {sums_of_emissions}
            from emissions m
           where m.run_id = s.run_id and m.timestamp >= ragged.start and m.timestamp < ragged.stop
           group by m.run_id) m
     where ragged.start < ragged.stop and s.first_timestamp < ragged.stop and s.last_timestamp >= ragged.start
)
