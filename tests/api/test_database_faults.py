"""PostgreSQL in trouble: killed, out of connections, read-only, a standby, its disk full. What is told is right
throughout (2xx only for what is stored, else 503), and when the trouble is over all is as before, without a restart."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import time

import pytest

import harness
import senders

# How psycopg2 tells of a connection that is not to be had, or was lost. (Often, but not always, as an OperationalError.)
LOST = harness.psycopg2.DatabaseError
CARBONDS = "application_name = 'carbond' and pid <> pg_backend_pid()"


@contextlib.contextmanager
def carbond(binary, database, key_file, *options, **more):
    """A world on a server of its own."""
    with harness.Server(binary, database, "--jwt-hs256-key-file", key_file, *options, **more) as server:
        yield harness.World(server)


@pytest.fixture(scope="module")
def own_cluster():
    """One that has few connections."""
    cluster = harness.Cluster(max_connections=40)
    yield cluster
    cluster.remove()


@pytest.fixture
def world(carbond_binary, own_database, jwt_key_file):
    with carbond(carbond_binary, own_database, jwt_key_file) as world:
        yield world


@pytest.fixture
def migrated(carbond_binary):
    """Makes a migrated database on a cluster."""
    made = []

    def migrated(cluster):
        made.append(harness.Database(cluster, cluster.createdb()))
        done = harness.command(carbond_binary, "migrate", "--database-url", made[-1].url)
        assert done.returncode == 0, done.stderr
        return made[-1]

    yield migrated
    for database in made:
        database.close()


def ready(world):
    return world.nobody.request("GET", "/readyz").status_code == 200


def assert_unavailable(response):
    assert response.status_code == 503 and int(response.headers["Retry-After"]) >= 0, response.text


def assert_reads_only(tree):
    """Questions are answered; whatever would be stored is refused for now; and /readyz says so."""
    client, run = tree.client, tree.run["id"]
    for path in (f"/runs/{run}", f"/runs/{run}/emissions", f"/projects/{tree.project['id']}/sums", "/organizations"):
        client.get(path)
    named = harness.emission_body(run, id="11111111-1111-4111-8111-111111111111")
    for path, body in (("/emissions", harness.emission_body(run)), ("/emissions/batch", {"emissions": [named]}),
                       ("/runs", harness.run_body(tree.experiment["id"]))):
        assert_unavailable(client.post(path, body, None))
    assert_unavailable(client.get("/readyz", 503))


# -- killed ---------------------------------------------------------------------------------------------------------------

def test_a_backend_is_killed(world, own_database):
    """PostgreSQL then ends all sessions and recovers by itself."""
    with senders.Sending(world.server) as sending:
        for _ in range(3):
            (victim,), *_ = harness.until(lambda: own_database.query(
                f"select pid from pg_stat_activity where {CARBONDS} order by random()"))
            os.kill(victim, signal.SIGKILL)
            own_database.close()
            sending.some_more()
            harness.until(lambda: answers(own_database))


def answers(database):
    try:
        return database.value("select true")
    except LOST:
        return database.close()


def test_the_postmaster_is_killed(world, own_cluster):
    """Its children notice, and end after it; what it left in its directory must not keep the next one from starting."""
    with senders.Sending(world.server) as sending:
        children = own_cluster.children()
        os.kill(own_cluster.postmaster(), signal.SIGKILL)
        sending.until_refused()
        assert not ready(world)
        harness.until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), 30, "its children's end")
        own_cluster.start()
        sending.some_more()
        harness.until(lambda: ready(world))


# -- silent -----------------------------------------------------------------------------------------------------------------

@pytest.fixture
def hasty(carbond_binary, own_database, jwt_key_file):
    """A world on a server that gives statements a second, and PostgreSQL a few more to say so."""
    with carbond(carbond_binary, own_database, jwt_key_file, "--statement-timeout", "1") as world:
        yield world


def test_a_database_that_says_nothing_more(hasty, own_cluster):
    """Nobody waits for ever, not even those whose body does not fit into a socket's buffer."""
    tree = harness.Tree(hasty)
    bearer = dict(tree.client.session.headers)
    bodies = senders.emissions([tree.run["id"]], 6000)
    asked = [lambda: harness.requests.get(f"{hasty.server.url}/runs/{tree.run['id']}", headers=bearer, timeout=60),
             lambda: harness.requests.get(f"{hasty.server.url}/readyz", timeout=60),
             lambda: harness.requests.post(f"{hasty.server.url}/emissions", json=bodies[0], headers=bearer, timeout=60),
             lambda: harness.requests.post(f"{hasty.server.url}/emissions/batch", json={"emissions": bodies}, headers=bearer,
                                           timeout=60)]
    with senders.Sending(hasty.server) as sending, concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
        with own_cluster.frozen():
            for answer in [pool.submit(ask) for ask in asked]:
                assert_unavailable(answer.result())
        sending.some_more()
        harness.until(lambda: ready(hasty))


def test_a_synchronous_standby_that_is_gone(hasty, own_database):
    """PostgreSQL says nothing of a commit, and no timeout of its ends that. Its session is waited for: another would only
    hang beside it, until there are no more."""
    tree = harness.Tree(hasty)
    body = harness.emission_body(tree.run["id"], id="22222222-2222-4222-8222-222222222222")
    hanging = f"select count(*) from pg_stat_activity where {CARBONDS} and wait_event = 'SyncRep'"

    def confirmed_by(standby):
        own_database.query(f"alter system set synchronous_standby_names = {standby}")
        own_database.query("select pg_reload_conf()")

    confirmed_by("nobody")
    try:
        for _ in range(3):
            assert_unavailable(tree.client.post("/emissions", body, None, timeout=60))
            assert own_database.value(hanging) == 1
        tree.client.get(f"/projects/{tree.project['id']}/sums")
    finally:
        confirmed_by("''")
    tree.client.post("/emissions", body)
    assert tree.client.get(f"/runs/{tree.run['id']}/emissions").json()["total"] == 1


# -- out of connections -----------------------------------------------------------------------------------------------------

def take_what_is_free(cluster, others):
    with contextlib.suppress(LOST):
        while True:
            others.append(cluster.connect())


@contextlib.contextmanager
def all_connections(cluster):
    """Held by others. A session that is ended leaves its place a moment later, and who is quick takes it: so this goes on
    until carbond has had none for a while."""
    others = []

    def has_none():
        take_what_is_free(cluster, others)
        with others[0].cursor() as cursor:
            cursor.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {CARBONDS}")
            return cursor.rowcount == 0

    def has_none_for_a_while():
        for _ in range(10):
            if not has_none():
                return False
            time.sleep(0.02)
        return True

    try:
        harness.until(has_none_for_a_while, 30)
        yield
    finally:
        for other in others:
            other.close()


def test_others_hold_all_connections(world, own_cluster):
    with senders.Sending(world.server) as sending:
        with all_connections(own_cluster):
            sending.until_refused()
            assert_unavailable(world.nobody.get("/readyz", 503))
        sending.some_more()
        harness.until(lambda: ready(world))


# -- read-only --------------------------------------------------------------------------------------------------------------

def set_read_only(database, value):
    database.close()
    database.query("set default_transaction_read_only = off")
    database.query(f"alter database {database.name} set default_transaction_read_only = {value}")


def test_a_database_that_becomes_read_only(world, own_database):
    """Sessions stay as they were when they began: all are ended first, as a failover does, and none afterwards."""
    tree = harness.Tree(world)
    project, user = world.project_token(tree.admin, tree.project), world.user_token(tree.admin)
    set_read_only(own_database, "on")
    try:
        own_database.query(f"select pg_terminate_backend(pid, 10000) from pg_stat_activity where {CARBONDS}")
        # That a token is used cannot be noted; it reads all the same, and costs no session.
        for credentials in ({"token": project["token"]}, {"bearer": user["token"]}):
            for _ in range(8):
                world.client(**credentials).get(f"/projects/{tree.project['id']}/sums")
        assert "read-only" not in world.server.log()
        assert_reads_only(tree)
        for _ in range(8):  # every worker's session
            world.nobody.get("/readyz", 503)
    finally:
        set_read_only(own_database, "off")
    for _ in range(8):
        world.nobody.get("/readyz")
    world.emission(tree.admin, tree.run)


# -- whatever else PostgreSQL says ----------------------------------------------------------------------------------------------

NOBODYS_FAULT = ["53000", "53100", "53200", "53400", "42501", "55P03", "58000", "58030", "58P01", "XX000", "XX001", "XX002"]


def test_what_is_nobodys_fault(world, own_database):
    """Neither the client's nor carbond's: no 422, no 500."""
    tree = harness.Tree(world)

    def fail(sqlstate):
        own_database.query(f"""create or replace function fail() returns trigger language plpgsql as
                               $$ begin raise sqlstate '{sqlstate}' using message = 'as the test wants it'; end $$""")

    fail(NOBODYS_FAULT[0])
    for table in ("runs", "emissions"):
        own_database.query(f"create trigger fail before insert on {table} execute function fail()")
    try:
        for sqlstate in NOBODYS_FAULT:
            fail(sqlstate)
            assert_unavailable(tree.client.post("/runs", harness.run_body(tree.experiment["id"]), None))
            assert f'sqlstate={sqlstate} reason="as the test wants it"' in world.server.log()
            tree.client.get(f"/runs/{tree.run['id']}")
        assert_unavailable(tree.client.post("/emissions", harness.emission_body(tree.run["id"]), None))
    finally:
        own_database.query("drop function fail cascade")
    world.run(tree.admin, tree.experiment)
    world.emission(tree.admin, tree.run)


# -- a standby --------------------------------------------------------------------------------------------------------------

@pytest.fixture
def pair(migrated):
    """A database, and the same on a standby, which has confirmed each commit before anybody hears of it."""
    primary = harness.Cluster()
    clusters = [primary]
    try:
        database = migrated(primary)
        clusters.append(harness.Standby(primary))
        database.query("alter system set synchronous_standby_names = '*'")
        database.query("select pg_reload_conf()")
        harness.until(lambda: database.value("select count(*) from pg_stat_replication where sync_state = 'sync'"))
        copy = harness.Database(clusters[1], database.name)
        yield database, copy
        copy.close()
    finally:
        for cluster in reversed(clusters):
            cluster.remove()


def test_failover_to_a_standby(carbond_binary, pair, jwt_key_file):
    """One server asks the standby. Another's URL names both: it goes over, loses nothing that was acknowledged, and
    nobody restarts it."""
    database, copy = pair
    both = harness.Database(database.cluster, database.name)
    both.url = (f"postgresql://carbond@/{database.name}?host={database.cluster.directory},{copy.cluster.directory}"
                "&target_session_attrs=read-write")
    with carbond(carbond_binary, both, jwt_key_file) as world, carbond(
            carbond_binary, copy, jwt_key_file, ready=503) as reader, senders.Sending(world.server) as sending:
        tree = harness.Tree(world)
        emission = world.emission(tree.admin, tree.run)
        tree.admin.client = reader.client(bearer=harness.make_jwt(tree.admin.id))
        harness.until(lambda: tree.client.request("GET", f"/emissions/{emission}").status_code == 200)
        assert_reads_only(tree)
        database.cluster.kill()
        sending.until_refused()
        copy.cluster.promote()
        copy.close()
        copy.query("alter system reset synchronous_standby_names")
        copy.query("select pg_reload_conf()")
        sending.some_more()
        harness.until(lambda: ready(reader))
        world.server.database = copy
    both.close()


# -- a full disk --------------------------------------------------------------------------------------------------------------

class SmallDisk:
    """A few MiB of memory, mounted where only those see it whom `within` starts: it is gone with them, however they end."""

    def __init__(self, mebibytes):
        self.directory = harness.tempfile.mkdtemp(prefix="carbond-test-", dir="/tmp")
        self.keeper = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c",
             'mount -t tmpfs -o size="$2" carbond-test "$1" && chown postgres "$1" && echo mounted && exec cat >/dev/null', "sh",
             self.directory, f"{mebibytes}m"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.mounted = self.keeper.stdout.readline() == "mounted\n"
        self.within = ["nsenter", f"--mount=/proc/{self.keeper.pid}/ns/mnt", "--"]
        self._ballast = f"/proc/{self.keeper.pid}/root{self.directory}/ballast"

    def fill(self):
        with open(self._ballast, "wb", buffering=0) as ballast:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(bytes(size))

    def free(self):
        os.unlink(self._ballast)

    def remove(self):
        self.keeper.communicate()
        os.rmdir(self.directory)


@pytest.fixture
def small_disk():
    disk = SmallDisk(64)
    if not disk.mounted:
        problem = disk.keeper.stderr.read().strip()
        disk.remove()
        pytest.skip(f"a full disk needs to mount one, as root: {problem}")
    yield disk
    disk.remove()


def test_the_disk_of_the_data_is_full(carbond_binary, small_disk, migrated, jwt_key_file):
    cluster = harness.Cluster(within=small_disk.within)
    try:
        database = migrated(cluster)
        database.query(f"create tablespace small location '{small_disk.directory}'")
        database.close()
        cluster.connect().cursor().execute(f"alter database {database.name} set tablespace small")
        with carbond(carbond_binary, database, jwt_key_file) as world, senders.Sending(world.server) as sending:
            tree = harness.Tree(world)
            for _ in range(2):
                small_disk.fill()
                sending.until_refused()
                tree.client.get(f"/projects/{tree.project['id']}/sums")
                assert "sqlstate=53100" in world.server.log()
                small_disk.free()
                sending.some_more()
    finally:
        cluster.remove()


def test_the_disk_of_the_log_is_full(carbond_binary, small_disk, jwt_key_file, migrated):
    """PostgreSQL stops: it cannot keep its promises. It is started again when there is room."""
    cluster = harness.Cluster(within=small_disk.within)
    try:
        database = migrated(cluster)
        cluster.stop()
        log = cluster.data / "pg_wal"
        subprocess.run([*small_disk.within, "cp", "-a", log, small_disk.directory], check=True)
        log.rename(cluster.data / "pg_wal.before")
        log.symlink_to(f"{small_disk.directory}/pg_wal")
        cluster.start()
        with carbond(carbond_binary, database, jwt_key_file) as world, senders.Sending(world.server) as sending:
            small_disk.fill()
            with contextlib.suppress(LOST):
                while True:
                    database.query("select pg_switch_wal()")
            sending.until_refused()
            with contextlib.suppress(AssertionError):  # it may have ended by itself
                cluster.kill()
            small_disk.free()
            cluster.start()
            sending.some_more()
            harness.until(lambda: ready(world))
    finally:
        cluster.remove()
