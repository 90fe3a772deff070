-- One page, newest first: the one with a number, or the one that follows a cursor. The second column, beside the first
-- item, is the rest of the page's object. One record more than a page holds tells whether another page follows.
with o as (
    select id from {administered_organizations} o where id = :organization_id
), found as materialized (
    select a.*, row_number() over (order by a.timestamp desc, a.id desc) as n
      from (select a.*
              from o
              join {administered_audit_records} a on a.organization_id = o.id
             where (a.timestamp, a.id) < (coalesce(:cursor_timestamp::timestamptz, 'infinity'),
                                          coalesce(:cursor_id::uuid, '00000000-0000-0000-0000-000000000000'))
             order by a.timestamp desc, a.id desc
            offset case when :cursor_timestamp::timestamptz is null then (:page::bigint - 1) * :size::bigint else 0 end
             limit :size::bigint + 1) a
), counted as (
    select count(*) as total from o join {administered_audit_records} a on a.organization_id = o.id
)
select case when a.id is not null then {audit_record} end,
       case when coalesce(a.n, 1) = 1 then
           json_build_object('total', c.total, 'page', case when :cursor_timestamp::timestamptz is null then :page::bigint end,
                             'size', :size::bigint, 'pages', (c.total + :size::bigint - 1) / :size::bigint,
                             'cursor', (select {cursor} from found l
                                         where l.n = :size::bigint and exists (select from found f where f.n > l.n)))
       end
  from o
  cross join counted c
  left join found a on a.n <= :size::bigint
 order by a.n
