-- What its sender may write to its run, and is not stored by this statement: it was there already, or is late.
counted as materialized (
    select count(*) as emissions from stored
), unstored as materialized (
    select s.n, s.timestamp < {kept_from} as late
      from {sent}
     where (select emissions from counted) < (select sent from allowed)
       and (select pairs from allowed)[s.pair]
       and (s.run_id, s.timestamp, s.id) not in (select run_id, timestamp, id from stored)
)
