"""Everything at once for a while, with a database that ends its sessions now and then: what the server takes for itself
does not grow, be it memory, descriptors, threads or connections to PostgreSQL.

Some seconds of it are part of script/test. For longer: SOAK_SECONDS=600 script/test --quick -- -k soak"""

import itertools
import os
import random
import statistics
import threading
import time

import pytest

import harness
import plain_sql
import senders
import tool

SECONDS = float(os.environ.get("SOAK_SECONDS", 20))
CALM = 4  # s between the ends of all sessions
GROWTH = 3 << 20  # bytes: of a heap that is cut up a little differently each time
# Threads with a connection each: workers, stream workers, password workers, writers, upkeep.
CONNECTIONS = 4 + 4 + 2 + 2 + 1
TAKEN = {"memory": "process_resident_memory_bytes", "descriptors": "process_open_fds", "threads": "process_threads",
         "connections": "carbond_database_connections"}


class Busy(threading.Thread):
    """Does one thing after the other, with a pause."""

    def __init__(self, over, pause, *things):
        super().__init__(daemon=True)
        self.over, self.pause, self.things, self.done = over, pause, itertools.cycle(things), 0
        self.problem = None
        self.start()

    def run(self):
        try:
            while not self.over.wait(self.pause):
                next(self.things)()
                self.done += 1
        except Exception as problem:  # told by the test
            self.problem = problem


class Tenant:
    """What the users of a dashboard do; any of it may be told that the database is away."""

    def __init__(self, world):
        self.world, self.tree = world, harness.Tree(world)
        self.user = world.user(password="a password of the soak")
        self.token = world.project_token(self.tree.admin, self.tree.project)["token"]
        self.runs = [self.tree.run["id"], *(world.run(self.tree.admin, self.tree.experiment)["id"] for _ in range(3))]
        self.account = senders.Account()

    def ask(self, method, path, *expected, body=None, client=None):
        try:
            response = (client or self.tree.client).request(method, path, json=body)
        except harness.requests.exceptions.ChunkedEncodingError:
            return None  # a list that was cut, with the session that it came from
        assert response.status_code in (*expected, 503), (method, path, response.status_code, response.text)
        return response.json() if response.status_code in (200, 201) else None

    def questions(self):
        organization, project = self.tree.organization["id"], self.tree.project["id"]
        experiment, run = self.tree.experiment["id"], self.tree.run["id"]
        return [lambda path=path: self.ask("GET", path, 200) for path in (
            "/organizations", f"/organizations/{organization}/sums", f"/projects/{project}/sums", f"/runs/{run}",
            f"/projects/{project}/experiments/sums", f"/experiments/{experiment}/runs/sums", f"/lastrun/project/{project}",
            f"/runs/{run}/emissions?size=1000", f"/runs/{run}/emissions?size=10&page=2", "/runs", "/openapi.json")]

    def mistakes(self):
        run = self.tree.run["id"]
        return [lambda: self.ask("GET", f"/runs/{harness.UNKNOWN_ID}", 404), lambda: self.ask("PATCH", "/runs", 405),
                lambda: self.ask("POST", "/emissions", 422, body=harness.emission_body(run, duration=-1)),
                lambda: self.ask("GET", "/organizations", 401, client=self.world.nobody),
                lambda: harness.raw(self.world.server, b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n")]

    def changes(self):
        """Things that are made, and most of them removed."""
        return [lambda: self.ask("POST", "/runs", 201, body=harness.run_body(self.tree.experiment["id"])),
                self.come_and_go, self.make_and_revoke, self.sign_in, self.leave_early]

    def come_and_go(self):
        body = {"name": "short-lived", "description": "", "organization_id": self.tree.organization["id"]}
        project = self.ask("POST", "/projects", 201, body=body)
        if project:
            self.ask("DELETE", f"/projects/{project['id']}", 204)

    def make_and_revoke(self):
        path = f"/projects/{self.tree.project['id']}/api-tokens"
        token = self.ask("POST", path, 201, body={"name": "short-lived", "access": 2})
        if token:
            self.ask("DELETE", f"{path}/{token['id']}", 204)

    def sign_in(self):
        self.ask("POST", "/authenticate", 200, client=self.world.nobody,
                 body={"email": self.user.email, "password": "a password of the soak"})

    def leave_early(self):
        """In the middle of a request, and in the middle of a list."""
        bearer = self.tree.client.session.headers["Authorization"]
        with harness.RawConnection(self.world.server) as half:
            half.send(b"POST /emissions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        with harness.RawConnection(self.world.server) as reader:
            reader.send(f"GET /runs/{self.runs[0]}/emissions?size=10000 HTTP/1.1\r\nHost: x\r\n"
                        f"Authorization: {bearer}\r\n\r\n".encode())
            reader.socket.recv(1)


class Tracker(senders.Sender):
    """One that leaves the disk some room."""

    def send_something(self, connection):
        super().send_something(connection)
        time.sleep(0.02)


def taken(server):
    text = harness.requests.get(server.monitor_url + "/metrics", timeout=20).text
    values = dict(line.split() for line in text.splitlines() if line.split()[0] in TAKEN.values())
    found = {what: float(values[name]) for what, name in TAKEN.items()}
    found["descriptors"] -= found["connections"]  # a worker connects when it first has something to ask
    return found


def watch(server, seconds):
    """What the server takes, twice a second."""
    samples, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)
        samples.append(taken(server))
    return samples


def most(samples, what):
    return max(sample[what] for sample in samples)


@pytest.fixture
def world(carbond_binary, new_database, jwt_key_file):
    with harness.Server(carbond_binary, new_database(), "--jwt-hs256-key-file", jwt_key_file,
                        "--rate-sign-in", "none") as server:  # all sign in from one address
        yield harness.World(server)


def test_soak(world, tell):
    server, database = world.server, world.database
    tenant, over = Tenant(world), threading.Event()
    at_rest = taken(server)
    sending = [Tracker(server, {"x-api-token": tenant.token}, tenant.runs, tenant.account, random.random())
               for _ in range(3)]
    busy = [Busy(over, 0.02, *tenant.questions()), Busy(over, 0.05, *tenant.mistakes()), Busy(over, 0.1, *tenant.changes()),
            Busy(over, CALM, lambda: database.query("""select pg_terminate_backend(pid) from pg_stat_activity
                where application_name = 'carbond' and datname = current_database()"""))]
    samples = watch(server, SECONDS)
    over.set()
    senders.stop(sending)
    for thread in busy:
        thread.join(60)
        assert thread.problem is None and thread.done > 0, thread.problem
    for client in (tenant.tree.client, tenant.user.client, world.nobody):
        client.session.close()
    harness.until(lambda: taken(server)["descriptors"] <= at_rest["descriptors"], 90, "the end of all connections")

    quarter = len(samples) // 4
    early, late = ([sample["memory"] for sample in part] for part in (samples[quarter:2 * quarter], samples[-quarter:]))
    grown = statistics.median(late) - statistics.median(early)
    tell({"seconds": SECONDS, "questions and changes": sum(thread.done for thread in busy),
          "emissions acknowledged": len(tenant.account.acknowledged), "requests told 503": tenant.account.refused,
          "memory in the second quarter, MB": statistics.median(early) / 1e6,
          "memory in the last quarter, MB": statistics.median(late) / 1e6,
          "descriptors at rest, at most, and at rest again": [
              int(at_rest["descriptors"]), int(most(samples, "descriptors")), int(taken(server)["descriptors"])],
          "connections to PostgreSQL at most": int(most(samples, "connections")),
          "threads at first, at most": [int(at_rest["threads"]), int(most(samples, "threads"))]})
    assert most(samples, "connections") <= CONNECTIONS
    assert most(samples, "threads") <= at_rest["threads"]
    # What the sanitizers put aside of what was freed looks like growth.
    assert grown < GROWTH or not tool.IS_PLAIN
    tenant.account.assert_all_stored(database)
    plain_sql.assert_tables_match(database)
