-- Adds to the totals `s` of a run.
first_timestamp = least(s.first_timestamp, excluded.first_timestamp),
last_timestamp = greatest(s.last_timestamp, excluded.last_timestamp),
{add_to_sums}
