"""Who may do what: every route against every kind of caller, in one table. For every refusal: nothing changed, and no
name of the tenant's came out."""

import pytest

import harness

CALLERS = ("admin", "member", "stranger", "read token", "write token", "token of another project", "nobody",
           "revoked token", "expired JWT", "JWT of another key", "JWT without signature")
NOBODY = (401,) * 5  # the callers from "nobody" on

# What the classes below expect of CALLERS, in their order; 2 stands for the route's status of success.
#                 admin member stranger read write other  nobody and the like
OPEN =           (2,    2,     2,       2,   2,    2,     2, 2, 2, 2, 2)
OF_USER =        (2,    2,     2,       403, 403,  403,   *NOBODY)
RUNS =           (2,    2,     2,       2,   403,  2,     *NOBODY)
READ_MEMBER =    (2,    2,     403,     403, 403,  403,   *NOBODY)
READ_PROJECT =   (2,    2,     403,     2,   403,  403,   *NOBODY)
READ_EMISSION =  (2,    2,     404,     2,   404,  404,   404, 404, 404, 404, 404)
READ_ADMIN =     (2,    403,   403,     403, 403,  403,   *NOBODY)
WRITE_PROJECT =  (2,    2,     403,     403, 2,    403,   *NOBODY)
WRITE_MEMBER =   (2,    2,     403,     403, 403,  403,   *NOBODY)
WRITE_ADMIN =    (2,    403,   403,     403, 403,  403,   *NOBODY)
CLOSED =         (403,) * 11   # signing up is closed on this server
PASSWORD =       (401,) * 11   # whoever asks: the password in the body decides
NO_ORIGIN =      (403,) * 11

EXPECTED = {
    "GET /": OPEN, "GET /healthz": OPEN, "GET /readyz": OPEN, "GET /openapi.json": OPEN, "GET /openapi.yaml": OPEN,
    "POST /organizations": OF_USER, "POST /organization": OF_USER, "GET /organizations": OF_USER,
    "GET /organizations/{organization_id}": READ_MEMBER, "GET /organization/{organization_id}": READ_MEMBER,
    "PATCH /organizations/{organization_id}": WRITE_ADMIN,
    "GET /organizations/{organization_id}/sums": READ_MEMBER, "GET /organization/{organization_id}/sums": READ_MEMBER,
    "GET /organizations/{organization_id}/users": READ_MEMBER,
    "GET /organizations/{organization_id}/audit": READ_ADMIN,
    "PATCH /organizations/{organization_id}/users/{user_id}": WRITE_ADMIN,
    "DELETE /organizations/{organization_id}/users/{user_id}": WRITE_ADMIN,
    "POST /organizations/{organization_id}/add-user": WRITE_ADMIN,
    "GET /organizations/{organization_id}/projects": READ_MEMBER, "GET /projects": READ_MEMBER,
    "POST /team": WRITE_MEMBER, "GET /teams": OF_USER, "GET /team/{team_id}": READ_MEMBER,
    "GET /teams/organization/{organization_id}": READ_MEMBER, "GET /projects/team/{team_id}": READ_MEMBER,
    "POST /projects": WRITE_MEMBER, "POST /project": WRITE_MEMBER,
    "GET /projects/{project_id}": READ_PROJECT, "GET /project/{project_id}": READ_PROJECT,
    "PATCH /projects/{project_id}": WRITE_MEMBER, "DELETE /projects/{project_id}": WRITE_ADMIN,
    "GET /projects/{project_id}/sums": READ_PROJECT, "GET /project/{project_id}/sums": READ_PROJECT,
    "POST /projects/{project_id}/api-tokens": WRITE_MEMBER, "GET /projects/{project_id}/api-tokens": READ_MEMBER,
    "DELETE /projects/{project_id}/api-tokens/{token_id}": WRITE_MEMBER,
    "POST /experiments": WRITE_PROJECT, "POST /experiment": WRITE_PROJECT,
    "GET /experiments/{experiment_id}": READ_PROJECT, "GET /experiment/{experiment_id}": READ_PROJECT,
    "GET /projects/{project_id}/experiments": READ_PROJECT, "GET /experiments/project/{project_id}": READ_PROJECT,
    "GET /projects/{project_id}/experiments/sums": READ_PROJECT, "GET /experiments/{project_id}/sums": READ_PROJECT,
    "POST /runs": WRITE_PROJECT, "POST /run": WRITE_PROJECT, "GET /runs": RUNS,
    "GET /runs/{run_id}": READ_PROJECT, "GET /run/{run_id}": READ_PROJECT,
    "GET /experiments/{experiment_id}/runs": READ_PROJECT, "GET /runs/experiment/{experiment_id}": READ_PROJECT,
    "GET /experiments/{experiment_id}/runs/sums": READ_PROJECT, "GET /runs/{experiment_id}/sums": READ_PROJECT,
    "GET /lastrun/project/{project_id}": READ_PROJECT,
    "POST /emissions": WRITE_PROJECT, "POST /emission": WRITE_PROJECT, "POST /emissions/batch": None,
    "GET /emissions/{emission_id}": READ_EMISSION, "GET /emission/{emission_id}": READ_EMISSION,
    "GET /runs/{run_id}/emissions": READ_PROJECT, "GET /emissions/run/{run_id}": READ_PROJECT,
    "POST /user": CLOSED, "POST /user/signup": CLOSED, "GET /users": OF_USER, "GET /user/{user_id}": READ_MEMBER,
    "POST /user/tokens": OF_USER, "GET /user/tokens": OF_USER, "DELETE /user/tokens/{token_id}": None,
    "POST /authenticate": PASSWORD, "GET /auth/check": OPEN, "GET /auth/login": OPEN, "POST /auth/login": NO_ORIGIN,
    "GET /auth/logout": OPEN, "POST /auth/logout": OPEN,
}
# Each emission of a batch has its own verdict (test_batch.py); only who may write nothing at all is refused as a whole.
BATCH = (2, 2, 2, 403, 2, 2, *NOBODY)
# Whose refusal leaks nothing by telling that there is no such token: it is looked for among the caller's own.
OWN_TOKEN = (404, 404, 404, 403, 403, 403, *NOBODY)


class Scene:
    """A tenant with one of everything, and a client for each kind of caller."""

    def __init__(self, world):
        self.tree = tree = harness.Tree(world)
        self.member = world.member(tree.admin, tree.organization)
        self.extra = world.member(tree.admin, tree.organization)
        self.team = world.team(tree.admin, tree.organization)
        self.emission = world.emission(tree.admin, tree.run)
        self.token = world.project_token(tree.admin, tree.project)
        revoked = world.project_token(tree.admin, tree.project)
        tree.client.delete(f"/projects/{tree.project['id']}/api-tokens/{revoked['id']}")
        other = harness.Tree(world)
        user = tree.admin.id
        self.clients = dict(zip(CALLERS, (
            tree.client, self.member.client, other.client,
            world.client(token=world.project_token(tree.admin, tree.project, "read")["token"]),
            world.client(token=world.project_token(tree.admin, tree.project, "write")["token"]),
            world.client(token=world.project_token(other.admin, other.project)["token"]),
            world.nobody, world.client(token=revoked["token"]),
            world.client(bearer=harness.make_jwt(user, exp=1)),
            world.client(bearer=harness.make_jwt(user, key="another HS256 key, as long as the right one is")),
            world.client(bearer=harness.make_jwt(user, key="", algorithm="none")))))
        self.ids = {"organization_id": tree.organization["id"], "team_id": self.team["id"],
                    "project_id": tree.project["id"], "experiment_id": tree.experiment["id"], "run_id": tree.run["id"],
                    "emission_id": self.emission, "user_id": self.extra.id, "token_id": self.token["id"]}
        self.names = [tree.admin.name, tree.admin.email, self.member.email, self.extra.email, *(
            thing[key] for thing in (tree.organization, tree.project, tree.experiment, self.team)
            for key in ("name", "description")), tree.run["cpu_model"]]

    def body(self, kind):
        named = {"name": "new", "description": "new"}
        return {
            None: None, "organization": named, "organization_patch": named,
            "team": {**named, "organization_id": self.ids["organization_id"]},
            "project": {**named, "organization_id": self.ids["organization_id"]}, "project_patch": {"name": "new"},
            "experiment": {**named, "project_id": self.ids["project_id"]},
            "run": harness.run_body(self.ids["experiment_id"]), "emission": harness.emission_body(self.ids["run_id"]),
            "batch_emission": {"emissions": [harness.emission_body(self.ids["run_id"], id=harness.UNKNOWN_ID)]},
            "project_token": {"name": "new"}, "user_token": {"name": "new"},
            "user": {"email": "new@example.org", "name": "new", "password": "new password"},
            "credentials": {"email": self.tree.admin.email, "password": "wrong password"},
            "add_user": {"email": self.extra.email}, "membership": {"is_admin": True},
        }[kind]

    def request(self, client, route):
        path = route["path"].format(**self.ids)
        if route["path"] == "/projects":
            path += "?organization=" + self.ids["organization_id"]
        body = self.body(route["body"]) if route["method"] in ("POST", "PATCH") else None
        return client.request(route["method"], path, json=body)


@pytest.fixture(scope="module")
def scene(world):
    return Scene(world)


def name_of(route):
    return f"{route['method']} {route['path']}"


def test_every_route_is_in_the_table(tables):
    assert {name_of(route) for route in tables["routes"]} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_matrix(name, tables, scene, world, database):
    route = next(route for route in tables["routes"] if name_of(route) == name)
    expected = EXPECTED[name] or (BATCH if "batch" in name else OWN_TOKEN)
    if route["method"] != "GET" and 2 in expected:
        scene = Scene(world)  # what succeeds here would be gone for the other routes
    but = {"audit_records"} if expected is PASSWORD else ()  # a wrong password is recorded
    gone = False
    # The refusals first, since what succeeds may delete what they ask for.
    for caller, status in sorted(zip(CALLERS, expected), key=lambda pair: pair[1] == 2):
        before = database.contents(but) if status != 2 else None
        response = scene.request(scene.clients[caller], route)
        success = 404 if gone else route["status"]
        assert response.status_code == (success if status == 2 else status), (name, caller, response.text)
        if status == 2:
            gone = route["method"] == "DELETE"
            continue
        assert database.contents(but) == before, f"{name} by {caller} changed something"
        leaked = [text for text in scene.names if text in response.text]
        assert not leaked, f"{name} told {caller} {leaked}"


@pytest.mark.parametrize("name", sorted(name for name in EXPECTED if "{" in name))
def test_unknown_id(name, tables, scene, unchanged):
    """404 whoever asks, but what writes wants credentials first."""
    route = next(route for route in tables["routes"] if name_of(route) == name)
    unknown = dict.fromkeys(scene.ids, harness.UNKNOWN_ID)
    path = route["path"].format(**unknown)
    body = scene.body(route["body"]) if route["method"] in ("POST", "PATCH") else None
    for caller in ("admin", "stranger", "nobody"):
        response = scene.clients[caller].request(route["method"], path, json=body)
        wants_credentials = caller == "nobody" and route["method"] != "GET"
        assert response.status_code == (401 if wants_credentials else 404), (name, caller, response.text)


@pytest.mark.parametrize("name", sorted(name for name in EXPECTED if "{" in name))
def test_malformed_id(name, tables, scene, unchanged):
    route = next(route for route in tables["routes"] if name_of(route) == name)
    path = route["path"].format(**dict.fromkeys(scene.ids, "not-a-uuid"))
    response = scene.tree.client.request(route["method"], path, json={})
    assert response.status_code == 422, (name, response.text)
    assert all(fault["loc"][0] == "path" for fault in response.json()["detail"])


def test_every_route_in_its_other_spellings(tables, scene):
    """Under /api and with a slash at the end each route is the same one."""
    for route in tables["routes"]:
        if route["method"] != "GET" or route["path"] == "/":
            continue
        path = route["path"].format(**scene.ids)
        query = "?organization=" + scene.ids["organization_id"] if path == "/projects" else ""
        client = scene.tree.client
        answers = {client.get(form.format(path) + query).text for form in ("{}", "{}/", "/api{}", "/api{}/")}
        assert len(answers) == 1, path


def test_public_project_is_open_to_nobody(tables, world):
    tree = harness.Tree(world, public=True)
    emission = world.emission(tree.admin, tree.run)
    ids = {"project_id": tree.project["id"], "experiment_id": tree.experiment["id"], "run_id": tree.run["id"],
           "emission_id": emission, "organization_id": tree.organization["id"]}
    for name, expected in EXPECTED.items():
        method, path = name.split(" ")
        if method == "GET" and expected in (READ_PROJECT, READ_EMISSION):
            assert world.nobody.get(path.format(**ids)).status_code == 200, name
    world.nobody.get(f"/organizations/{ids['organization_id']}", 401)
    world.nobody.get(f"/projects/{ids['project_id']}/api-tokens", 401)
    world.nobody.post("/runs", harness.run_body(ids["experiment_id"]), 401)
    stranger = harness.Tree(world)
    stranger.client.get(f"/projects/{ids['project_id']}")
    stranger.client.post("/runs", harness.run_body(ids["experiment_id"]), 403)
    assert ids["run_id"] not in stranger.client.get("/runs").text
