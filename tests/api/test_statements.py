"""The statements themselves: PostgreSQL's own parser tells what each reads, be it in a subquery, a shape or a function. What
belongs to tenants is read through the guards of sql/reach, reachable_*, visible_* and administered_*, which ask who is
calling."""

import re

import pglast
import pytest

import harness
import statements
from statements import SQL

# What statements read past the guards, and why they may.
DIRECT = {
    # Answer who asks, before there is a caller.
    "caller_by_project_token": {"project_tokens", "live_projects"}, "caller_by_session": {"sessions", "users"},
    "caller_by_tokens": {"project_tokens", "live_projects", "user_tokens", "users"}, "caller_by_user_id": {"users"},
    "caller_by_user_token": {"user_tokens", "users"}, "local_admin": {"users"}, "user_password": {"users"},
    "user_by_email": {"users"},
    # Tells 404 from 403, and answers no more than that.
    "exists": {"organizations", "teams", "live_projects", "live_experiments", "live_runs", "users"},
    # Have many callers at once: each is held against the run that they write to.
    "emission_append": {"live_runs", "memberships"}, "emission_store": {"live_runs", "memberships"},
    # A run that is sent again is answered only if its experiment is the caller's.
    "run_create": {"runs"},
    # Lock what they are about to change, of what is the caller's.
    "project_patch": {"projects"}, "member_patch": {"memberships"}, "member_remove": {"memberships"},
    # Find a user by the address that an admin types.
    "member_add": {"users"},
    # Of a project, an organisation or a user that they have through a function.
    "project_token_list": {"project_tokens"}, "organization_users": {"memberships"}, "user_token_list": {"user_tokens"},
    "user_get": {"organizations", "memberships"}, "user_list": {"organizations", "memberships"},
    "user_me": {"organizations", "memberships"},
    # Of runs that they have `chosen`: see below.
    **dict.fromkeys(("organization_sums", "project_sums", "project_experiments_sums", "experiment_runs_sums"),
                    {"emission_hours", "emissions"}),
    "run_emissions": {"emission_hours", "emissions"},
    # For nobody: at the command line, or of upkeep.
    "user_create": {"organizations", "memberships"}, "user_set_password": set(), "token_revoke": {"projects"},
    "sums_verify": {"runs", "live_runs", "run_sums", "emission_hours", "emissions", "raw_hours"},
    "purge_project": {"projects"}, "purge_runs": {"runs", "experiments", "projects", "emissions"},
    "purge_rest": {"projects"}, "expired_remove": {"sessions", "user_tokens", "audit_records"},
    "partition_count": {"emission_partitions"}, "retention_survey": {"emissions_default", "emission_partition_ends"},
    # Tell which database it is.
    "replica_position": {"pg_database"}, "replica_lacks": {"pg_database"},
    # For whoever reads /metrics, if the operator wants it told there.
    "project_totals": {"live_run_sums", "live_projects", "organizations"},
    # Whether there is anybody, before the first admin is made.
    "users_missing": {"users"}, "first_admin": {"users", "project_tokens", "projects", "experiments"},
    # Reads no row.
    "writable": {"organizations"},
    "citus_exists": {"pg_extension"},
    "citus_steps": {"pg_class", "pg_constraint", "pg_depend", "pg_dist_partition", "pg_proc"},
    **dict.fromkeys(("schema_state", "schema_version"), {"schema_migrations"}),
}
# Whose names and memberships a record of a deed tells (server/sql/shapes/record.sql, actor.sql, signed_in.sql).
OF_RECORDS = {"users", "memberships", "told_memberships"}
# One row, which is about no tenant.
OF_ALL = {"retention"}
# Functions that read, and are for nobody.
OF_UPKEEP = {"rebuild_sums": "sums_rebuild", "count_strays": "partition_count",
             "make_missing_emission_partition": "partition_make", "retention_step": "retention_step",
             "watermark_after": "retention_survey"}
# How runs are chosen.
CHOICES = (r"select s\.\* from \{visible_run_sums\} s, span where s\.\w+_id = :\w+_id and \{overlaps_span\}",
           r"select [\w., ():*-]+ from \{visible_runs\} r left join \{visible_run_sums\} s "
           r"on s\.run_id = :run_id where r\.id = :run_id")
# The tables and views that the guards stand before.
GUARDED = r"(?:live_)?(?:projects|experiments|runs|emissions|run_sums)|emission_hours|raw_hours"


@pytest.fixture(scope="module")
def tables_and_views(database):
    return {name for name, in database.query("""select relname from pg_class where relnamespace = 'public'::regnamespace
                                                   and relkind in ('r', 'v', 'p', 'm', 'f')""")}


@pytest.fixture(scope="module")
def functions(database):
    """Our own functions that read: (name, text)."""
    texts = dict(database.query("select proname, prosrc from pg_proc where pronamespace = 'public'::regnamespace"))
    return {name for name, text in texts.items() if re.search(r"\bfrom\b", text, re.IGNORECASE)}


@pytest.mark.parametrize("name", statements.NAMES)
def test_statements_read_through_guards(name, tables_and_views, functions):
    text, parameters = statements.guarded(name)
    found = statements.reads(text)
    assert not found.subqueries & tables_and_views, "a subquery is called like a table: who can tell them apart?"
    read = found.tables - found.subqueries
    allowed = DIRECT.get(name, set()) | OF_ALL | (OF_RECORDS if "audit_records" in text else set())
    assert read <= allowed, f"{name} reads {read - allowed} directly"
    assert DIRECT.get(name, set()) <= read, f"{name} does not read {DIRECT[name] - read}: the list is too long"
    for function, arguments in found.functions:
        if function in statements.GUARDS:
            assert arguments == [f"${parameters.index('caller') + 1}"]
        else:
            assert function not in functions or OF_UPKEEP.get(function) == name, f"{name} reads by {function}()"


@pytest.mark.parametrize("name", statements.NAMES)
def test_statements_call_nothing_that_is_called_like_a_guard(name):
    """The schema has functions of these names, for servers of earlier releases."""
    assert [function for function, _ in statements.reads(statements.compiled(name)[0]).functions
            if statements.GUARD.fullmatch(function)] == []


@pytest.mark.parametrize("guard", statements.GUARDS)
def test_guards_read_what_they_are_called_after(guard):
    things = statements.GUARD.fullmatch(guard).group(2)
    found = statements.reads(statements.guard_query(guard))
    assert found.tables & {things, f"live_{things}"} and found.tables <= {things, f"live_{things}", "memberships"}
    assert found.functions == []


def test_the_name_of_a_guard_stands_for_one():
    """And they are all there is in sql/reach, but for what they share."""
    assert {path.stem for path in (SQL / "reach").glob("*.sql")} == \
        statements.GUARDS.keys() | {"who", "belongs", "administers", "reaches", "sees"}


@pytest.mark.parametrize("text", [
    "select * from projects", "with a as (select 1), b as (select * from projects) select * from a, b",
    "select (select name from projects limit 1)", "select 1 where exists (select from public.projects)",
    "update teams t set name = p.name from projects p", "delete from teams t using projects p where p.id = t.id",
    "insert into teams (name) select name from projects", "select 1 union all (table projects)",
    "select * from teams t, lateral (select * from projects p where p.id = t.id) x",
    "with gone as (delete from teams where id in (select id from projects) returning *) select * from gone"])
def test_reads_are_found_wherever_they_hide(text):
    assert "projects" in statements.reads(text).tables
    assert "projects" not in statements.reads(text.replace("projects", "visible_projects($1)").replace("public.", "")
                                              .replace("(table visible_projects($1))", "(select 1)")).tables


def test_what_is_written_to_is_not_read():
    assert statements.reads("with a as (insert into projects values (1) returning id) update projects set id = 1").tables == set()


@pytest.mark.parametrize("path", sorted((harness.ROOT / "server").glob("**/*.c")), ids=lambda path: path.name)
def test_no_statement_is_written_in_c(path):
    """But for what migrates."""
    joined = re.sub(r'"\s*"', "", path.read_text())
    for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"', joined):
        try:
            read = statements.reads(text).tables
        except pglast.parser.ParseError:
            continue
        assert read <= {"schema_migrations"}, text


def statement(path):
    """A statement or shape on one line, without comments and texts."""
    return " ".join(re.sub(r"--[^\n]*|'[^']*'", "", path.read_text().lower()).split())


def parts_of(text):
    """The named subqueries (name, text) of a statement, in order."""
    for match in re.finditer(r"(?:^|,|\bwith) ?(\w+) as (?:materialized )?\(", text):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield match.group(1), text[match.end():end - 1].strip()


def lists_of_chosen_runs(text):
    """The subqueries whose rows are of `chosen` runs: each of their queries takes run_id from such a list."""
    lists = {"chosen"}
    for name, body in parts_of(text):
        queries = [re.match(r"(\w+)\.run_id,.*? from (\w+) (\w+)\b", query)
                   for query in re.split(r"(?:^| union all )select ", body)[1:]]
        if queries and all(q and q.group(2) in lists and q.group(1) == q.group(3) for q in queries):
            lists.add(name)
    return lists


def reads_by_run(text):
    """Where it reads what the guards stand before: whose run_id it asks for (empty: it does not, as it should)."""
    reads = re.findall(rf"(?<![.\w])(?:{GUARDED})\b(?: (\w+) where (\w+)\.run_id = (\w+\.run_id|:run_id)\b)?", text)
    return [run if alias == restricted else "" for alias, restricted, run in reads]


def test_a_report_reads_emissions_of_chosen_runs_only():
    """Each table is read for one run after the other, of a list that stems from `chosen` alone."""
    text = statement(SQL / "shapes" / "parts.sql")
    lists = lists_of_chosen_runs(text)
    runs = {f"{alias}.run_id" for source, alias in re.findall(r"\bfrom (\w+) (\w+)", text) if source in lists}
    assert reads_by_run(text) and set(reads_by_run(text)) <= runs, text


def outermost(text):
    """Without what is in parentheses."""
    inner = re.sub(r"\([^()]*\)", "", text)
    return text if inner == text else outermost(inner)


def test_a_page_reads_emissions_of_the_chosen_run_only():
    """Each table is read for the run that is asked for, beside a row that stems from `chosen`: there is none unless the
    caller may see the run."""
    text = statement(SQL / "run_emissions.sql")
    lists, reads = {"chosen"}, []
    for name, body in parts_of(text):
        sources = [re.search(r" from (\w+) \w+", query) for query in outermost(body).split(" union all ")]
        if all(source and source[1] in lists for source in sources):
            lists.add(name)
            reads += reads_by_run(body)
    assert reads and set(reads) == {":run_id"} and reads == reads_by_run(text), text


@pytest.mark.parametrize("path", [path for path in sorted(SQL.glob("*.sql")) if re.search(r"\bchosen as|\{parts\}", path.read_text())],
                         ids=lambda path: path.stem)
def test_runs_are_chosen_among_visible_ones(path):
    """What is read of chosen runs is of runs that the caller may see, and of nothing else."""
    text = statement(path)
    assert text.count("chosen as") == 1
    assert any(re.search(rf"\bchosen as materialized \( {choice} \)", text) for choice in CHOICES), text


@pytest.mark.parametrize("guard", [f"{way}_{kind}" for way in ("reachable", "visible")
                                   for kind in ("projects", "experiments", "runs")] + ["visible_emissions"])
def test_what_a_user_reaches_is_found_without_a_look_at_every_organization(guard, database):
    """There may be thousands."""
    query = statements.guard_query(guard).replace("$1", f"row('{harness.UNKNOWN_ID}', null, false)")
    plan = database.query(f"explain select from ({query}) x where x.id = '{harness.UNKNOWN_ID}'")
    assert "memberships" in str(plan) and " organizations" not in str(plan)


# What server/db/session.c sets for statements that look rows up by their keys.
KEY_LOOKUPS = re.findall(r'\{"(\w+)", "(\w+)", true\}', (harness.ROOT / "server" / "db" / "session.c").read_text())


@pytest.mark.parametrize("name", ["emission_append", "emission_store"])
def test_a_batch_does_not_try_each_pair_with_all_there_is(name, new_database):
    """A batch has up to ten thousand pairs. Its plan may be made while the tables are empty, and is kept."""
    database = new_database()
    text, parameters = statements.compiled(name)
    for setting, value in KEY_LOOKUPS:
        database.query(f"set {setting} = {value}")
    database.query("analyze")
    database.query(f"prepare batch as {text}")
    (plan,), = database.query(f"explain (format json) execute batch ({', '.join(['null'] * len(parameters))})")[0]
    loops = [node for node in nodes(plan["Plan"]) if node["Node Type"] == "Nested Loop"]
    again = [node for loop in loops for child in loop["Plans"] if child["Parent Relationship"] == "Inner" for node in nodes(child)]
    assert again and not [node for node in again if "CTE Name" in node]
    runs = [node for node in nodes(plan["Plan"]) if node.get("Relation Name") == "runs"]
    assert len(runs) == 2 and all(re.fullmatch(r"\(id = \w+\.run_id\)", node.get("Index Cond", "")) for node in runs)


def nodes(plan):
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]
