"""No tenant sees another: ids swapped wherever an id can stand, and a look at the statements themselves."""

import re

import pytest

import harness

SQL = harness.ROOT / "server" / "sql"
# Statements that read a base table, and why they may.
DIRECT = {
    "exists": "tells 404 from 403; answers no more than that",
    "run_create": "a run that is sent again is answered only if its experiment is the caller's",
    "missed": "tells 404 from 403; answers no more than that",
    "purge_runs": "removes what is deleted, for nobody",
    "purge_rest": "removes what is deleted, for nobody",
    "purge_project": "finds what is deleted, for nobody",
    "writable": "reads no row",
    "sums_verify": "compares at the command line, for nobody",
    "caller_by_project_token": "answers who asks",
    "caller_by_tokens": "answers who asks",
    "project_patch": "locks what it is about to change, of those that are reachable",
    "token_revoke": "at the command line, for nobody",
}
# What reads emissions and their hours run by run, of runs that a function has chosen: see the test of that below.
OF_CHOSEN_RUNS = {"parts", "run_emissions"}
# How runs are chosen.
CHOICES = (r"select s\.\* from visible_run_sums\(:caller\) s, span where s\.\w+_id = :\w+_id and \{overlaps_span\}",
           r"select [\w., ():*-]+ from visible_runs\(:caller\) r left join visible_run_sums\(:caller\) s "
           r"on s\.run_id = r\.id where r\.id = :run_id")
# The tables and views that the functions stand before.
GUARDED = r"(?:live_)?(?:projects|experiments|runs|emissions|run_sums)|emission_hours|raw_hours"


def statement(path):
    """A statement or shape on one line, without comments and texts."""
    return " ".join(re.sub(r"--[^\n]*|'[^']*'", "", path.read_text().lower()).split())


@pytest.mark.parametrize("path", sorted(SQL.glob("**/*.sql")), ids=lambda path: path.stem)
def test_statements_read_through_the_functions(path):
    """visible_* and reachable_* alone decide what a statement may read."""
    # What is written to is not read; all else that names a table is, after FROM, JOIN, a comma or anything.
    text = re.sub(r"\b(insert into|update|delete from) (only )?\w+", "", statement(path))
    read = re.findall(rf"(?<![.\w])(?:{GUARDED})\b(?! ?[(,] ?:)", text)
    read = [name for name in read if not re.search(rf"\bas {name}\b|\.{name}\b", text)]
    assert not read or path.stem in {*DIRECT, *OF_CHOSEN_RUNS}, f"{path.name} reads {read} directly"


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


@pytest.fixture(scope="module")
def tenants(world):
    trees = harness.Tree(world), harness.Tree(world)
    for tree in trees:
        tree.team = world.team(tree.admin, tree.organization)
        tree.emission = world.emission(tree.admin, tree.run)
        tree.names = [tree.admin.email, tree.organization["name"], tree.project["name"], tree.experiment["name"],
                      tree.team["name"], tree.run["cpu_model"]]
    return trees


def test_lists_hold_ones_own_only(tenants):
    for mine, theirs in (tenants, tenants[::-1]):
        for path in ("/organizations", "/teams", "/users", "/runs", "/user/tokens", "/auth/check"):
            answer = mine.client.get(path).text
            assert not [name for name in theirs.names if name in answer], path
        assert mine.organization["name"] in mine.client.get("/organizations").text
        assert mine.run["cpu_model"] in mine.client.get("/runs").text


def test_ids_of_another_tenant_in_bodies(tenants, unchanged):
    mine, theirs = tenants
    named = {"name": "x", "description": "x"}
    for path, body in (
            ("/team", {**named, "organization_id": theirs.organization["id"]}),
            ("/projects", {**named, "organization_id": theirs.organization["id"]}),
            ("/projects", {**named, "team_id": theirs.team["id"]}),
            ("/projects", {**named, "team_id": theirs.team["id"], "organization_id": mine.organization["id"]}),
            ("/experiments", {**named, "project_id": theirs.project["id"]}),
            ("/runs", harness.run_body(theirs.experiment["id"])),
            ("/runs", harness.run_body(theirs.experiment["id"], id=theirs.run["id"])),
            ("/emissions", harness.emission_body(theirs.run["id"])),
            ("/emissions", harness.emission_body(theirs.run["id"], id=theirs.emission))):
        mine.client.post(path, body, 403)


def test_unknown_ids_in_bodies(tenants, world, database):
    """404 for whoever is known, a project token too; who is not known hears nothing."""
    mine, _ = tenants
    named, unknown = {"name": "x", "description": "x"}, harness.UNKNOWN_ID
    token = world.client(token=world.project_token(mine.admin, mine.project)["token"])
    token.get("/runs")  # its first use is noted
    before = database.contents()
    for path, body, trackers in (
            ("/team", {**named, "organization_id": unknown}, False),
            ("/projects", {**named, "organization_id": unknown}, False),
            ("/projects", {**named, "team_id": unknown}, False),
            ("/projects", {**named, "team_id": unknown, "organization_id": mine.organization["id"]}, False),
            ("/experiments", {**named, "project_id": unknown}, True),
            ("/runs", harness.run_body(unknown), True), ("/emissions", harness.emission_body(unknown), True)):
        mine.client.post(path, body, 404)
        world.nobody.post(path, body, 401)
        if trackers:
            token.post(path, body, 404)
    assert database.contents() == before


def test_team_of_ones_other_organization(tenants, world, database):
    """A project's team and organisation must agree."""
    mine, _ = tenants
    team = world.team(mine.admin, world.organization(mine.admin))
    before = database.contents()
    mine.client.post("/projects", {"name": "x", "description": "x", "team_id": team["id"],
                                   "organization_id": mine.organization["id"]}, 403)
    assert database.contents() == before


def test_run_id_of_another_tenant_tells_nothing(tenants, unchanged):
    mine, theirs = tenants
    answer = mine.client.post("/runs", harness.run_body(mine.experiment["id"], id=theirs.run["id"]), 409)
    assert theirs.run["cpu_model"] not in answer.text


def test_ids_mixed_in_one_path(tenants, world, unchanged):
    mine, theirs = tenants
    token = world.database.value("select count(*) from project_tokens")
    mine.client.delete(f"/projects/{mine.project['id']}/api-tokens/{harness.UNKNOWN_ID}", 404)
    mine.client.delete(f"/organizations/{mine.organization['id']}/users/{theirs.admin.id}", 404)
    mine.client.patch(f"/organizations/{mine.organization['id']}/users/{theirs.admin.id}", {"is_admin": True}, 404)
    mine.client.get(f"/user/{theirs.admin.id}", 403)
    mine.client.get(f"/projects?organization={theirs.organization['id']}", 403)
    assert world.database.value("select count(*) from project_tokens") == token


def test_token_of_another_project_of_ones_own_organization(tenants, world):
    """A token's project, not its organisation, is its world."""
    mine, _ = tenants
    second = world.project(mine.admin, mine.organization)
    client = world.client(token=world.project_token(mine.admin, second)["token"])
    client.get(f"/projects/{mine.project['id']}", 403)
    client.get(f"/runs/{mine.run['id']}", 403)
    client.post("/emissions", harness.emission_body(mine.run["id"]), 403)
    assert client.get("/runs").json() == []
    client.get(f"/projects/{second['id']}")


def test_revoked_membership_ends_at_once(world):
    tree = harness.Tree(world)
    member = world.member(tree.admin, tree.organization)
    member.client.get(f"/projects/{tree.project['id']}")
    tree.client.delete(f"/organizations/{tree.organization['id']}/users/{member.id}")
    member.client.get(f"/projects/{tree.project['id']}", 403)
