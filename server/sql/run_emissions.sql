-- One page, newest first. The second column is the rest of the page's object.
select case when m.id is not null then {emission} end,
       json_build_object('total', t.total, 'page', :page::bigint, 'size', :size::bigint,
                         'pages', (t.total + :size::bigint - 1) / :size::bigint)
  from visible_runs(:caller) r
  cross join lateral (select count(*) as total from visible_emissions(:caller) m where m.run_id = r.id) t
  left join lateral (
      select * from visible_emissions(:caller) m
       where m.run_id = r.id
       order by m.timestamp desc, m.id desc
       limit :size::bigint offset (:page::bigint - 1) * :size::bigint) m on true
 where r.id = :run_id
 order by m.timestamp desc, m.id desc
