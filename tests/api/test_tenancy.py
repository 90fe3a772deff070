"""No tenant sees another: what belongs to whom, in the cases that swapping every id (test_swaps.py) does not make."""

import pytest

import harness


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
