"""The schema and the statements, by the rules of Citus that docs/scale.md names; and the script of `carbond migrate --citus`.
There is no Citus here: that it takes the script is not shown, and neither is that it knows no other rules."""

import collections
import re

import pglast
import pytest
from pglast import ast
from pglast.enums import A_Expr_Kind, OnConflictAction

import harness
import statements

MANUAL = (harness.ROOT / "docs" / "scale.md").read_text()
# What is spread by which column. All other tables each machine has a copy of.
SPREAD = {"runs": "id", "emissions": "run_id", "emission_hours": "run_id", "run_sums": "run_id"}
# Statements that break a rule, by its heading in the manual: what does not work on Citus.
BROKEN = {"Correlation": {"project_last_run"}}


class Catalogue:
    """What of a migrated database leads to tables that are spread."""

    def __init__(self, database):
        self.query = database.query
        bodies = dict(database.query("select proname, prosrc from pg_proc where pronamespace = 'public'::regnamespace"))
        self.volatile = {name for name, in database.query("select proname from pg_proc where provolatile = 'v'")}
        self.immutable = {name for name, in database.query("""
            select proname from pg_proc group by 1 having bool_and(provolatile = 'i')""")}
        # Which the parser writes as functions and the catalogue does not have as such.
        self.immutable |= {"greatest", "least", "coalesce"}
        views = dict(database.query("select viewname, definition from pg_views where schemaname = 'public'"))
        self.spread = set(SPREAD)
        for _ in views:  # a view of a view of ...
            self.spread |= {name for name, text in views.items() if statements.reads(text).tables & self.spread}
        self.guards = {guard for guard in statements.GUARDS
                       if statements.reads(statements.guard_query(guard)).tables & self.spread}
        self.aggregates = {name for name, in database.query("select proname from pg_proc where prokind = 'a'")}
        self.opaque = {name for name, in database.query("""
            select proname from pg_proc p join pg_language l on l.oid = p.prolang
             where pronamespace = 'public'::regnamespace and lanname = 'sql' and pronargs > 0""")
                       if re.search(r"\bfrom\b", bodies[name])}


@pytest.fixture(scope="module")
def catalogue(database):
    return Catalogue(database)


# -- the schema ---------------------------------------------------------------------------------------------------------

def test_each_key_has_the_run_in_it(catalogue):
    keys = catalogue.query("""
        select i.indrelid::regclass::text, array_agg(a.attname::text)
          from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
         where (i.indisunique or i.indisexclusion) and i.indrelid = any(%s::text[]::regclass[])
         group by i.indexrelid, i.indrelid""", list(SPREAD))
    assert {table for table, _ in keys} == set(SPREAD)
    assert [(table, columns) for table, columns in keys if SPREAD[table] not in columns] == []


def test_foreign_keys_lead_from_what_is_spread_to_what_is_not(catalogue):
    keys = catalogue.query("""select conrelid::regclass::text, confrelid::regclass::text from pg_constraint
                               where contype = 'f' and connamespace = 'public'::regnamespace""")
    assert ("runs", "experiments") in keys
    assert [(table, other) for table, other in keys if other in SPREAD] == []


def test_no_triggers_and_one_type_of_run(catalogue):
    assert catalogue.query("select tgrelid::regclass from pg_trigger where not tgisinternal") == []
    types = catalogue.query("select attrelid::regclass::text, attname::text, atttypid::regtype::text from pg_attribute "
                            "where attrelid = any(%s::text[]::regclass[])", list(SPREAD))
    assert {kind for table, column, kind in types if SPREAD[table] == column} == {"uuid"}


# -- the statements -----------------------------------------------------------------------------------------------------

def children(node):
    """Of a node; or of a tuple, which may hold further ones."""
    for child in node if isinstance(node, tuple) else (getattr(node, name) for name in node):
        if isinstance(child, ast.Node):
            yield child
        elif isinstance(child, tuple):
            yield from children(child)


def everything(node):
    yield node
    for child in children(node):
        yield from everything(child)


class Rules:
    """What of one statement breaks which rule. It has a function in the place of each guard (statements.guarded), which is
    looked through here."""

    def __init__(self, catalogue, text):
        self.catalogue, self.broken = catalogue, set()
        tree = pglast.parse_sql(text)[0].stmt
        nodes = list(everything(tree))
        self.subqueries = {node.ctename for node in nodes if isinstance(node, ast.CommonTableExpr)}
        self.laterals = {id(node.subquery) for node in nodes if isinstance(node, ast.RangeSubselect) and node.lateral}
        for node in nodes:
            check = getattr(self, f"_{type(node).__name__}", None)
            if check:
                check(node)
        if not self._is_all_of_one_run(nodes):
            self._correlation(tree, [])

    # What a source of rows is: of a table that is spread, or not.
    def _is_spread(self, source):
        if isinstance(source, ast.RangeVar):
            return source.relname in self.catalogue.spread - self.subqueries
        if isinstance(source, ast.RangeFunction):
            return any(self._is_spread_function(node) for node in everything(source))
        return isinstance(source, ast.RangeSubselect) and self._reads_spread(source.subquery)

    def _is_spread_function(self, node):
        return isinstance(node, ast.FuncCall) and node.funcname[-1].sval in self.catalogue.guards

    def _reads_spread(self, node):
        return any(self._is_spread(child) for child in everything(node)
                   if isinstance(child, (ast.RangeVar, ast.RangeFunction)))

    @staticmethod
    def _calls(node):
        return {call.funcname[-1].sval for call in everything(node) if isinstance(call, ast.FuncCall)}

    def _FuncCall(self, node):
        if node.funcname[-1].sval in self.catalogue.opaque:
            self.broken.add("Functions")

    def _SelectStmt(self, node):
        if node.withClause and node.withClause.recursive and self._reads_spread(node):
            self.broken.add("Recursion")
        if node.lockingClause and any(map(self._reads_spread, node.fromClause)) and not self._is_of_one_run(node.whereClause):
            self.broken.add("Row locks")

    @staticmethod
    def _is_of_one_run(condition):
        """run_id = $1, and whatever else."""
        if isinstance(condition, ast.BoolExpr):
            return any(map(Rules._is_of_one_run, condition.args)) and condition.boolop.name == "AND_EXPR"
        return (isinstance(condition, ast.A_Expr) and condition.kind == A_Expr_Kind.AEXPR_OP
                and condition.name[-1].sval == "=" and isinstance(condition.lexpr, ast.ColumnRef)
                and condition.lexpr.fields[-1].sval in SPREAD.values() and isinstance(condition.rexpr, ast.ParamRef))

    def _is_all_of_one_run(self, nodes):
        """Each source of rows that is spread is restricted to the run of one parameter: one machine runs it all. (Sources in
        different subqueries may have the same name; then there are as many conditions.)"""
        conditions = [node for node in nodes
                      if isinstance(node, ast.A_Expr) and self._is_of_one_run(node) and len(node.lexpr.fields) == 2]
        sources = [node for node in nodes if isinstance(node, (ast.RangeVar, ast.RangeFunction)) and self._is_spread(node)]
        asked = collections.Counter(node.lexpr.fields[0].sval for node in conditions)
        named = collections.Counter(source.alias.aliasname if source.alias else None for source in sources)
        return named <= asked and len({node.rexpr.number for node in conditions}) == 1

    def _needs_merge(self, node):
        """What each machine finds by itself is not yet the answer."""
        if node.limitCount or node.limitOffset or node.distinctClause:
            return True
        calls = [call for call in everything(node) if isinstance(call, ast.FuncCall)]
        grouped = any(isinstance(column, ast.ColumnRef) and column.fields[-1].sval in SPREAD.values()
                      for column in node.groupClause or ())
        return any(call.over or call.funcname[-1].sval in self.catalogue.aggregates for call in calls) and not grouped

    def _InsertStmt(self, node):
        key, conflict = SPREAD.get(node.relation.relname), node.onConflictClause
        if not key or not conflict:
            return
        named = {element.name for element in conflict.infer.indexElems} if conflict.infer else {key}
        self._changes(conflict, key)
        if key not in named:
            self.broken.add("Conflicts")
        if conflict.action == OnConflictAction.ONCONFLICT_UPDATE and (
                self._calls(conflict) - self.catalogue.immutable
                or any(isinstance(child, ast.SQLValueFunction) for child in everything(conflict))):
            self.broken.add("Conflicts")

    def _UpdateStmt(self, node):
        key = SPREAD.get(node.relation.relname)
        if key:
            self._changes(node, key)
            self._calls_nothing_volatile(node)

    def _DeleteStmt(self, node):
        if node.relation.relname in SPREAD:
            self._calls_nothing_volatile(node)

    def _changes(self, node, key):
        if any(target.name == key for target in node.targetList or ()):
            self.broken.add("Moves")

    def _calls_nothing_volatile(self, node):
        if self._calls(node) & self.catalogue.volatile:
            self.broken.add("Volatile functions")

    def _correlation(self, node, outer):
        """`outer` are the queries around: their sources of rows by name, and whether what lies between reads a table that is
        spread."""
        sources = {}
        if isinstance(node, (ast.SelectStmt, ast.UpdateStmt, ast.DeleteStmt)):
            self._gather(node, sources)
            outer = [(names, between or self._stands_alone(node)) for names, between in outer] + [(sources, False)]
        if isinstance(node, ast.ColumnRef) and len(node.fields) > 1:
            self._refer(node.fields[0].sval, outer)
        for child in children(node):
            self._correlation(child, outer)

    def _stands_alone(self, node):
        """May not refer to what is around it."""
        return any(map(self._is_spread, self._sources(node))) and not (id(node) in self.laterals and not self._needs_merge(node))

    def _refer(self, name, outer):
        for names, between in reversed(outer):
            if name in names:
                if between and not self._is_spread(names[name]):
                    self.broken.add("Correlation")
                return

    @classmethod
    def _sources(cls, node):
        places = [getattr(node, "relation", None), *(getattr(node, "fromClause", None) or ()),
                  *(getattr(node, "usingClause", None) or ())]
        while places:
            place = places.pop()
            if isinstance(place, ast.JoinExpr):
                places += [place.larg, place.rarg]
            elif place is not None:
                yield place

    def _gather(self, node, sources):
        for source in self._sources(node):
            name = source.alias.aliasname if source.alias else getattr(source, "relname", None)
            sources[name] = source


def broken(catalogue, text):
    return Rules(catalogue, text).broken


def test_statements_keep_the_rules(catalogue):
    found = {}
    for name in statements.NAMES:
        for rule in broken(catalogue, statements.guarded(name)[0]) - {"Functions"}:
            found.setdefault(rule, set()).add(name)
    assert found == BROKEN


@pytest.mark.parametrize("name", statements.NAMES)
def test_statements_call_no_functions_that_read(name, catalogue):
    assert "Functions" not in broken(catalogue, statements.compiled(name)[0])


def test_the_manual_tells_which_rules_there_are_and_which_are_broken():
    section = re.search(r"^## Citus\n(.*?)(?=^## |\Z)", MANUAL, re.MULTILINE | re.DOTALL)[1]
    told = dict(re.findall(r"^\| \*\*([\w ]+)\*\* \|.*\| ([^|]*) \|$", section, re.MULTILINE))
    rules = {"Keys", "Foreign keys", "Triggers", "Functions", "Correlation", "Recursion", "Row locks", "Conflicts", "Moves",
             "Volatile functions"}
    assert set(told) == rules
    assert {rule for rule, kept in told.items() if kept != "kept"} == BROKEN.keys()
    for rule, names in BROKEN.items():
        assert set(re.findall(r"`(\w+)`", told[rule])) == names


@pytest.mark.parametrize("text, rule", [
    ("select from visible_projects($1) p", "Functions"), ("select from projects", None), ("select hour_of(now())", None),
    ("select from run_sums where false for update", "Row locks"), ("select from organizations for update", None),
    ("select from runs r where r.id = $1 and os = '' for share", None),
    ("select from runs r where r.id = $1 or os = '' for share", "Row locks"),
    ("with recursive w as (select 1) select from emissions", "Recursion"), ("with recursive w as (select 1) table w", None),
    ("insert into runs (id) values ($1) on conflict (id) do nothing", None),
    ("insert into emissions (id) values ($1) on conflict (id) do nothing", "Conflicts"),
    ("insert into emissions (id) values ($1) on conflict do nothing", None),
    ("insert into run_sums (run_id) values ($1) on conflict (run_id) do update set duration = random()", "Conflicts"),
    ("insert into run_sums (run_id) values ($1) on conflict (run_id) do update set last_timestamp = now()", "Conflicts"),
    ("insert into run_sums (run_id) values ($1) on conflict (run_id) do update set last_timestamp = current_timestamp",
     "Conflicts"),
    ("insert into run_sums (run_id) values ($1) on conflict (run_id) do update set run_id = $2", "Moves"),
    ("update runs set id = $1", "Moves"), ("update runs set os = clock_timestamp()::text", "Volatile functions"),
    ("delete from emissions where wue < random()", "Volatile functions"), ("delete from teams where random() < 1", None),
    ("with c as (select 1 as run_id) select from c cross join lateral (select from emissions m where m.run_id = c.run_id) x",
     None),
    ("""with c as (select 1 as run_id) select from c cross join lateral
        (select sum(m.wue) from emissions m where m.run_id = c.run_id group by m.run_id) x""", None),
    ("""with c as (select 1 as run_id) select from c cross join lateral
        (select sum(m.wue) from emissions m where m.run_id = c.run_id) x""", "Correlation"),
    ("""with c as (select 1 as run_id) select from c cross join lateral
        (select from emissions m where m.run_id = c.run_id limit 1) x""", "Correlation"),
    ("""with c as (select 1 as start) select from c cross join lateral
        (select from emissions m where m.run_id = $1 and m.timestamp > c.start limit 1) x""", None),
    ("""with c as (select 1 as start) select from c, runs r cross join lateral
        (select from emissions m where m.run_id = $1 and m.timestamp > c.start limit 1) x where r.os = 'x'""", "Correlation"),
    ("""with c as (select 1 as start) select from c
        cross join lateral (select from emissions m where m.run_id = $1 and m.timestamp > c.start limit 1) x
        cross join lateral (select from emissions m where m.timestamp > c.start limit 1) y""", "Correlation"),
    ("""with c as (select 1 as start) select from c
        cross join lateral (select from emissions m where m.run_id = $1 and m.timestamp > c.start limit 1) x
        cross join lateral (select from emissions m where m.run_id = $2 and m.timestamp > c.start limit 1) y""", "Correlation"),
    ("with c as (select 1 as run_id) select (select m.wue from emissions m where m.run_id = c.run_id) from c", "Correlation"),
    ("select from unnest($1::uuid[]) u (id) where exists (select from live_runs r where r.id = u.id)", "Correlation"),
    ("select from runs r where exists (select from emissions m where m.run_id = r.id)", None),
    ("select from teams t where exists (select from projects p where p.team_id = t.id)", None)])
def test_what_breaks_a_rule_is_found(catalogue, text, rule):
    assert broken(catalogue, text) == ({rule} if rule else set())


# -- carbond migrate --citus --------------------------------------------------------------------------------------------

def spread(carbond_binary, database, *options, status=0):
    done = harness.command(carbond_binary, "migrate", "--citus", *options, "--database-url", database.url)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_without_the_extension_nothing_is_changed(carbond_binary, cluster):
    """Not even the schema."""
    database = harness.Database(cluster, cluster.createdb())
    for options in ((), ("--dry-run",)):
        assert "docs/scale.md" in spread(carbond_binary, database, *options, status=1)
    assert database.value("select count(*) from pg_class where relnamespace = 'public'::regnamespace") == 0
    database.close()


# Functions of the names that the script calls. They note the calls, and nothing else: the script's order and its transaction
# are what is looked at.
NOTES = """
    insert into pg_extension select 16000, 'citus', 10, 2200, false, '0';
    create schema citus_stand_in;
    create table citus_stand_in.pg_dist_partition (n serial, logicalrelid regclass primary key, how text);
    create function pg_catalog.create_reference_table(t regclass) returns void language sql as
        $$ insert into citus_stand_in.pg_dist_partition (logicalrelid, how) values (t, 'reference') $$;
    create function pg_catalog.create_distributed_table(t regclass, c text, colocate_with text default 'none')
        returns void language sql as
        $$ insert into citus_stand_in.pg_dist_partition (logicalrelid, how) values (t, c || ' with ' || colocate_with) $$;
    create function pg_catalog.create_distributed_function(f regprocedure) returns void language sql as $$ $$;
    alter database {name} set search_path = public, citus_stand_in"""


def test_the_script_spreads_each_table_once(carbond_binary, new_database):
    database = new_database()
    database.query("set allow_system_table_mods = on")
    database.query(NOTES.format(name=database.name))
    noted = "select logicalrelid::text, how from citus_stand_in.pg_dist_partition order by n"

    script = spread(carbond_binary, database, "--dry-run")
    assert script.startswith("begin;\n") and script.endswith("commit;\n") and database.query(noted) == []
    assert "create_distributed_function('hour_of(timestamp with time zone)')" in script

    # All or nothing: here the last table cannot be spread.
    database.query("alter table citus_stand_in.pg_dist_partition add constraint x check (logicalrelid <> 'run_sums'::regclass)")
    spread(carbond_binary, database, status=1)
    assert database.query(noted) == []
    database.query("alter table citus_stand_in.pg_dist_partition drop constraint x")

    assert "is spread" in spread(carbond_binary, database)
    calls = database.query(noted)
    tables = {table for table, in database.query("""
        select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace
           and relkind in ('r', 'p') and not relispartition""")}
    assert len(calls) == len(tables) and {table for table, _ in calls} == tables
    assert {table: how for table, how in calls if how != "reference"} == {
        "runs": "id with none", **{table: "run_id with runs" for table in SPREAD if table != "runs"}}
    order = [table for table, _ in calls]
    for table, other in database.query("""select conrelid::regclass::text, confrelid::regclass::text from pg_constraint
                                           where contype = 'f' and conrelid <> confrelid"""):
        assert order.index(other) < order.index(table)

    # Again: nothing is left to do, but for what a later release has brought.
    assert spread(carbond_binary, database, "--dry-run") == ""
    database.query("create table later (id uuid primary key)")
    assert re.findall(r"create_\w+_table\(.*", spread(carbond_binary, database, "--dry-run")) == \
        ["create_reference_table('later');"]
