"""Each allocation on the way of a request fails in turn: the client gets an answer or a closed connection, nothing is
half done, and the next request is answered as if nothing had been."""

import concurrent.futures
import gzip
import hashlib
import json
import mmap
import os
import shutil
import struct
import uuid

import pytest

import harness

SUCCESSES = {200, 201, 422}
ANSWERS = SUCCESSES | {500, 503}


@pytest.fixture(scope="module")
def failing(carbond_binary, new_database, jwt_key_file, tmp_path_factory):
    """A world whose server's allocations can be made to fail, and what does that."""
    library = carbond_binary.parent.parent / "lib" / "failing_malloc.so"
    if not library.exists():
        pytest.skip("malloc is the tool's own")
    directory = tmp_path_factory.mktemp("failing")
    # LD_PRELOAD would take a path apart at its spaces.
    library = shutil.copy(library, directory)
    path = directory / "counter"
    path.write_bytes(struct.pack("q", 0))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 8) as counter, harness.Server(
            carbond_binary, new_database(), "--jwt-hs256-key-file", jwt_key_file, "--workers", "1", "--stream-workers", "1",
            "--rate-address", "none", "--rate-token", "none",
            environment={"LD_PRELOAD": str(library), "FAILING_MALLOC": str(path)}) as server:
        os.chmod(path, 0o666)
        yield harness.World(server), counter


def nudged(server, request):
    """When libmicrohttpd has no memory for its list of sockets it forgets a connection that was just handed back to it,
    until the next event: here is one."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(request)
        done, _ = concurrent.futures.wait([future], 0.5)
        if not done:
            harness.requests.get(server.url + "/healthz", timeout=5)
        return future.result()


def each_allocation(server, counter, request):
    """Makes the request with its first, second ... allocation failing, until none fails any more."""
    for number in range(1, 2000):
        counter[:8] = struct.pack("q", number)
        response = None
        try:
            response = nudged(server, request)
        except (harness.requests.ConnectionError, harness.requests.exceptions.ChunkedEncodingError):
            pass  # closed without an answer, or in the middle of it
        reached = struct.unpack("q", counter[:8])[0] <= 0
        counter[:8] = struct.pack("q", 0)
        if response is not None:
            assert response.status_code in ANSWERS, (number, response.status_code, response.text)
        yield response
        if not reached:
            return
        # The next one is answered as if nothing had been, once a lost connection to the database is made anew.
        harness.until(lambda: request().status_code in SUCCESSES, 5)
    raise AssertionError("there is no end of allocations")


REQUESTS = {
    "emission": lambda tree: ("POST", "/emissions", harness.emission_body(tree.run["id"])),
    "run": lambda tree: ("POST", "/runs", harness.run_body(tree.experiment["id"])),
    "faults": lambda tree: ("POST", "/emissions", {"duration": -1}),
    "one": lambda tree: ("GET", f"/runs/{tree.run['id']}", None),
    "list": lambda tree: ("GET", f"/experiments/{tree.experiment['id']}/runs", None),
    "stream": lambda tree: ("GET", f"/experiments/{tree.long['id']}/runs", None),
    "page": lambda tree: ("GET", f"/runs/{tree.run['id']}/emissions", None),
    "token": lambda tree: ("POST", f"/projects/{tree.project['id']}/api-tokens", {"name": "t"}),
}


@pytest.fixture(scope="module")
def tree(failing):
    world, _ = failing
    tree = harness.Tree(world)
    tree.token = world.user_token(tree.admin)["token"]
    tree.long = world.experiment(tree.admin, tree.project)
    with world.database.runs(tree.long, 100, width=100):
        yield tree


def test_each_allocation_of_a_scrape_fails(failing):
    world, counter = failing
    scrape = lambda: harness.requests.get(world.server.monitor_url + "/metrics", timeout=20)  # noqa: E731
    answers = list(each_allocation(world.server, counter, scrape))
    assert len(answers) > 5 and answers[-1].status_code == 200
    assert all(answer.text.endswith("\n") for answer in answers if answer is not None and answer.status_code == 200)


@pytest.mark.parametrize("kind", REQUESTS)
def test_each_allocation_fails(kind, failing, tree):
    world, counter = failing
    method, path, body = REQUESTS[kind](tree)
    headers = {"Authorization": f"Bearer {tree.token}", "Connection": "close", "Accept-Encoding": "gzip"}
    stored = world.database.value("select count(*) from emissions")
    acknowledged, failures, last = 0, 0, None
    for last in each_allocation(world.server, counter, lambda: harness.requests.request(
            method, world.server.url + path, json=body, headers=headers, timeout=20)):
        acknowledged += last is not None and last.status_code == 201
        failures += last is None or last.status_code >= 500
        assert world.server.process.poll() is None
    assert failures > 0
    assert last is not None and last.status_code in SUCCESSES
    if kind == "emission":
        assert world.database.value("select count(*) from emissions") - stored >= acknowledged


# -- emissions ----------------------------------------------------------------------------------------------------------

class Tokens:
    """A project token for each request, so that each has to be looked up; made where the server has no hand in it."""

    def __init__(self, tree):
        self.database, self.project, self.count = tree.world.database, tree.project["id"], 0

    def new(self):
        self.count += 1
        token = f"cpt_{uuid.uuid4().hex}"
        self.database.query("insert into project_tokens (project_id, name, access, token_hash) values (%s, 'new', 2, %s)",
                            self.project, hashlib.sha256(token.encode()).digest())
        return {"x-api-token": token}


def escaped(body):
    """What the quick reader leaves to the library."""
    return json.dumps(body).replace('"duration"', '"\\u0064uration"').encode()


def lines(bodies):
    return "\n".join(json.dumps(body) for body in bodies).encode()


def document(bodies):
    return json.dumps({"emissions": bodies}).encode()


NDJSON, JSON, GZIP = {"Content-Type": "application/x-ndjson"}, {"Content-Type": "application/json"}, {"Content-Encoding": "gzip"}
EMISSIONS = {
    "single": ("/emissions", 1, JSON, lines),
    "single for the library": ("/emissions", 1, JSON, lambda bodies: escaped(bodies[0])),
    "lines": ("/emissions/batch", 150, NDJSON, lines),
    "document": ("/emissions/batch", 3, JSON, document),
    "lines for the library": ("/emissions/batch", 2, NDJSON, lambda bodies: b"\n".join(map(escaped, bodies))),
    "packed": ("/emissions/batch", 20, {**NDJSON, **GZIP}, lambda bodies: gzip.compress(lines(bodies))),
    "with faults": ("/emissions/batch", 3, NDJSON, lambda bodies: lines(bodies) + b"\n{}\nx\n" + escaped(
        harness.emission_body(harness.UNKNOWN_ID, id=str(uuid.uuid4())))),
}


@pytest.mark.parametrize("credentials", ["user", "new token"])
@pytest.mark.parametrize("kind", EMISSIONS)
def test_each_allocation_of_an_emission_fails(kind, credentials, failing, tree):
    """Whatever is acknowledged is stored, whichever allocation failed."""
    world, counter = failing
    path, count, headers, write = EMISSIONS[kind]
    tokens, acknowledged = Tokens(tree), []

    def request():
        bodies = [harness.emission_body(tree.run["id"], id=str(uuid.uuid4())) for _ in range(count)]
        who = tokens.new() if credentials == "new token" else {"Authorization": f"Bearer {tree.token}"}
        response = harness.requests.post(world.server.url + path, data=write(bodies), timeout=20,
                                         headers={**headers, **who, "Connection": "close", "Accept-Encoding": "gzip"})
        if response.status_code == 201:
            assert response.json() == bodies[0]["id"]
        elif response.status_code == 200:
            # Duplicates of themselves, where the answer to a commit was lost.
            answer = response.json()
            assert answer["accepted"] + answer["duplicates"] == count, answer
            assert len(answer["rejected"]) == (3 if kind == "with faults" else 0), answer
        else:
            assert response.status_code in (500, 503), response.text  # a lack of memory is no fault of the emissions
            return response
        acknowledged.extend(body["id"] for body in bodies)
        return response

    answers = list(each_allocation(world.server, counter, request))
    assert any(answer is None or answer.status_code >= 500 for answer in answers)
    assert answers[-1].status_code in (200, 201)
    assert world.database.value("select count(distinct id) from emissions where id = any(%s::uuid[])",
                                acknowledged) == len(acknowledged)
    assert world.server.process.poll() is None
