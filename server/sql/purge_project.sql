-- The project that has been deleted for longest, if for longer than any statement may run that could still write below
-- it. Two server processes may remove the same one: a chunk that the other took is found gone.
select id
  from projects
 where deleted_at < now() - :grace::double precision * interval '1 second'
 order by deleted_at
 limit 1
