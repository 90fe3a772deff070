"""A streaming replica that answers questions (--database-url-read, docs/scale.md): what it answers is never older than what
was acknowledged, who was shut out stays so, and whatever happens to it, every question is answered."""

import contextlib
import itertools
import pathlib
import struct
import threading
import time
import uuid

import psycopg2.errors
import pytest

import harness
import pooler
import rewriter

QUESTIONS = "carbond_replica_questions_total"


@pytest.fixture(scope="module")
def database(own_database):
    return own_database


class Copy(harness.Database):
    """On a standby that may cancel what the tests ask it, as well."""

    def query(self, sql, *arguments):
        while True:
            with contextlib.suppress(psycopg2.errors.SerializationFailure):
                return super().query(sql, *arguments)


@pytest.fixture(scope="module")
def copy(database):
    """The same on a standby, which cancels a statement at once where that keeps it from replaying."""
    cluster = harness.Standby(database.cluster, max_standby_streaming_delay=0)
    copy = Copy(cluster, database.name)
    harness.until(lambda: database.value("select count(*) from pg_stat_replication where state = 'streaming'"))
    yield copy
    copy.close()
    cluster.remove()


@contextlib.contextmanager
def carbond(binary, database, key_file, copy_url, *options):
    with harness.Server(binary, database, "--jwt-hs256-key-file", key_file, "--database-url-read", copy_url,
                        "--rate-token", "none", "--rate-address", "none", *options) as server:
        yield harness.World(server)


@pytest.fixture
def world(carbond_binary, database, copy, jwt_key_file):
    """One worker of each kind: whatever becomes of a connection is met by the next question."""
    with carbond(carbond_binary, database, jwt_key_file, copy.url, "--workers", "1", "--stream-workers", "1") as world:
        yield world


def figure(world, name, **labels):
    """0 for what nobody has counted yet."""
    text = harness.requests.get(world.server.monitor_url + "/metrics", timeout=20).text
    sample = name + (str(labels).replace("': '", '="').replace("{'", "{").replace("'}", '"}') if labels else "")
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(sample + " ")), 0)


def answered(world, by):
    return figure(world, QUESTIONS, by=by)


def answers_again(world, ask):
    """Until the replica does."""
    before = answered(world, "replica")
    harness.until(lambda: ask() and answered(world, "replica") > before, 30, "an answer of the replica")


class Asking:
    """Lists and reports, one after the other, until it is over: each is answered, with what is there."""

    def __init__(self, tree):
        self.over, self.answers, self.failures = threading.Event(), 0, []
        self.client = tree.world.client(bearer=harness.make_jwt(tree.admin.id))
        self.paths = (f"/projects/{tree.project['id']}/sums", f"/experiments/{tree.experiment['id']}/runs",
                      f"/runs/{tree.run['id']}/emissions", "/organizations")
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over.is_set():
            response = self.client.request("GET", self.paths[self.answers % len(self.paths)])
            self.answers += 1
            if response.status_code != 200:
                self.failures.append((response.status_code, response.text))

    def some_more(self):
        before = self.answers
        harness.until(lambda: self.answers > before + 20, 60, "answers")

    def __enter__(self):
        self.thread.start()
        self.some_more()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join(60)
        assert kind or not self.failures, self.failures[:3]


# -- what it answers ------------------------------------------------------------------------------------------------------

def test_lists_and_reports_are_the_replicas(world, copy):
    tree = harness.Tree(world)
    token = world.project_token(tree.admin, tree.project)
    client, project = world.client(token=token["token"]), tree.project["id"]
    client.get(f"/projects/{project}")
    assert (answered(world, "replica"), answered(world, "primary")) == (0, 0)
    paths = (f"/projects/{project}/sums", f"/projects/{project}/experiments", f"/projects/{project}/experiments/sums",
             f"/experiments/{tree.experiment['id']}/runs", f"/lastrun/project/{project}", f"/runs/{tree.run['id']}/emissions")
    for path in paths:
        answers_again(world, lambda path=path: client.get(path))
    client.get(f"/projects/{harness.UNKNOWN_ID}/sums", 404)
    client.get(f"/organizations/{tree.organization['id']}/sums", 403)
    harness.until(lambda: client.get(paths[0]) and figure(world, "carbond_replica_usable") == 1)
    assert figure(world, "carbond_replica_connections") == 2
    harness.until(lambda: copy.value("select count(*) from pg_stat_activity where application_name = 'carbond'") == 2)
    # What is noted of the token is noted where that is possible.
    tokens = tree.client.get(f"/projects/{project}/api-tokens").json()
    assert [t["last_used"] is not None for t in tokens] == [True]
    assert figure(world, "carbond_replica_statements_total", outcome="failed") == 0


def test_who_writes_finds_it(world):
    """At once, and at the replica."""
    tree = harness.Tree(world)

    def find(count):
        world.emission(tree.admin, tree.run)
        assert tree.client.get(f"/projects/{tree.project['id']}/sums").json()["emissions_count"] == count
        world.run(tree.admin, tree.experiment)
        assert len(tree.client.get(f"/experiments/{tree.experiment['id']}/runs").json()) == count + 1
        return count

    counts = itertools.count(1)
    harness.until(lambda: find(next(counts)) >= 30 and answered(world, "replica") > 0, 60, "an answer of the replica")


def test_a_replica_that_lags(world, copy):
    """Nothing is missing and nobody sees what they may not see any more, while it still has it so."""
    tree = harness.Tree(world)
    member = world.member(tree.admin, tree.organization)
    token = world.project_token(tree.admin, tree.project)
    reader, projects = world.client(token=token["token"]), f"/organizations/{tree.organization['id']}/projects"
    answers_again(world, lambda: member.client.get(projects))
    copy.query("select pg_wal_replay_pause()")
    try:
        project = world.project(tree.admin, tree.organization)
        assert project["id"] in {found["id"] for found in tree.client.get(projects).json()}
        tree.client.delete(f"/organizations/{tree.organization['id']}/users/{member.id}")
        member.client.get(projects, 403)
        tree.client.delete(f"/projects/{tree.project['id']}/api-tokens/{token['id']}")
        reader.get(f"/projects/{tree.project['id']}/sums", 401)
        tree.client.delete(f"/projects/{project['id']}")
        tree.client.get(f"/projects/{project['id']}/sums", 404)
        assert copy.value("select count(*) from memberships where user_id = %s", member.id) == 1
        assert figure(world, "carbond_replica_usable") == 0
        assert "the replica is not read from" in world.server.log()
        world.nobody.get("/readyz")
    finally:
        copy.query("select pg_wal_replay_resume()")
    answers_again(world, lambda: tree.client.get(projects))
    assert "the replica is read from again" in world.server.log()
    member.client.get(projects, 403)


# -- what happens to it ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_replica_that_goes_and_comes(world, copy, end):
    tree = harness.Tree(world)
    answers_again(world, lambda: tree.client.get("/organizations"))
    with Asking(tree) as asking:
        copy.close()
        getattr(copy.cluster, end)()
        asking.some_more()
        world.nobody.get("/readyz")
        assert "the replica is not read from" in world.server.log()
        copy.cluster.start()
        answers_again(world, lambda: tree.client.get("/organizations"))
    assert "database is away" not in world.server.log()
    assert figure(world, "carbond_replica_reconnects_total") > 0


class Cutter(rewriter.Rewriter):
    """Cuts the connection behind so many rows with a mark in them, as if the replica had been killed in its answer."""

    mark, rows = None, 0

    async def _to_server(self, reader, writer):
        while True:
            kind, size = struct.unpack("!ci", await reader.readexactly(5))
            row = await reader.readexactly(size - 4)
            writer.write(struct.pack("!ci", kind, size) + row)
            await writer.drain()
            if self.mark and kind == b"D" and self.mark in row:
                self.rows -= 1
                if self.rows == 0:
                    return


@pytest.fixture
def cut(carbond_binary, database, copy, jwt_key_file):
    with Cutter(copy.cluster, copy.name) as cutter, \
            carbond(carbond_binary, database, jwt_key_file, cutter.url, "--prepared-statements", "false") as world:
        yield world, cutter


@pytest.mark.parametrize("path, rows", [("/projects/{project}/sums", 1), ("/experiments/{experiment}/runs", 2),
                                        ("/runs/{run}/emissions", 3), ("/projects/{project}/experiments", 1)])
def test_a_replica_that_is_lost_in_its_answer(cut, path, rows):
    """Nothing has been sent of it: the primary is asked, and what the replica had told is forgotten."""
    world, cutter = cut
    tree = harness.Tree(world)
    for _ in range(3):
        world.emission(tree.admin, tree.run)
        world.run(tree.admin, tree.experiment)
    path = path.format(project=tree.project["id"], experiment=tree.experiment["id"], run=tree.run["id"])
    expected = tree.client.get(path).json()

    def is_lost():
        """The replica may be behind for a moment: then it is not asked, and not lost."""
        before, cutter.rows = answered(world, "primary"), rows
        assert tree.client.get(path).json() == expected
        assert answered(world, "primary") == before + 1
        return cutter.rows == 0

    answers_again(world, lambda: tree.client.get(path))
    cutter.mark = b'"'
    harness.until(is_lost, 30)
    assert "the replica did not answer" in world.server.log()


def test_a_replica_that_is_lost_while_its_answer_is_sent(cut):
    world, cutter = cut
    tree = harness.Tree(world)
    bodies = [harness.emission_body(tree.run["id"], id=str(uuid.uuid4())) for _ in range(500)]
    tree.client.post("/emissions/batch", {"emissions": bodies}, 200)
    path = f"/runs/{tree.run['id']}/emissions?size=1000"
    answers_again(world, lambda: tree.client.get(path))

    def is_cut():
        """The replica may be behind for a moment: then it is not asked, and not lost."""
        cutter.rows = 400
        try:
            return len(tree.client.get(path).json()["items"]) != 500
        except harness.requests.exceptions.ChunkedEncodingError:
            return True

    cutter.mark = b'"'
    harness.until(is_cut, 30)
    assert cutter.rows == 0 and len(tree.client.get(path).json()["items"]) == 500


def test_a_replica_that_says_nothing_more(world, copy):
    """Whoever finds out waits a second or two, everybody else not at all."""
    tree = harness.Tree(world)
    answers_again(world, lambda: tree.client.get("/organizations"))
    copy.close()
    with copy.cluster.frozen():
        began = time.monotonic()
        for _ in range(50):
            tree.client.get("/organizations")
        assert time.monotonic() - began < harness.patience(20)  # a statement's timeout is 30 s
        assert 'reason="no answer in time"' in world.server.log()
        world.nobody.get("/readyz")
    answers_again(world, lambda: tree.client.get("/organizations"))


def test_the_end_while_the_replica_says_nothing(carbond_binary, database, copy, jwt_key_file):
    copy.close()
    with contextlib.ExitStack() as silence, carbond(carbond_binary, database, jwt_key_file, copy.url) as world:
        tree = harness.Tree(world)
        answers_again(world, lambda: tree.client.get("/organizations"))
        silence.enter_context(copy.cluster.frozen())
        tree.client.get("/organizations")


def test_a_statement_that_it_cancels(world, database, copy):
    """It needs rows that the replica is told to remove."""
    tree = harness.Tree(world)
    path = f"/organizations/{tree.organization['id']}/projects"
    view = database.value("select 'create or replace view live_projects as ' || pg_get_viewdef('live_projects'::regclass)")
    slowly = "case when pg_is_in_recovery() then pg_sleep(60)::text = '' else true end"
    database.query("create table scratch (id integer)")
    answers_again(world, lambda: tree.client.get(path))
    try:
        database.query(f"{view.rstrip(';')} and {slowly}")
        answers = []

        def ask():
            while "the replica did not answer" not in world.server.log():
                answers.append(tree.client.request("GET", path, timeout=90))
                time.sleep(0.1)

        def remove_rows():
            for statement in ("insert into scratch values (1)", "delete from scratch", "vacuum scratch"):
                database.query(statement)
            return not asking.is_alive()

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        harness.until(lambda: copy.value("select count(*) from pg_stat_activity where wait_event = 'PgSleep'"), 60,
                      "the statement")
        harness.until(remove_rows, 60, "the end of the statement")
        assert {answer.status_code for answer in answers} == {200} and len(answers[-1].json()) == 1
        assert "due to conflict with recovery" in (copy.cluster.data / "server.log").read_text()
    finally:
        database.query(view)
        database.query("drop table scratch")
    answers_again(world, lambda: tree.client.get(path))
    assert 'statement=organization_projects reason="canceling statement due to conflict with recovery"' in world.server.log()
    assert 'the replica is not read from" reason="canceling statement due to conflict with recovery"' in world.server.log()
    assert "level=error" not in world.server.log() and answered(world, "primary") > 0


# -- what is no replica ---------------------------------------------------------------------------------------------------

def test_what_is_no_replica_of_it(carbond_binary, database, copy, jwt_key_file):
    """The primary itself, another database of its copy, and no PostgreSQL at all."""
    for url, reason in ((database.url, "it is no standby"), (copy.cluster.url("postgres"), "it is of another database"),
                        ("host=/nonexistent", "connection to server")):
        with carbond(carbond_binary, database, jwt_key_file, url) as world:
            tree = harness.Tree(world)
            for _ in range(3):
                tree.client.get("/organizations")
            assert f'the replica is not read from" reason="{reason}' in world.server.log()
            assert (answered(world, "replica"), answered(world, "primary")) == (0, 3)


@pytest.fixture
def promoted(database, copy):
    """Another standby of the same primary, promoted before it had all that the copy has replayed."""
    cluster = harness.Standby(database.cluster)
    try:
        cluster.stop()
        database.query("create table lead as select generate_series(1, 100000) as id")
        database.query("drop table lead")
        position = database.value("select pg_current_wal_flush_lsn()::text")
        harness.until(lambda: copy.value("select pg_last_wal_replay_lsn() >= %s", position), 60, "the lead")
        cluster.settings["primary_conninfo"] = "''"
        cluster.start()
        cluster.promote()
        promoted = harness.Database(cluster, database.name)
        yield promoted
        promoted.close()
    finally:
        cluster.remove()


def test_a_replica_that_did_not_follow_a_promotion(carbond_binary, promoted, copy, jwt_key_file):
    """It has replayed more than the new primary has written, and nothing of that."""
    with carbond(carbond_binary, promoted, jwt_key_file, copy.url) as world:
        tree = harness.Tree(world)
        position = promoted.value("select pg_current_wal_flush_lsn()::text")
        assert copy.value("select pg_last_wal_replay_lsn() > %s", position)
        assert [one["id"] for one in tree.client.get("/organizations").json()] == [tree.organization["id"]]
        assert 'the replica is not read from" reason="it is on another timeline"' in world.server.log()
        assert answered(world, "replica") == 0


def test_a_replica_behind_pgbouncer(carbond_binary, database, copy, jwt_key_file):
    pgbouncer = pooler.Pooler(copy.cluster)
    try:
        with carbond(carbond_binary, database, jwt_key_file, pgbouncer.url(copy.name), "--prepared-statements",
                     "false") as world:
            tree = harness.Tree(world)
            answers_again(world, lambda: tree.client.get(f"/projects/{tree.project['id']}/sums"))
    finally:
        pgbouncer.remove()


def test_its_url_is_a_secret(carbond_binary, world, copy):
    arguments = pathlib.Path(f"/proc/{world.server.process.pid}/cmdline").read_bytes()
    assert b"--database-url-read" in arguments and str(copy.cluster.directory).encode() not in arguments
    done = harness.command(carbond_binary, "serve", "--database-url", world.database.url, "--database-url-read",
                           "postgresql://carbond:a/secret@db/carbond")
    assert done.returncode == 2 and "--database-url-read is no connection string" in done.stderr
    assert "secret" not in done.stdout + done.stderr
