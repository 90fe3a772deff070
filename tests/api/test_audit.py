"""Who did what, when and from where: each deed leaves one record, and an organisation's admins read them."""

import concurrent.futures
import re

import pytest
import requests

import harness

ORIGIN = {"Origin": harness.DASHBOARD}
SQL = harness.ROOT / "server" / "sql"


def path_of(tree):
    return f"/organizations/{tree.organization['id']}/audit"


def records(tree, **query):
    return tree.client.get(path_of(tree), params=query).json()["items"]


@pytest.fixture
def told(tree):
    """What was recorded since it was asked last, oldest first: (action, who, where, project, what it was done to)."""
    known = {record["id"] for record in records(tree)}

    def since():
        new = [record for record in records(tree)[::-1] if record["id"] not in known]
        known.update(record["id"] for record in new)
        for record in new:
            age = (harness.now() - harness.moment(record["timestamp"])).total_seconds()
            assert -5 < age < 60 and record["organization_id"] == tree.organization["id"]
        return [(r["action"], r["actor_id"] and (r["actor_id"], r["actor"]), r["address"], r["project_id"],
                 (r["target_id"], r["target"])) for r in new]

    return since


def test_an_organization_begins_with_its_admin(tree):
    (first,) = [record for record in records(tree) if record["action"] == "organization_created"]
    assert (first["actor_id"], first["target_id"], first["target"]) == (tree.admin.id, tree.admin.id, tree.admin.email)


def test_members(world, tree, told):
    user = world.user()
    path = f"/organizations/{tree.organization['id']}"
    for _ in "twice":
        tree.client.post(f"{path}/add-user", {"email": user.email}, 200)
    for is_admin in (True, True, False, False):
        tree.client.patch(f"{path}/users/{user.id}", {"is_admin": is_admin})
    tree.client.patch(f"{path}/users/{tree.admin.id}", {"is_admin": False}, 409)
    tree.client.delete(f"{path}/users/{tree.admin.id}", 409)
    user.client.delete(f"{path}/users/{tree.admin.id}", 403)
    tree.client.delete(f"{path}/users/{user.id}")
    tree.client.delete(f"{path}/users/{user.id}", 404)
    assert told() == [(f"member_{what}", (tree.admin.id, tree.admin.email), "127.0.0.1", None, (user.id, user.email))
                      for what in ("added", "promoted", "demoted", "removed")]


def test_a_project_and_its_tokens(world, tree, told):
    token = world.project_token(tree.admin, tree.project)
    path = f"/projects/{tree.project['id']}"
    for status in (204, 404):
        tree.client.delete(f"{path}/api-tokens/{token['id']}", status)
    for change in ({"public": True}, {"public": True, "name": "new name"}, {"name": "newer"}, {"public": False}):
        tree.client.patch(path, change)
    tree.client.delete(path)
    tree.client.delete(path, 404)
    project, key = tree.project["id"], (token["id"], token["name"])
    assert told() == [(action, (tree.admin.id, tree.admin.email), "127.0.0.1", project, target) for action, target in (
        ("project_token_created", key), ("project_token_revoked", key),
        ("project_published", (project, tree.project["name"])), ("project_closed", (project, "newer")),
        ("project_deleted", (project, "newer")))]


def test_user_tokens(world, tree, told):
    token = world.user_token(tree.admin)
    for status in (204, 404):
        tree.client.delete(f"/user/tokens/{token['id']}", status)
    assert told() == [(f"user_token_{what}", (tree.admin.id, tree.admin.email), "127.0.0.1", None, (token["id"], token["name"]))
                      for what in ("created", "revoked")]


def test_signing_in_and_out(world, tree, told):
    """What concerns a user is told to the organisation that they are a member of at the time."""
    user = world.user(password="correct horse")
    credentials = {"email": user.email, "password": "correct horse"}
    world.server.secrets.add(world.nobody.post("/authenticate", credentials, 200).json()["access_token"])
    assert told() == []
    path = f"/organizations/{tree.organization['id']}"
    tree.client.post(f"{path}/add-user", {"email": user.email}, 200)
    told()
    world.server.secrets.add(world.nobody.post("/authenticate", credentials, 200).json()["access_token"])
    for route in ("/authenticate", "/auth/login"):
        world.nobody.post(route, {"email": user.email, "password": "wrong horse"}, 401, headers=ORIGIN)
        world.nobody.post(route, {"email": "nobody@nowhere.example", "password": "wrong horse"}, 401, headers=ORIGIN)
    session = world.nobody.post("/auth/login", credentials, 200, headers=ORIGIN).cookies["user_session"]
    for _ in "twice":
        world.client(cookie=session).post("/auth/logout", None, 200, headers=ORIGIN)
    who, whom = (user.id, user.email), (user.id, user.email)
    expected = [("signed_in", who, "127.0.0.1", None, whom), ("sign_in_failed", None, "127.0.0.1", None, whom),
                ("sign_in_failed", None, "127.0.0.1", None, whom), ("signed_in", who, "127.0.0.1", None, whom),
                ("signed_out", who, "127.0.0.1", None, whom)]
    assert told() == expected
    tree.client.delete(f"{path}/users/{user.id}")
    told()
    world.server.secrets.add(world.nobody.post("/authenticate", credentials, 200).json()["access_token"])
    assert told() == []


def test_strangers_are_told_nothing(world, tree, told):
    """Who adds a member of somebody else's organisation, to however many of their own, learns nothing of what they do alone;
    who is told already is told in each organisation."""
    user, colleague, stranger = (*(world.member(tree.admin, tree.organization) for _ in range(2)), world.user())
    organizations = [(admin, world.organization(admin)) for admin in (stranger, stranger, colleague, tree.admin, user)]
    for admin, organization in organizations:
        admin.client.post(f"/organizations/{organization['id']}/add-user", {"email": user.email}, 200)
    told()
    world.client(bearer=world.user_token(user)["token"]).delete(f"/user/tokens/{world.user_token(user)['id']}")
    world.nobody.post("/authenticate", {"email": user.email, "password": "wrong horse"}, 401)
    deeds = ["user_token_created", "user_token_created", "user_token_revoked", "sign_in_failed"]
    assert [action for action, *_ in told()] == deeds
    for admin, organization in organizations:
        items = admin.client.get(f"/organizations/{organization['id']}/audit").json()["items"]
        deeds_told = [item["action"] for item in items[::-1] if item["action"] in deeds]
        assert deeds_told == (deeds if admin in (tree.admin, user) else [])


def test_what_was_typed_for_an_unknown_address_is_not_kept(world, database):
    """People type passwords there."""
    typed = f"{harness.unique('secret').replace(' ', '')}@example.org"
    before = database.value("select count(*) from audit_records where action = 'sign_in_failed' and target_id is null")
    world.nobody.post("/authenticate", {"email": typed, "password": "wrong horse"}, 401)
    assert database.query("""select count(*) - %s, count(*) filter (where to_jsonb(a)::text like %s) from audit_records a
                              where action = 'sign_in_failed' and target_id is null""", before, f"%{typed}%") == [(1, 0)]


def test_signing_up(open_world):
    email, name = f"{harness.unique('x').replace(' ', '')}@example.org", harness.unique("user")
    answer = open_world.nobody.post("/user/signup", {"email": email, "name": name, "password": "correct horse"}).json()
    open_world.server.secrets.add(answer["api_key"])
    (organization,) = answer["organizations"]
    (record,) = open_world.client(bearer=answer["api_key"]).get(f"/organizations/{organization}/audit").json()["items"]
    assert (record["action"], record["actor_id"], record["target_id"]) == ("signed_up", answer["id"], answer["id"])


def test_the_command_line(world, tree, told, database):
    command = world.command
    token = command("token", "add", "--project", tree.project["id"], "--access", "read", "--name", "by command")
    identity = str(database.value("select id from project_tokens where name = 'by command' and project_id = %s",
                                  tree.project["id"]))
    command("token", "revoke", "--token-stdin", stdin=token)
    users = world.user_token(tree.admin)
    assert told()[2][0] == "user_token_created"
    command("token", "revoke", "--id", users["id"])
    command("user", "passwd", "--email", tree.admin.email, "--password-stdin", stdin="another horse")
    assert told() == [("user_token_revoked", None, "command line", None, (users["id"], users["name"])),
                      ("password_set", None, "command line", None, (tree.admin.id, tree.admin.email))]
    assert [(r["action"], r["address"], r["actor"], r["target_id"]) for r in records(tree, size=5)[:2:-1]] == [
        ("project_token_created", "command line", None, identity), ("project_token_revoked", "command line", None, identity)]
    organization = command("organization", "add", "--name", "o", "--admin", tree.admin.email)
    (record,) = tree.client.get(f"/organizations/{organization}/audit").json()["items"]
    assert (record["actor_id"], record["address"], record["target_id"]) == (None, "command line", tree.admin.id)
    added = world.user()
    lines = [line.split("\t") for line in command("audit", "list").splitlines()]
    assert [line[1:] for line in lines if line[4] == added.email] == [["user_added", "command line", "-", added.email, "-"]]
    assert lines == sorted(lines, key=lambda line: harness.moment(line[0]))


def test_pages(world, tree):
    for _ in range(9):
        world.user_token(tree.admin)
    everything = tree.client.get(path_of(tree)).json()
    total = everything["total"]
    assert total == len(everything["items"]) >= 10 and everything["cursor"] is None and everything["pages"] == 1
    times = [record["timestamp"] for record in everything["items"]]
    assert times == sorted(times, reverse=True)
    numbered, followed, cursor = [], [], None
    for page in range(1, total // 4 + 2):
        one = tree.client.get(path_of(tree), params={"page": page, "size": 4}).json()
        assert (one["page"], one["pages"], one["total"]) == (page, (total + 3) // 4, total)
        numbered += one["items"]
        one = tree.client.get(path_of(tree), params={"size": 4, "cursor": cursor}).json()
        followed, cursor = followed + one["items"], one["cursor"]
    assert numbered == followed == everything["items"] and cursor is None
    assert tree.client.get(path_of(tree), params={"page": 1000}).json()["items"] == []


def test_what_was_done_at_once_is_told_once(tree, told):
    """The record is of the change, not of the request."""
    path = f"/projects/{tree.project['id']}"
    for public in (True, False, True):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [tree.world.client(bearer=harness.make_jwt(tree.admin.id)) for _ in range(4)]
            for answer in [pool.submit(client.patch, path, {"public": public}) for client in clients]:
                answer.result()
    assert [action for action, *_ in told()] == ["project_published", "project_closed", "project_published"]


def test_no_deed_without_a_record(world, tree, database, told):
    """They are one statement: what cannot be recorded is not done."""
    member = world.member(tree.admin, tree.organization)
    told()
    database.query(f"""alter table audit_records add constraint refused check (target is distinct from '{member.email}')
                       not valid""")
    try:
        tree.client.delete(f"/organizations/{tree.organization['id']}/users/{member.id}", 500)
    finally:
        database.query("alter table audit_records drop constraint refused")
    assert member.id in tree.client.get("/users").text and told() == []


def test_records_go_after_their_time(carbond_binary, new_database):
    database = new_database()
    database.query("""insert into audit_records (action, timestamp)
                      select 'signed_in', now() - interval '10 days' + (i - 2500) * interval '1 second'
                        from generate_series(1, 2500) i""")
    database.query("insert into audit_records (action, timestamp) values ('signed_in', now() - interval '9 days')")
    with harness.Server(carbond_binary, database, "--audit-keep", 10):
        harness.until(lambda: database.value("select count(*) from audit_records") == 1, 30, "the end of old records")
    assert database.value("select timestamp > now() - interval '10 days' from audit_records")


def test_every_action_is_specified():
    specified = harness.specification().document["components"]["schemas"]["AuditRecord"]["properties"]["action"]["enum"]
    recorded = set()
    for path in SQL.glob("**/*.sql"):
        for clause in re.findall(r"\{record\} ([^,]*),", path.read_text()):
            recorded.update(re.findall(r"'(\w+)'", clause))
    # Nobody's organisation can be told of a user who was just added.
    assert recorded - {"user_added"} == set(specified)


def test_ipv6_addresses(carbond_binary, new_database):
    database = new_database()
    with harness.Server(carbond_binary, database, listen="[::1]:0") as server:
        answer = requests.post(server.url + "/authenticate", json={"email": "x@example.org", "password": "wrong"}, timeout=30)
        assert answer.status_code == 401
    assert database.query("select action, address from audit_records") == [("sign_in_failed", "::1")]
