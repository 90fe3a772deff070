"""The statements themselves: PostgreSQL's own parser tells what each reads, be it in a subquery, a shape or a function. What
belongs to tenants is read through reachable_*, visible_* and administered_*, which ask who is calling."""

import re

import pglast
import pytest

import harness
import statements
from statements import SQL

# What statements read past these functions, and why they may.
DIRECT = {
    # Answer who asks, before there is a caller.
    "caller_by_project_token": {"project_tokens", "live_projects"}, "caller_by_session": {"sessions", "users"},
    "caller_by_tokens": {"project_tokens", "live_projects", "user_tokens", "users"}, "caller_by_user_id": {"users"},
    "caller_by_user_token": {"user_tokens", "users"}, "local_admin": {"users"}, "user_password": {"users"},
    "user_by_email": {"users"},
    # Tells 404 from 403, and answers no more than that.
    "exists": {"organizations", "teams", "live_projects", "live_experiments", "live_runs", "users"},
    "emission_append": {"live_runs"}, "emission_store": {"live_runs"},
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
    "users_missing": {"users"}, "first_admin": {"users"},
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
# Who asks, in a batch that has many senders.
SENDER = "CAST(ROW(p.user_id, p.project_id, p.everywhere) AS caller)"
# What reads emissions and their hours run by run, of runs that a function has chosen: see the test of that below.
OF_CHOSEN_RUNS = {"parts", "run_emissions"}
# How runs are chosen.
CHOICES = (r"select s\.\* from visible_run_sums\(:caller\) s, span where s\.\w+_id = :\w+_id and \{overlaps_span\}",
           r"select [\w., ():*-]+ from visible_runs\(:caller\) r left join visible_run_sums\(:caller\) s "
           r"on s\.run_id = r\.id where r\.id = :run_id")
# The tables and views that the functions stand before.
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
def test_statements_read_through_the_functions(name, tables_and_views, functions):
    text, parameters = statements.compiled(name)
    found = statements.reads(text)
    assert not found.subqueries & tables_and_views, "a subquery is called like a table: who can tell them apart?"
    read = found.tables - found.subqueries
    allowed = DIRECT.get(name, set()) | OF_ALL | (OF_RECORDS if "audit_records" in text else set())
    assert read <= allowed, f"{name} reads {read - allowed} directly"
    assert DIRECT.get(name, set()) <= read, f"{name} does not read {DIRECT[name] - read}: the list is too long"
    for function, arguments in found.functions:
        if statements.GUARD.fullmatch(function):
            caller = f"${parameters.index('caller') + 1}" if "caller" in parameters else SENDER
            assert arguments == [caller], f"{name} calls {function} for {arguments}"
        else:
            assert function not in functions or OF_UPKEEP.get(function) == name, f"{name} reads by {function}()"


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


@pytest.mark.parametrize("name", sorted(OF_CHOSEN_RUNS))
def test_emissions_are_read_of_chosen_runs_only(name):
    """Each table is read for one run after the other, of a list that stems from `chosen` alone."""
    text = statement(next(SQL.glob(f"**/{name}.sql")))
    lists = lists_of_chosen_runs(text)
    runs = {alias for source, alias in re.findall(r"\bfrom (\w+) (\w+)", text) if source in lists}
    reads = re.findall(rf"(?<![.\w])(?:{GUARDED})\b(?: (\w+) where (\w+)\.run_id = (\w+)\.run_id\b)?", text)
    assert reads
    for alias, restricted, run in reads:
        assert alias and alias == restricted and run in runs, text


@pytest.mark.parametrize("path", sorted(p for p in SQL.glob("*.sql") if "{parts}" in p.read_text() or p.stem in OF_CHOSEN_RUNS),
                         ids=lambda path: path.stem)
def test_runs_are_chosen_among_visible_ones(path):
    """What is read of chosen runs is of runs that the caller may see, and of nothing else."""
    text = statement(path)
    assert text.count("chosen as") == 1
    assert any(re.search(rf"\bchosen as materialized \( {choice} \)", text) for choice in CHOICES), text


@pytest.mark.parametrize("function", [f"{way}_{kind}" for way in ("reachable", "visible")
                                      for kind in ("projects", "experiments", "runs")] + ["visible_emissions"])
def test_what_a_user_reaches_is_found_without_a_look_at_every_organization(function, database):
    """There may be thousands, and this is asked for every emission that a user sends."""
    plan = database.query(f"explain select from {function}(row(%s, null, false)::caller) x where x.id = %s",
                          harness.UNKNOWN_ID, harness.UNKNOWN_ID)
    assert "memberships" in str(plan) and " organizations" not in str(plan)
