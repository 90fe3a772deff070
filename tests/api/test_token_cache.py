"""Who sends an emission is remembered for a second at most, on every server, and costs no query while it is."""

import concurrent.futures
import hashlib
import json
import re
import threading
import time
import uuid

import pytest

import harness
import senders
import tool

LIFE = 1.0
SLACK = harness.patience(0.1)
CACHE_SIZE = 4096  # of server/auth/token_cache.h
WRITERS = 2  # threads of a server, each with a cache of its own


@pytest.fixture(scope="module")
def own_database(new_database):
    return new_database()


@pytest.fixture(scope="module")
def servers(carbond_binary, own_database, jwt_key_file):
    options = ("--jwt-hs256-key-file", jwt_key_file, "--ingest-writers", WRITERS)
    with harness.Server(carbond_binary, own_database, *options) as here, \
            harness.Server(carbond_binary, own_database, *options) as there:
        yield here, there


@pytest.fixture
def tree(servers):
    return harness.Tree(harness.World(servers[0]))


def figure(server, name):
    text = harness.requests.get(server.monitor_url + "/metrics", timeout=5).text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def resident(server):
    return int(open(f"/proc/{server.process.pid}/statm").read().split()[1]) * 4096


# -- for a second at most -----------------------------------------------------------------------------------------------

class Stream(threading.Thread):
    """Emissions one after the other, so that a token is never out of use."""

    def __init__(self, server, headers, run):
        super().__init__(daemon=True)
        self.connection = senders.Connection(server, headers)
        self.run_id, self.answers, self.ended = run["id"], [], threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            sent = time.monotonic()
            status, _, _ = self.connection.single(harness.emission_body(self.run_id))
            self.answers.append((sent, status))
        self.connection.close()

    def end(self):
        self.ended.set()
        self.join()


def revoke_project_token(tree):
    token = tree.world.project_token(tree.admin, tree.project, "write")
    return ({"x-api-token": token["token"]}, 401,
            lambda: tree.client.delete(f"/projects/{tree.project['id']}/api-tokens/{token['id']}"))


def delete_project(tree):
    token = tree.world.project_token(tree.admin, tree.project, "write")
    return ({"x-api-token": token["token"]}, 401, lambda: tree.client.delete(f"/projects/{tree.project['id']}"))


def revoke_user_token(tree):
    token = tree.world.user_token(tree.admin)
    return ({"Authorization": f"Bearer {token['token']}"}, 401,
            lambda: tree.client.delete(f"/user/tokens/{token['id']}"))


def deactivate_user(tree):
    token = tree.world.user_token(tree.admin)
    return ({"Authorization": f"Bearer {token['token']}"}, 401, lambda: tree.world.database.query(
        "update users set is_active = false where id = %s", tree.admin.id))


def expire(tree):
    token = tree.world.user_token(tree.admin)
    return ({"Authorization": f"Bearer {token['token']}"}, 401, lambda: tree.world.database.query(
        "update user_tokens set expires_at = now() where id = %s", token["id"]))


def read_only(tree):
    token = tree.world.project_token(tree.admin, tree.project, "write")
    return ({"x-api-token": token["token"]}, 403, lambda: tree.world.database.query(
        "update project_tokens set access = 1 where id = %s", token["id"]))


@pytest.mark.parametrize("end", [revoke_project_token, delete_project, revoke_user_token, deactivate_user, expire,
                                 read_only])
def test_what_ends_through_one_server_ends_on_all(servers, tree, end):
    headers, status, act = end(tree)
    streams = [Stream(server, headers, tree.run) for server in servers]
    try:
        harness.until(lambda: all(len(stream.answers) > 100 for stream in streams), 30)
        act()
        acted = time.monotonic()
        harness.until(lambda: all(stream.answers[-1][0] > acted + LIFE + SLACK for stream in streams), LIFE + 30)
    finally:
        for stream in streams:
            stream.end()
    for stream in streams:
        last_accepted = max(sent for sent, answer in stream.answers if answer == 201)
        assert last_accepted - acted < LIFE + SLACK
        late = {answer for sent, answer in stream.answers if sent > acted + LIFE + SLACK}
        assert late == {status}, late
        # The runs of a deleted project are gone at once, before its tokens are.
        assert {answer for _, answer in stream.answers} - {404} == {201, status}


def test_who_leaves_an_organisation_is_refused_at_once(servers, tree):
    """Membership is the statement's to check, and not remembered."""
    member = tree.world.member(tree.admin, tree.organization)
    client = harness.Client(servers[1], bearer=tree.world.user_token(member)["token"])
    client.post("/emissions", harness.emission_body(tree.run["id"]))
    tree.client.delete(f"/organizations/{tree.organization['id']}/users/{member.id}")
    client.post("/emissions", harness.emission_body(tree.run["id"]), 403)


# -- its costs ----------------------------------------------------------------------------------------------------------

def test_a_stream_costs_no_query_of_its_own(servers, tree):
    """One statement for each batch, and one a second for what is remembered."""
    server = servers[0]
    headers = {"x-api-token": tree.world.project_token(tree.admin, tree.project)["token"]}
    connection = senders.Connection(server, headers)
    connection.single(harness.emission_body(tree.run["id"]))
    before = figure(server, "carbond_database_statements_total")
    begun = time.monotonic()
    for _ in range(600):
        assert connection.single(harness.emission_body(tree.run["id"]))[0] == 201
    took = time.monotonic() - begun
    statements = figure(server, "carbond_database_statements_total") - before
    connection.close()
    # Besides, the upkeep of partitions and of what was deleted has a statement now and then.
    assert 600 <= statements <= 600 + 3 * took + 20


def test_many_tokens_at_once(servers, tree):
    """More than a cache holds, each with the right of its own."""
    database = tree.world.database
    mine = [f"cpt_{uuid.uuid4().hex}" for _ in range(300)]
    others = harness.Tree(tree.world)
    for project, tokens in ((tree.project, mine[::2]), (others.project, mine[1::2])):
        database.query("""insert into project_tokens (project_id, name, access, token_hash)
                          select %s, 'one of many', 2, h from unnest(%s::bytea[]) h""", project["id"],
                       [hashlib.sha256(token.encode()).digest() for token in tokens])

    def send(part):
        connection = senders.Connection(servers[0], {})
        for number in range(part, len(mine), 6):
            connection.headers = {"x-api-token": mine[number]}
            for run, expected in ((tree.run, 403 if number % 2 else 201), (others.run, 201 if number % 2 else 403)):
                assert connection.single(harness.emission_body(run["id"]))[0] == expected
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(send, range(6)))


def test_unknown_tokens_take_no_memory(servers, tree):
    server = servers[0]
    headers = {"x-api-token": tree.world.project_token(tree.admin, tree.project)["token"]}
    good = senders.Connection(server, headers)
    guesses = 3 * CACHE_SIZE if tool.IS_PLAIN else 2000

    def guess(count):
        connection = senders.Connection(server, {})
        body = json.dumps(harness.emission_body(tree.run["id"])).encode()
        for _ in range(count):
            connection.headers = {"x-api-token": f"cpt_{uuid.uuid4().hex}"}
            assert connection.post("/emissions", body)[0] == 401
        connection.close()

    def many(count):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            done = [pool.submit(guess, count // 16) for _ in range(16)]
            while not all(future.done() for future in done):
                assert good.single(harness.emission_body(tree.run["id"]))[0] == 201
                time.sleep(0.05)
            for future in done:
                future.result()

    many(guesses)
    before = resident(server)
    many(guesses)
    assert resident(server) - before < (1 << 20) or not tool.IS_PLAIN
    assert figure(server, "carbond_token_cache_entries") <= WRITERS * CACHE_SIZE


def test_last_used_is_kept_coarsely(servers, tree):
    token = tree.world.project_token(tree.admin, tree.project)
    database = tree.world.database

    def last_used():
        return database.value("select last_used from project_tokens where id = %s", token["id"])

    client = tree.world.client(token=token["token"])
    assert last_used() is None
    client.post("/emissions", harness.emission_body(tree.run["id"]))
    first = last_used()
    assert abs((harness.now() - first).total_seconds()) < 5
    listed = tree.client.get(f"/projects/{tree.project['id']}/api-tokens").json()
    assert [harness.moment(entry["last_used"]) for entry in listed if entry["id"] == token["id"]] == [first]
    for _ in range(5):
        time.sleep(0.3)
        client.post("/emissions", harness.emission_body(tree.run["id"]))
    assert last_used() == first
    database.query("update project_tokens set last_used = now() - interval '6 minutes' where id = %s", token["id"])
    time.sleep(LIFE + SLACK)
    client.post("/emissions", harness.emission_body(tree.run["id"]))
    assert last_used() > first


# -- who may, and in which order refusals come --------------------------------------------------------------------------

GOOD, FOREIGN, READING, NOBODY = "good", "foreign", "reading", "nobody"
BODIES = {
    "valid": lambda tree: json.dumps(harness.emission_body(tree.run["id"])),
    "unknown run": lambda tree: json.dumps(harness.emission_body(harness.UNKNOWN_ID)),
    "out of range": lambda tree: json.dumps(harness.emission_body(tree.run["id"], duration=-1)),
    "malformed": lambda tree: json.dumps(harness.emission_body(tree.run["id"]))[:-1],
}
EXPECTED = {
    GOOD: {"valid": 201, "unknown run": 404, "out of range": 422, "malformed": 422},
    FOREIGN: {"valid": 403, "unknown run": 404, "out of range": 422, "malformed": 422},
    READING: {"valid": 403, "unknown run": 404, "out of range": 422, "malformed": 422},
    NOBODY: {"valid": 401, "unknown run": 401, "out of range": 401, "malformed": 401},
}


class Secrets:
    def __init__(self, tree):
        world, stranger = tree.world, harness.Tree(tree.world)
        self.write = world.project_token(tree.admin, tree.project, "write")["token"]
        self.both = world.project_token(tree.admin, tree.project)["token"]
        self.read = world.project_token(tree.admin, tree.project, "read")["token"]
        self.user = world.user_token(tree.admin)["token"]
        self.jwt = harness.make_jwt(tree.admin.id)
        self.foreign = world.project_token(stranger.admin, stranger.project)["token"]
        self.foreign_user = world.user_token(stranger.admin)["token"]
        self.foreign_jwt = harness.make_jwt(stranger.admin.id)


def credentials(s):
    """Name: who that is, the headers, and the prefix of the path. The first that is present decides."""
    bearer = "Authorization"
    unknown = f"cpt_{'0' * 43}"
    return {
        "token": (GOOD, {"x-api-token": s.write}, ""),
        "token for both": (GOOD, {"x-api-token": s.both}, ""),
        "user token": (GOOD, {bearer: f"Bearer {s.user}"}, ""),
        "user token, in small letters": (GOOD, {bearer: f"bearer   {s.user}"}, ""),
        "JWT": (GOOD, {bearer: f"Bearer {s.jwt}"}, ""),
        "token in the URL": (GOOD, {}, f"/t/{s.write}"),
        "token for both in the URL": (GOOD, {}, f"/t/{s.both}"),
        "token before a bad bearer": (GOOD, {"x-api-token": s.write, bearer: "Bearer cut_no"}, ""),
        "empty header, then a bearer": (GOOD, {"x-api-token": "", bearer: f"Bearer {s.user}"}, ""),
        "bearer before a bad cookie": (GOOD, {bearer: f"Bearer {s.user}", "Cookie": "user_session=no"}, ""),
        "another scheme, then the URL": (GOOD, {bearer: "Basic eA=="}, f"/t/{s.write}"),
        "read token": (READING, {"x-api-token": s.read}, ""),
        "read token in the URL": (READING, {}, f"/t/{s.read}"),
        "read token before a bearer": (READING, {"x-api-token": s.read, bearer: f"Bearer {s.user}"}, ""),
        "foreign token": (FOREIGN, {"x-api-token": s.foreign}, ""),
        "foreign user token": (FOREIGN, {bearer: f"Bearer {s.foreign_user}"}, ""),
        "foreign JWT": (FOREIGN, {bearer: f"Bearer {s.foreign_jwt}"}, ""),
        "foreign token in the URL": (FOREIGN, {}, f"/t/{s.foreign}"),
        "foreign bearer before a good URL": (FOREIGN, {bearer: f"Bearer {s.foreign_user}"}, f"/t/{s.write}"),
        "nothing": (NOBODY, {}, ""),
        "unknown token": (NOBODY, {"x-api-token": unknown}, ""),
        "no token at all": (NOBODY, {"x-api-token": "x"}, ""),
        "unknown token before a bearer": (NOBODY, {"x-api-token": unknown, bearer: f"Bearer {s.user}"}, ""),
        "user token where a project's belongs": (NOBODY, {"x-api-token": s.user}, ""),
        "project token where a user's belongs": (NOBODY, {bearer: f"Bearer {s.write}"}, ""),
        "unknown user token": (NOBODY, {bearer: "Bearer cut_no"}, ""),
        "bad JWT": (NOBODY, {bearer: "Bearer a.b.c"}, ""),
        "bad cookie before a good URL": (NOBODY, {"Cookie": "user_session=no"}, f"/t/{s.write}"),
        "unknown token in the URL": (NOBODY, {}, f"/t/{unknown}"),
    }


def for_the_library(text):
    """The same, in a spelling that the quick reader leaves to a worker."""
    return text.replace('"duration"', '"\\u0064uration"')


@pytest.mark.parametrize("spell", [str, for_the_library])
def test_who_may_write(servers, tree, spell):
    """The quick way and that over a worker answer alike."""
    wrong = []
    for name, (who, headers, prefix) in credentials(Secrets(tree)).items():
        connection = senders.Connection(servers[0], headers)
        for body, write in BODIES.items():
            status, text, _ = connection.post(prefix + "/emissions", spell(write(tree)).encode())
            if status != EXPECTED[who][body]:
                wrong.append((name, body, status, text))
        connection.close()
    assert not wrong


def test_batches_by_the_same_rules(servers, tree):
    """Who may write nowhere is refused as a whole; a run that is not theirs costs its emissions alone."""
    wrong = []
    for name, (who, headers, prefix) in credentials(Secrets(tree)).items():
        connection = senders.Connection(servers[0], headers)
        status, text, _ = connection.post(prefix + "/emissions/batch", json.dumps({"emissions": [
            harness.emission_body(tree.run["id"], id=str(uuid.uuid4()))]}).encode())
        expected = {GOOD: (200, 1, []), FOREIGN: (200, 0, [403]), READING: (403, None, None), NOBODY: (401, None, None)}[who]
        answer = json.loads(text)
        if (status, answer.get("accepted"), answer.get("rejected") and [entry["status"] for entry in answer["rejected"]]
                or answer.get("rejected")) != expected:
            wrong.append((name, status, text))
        connection.close()
    assert not wrong


@pytest.mark.parametrize("spell", [str, for_the_library])
def test_without_authentication(carbond_binary, own_database, servers, tree, spell):
    with harness.Server(carbond_binary, own_database, "--auth", "none") as server:
        for headers in ({}, {"x-api-token": "x"}, {"Authorization": "Bearer cut_no"}, {"Cookie": "user_session=no"}):
            connection = senders.Connection(server, headers)
            for body, write in BODIES.items():
                status, text, _ = connection.post("/emissions", spell(write(tree)).encode())
                assert status == EXPECTED[GOOD][body], (body, text)
            connection.close()
