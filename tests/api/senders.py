"""Trackers in a hurry: threads that send emissions in every form, repeat what was not acknowledged, and keep account of
what was."""

import collections
import datetime
import gzip
import http.client
import json
import random
import threading
import uuid

import harness
import plain_sql

# What a network, a server that ends and one that is overloaded do to a request.
FAILURES = (OSError, http.client.HTTPException)
NDJSON, JSON = "application/x-ndjson", "application/json"


class Account:
    """Shared by senders, and kept from one server's life to the next."""

    def __init__(self):
        self.acknowledged = {}  # the id of an emission, and its run
        self.unanswered = collections.deque()  # lists of bodies with ids, to be sent again
        self.refused = 0  # 503
        self.surprises = []
        self._checked = 0

    def acknowledge(self, bodies):
        for body in bodies:
            self.acknowledged[body["id"]] = body["run_id"]

    def assert_stored(self, database):
        """Each acknowledged emission once: those that are new since the last time."""
        assert not self.surprises, self.surprises[:5]
        new = list(self.acknowledged)[self._checked:]
        self._checked += len(new)
        wrong = database.query("""select a.id, count(m.id) from unnest(%s::uuid[]) a (id) left join emissions m using (id)
                                   group by a.id having count(m.id) <> 1 limit 5""", new)
        assert not wrong, f"acknowledged, and how often stored: {wrong}"

    def assert_all_stored(self, database):
        self._checked = 0
        self.assert_stored(database)


class Connection:
    """A connection that is kept, without a library's weight."""

    def __init__(self, server, headers, timeout=30):
        self.headers = dict(headers)
        timeout = harness.patience(timeout)
        self.connection = (
            http.client.HTTPSConnection(*server.host_and_port, timeout=timeout, context=server.tls_context())
            if server.scheme == "https" else http.client.HTTPConnection(*server.host_and_port, timeout=timeout))

    def post(self, path, body, kind=JSON, packed=False):
        """Returns the status, the body and the headers of the answer."""
        headers = {**self.headers, "Content-Type": kind}
        if packed:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        try:
            self.connection.request("POST", path, body, headers)
            response = self.connection.getresponse()
            return response.status, response.read(), response.headers
        except FAILURES:
            self.connection.close()
            raise

    def single(self, body):
        return self.post("/emissions", json.dumps(body).encode())

    def batch(self, bodies, kind=NDJSON, packed=False):
        text = ("\n".join(map(json.dumps, bodies)) if kind == NDJSON else json.dumps({"emissions": bodies})).encode()
        return self.post("/emissions/batch", text, kind, packed)

    def close(self):
        self.connection.close()


def emissions(runs, count, random_source=random):
    """Bodies with ids, of random runs, around now."""
    now = harness.now()
    return [harness.emission_body(
        random_source.choice(runs), id=str(uuid.UUID(int=random_source.getrandbits(128), version=4)),
        timestamp=(now + datetime.timedelta(seconds=random_source.uniform(-9000, 9000))).isoformat(),
        duration=random_source.uniform(0.1, 100), emissions_sum=random_source.uniform(0, 1e-3),
        cpu_energy=random_source.choice([None, random_source.uniform(0, 1e-2)]),
        cpu_power=random_source.choice([None, random_source.uniform(0, 300)])) for _ in range(count)]


class Sender(threading.Thread):
    """Sends until it is told to stop, or its server is gone."""

    def __init__(self, server, headers, runs, account, seed):
        super().__init__(daemon=True)
        self.server, self.headers, self.runs, self.account = server, headers, runs, account
        self.random = random.Random(seed)
        self.stopped = threading.Event()
        self.start()

    def run(self):
        connection = Connection(self.server, self.headers)
        while not self.stopped.is_set():
            try:
                self.send_something(connection)
            except FAILURES:
                if self.server.process.poll() is not None:
                    break
        connection.close()

    def send_something(self, connection):
        form = self.random.choice(["single", "named", "named", NDJSON, JSON, "again", "again"])
        if form == "single":
            self.send_nameless(connection)
        elif form == "named":
            self.send(connection, emissions(self.runs, 1, self.random))
        elif form != "again":
            self.send(connection, emissions(self.runs, self.random.randrange(2, 120), self.random), form)
        elif self.account.unanswered:
            self.send_again(connection)

    def send_again(self, connection):
        try:
            bodies = self.account.unanswered.popleft()
        except IndexError:
            return
        self.random.shuffle(bodies)
        self.send(connection, bodies, self.random.choice([NDJSON, JSON]))

    def send_nameless(self, connection):
        body = emissions(self.runs, 1, self.random)[0]
        del body["id"]
        status, text, _ = connection.single(body)
        if status == 201:
            self.account.acknowledge([{**body, "id": json.loads(text)}])
        else:
            self.note_refusal(status, text)

    def send(self, connection, bodies, kind=NDJSON):
        try:
            status, text, _ = (connection.single(bodies[0]) if len(bodies) == 1 else
                               connection.batch(bodies, kind, packed=self.random.random() < 0.5))
        except FAILURES:
            self.account.unanswered.append(bodies)
            raise
        if status in (200, 201):
            self.account.acknowledge(bodies)
            self.check_answer(bodies, status, text)
        else:
            self.account.unanswered.append(bodies)
            self.note_refusal(status, text)

    def check_answer(self, bodies, status, text):
        answer = json.loads(text)
        well = (answer == bodies[0]["id"] if status == 201 else
                answer["accepted"] + answer["duplicates"] == len(bodies) and not answer["rejected"])
        if not well:
            self.account.surprises.append((status, text))

    def note_refusal(self, status, text):
        if status == 503:
            self.account.refused += 1
        else:
            self.account.surprises.append((status, text))


def send_what_is_left(server, headers, account):
    """Until all that was ever sent with an id is acknowledged."""
    connection = Connection(server, headers)
    while account.unanswered:
        bodies = account.unanswered.popleft()
        status, text, _ = connection.batch(bodies)
        assert status == 200, (status, text)
        account.acknowledge(bodies)
    connection.close()


def stop(senders):
    for sender in senders:
        sender.stopped.set()
    for sender in senders:
        sender.join(40)
        assert not sender.is_alive(), "a request was never answered"


class Writers:
    """Threads that write until the block ends, each by write(its number), which returns once `end` is set. What one of them
    raises is a failure of the block."""

    def __init__(self, threads):
        self.end, self.failures = threading.Event(), []
        self.threads = [threading.Thread(target=self._guarded, args=(number,)) for number in range(threads)]

    def _guarded(self, number):
        try:
            self.write(number)
        except BaseException as failure:
            self.failures.append(failure)
            raise

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.end.set()
        for thread in self.threads:
            thread.join()
        assert kind or self.failures == []


class Sending:
    """Senders that are at work for a while; then whatever they were told must be true."""

    def __init__(self, server, count=4):
        self.server, self.account = server, Account()
        tree = harness.Tree(harness.World(server))
        self.runs = [tree.run["id"], tree.world.run(tree.admin, tree.experiment)["id"]]
        self.headers = {"x-api-token": tree.world.project_token(tree.admin, tree.project)["token"]}
        self.count = count

    def __enter__(self):
        self.busy = [Sender(self.server, self.headers, self.runs, self.account, random.random())
                     for _ in range(self.count)]
        harness.until(lambda: len(self.account.acknowledged) > 100, 30)
        return self

    def some_more(self):
        before = len(self.account.acknowledged)
        harness.until(lambda: len(self.account.acknowledged) > before + 100, 30, "emissions that are stored again")

    def until_refused(self):
        before = self.account.refused
        harness.until(lambda: self.account.refused >= before + self.count, 60, "a refusal")

    def __exit__(self, kind, *_):
        stop(self.busy)
        if kind:
            return
        database = self.server.database
        database.close()  # it may have been away, too
        send_what_is_left(self.server, self.headers, self.account)
        self.account.assert_all_stored(database)
        plain_sql.assert_tables_match(database)
