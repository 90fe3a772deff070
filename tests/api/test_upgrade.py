"""Upgrades: from the schema of each earlier version with data in it; by a migration that fails, waits, or is cut off; and
servers that go on while a later release has migrated (bin/carbond_next, bin/carbond_contracted: tests/upgrade)."""

import datetime
import fractions
import hashlib
import math
import select
import socket
import subprocess
import threading
import uuid

import pytest

import harness
import rewriter
import tool

MIGRATIONS = sorted((harness.ROOT / "migrations").glob("*.sql"))
NEWEST = len(MIGRATIONS)
NEXT, CONTRACTED = (tool.BINARY.parent / f"carbond_{name}" for name in ("next", "contracted"))
# The schema and the bookkeeping as `carbond migrate` left them before it knew of oldest servers.
RECORDS = """create table if not exists schema_migrations (
                 version integer primary key, name text not null, checksum text not null,
                 applied_at timestamptz not null default now())"""


def text_of(version):
    return MIGRATIONS[version - 1].read_text()


@pytest.fixture
def database_at(cluster):
    """Makes a database whose schema is of an earlier version, without carbond."""
    made = []

    def make(version):
        database = harness.Database(cluster, cluster.createdb())
        made.append(database)
        database.query("set timezone = 'UTC'")
        database.query(RECORDS)
        for n in range(1, version + 1):
            database.query(text_of(n))
            database.query("insert into schema_migrations values (%s, %s, md5(%s))", n, MIGRATIONS[n - 1].stem, text_of(n))
        return database

    yield make
    for database in made:
        database.close()


@pytest.fixture
def migrate(carbond_binary):
    def migrate(database, *options, status=0, binary=carbond_binary):
        done = harness.command(binary, "migrate", "--database-url", database.url, *options)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout + done.stderr
    return migrate


# -- from each earlier version, with data -------------------------------------------------------------------------------

SUMS = {"emissions": "emissions_sum", "cpu_energy": "cpu_energy", "gpu_energy": "gpu_energy", "ram_energy": "ram_energy",
        "energy_consumed": "energy_consumed", "duration": "duration"}
MEANS = ("cpu_power", "gpu_power", "ram_power", "emissions_rate", "cpu_utilization_percent", "gpu_utilization_percent",
         "ram_utilization_percent")
BEGIN = datetime.datetime(2025, 10, 20, 7, 59, 59, 999999, tzinfo=harness.UTC)
# What a migration may fill.
REWRITTEN = ("schema_migrations", "run_sums", "emission_hours")
RANGES = [("2025-01-01T00:00:00Z", "2026-12-31T00:00:00Z"), ("2025-11-01T00:00:00Z", "2025-11-30T23:59:59.999999Z"),
          ("2025-10-25T03:14:15.926535Z", "2026-01-09T02:06:05.358979Z"), ("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z")]
TOKEN, USER_TOKEN, SESSION = "cpt_" + "t" * 43, "cut_" + "u" * 43, "ses_" + "s" * 43


def hashed(secret):
    return hashlib.sha256(secret.encode()).digest()


class Past:
    """What an organisation had stored by then, in the rows of its version. Known here, not asked of the database."""

    def __init__(self, database, version):
        self.database, self.version = database, version
        self.user, self.organization, self.team = self.id("u"), self.id("o"), self.id("t")
        self.projects, self.experiments, self.runs, self.emissions = [], {}, {}, []
        database.query("begin")
        self._tree()
        for number, run in enumerate(self.runs):
            self._emissions(run, number)
        database.query("commit")
        self._sums()

    def id(self, name):
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))

    def insert(self, table, **row):
        names = ", ".join(row)
        self.database.query(f"insert into {table} ({names}) values ({', '.join(['%s'] * len(row))})", *row.values())

    def _tree(self):
        self.insert("users", id=self.user, email="ada@example.org", name="Ada")
        self.insert("organizations", id=self.organization, name="Research", description="")
        self.insert("memberships", organization_id=self.organization, user_id=self.user, is_admin=True)
        self.insert("teams", id=self.team, organization_id=self.organization, name="Vision", description="")
        for p in range(3):
            project = self.id(f"p{p}")
            self.insert("projects", id=project, organization_id=self.organization, team_id=self.team if p else None,
                        name=f"Project {p}", description="", public=p == 1,
                        deleted_at=harness.now() if p == 2 else None)
            self.projects.append(project)
            for e in range(2):
                experiment = self.id(f"e{p}{e}")
                self.insert("experiments", id=experiment, project_id=project, name=f"Experiment {e}", description="")
                self.experiments[experiment] = project
                for r in range(2):
                    run = self.id(f"r{p}{e}{r}")
                    self.insert("runs", id=run, experiment_id=experiment, timestamp=BEGIN, os="Linux", cpu_count=2,
                                **({"emissions_dropped": 3} if self.version >= 6 else {}))
                    self.runs[run] = experiment
        expiry = harness.now() + datetime.timedelta(days=1)
        self.insert("project_tokens", project_id=self.projects[0], name="tracker", access=3, token_hash=hashed(TOKEN))
        self.insert("user_tokens", user_id=self.user, name="script", token_hash=hashed(USER_TOKEN), expires_at=expiry)
        self.insert("sessions", user_id=self.user, token_hash=hashed(SESSION), expires_at=expiry)
        if self.version >= 7:
            self.insert("audit_records", organization_id=self.organization, action="token_created", actor_id=self.user,
                        actor="ada@example.org")

    def _emissions(self, run, number):
        """In four months and more, on and beside the edges of hours; one run has none."""
        if number == 1:
            return
        for n in range(60):
            row = {"run_id": run, "timestamp": BEGIN + n * datetime.timedelta(hours=36, microseconds=1 + 7 * number),
                   "id": self.id(f"{run} {n}"), "duration": 15 + n / 3,
                   **{name: (n + 1) * 1.1e-6 * (number + k + 1) for k, name in enumerate(SUMS.values()) if name != "duration"},
                   **{name: n * 0.7 + k if n % (k + 2) else None for k, name in enumerate(MEANS)}}
            self.insert("emissions", **row)
            self.emissions.append(row)

    def _sums(self):
        """From version 3 on a server has kept them, from 4 on it has made partitions."""
        if self.version >= 3:
            self.database.query("select rebuild_sums(id) from runs")
        if self.version >= 4:
            self.database.query("select make_emission_partition('2025-12-01 00:00:00+00')")

    def report(self, wanted, start, stop):
        """By hand, of the runs that are wanted: (count, sums, means), in fractions."""
        first, last = map(datetime.datetime.fromisoformat, (start, stop))
        rows = [row for row in self.emissions if wanted(row["run_id"]) and first <= row["timestamp"] <= last]
        sums = {name: sum(fractions.Fraction(row[column]) for row in rows) for name, column in SUMS.items()}
        means = {}
        for name in MEANS:
            values = [fractions.Fraction(row[name]) for row in rows if row[name] is not None]
            means[name] = sum(values) / len(values) if values else None if "percent" in name else 0
        return len(rows), {**sums, **means}

    def assert_report(self, answer, wanted, range_):
        count, expected = self.report(wanted, *range_)
        assert answer["emissions_count"] == count
        for name, value in expected.items():
            if value is None:
                assert answer[name] is None, name
            else:
                assert math.isclose(answer[name], value, rel_tol=1e-12), (name, answer[name], float(value))

    def assert_reports(self, client):
        for range_ in RANGES:
            asked = {"params": dict(zip(("start_date", "end_date"), range_))}
            of_project = {p: (lambda run, p=p: self.experiments[self.runs[run]] == p) for p in self.projects[:2]}
            self.assert_report(client.get(f"/organizations/{self.organization}/sums", **asked).json(),
                               lambda run: self.experiments[self.runs[run]] in of_project, range_)
            for project, wanted in of_project.items():
                self.assert_report(client.get(f"/projects/{project}/sums", **asked).json(), wanted, range_)
                reports = client.get(f"/projects/{project}/experiments/sums", **asked).json()
                assert {r["experiment_id"] for r in reports} == {e for e, p in self.experiments.items() if p == project}
                for report in reports:
                    self.assert_report(report, lambda run, r=report: self.runs[run] == r["experiment_id"], range_)
                    runs = client.get(f"/experiments/{report['experiment_id']}/runs/sums", **asked).json()
                    for of_run in runs:
                        self.assert_report(of_run, lambda run, r=of_run: run == r["run_id"], range_)
                    assert sum(r["emissions_count"] for r in runs) == report["emissions_count"]

    def assert_pages(self, client):
        for run in (run for run, experiment in self.runs.items() if self.experiments[experiment] != self.projects[2]):
            page = client.get(f"/runs/{run}/emissions", params={"size": 10000}).json()
            stored = sorted((row for row in self.emissions if row["run_id"] == run), key=lambda row: row["timestamp"],
                            reverse=True)
            assert page["total"] == len(stored)
            assert [item["id"] for item in page["items"]] == [row["id"] for row in stored]
            assert [item["cpu_energy"] for item in page["items"]] == [row["cpu_energy"] for row in stored]


def verdict_on(client, emissions):
    answer = client.post("/emissions/batch", {"emissions": emissions}, 200).json()
    return answer["accepted"], answer["duplicates"]


def columns_of(database):
    """Of each table that is no partition."""
    return dict(database.query("""
        select c.relname, string_agg(quote_ident(a.attname), ', ' order by a.attnum)
          from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
         group by c.relname"""))


def rows_of(database, columns):
    return {table: database.query(f"select row({names})::text from {table} order by 1") for table, names in columns.items()}


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_upgrade_from(version, database_at, migrate, carbond_binary, jwt_key_file):
    database = database_at(version)
    past = Past(database, version)
    columns = {table: names for table, names in columns_of(database).items() if table not in REWRITTEN}
    stored = rows_of(database, columns)
    told = migrate(database)
    assert [line for line in told.splitlines() if line.startswith("applied")] == \
        [f"applied {path.stem}" for path in MIGRATIONS[version:]]
    assert rows_of(database, columns) == stored
    sums = harness.command(carbond_binary, "verify-sums", "--database-url", database.url)
    # A deleted project's are left alone, as they are about to go.
    live = [row for row in past.emissions if past.experiments[past.runs[row["run_id"]]] != past.projects[2]]
    assert sums.returncode == 0 and f"compared {len(live)} emissions of" in sums.stdout and ": 0 runs differ" in sums.stdout
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--statement-timeout",
                        "3600") as server:
        for credentials in ({"bearer": harness.make_jwt(past.user)}, {"bearer": USER_TOKEN}, {"cookie": SESSION}):
            assert harness.Client(server, **credentials).get("/auth/check").json()["user"]["id"] == past.user
        client = harness.Client(server, bearer=USER_TOKEN)
        past.assert_reports(client)
        past.assert_pages(client)
        tracker = harness.Client(server, token=TOKEN)
        run = next(iter(past.runs))
        again = {key: str(value) if key == "timestamp" else value for key, value in past.emissions[0].items()}
        assert verdict_on(tracker, [harness.emission_body(run, id=str(uuid.uuid4())), again]) == (1, 1)


def test_what_missed_its_partition_is_brought_there(database_at, migrate):
    """A session that had not noticed a new partition went on storing emissions of that month in the default one."""
    database = database_at(9)
    first, run, other = BEGIN.replace(day=1, hour=0, minute=0, second=0, microsecond=0), str(uuid.uuid4()), str(uuid.uuid4())
    elsewhere = first.replace(year=first.year - 1)
    for moment, identity in ((first, run), (BEGIN, run), (BEGIN, other), (elsewhere, run)):
        database.query("insert into emissions (run_id, timestamp, id, duration) values (%s, %s, %s, 1)", run, moment, identity)
    # PostgreSQL takes it for granted that the default partition holds nothing of the month.
    within = "timestamp is not null and timestamp >= '2025-10-01 00:00:00+00' and timestamp < '2025-11-01 00:00:00+00'"
    database.query(f"alter table emissions_default add constraint none check (not ({within})) not valid")
    database.query("update pg_constraint set convalidated = true where conname = 'none'")
    database.query("create table emissions_2025_10 (like emissions including all)")
    database.query("""alter table emissions attach partition emissions_2025_10
                      for values from ('2025-10-01 00:00:00+00') to ('2025-11-01 00:00:00+00')""")
    database.query("alter table emissions_default drop constraint none")
    # One of them has been sent again.
    database.query("insert into emissions (run_id, timestamp, id, duration) values (%s, %s, %s, 1)", run, BEGIN, run)
    assert database.value("select count(*) from emissions") == 5
    assert database.value("select count(*) from emissions where timestamp between %s and %s", first, BEGIN) == 1
    migrate(database)
    assert database.value("select count(*) from emissions where timestamp between %s and %s", first, BEGIN) == 3
    assert database.query("select timestamp from emissions_default") == [(elsewhere,)]


def test_who_missed_a_partition_finds_out(database_at, migrate):
    """A session goes on without the new partition until it is told that the table has changed: the migration does that."""
    database = database_at(9)
    by_name = "inhrelid = 'emissions_2025_10'::regclass"

    def stored(session):
        with session.cursor() as cursor:
            cursor.execute("""insert into emissions (run_id, timestamp, id, duration)
                              values (gen_random_uuid(), '2025-10-15 00:00:00+00', gen_random_uuid(), 1)
                              returning tableoid::regclass::text""")
            return cursor.fetchone()[0]

    database.query("select make_emission_partition('2025-10-01 00:00:00+00')")
    inherits, = database.query(f"delete from pg_inherits where {by_name} returning inhrelid, inhparent, inhseqno")
    session = database.cluster.connect(database.name)
    assert stored(session) == "emissions_default"
    database.query("insert into pg_inherits values (%s, %s, %s, false)", *inherits)
    assert stored(session) == "emissions_default"
    migrate(database)
    assert stored(session) == "emissions_2025_10"
    session.close()
    assert database.value("select count(*) from emissions where timestamp = '2025-10-15 00:00:00+00'") == 3


# -- a migration that cannot be applied ---------------------------------------------------------------------------------

def relations(database):
    return database.query("select relname from pg_class where relnamespace = 'public'::regnamespace order by 1")


def test_of_a_migration_that_fails_half_way_nothing_remains(database_at, migrate):
    database = database_at(6)
    # 0007_audit makes its table and one index before it comes to this name.
    database.query("create table audit_records_timestamp ()")
    before = relations(database)
    told = migrate(database, status=1)
    assert "0007_audit was not applied" in told and "audit_records_timestamp" in told
    assert relations(database) == before and database.value("select max(version) from schema_migrations") == 6
    database.query("drop table audit_records_timestamp")
    assert "applied 0007_audit" in migrate(database)


class Cutter(rewriter.Rewriter):
    """Cuts the connection instead of passing a statement on."""

    def __init__(self, cluster, database, statement):
        super().__init__(cluster, database)
        self.statement = statement

    def _rewritten(self, message):
        if self.statement in message.lower():
            raise ConnectionResetError
        return message


def test_a_session_that_is_lost_leaves_nothing(database_at, migrate):
    """After the last statement of a migration, before its record."""
    database = database_at(6)
    before = relations(database)
    with Cutter(database.cluster, database.name, b"insert into schema_migrations") as proxy:
        assert "0007_audit was not applied" in migrate(proxy, status=3)
    harness.until(lambda: relations(database) == before, 60)
    assert "applied 0007_audit" in migrate(database)


class CutterAfterBegin(rewriter.Rewriter):
    """Ends the first session that is in a transaction, with the answer that tells so; later sessions are let alone."""

    cut = False

    async def _to_server(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            if data.endswith(b"Z\0\0\0\5T") and not self.cut:
                self.cut = True
                writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
                return
            await writer.drain()


def test_a_transaction_does_not_go_on_in_another_session(database_at, migrate):
    """Where nothing would be locked, and a migration would be applied and recorded apart."""
    database = database_at(6)
    before = relations(database)
    with CutterAfterBegin(database.cluster, database.name) as proxy:
        assert "0007_audit was not applied" in migrate(proxy, status=3)
    assert relations(database) == before
    assert "applied 0007_audit" in migrate(database)


@pytest.mark.parametrize("version, change, state, problem", [
    (3, "update schema_migrations set checksum = 'x' where version = 3", "differs   0003", "another wording"),
    (5, "delete from schema_migrations where version = 2", "missing   0002", "is missing")])
def test_what_is_not_our_history_is_left_alone(database_at, migrate, version, change, state, problem):
    database = database_at(version)
    database.query(change)
    before = relations(database)
    assert problem in migrate(database, status=1) and problem in migrate(database, "--dry-run", status=1)
    told = migrate(database, "--status", status=1)
    assert state in told and problem in told
    assert relations(database) == before and database.value("select max(version) from schema_migrations") == version


# -- locks --------------------------------------------------------------------------------------------------------------

@pytest.fixture
def reader(database_at):
    """A database a version behind, and a transaction that has read runs and stays: it stands in the way of carbond_next."""
    database = database_at(NEWEST)
    connection = database.cluster.connect(database.name)
    connection.autocommit = False
    connection.cursor().execute("select from runs")
    yield database, connection
    connection.close()


def test_a_lock_that_is_not_to_be_had(reader, migrate):
    """Who holds it is not driven away, nothing of the migration remains, and the operator is told."""
    database, _ = reader
    told = migrate(database, "--lock-wait", "0", status=1, binary=NEXT)
    assert "_runs was not applied" in told and "--lock-wait" in told and "pg_stat_activity" in told
    assert database.value("""select count(*) from pg_attribute where attrelid = 'runs'::regclass
                                and attname like 'later%'""") == 0
    assert database.value("select name from schema_migrations order by version desc limit 1").endswith("_run_sums")


def test_a_migration_waits_for_a_lock_and_holds_nobody_up(reader, carbond_binary, jwt_key_file):
    """A long reader on a busy table: others go on meanwhile, though they need locks that the migration has asked for
    before them."""
    database, connection = reader
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file) as server:
        tree = harness.Tree(harness.World(server))
        process = subprocess.Popen([str(NEXT), "migrate", "--database-url", database.url], stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True, env=harness.clean_environment())
        assert "trying again" in process.stderr.readline()
        assert select.select([process.stdout], [], [], 0)[0], "what has been applied is told by then"
        for _ in range(5):
            tree.client.get(f"/runs/{tree.run['id']}")
            tree.world.emission(tree.admin, tree.run)
        assert process.poll() is None
        connection.rollback()
        assert "_runs_beside_their_tree" in process.communicate(timeout=harness.patience(60))[0] and process.returncode == 0
        assert tree.client.get(f"/runs/{tree.run['id']}/emissions").json()["total"] == 5


def test_a_migration_waits_for_a_lock_of_the_records(new_database):
    """The session in which a statement of ours was locked out is ended: the next try has one of its own."""
    database = new_database()
    other, locker = (database.cluster.connect(database.name) for _ in range(2))
    other.cursor().execute("select pg_advisory_lock(hashtext('carbond migrations'))")
    process = subprocess.Popen([str(NEXT), "migrate", "--database-url", database.url], stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, env=harness.clean_environment())
    try:
        # It has read the records by then, and tries for its turn.
        harness.until(lambda: database.value("select count(*) from pg_stat_activity "
                                             "where datname = current_database() and query = 'commit'"), 30)
        locker.autocommit = False
        locker.cursor().execute("lock table schema_migrations in access exclusive mode")
        other.close()
        harness.until(lambda: "trying again" in process.stderr.readline(), 30)
        locker.close()
        assert "_runs_beside_their_tree" in process.communicate(timeout=harness.patience(60))[0] and process.returncode == 0
    finally:
        process.kill()


def test_a_database_that_is_current_is_not_locked(new_database, migrate):
    """Whatever others do with the table of migrations: a dump reads it for hours, and what waits behind it are servers."""
    database = new_database()
    other = database.cluster.connect(database.name)
    other.autocommit = False
    other.cursor().execute("lock table schema_migrations in share row exclusive mode")
    assert "at version" in migrate(database)
    other.close()


# -- servers of one release, the schema of another ----------------------------------------------------------------------

class Tracker(threading.Thread):
    """Sends emissions until it is told to end; whatever is no 201 is a failure."""

    def __init__(self, tree):
        super().__init__(daemon=True)
        self.tree, self.over, self.sent, self.failures = tree, threading.Event(), 0, []
        self.client = harness.Client(tree.world.server, bearer=harness.make_jwt(tree.admin.id))
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                self.client.post("/emissions", harness.emission_body(self.tree.run["id"]))
                self.sent += 1
            except (AssertionError, harness.requests.RequestException) as failure:
                self.failures.append(failure)


def answers(tree, team, emission, routes):
    """Of each GET, as it stands in the table of routes."""
    ids = {"organization_id": tree.organization["id"], "team_id": team["id"], "project_id": tree.project["id"],
           "experiment_id": tree.experiment["id"], "run_id": tree.run["id"], "user_id": tree.admin.id,
           "emission_id": emission}
    return {route["path"]: tree.client.get(route["path"].format(**ids), params={
                name: tree.organization["id"] for name in route["query"] if name == "organization"}).json()
            for route in routes
            if route["method"] == "GET" and "/auth/" not in route["path"] and route["path"] != "/openapi.yaml"}


def write_everything(world):
    """Each kind of thing is made, changed, and some are removed."""
    tree = harness.Tree(world, public=True)
    world.team(tree.admin, tree.organization)
    member = world.member(tree.admin, tree.organization, is_admin=True)
    token = world.project_token(tree.admin, tree.project)
    tracker = world.client(token=token["token"])
    body = harness.emission_body(tree.run["id"], id=str(uuid.uuid4()), timestamp="2026-05-04T03:02:01Z")
    for accepted, duplicates in ((1, 0), (0, 1)):
        assert verdict_on(tracker, [body]) == (accepted, duplicates)
    world.user_token(tree.admin)
    tree.client.delete(f"/projects/{tree.project['id']}/api-tokens/{token['id']}")
    tree.client.delete(f"/organizations/{tree.organization['id']}/users/{member.id}")
    tree.client.delete(f"/projects/{tree.project['id']}")


def test_servers_live_through_the_next_release_and_not_the_one_after(carbond_binary, database_at, migrate, tables,
                                                                     jwt_key_file):
    database = database_at(NEWEST)
    options = ["--jwt-hs256-key-file", jwt_key_file, "--statement-timeout", "3600"]

    def start(binary):
        return harness.command(binary, "serve", "--database-url", database.url, "--listen", "127.0.0.1:0")

    refused = start(NEXT)
    assert refused.returncode == 1 and "too old: run carbond migrate" in refused.stderr
    with harness.Server(carbond_binary, database, *options) as server:
        world = harness.World(server)
        tree = harness.Tree(world)
        team, emission = world.team(tree.admin, tree.organization), world.emission(tree.admin, tree.run)
        write_everything(world)  # so that each statement is prepared in some session
        before = answers(tree, team, emission, tables["routes"])
        busy = Tracker(harness.Tree(world))
        harness.until(lambda: busy.sent > 5, 60)
        assert "_runs_beside_their_tree" in migrate(database, binary=NEXT)
        sent = busy.sent
        harness.until(lambda: busy.sent > sent + 5, 60)
        for _ in range(4):  # by each worker, with what it had prepared
            assert answers(tree, team, emission, tables["routes"]) == before
        write_everything(world)
        busy.over.set()
        busy.join()
        assert not busy.failures and busy.client.get(f"/runs/{busy.tree.run['id']}/emissions").json()["total"] == busy.sent

        # One that starts anew, and an entry point that migrates first; and the server of the next release beside them.
        assert "newer than this binary, which works on it" in migrate(database)
        migrate(database, "--status")
        with harness.Server(carbond_binary, database, *options) as again, harness.Server(NEXT, database, *options) as later:
            write_everything(harness.World(again))
            write_everything(harness.World(later))
            assert ": 0 runs differ" in harness.command(carbond_binary, "verify-sums", "--database-url", database.url).stdout
            assert "_contract" in migrate(database, binary=CONTRACTED)
            assert "too new" in world.nobody.get("/readyz", 503).json()["detail"]
            harness.Client(later).get("/readyz")
    refused = start(carbond_binary)
    assert refused.returncode == 1 and "too new: run a newer carbond" in refused.stderr
    assert "no longer works on it" in migrate(database, status=1)
    assert "no longer works on it" in migrate(database, "--status", status=1)
