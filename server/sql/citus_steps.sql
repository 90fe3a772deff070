-- What is left to do to spread the data over the machines of Citus (docs/scale.md): statements, in their order. A run and all
-- that is stored of it is kept by one of them; all others have a copy each of everything else. A table that others refer to
-- comes before them.
with recursive tables as (
    select c.oid, c.relname from pg_class c
     where c.relnamespace = quote_ident(current_schema())::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
), depths (oid, depth) as (
    select oid, 0 from tables
    union all
    select f.conrelid, d.depth + 1
      from depths d
      join pg_constraint f on f.confrelid = d.oid and f.contype = 'f' and f.conrelid <> f.confrelid
), missing as (
    select t.oid, t.relname, max(d.depth) as depth
      from tables t
      join depths d on d.oid = t.oid
     where not exists (select from pg_dist_partition p where p.logicalrelid = t.oid)
     group by t.oid, t.relname
), spread (relname, position, arguments) as (
    values ('runs', 1, '''id'''),
           ('emissions', 2, '''run_id'', colocate_with => ''runs'''),
           ('emission_hours', 3, '''run_id'', colocate_with => ''runs'''),
           ('run_sums', 4, '''run_id'', colocate_with => ''runs''')
), steps (phase, place, name, step) as (
    -- Otherwise a table that others refer to cannot be changed after they were, in one transaction.
    select 1, 0, '', 'set local citus.multi_shard_modify_mode = ''sequential'''
    union all
    select 2, depth, relname::text, format('select create_reference_table(%L)', oid::regclass)
      from missing where relname not in (select relname from spread)
    union all
    select 3, position, relname::text, format('select create_distributed_table(%L, %s)', oid::regclass, arguments)
      from missing join spread using (relname)
    union all
    -- What the machines call by themselves, of the columns that they have.
    select 4, 0, p.oid::regprocedure::text, format('select create_distributed_function(%L)', p.oid::regprocedure)
      from pg_proc p
     where p.pronamespace = quote_ident(current_schema())::regnamespace and p.provolatile = 'i'
       and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
)
select step from steps where exists (select from missing) order by phase, place, name
