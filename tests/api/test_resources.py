"""Every resource, made, read, listed and changed, in both generations of paths."""

import concurrent.futures
import uuid

import pytest

import harness

VARIANTS = ["{}", "{}/", "/api{}", "/api{}/", "//{}", "/api/{}//"]


def is_v4(identity):
    return uuid.UUID(identity).version == 4 and identity == identity.lower()


@pytest.fixture(scope="module")
def whole(world):
    tree = harness.Tree(world)
    tree.team = world.team(tree.admin, tree.organization)
    tree.emission = world.emission(tree.admin, tree.run)
    return tree


@pytest.mark.parametrize("variant", VARIANTS)
def test_paths_in_all_their_forms(whole, variant):
    for path, thing in ((f"/organizations/{whole.organization['id']}", whole.organization),
                        (f"/organization/{whole.organization['id']}", whole.organization),
                        (f"/runs/{whole.run['id']}", whole.run), (f"/run/{whole.run['id']}", whole.run),
                        (f"/experiment/{whole.experiment['id'].upper()}", whole.experiment),
                        (f"/team/{whole.team['id']}", whole.team)):
        assert whole.client.get(variant.format(path)).json() == thing, path


def test_generations_agree(whole):
    o, p, e, r, m = (whole.organization["id"], whole.project["id"], whole.experiment["id"], whole.run["id"],
                     whole.emission)
    for new, old in ((f"/organizations/{o}", f"/organization/{o}"), (f"/organizations/{o}/sums", f"/organization/{o}/sums"),
                     (f"/organizations/{o}/projects", f"/projects?organization={o}"),
                     (f"/projects/{p}", f"/project/{p}"), (f"/projects/{p}/sums", f"/project/{p}/sums"),
                     (f"/projects/{p}/experiments", f"/experiments/project/{p}"),
                     (f"/projects/{p}/experiments/sums", f"/experiments/{p}/sums"),
                     (f"/experiments/{e}", f"/experiment/{e}"), (f"/experiments/{e}/runs", f"/runs/experiment/{e}"),
                     (f"/experiments/{e}/runs/sums", f"/runs/{e}/sums"), (f"/runs/{r}", f"/run/{r}"),
                     (f"/runs/{r}/emissions", f"/emissions/run/{r}"), (f"/emissions/{m}", f"/emission/{m}")):
        assert whole.client.get(new).json() == whole.client.get(old).json(), new


@pytest.mark.parametrize("path", ["/organizations", "/organization"])
def test_organizations(world, path):
    user = world.user()
    made = [user.client.post(path, {"name": f"o{i}", "description": "d"}).json() for i in range(3)]
    assert all(is_v4(o["id"]) for o in made)
    assert user.client.get("/organizations").json() == made
    changed = user.client.patch(f"/organizations/{made[0]['id']}", {"name": "other"}).json()
    assert changed == {**made[0], "name": "other"}
    changed = user.client.patch(f"/organizations/{made[0]['id']}", {"description": "x", "name": None}).json()
    assert changed == {**made[0], "name": "other", "description": "x"}
    assert user.client.get(f"/organizations/{made[0]['id']}").json() == changed


def test_members(world):
    tree = harness.Tree(world)
    path = f"/organizations/{tree.organization['id']}"
    user = world.user()
    tree.client.post(path + "/add-user", {"email": "nobody@nowhere.example"}, 404)
    for _ in "twice":
        assert tree.client.post(path + "/add-user", {"email": user.email.upper()}, 200).json() == {"status": "ok"}
    members = tree.client.get(path + "/users").json()
    assert [(m["id"], m["is_admin"]) for m in members] == [(tree.admin.id, True), (user.id, False)]
    tree.client.patch(f"{path}/users/{tree.admin.id}", {"is_admin": False}, 409)
    tree.client.delete(f"{path}/users/{tree.admin.id}", 409)
    promoted = tree.client.patch(f"{path}/users/{user.id}", {"is_admin": True}).json()
    assert promoted["is_admin"] and promoted["organization_id"] == tree.organization["id"]
    user.client.patch(f"{path}/users/{tree.admin.id}", {"is_admin": False})
    tree.client.patch(path, {"name": "x"}, 403)
    user.client.delete(f"{path}/users/{tree.admin.id}")
    user.client.delete(f"{path}/users/{tree.admin.id}", 404)
    tree.client.get(path, 403)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_two_admins_at_each_other(world, method):
    """Who removes the other at the same moment: one of them is left, whoever was first."""
    for _ in range(5):
        tree = harness.Tree(world)
        other = world.member(tree.admin, tree.organization, is_admin=True)
        path = f"/organizations/{tree.organization['id']}/users/"
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(client.request, method, path + user.id, json={"is_admin": False})
                     for client, user in ((tree.client, other), (other.client, tree.admin))]
            statuses = sorted(future.result().status_code for future in asked)
        assert statuses[0] in (200, 204) and statuses[1] in (403, 409), statuses
        assert world.database.value("select count(*) from memberships where is_admin and organization_id = %s",
                                    tree.organization["id"]) == 1


def test_teams_and_their_projects(world, tree):
    team = world.team(tree.admin, tree.organization, api_key="ignored")
    assert is_v4(team["id"]) and "api_key" not in team
    project = world.project(tree.admin, tree.organization, organization_id=None, team_id=team["id"])
    assert (project["team_id"], project["organization_id"]) == (team["id"], tree.organization["id"])
    assert tree.client.get(f"/projects/team/{team['id']}").json() == [project]
    assert tree.client.get("/teams").json() == [team]
    assert tree.client.get(f"/teams/organization/{tree.organization['id']}").json() == [team]
    both = world.project(tree.admin, tree.organization, team_id=team["id"])
    assert both["team_id"] == team["id"]


@pytest.mark.parametrize("path", ["/projects", "/project"])
def test_projects(world, path):
    tree = harness.Tree(world)
    body = {"name": "p", "description": "d", "organization_id": tree.organization["id"]}
    project = tree.client.post(path, body).json()
    assert is_v4(project["id"])
    assert project == {**body, "id": project["id"], "team_id": None, "public": False, "experiments": []}
    experiments = [world.experiment(tree.admin, project)["id"] for _ in range(3)]
    assert tree.client.get(f"{path}/{project['id']}").json() == {**project, "experiments": experiments}
    listed = tree.client.get(f"/organizations/{tree.organization['id']}/projects").json()
    assert [p["id"] for p in listed] == [tree.project["id"], project["id"]]
    changed = tree.client.patch(f"/projects/{project['id']}", {"public": True}).json()
    assert changed == {**project, "experiments": experiments, "public": True}


def test_deleted_project_is_gone_at_once(world, tree):
    emission = world.emission(tree.admin, tree.run)
    token = world.project_token(tree.admin, tree.project)["token"]
    tracker = world.client(token=token)
    tracker.get(f"/runs/{tree.run['id']}")
    assert tree.client.delete(f"/projects/{tree.project['id']}").content == b""
    for path in (f"/projects/{tree.project['id']}", f"/projects/{tree.project['id']}/sums",
                 f"/experiments/{tree.experiment['id']}", f"/runs/{tree.run['id']}", f"/emissions/{emission}",
                 f"/runs/{tree.run['id']}/emissions", f"/projects/{tree.project['id']}/api-tokens"):
        tree.client.get(path, 404)
    assert tree.client.get(f"/organizations/{tree.organization['id']}/projects").json() == []
    assert tree.client.get("/runs").json() == []
    assert tree.client.get(f"/organizations/{tree.organization['id']}/sums").json()["emissions_count"] == 0
    tracker.post("/emissions", harness.emission_body(tree.run["id"]), 401)
    tree.client.post("/emissions", harness.emission_body(tree.run["id"]), 404)
    tree.client.post("/runs", harness.run_body(tree.experiment["id"]), 404)
    tree.client.post("/runs", harness.run_body(tree.experiment["id"], id=tree.run["id"]), 404)
    tree.client.delete(f"/projects/{tree.project['id']}", 404)


@pytest.mark.parametrize("path", ["/experiments", "/experiment"])
def test_experiments(tree, path):
    body = {"name": "e", "description": "d", "project_id": tree.project["id"],
            "timestamp": "2026-11-23T17:40:00.1+01:00", "country_name": "France", "country_iso_code": "FRA",
            "region": "idf", "on_cloud": True, "cloud_provider": "gcp", "cloud_region": "europe-west9"}
    made = tree.client.post(path, body).json()
    assert is_v4(made["id"])
    assert made == {**body, "id": made["id"], "timestamp": "2026-11-23T16:40:00.1+00:00"}
    assert tree.client.get(f"{path}/{made['id']}").json() == made
    assert tree.client.get(f"/projects/{tree.project['id']}/experiments").json() == [tree.experiment, made]


def test_experiment_is_of_now_by_default(tree):
    assert abs((harness.moment(tree.experiment["timestamp"]) - harness.now()).total_seconds()) < 60


@pytest.mark.parametrize("path", ["/runs", "/run"])
def test_runs(tree, path):
    body = harness.run_body(tree.experiment["id"], gpu_count=2, gpu_model="g", region="r", provider="p")
    made = tree.client.post(path, body).json()
    assert harness.moment(made["timestamp"]) == harness.moment(body["timestamp"])
    assert {**made, "timestamp": 0} == {**body, "id": made["id"], "timestamp": 0, "emissions_dropped": 0}
    assert tree.client.get(f"{path}/{made['id']}").json() == made
    assert tree.client.get(f"/experiments/{tree.experiment['id']}/runs").json() == [tree.run, made]
    assert tree.client.get("/runs").json() == [tree.run, made]


@pytest.mark.parametrize("path", ["/runs", "/run"])
def test_what_a_tracker_had_to_drop_only_grows(tree, path):
    body = harness.run_body(tree.experiment["id"])
    run = tree.client.post(path, body).json()
    again = {**body, "id": run["id"]}
    for dropped, told in ((None, 0), (7, 7), (3, 7), (0, 7), (9, 9)):
        answer = tree.client.post(path, {**again, "emissions_dropped": dropped}).json()
        assert answer == {**run, "emissions_dropped": told}
        assert tree.client.get(f"{path}/{run['id']}").json() == answer
    assert tree.client.post(path, {**body, "emissions_dropped": 5}).json()["emissions_dropped"] == 5
    tree.client.post(path, {**body, "emissions_dropped": -1}, 422)


def test_runs_are_listed_by_their_time(tree, world):
    """Not by when they were sent."""
    for moment in ("2026-03-01T00:00:00Z", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"):
        world.run(tree.admin, tree.experiment, timestamp=moment)
    for path in ("/runs", f"/experiments/{tree.experiment['id']}/runs"):
        times = [run["timestamp"] for run in tree.client.get(path).json()]
        assert [time[:7] for time in times[:3]] == ["2025-01", "2026-01", "2026-03"] and times == sorted(times), path


def test_long_list_streams(world, tree, database):
    """Far more than an answer holds in memory at once, in order and whole."""
    path = f"/experiments/{tree.experiment['id']}/runs"
    with database.runs(tree.experiment, 20000, width=100):
        for encoding in ("identity", "gzip"):
            response = tree.client.get(path, headers={"Accept-Encoding": encoding})
            assert response.headers.get("Content-Encoding", "identity") == encoding
            times = [run["timestamp"] for run in response.json()]
            assert len(times) == 20001 and times == sorted(times)


def test_users(world, tree):
    member = world.member(tree.admin, tree.organization)
    listed = tree.client.get("/users").json()
    assert [user["id"] for user in listed] == [tree.admin.id, member.id]
    assert listed[1] == {"id": member.id, "email": member.email, "name": member.name, "is_active": True,
                         "organizations": [tree.organization["id"]]}
    assert tree.client.get(f"/user/{member.id}").json() == listed[1]
    assert tree.client.get("/auth/check").json()["user"]["id"] == tree.admin.id


def test_head_and_options(whole, world, tables):
    response = whole.client.request("HEAD", f"/runs/{whole.run['id']}", 200)
    assert response.content == b"" and int(response.headers["Content-Length"]) > 100
    whole.client.request("HEAD", f"/runs/{harness.UNKNOWN_ID}", 404)
    whole.client.request("HEAD", "/runs", 200)
    for route in tables["routes"]:
        path = route["path"].replace("{", "").replace("}", "")
        allow = world.nobody.request("OPTIONS", path, 204).headers["Allow"].split(", ")
        assert route["method"] in allow and "OPTIONS" in allow and ("HEAD" in allow) == ("GET" in allow), path
    world.nobody.request("OPTIONS", "/nowhere", 404)
