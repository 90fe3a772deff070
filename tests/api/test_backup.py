"""What docs/operations.md tells of backups, done: its commands are run as they stand there, and carbond answers on each
restored cluster what it answered on the original."""

import datetime
import itertools
import os
import random
import re
import subprocess
import uuid

import pytest

import harness

MANUAL = (harness.ROOT / "docs" / "operations.md").read_text()
PASSWORD = "a password of the backup"
RANGES = [("1900-01-01T00:00:00Z", "2100-01-01T00:00:00Z"), ("2026-07-15T12:34:56.789Z", "2026-09-30T23:59:59Z"),
          ("2026-08-01T00:00:00Z", "2026-08-01T00:30:00Z")]


def commands(heading):
    """The blocks of commands below a heading of the manual, each as one script."""
    section = re.search(rf"^###? {heading}\n(.*?)(?=^##|\Z)", MANUAL, re.MULTILINE | re.DOTALL)[1]
    return [re.sub(r"^\$ ", "", block, flags=re.MULTILINE)
            for block in re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)]


class Operator:
    """Who types the commands, as PostgreSQL's user."""

    def __init__(self, binary, backups):
        self.binary, self.backups = binary, backups

    def run(self, script, cluster, **variables):
        as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        path = os.pathsep.join([str(cluster.bin), str(self.binary.parent), os.environ["PATH"]])
        environment = harness.clean_environment(BACKUPS=str(self.backups), DATABASE_URL=cluster.url("carbond"), PATH=path,
                                                PGHOST=str(cluster.directory), PGUSER="carbond", **variables)
        done = subprocess.run([*as_owner, "bash", "-euxc", script], cwd="/", capture_output=True, text=True, timeout=120,
                              env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Original:
    """Several months of a tenant: emissions in and out of partitions, a project that was deleted, all kinds of secrets.
    The numbers are multiples of a power of two: their sums are exact in whatever order."""

    def __init__(self, server):
        self.world, self.random = harness.World(server), random.Random(5)
        world = self.world
        self.tree = tree = harness.Tree(world)
        self.admin = world.user(password=PASSWORD)
        tree.client.post(f"/organizations/{tree.organization['id']}/add-user", {"email": self.admin.email}, 200)
        self.team = world.team(tree.admin, tree.organization)
        self.token, self.user_token = world.project_token(tree.admin, tree.project), world.user_token(tree.admin)
        self.runs = [tree.run["id"], *(world.run(tree.admin, tree.experiment)["id"] for _ in range(3))]
        self.deleted = world.project(tree.admin, tree.organization)
        gone = world.run(tree.admin, world.experiment(tree.admin, self.deleted))["id"]
        months = [datetime.datetime(2026, month, 1, tzinfo=harness.UTC) for month in (6, 7, 8, 9, 10, 11)]
        stray = [datetime.datetime(year, 2, 3, 4, 5, tzinfo=harness.UTC) for year in (1971, 1999, 2044)]
        self.sent = [self.emission(run, month + datetime.timedelta(hours=self.random.uniform(0, 600)))
                     for run in [*self.runs, gone] for month in months for _ in range(40)]
        self.sent += [self.emission(run, moment) for run in self.runs for moment in stray]
        self.send(self.sent)
        tree.client.delete(f"/projects/{self.deleted['id']}")

    def emission(self, run, moment):
        def number():
            return self.random.choice([None, self.random.randrange(1 << 20) / (1 << 16)])

        return harness.emission_body(
            run, id=str(uuid.UUID(int=self.random.getrandbits(128), version=4)), timestamp=moment.isoformat(),
            duration=self.random.randrange(1, 1 << 16) / (1 << 8), emissions_sum=number(), emissions_rate=number(),
            cpu_power=number(), gpu_power=number(), ram_power=number(), cpu_energy=number(), gpu_energy=number(),
            ram_energy=number(), energy_consumed=number(), cpu_utilization_percent=None,
            ram_utilization_percent=3.25)

    def send(self, emissions):
        answer = self.tree.client.post("/emissions/batch", {"emissions": emissions}, 200).json()
        assert answer["accepted"] == len(emissions)

    def answers(self, client, routes):
        """Whatever can be asked for by GET, of everything there is, in several ranges of time."""
        ids = {"organization_id": [self.tree.organization["id"]], "team_id": [self.team["id"]],
               "project_id": [self.tree.project["id"], self.deleted["id"]], "experiment_id": [self.tree.experiment["id"]],
               "run_id": self.runs, "user_id": [self.admin.id], "emission_id": [self.sent[0]["id"], self.sent[-1]["id"]]}
        answers = {}
        for route in routes:
            names = re.findall(r"\{(\w+)\}", route["path"])
            for chosen in itertools.product(*(ids[name] for name in names)):
                path = route["path"].format(**dict(zip(names, chosen)))
                for query in self.queries(route["query"]):
                    response = client.request("GET", path, params=query)
                    answers[path, str(query)] = response.status_code, response.text
        return answers

    def queries(self, names):
        if "start_date" in names:
            return [{"start_date": start, "end_date": end} for start, end in RANGES]
        if "page" in names:
            return [{"page": page, "size": 100} for page in (1, 2, 3, 4)]
        if "organization" in names:
            return [{"organization": self.tree.organization["id"]}]
        return [None]

    def assert_goes_on(self, server):
        """Secrets are those of before, what was stored is known, what is new is stored."""
        run, project = self.runs[0], self.tree.project["id"]
        tracker = harness.Client(server, token=self.token["token"])
        user = harness.Client(server, bearer=self.user_token["token"])
        harness.Client(server).post("/authenticate", {"email": self.admin.email, "password": PASSWORD}, 200)
        count = user.get(f"/projects/{project}/sums", params=dict(zip(("start_date", "end_date"), RANGES[0]))).json()
        again = [body for body in self.sent if body["run_id"] == run]
        answer = tracker.post("/emissions/batch", {"emissions": [*again, self.emission(run, harness.now())]}, 200).json()
        assert (answer["accepted"], answer["duplicates"]) == (1, len(again))
        after = user.get(f"/projects/{project}/sums", params=dict(zip(("start_date", "end_date"), RANGES[0]))).json()
        assert after["emissions_count"] == count["emissions_count"] + 1


class RestoredTo(harness.Cluster):
    """A cluster whose data the operator brings."""

    def __init__(self, operator, original, script, moment):
        self.operator, self.original, self.script, self.moment = operator, original, script, moment
        super().__init__()

    def _fill(self):
        self.operator.run(self.script, self.original, NEW=str(self.data), MOMENT=self.moment)


@pytest.fixture
def clusters():
    """Makes clusters that are gone afterwards."""
    made = []

    def make(kind, *arguments):
        made.append(kind(*arguments))
        return made[-1]

    yield make
    for cluster in made:
        cluster.remove()


@pytest.fixture
def operator(carbond_binary, tmp_path_factory):
    with harness.tempfile.TemporaryDirectory(prefix="carbond-test-") as directory:
        if os.geteuid() == 0:
            harness.shutil.chown(directory, "postgres")
        yield Operator(carbond_binary, directory)


def archived(database):
    """Waits until all that was committed is in the archive."""
    segment = database.value("select pg_walfile_name(pg_switch_wal())")
    harness.until(lambda: database.value("select last_archived_wal >= %s from pg_stat_archiver", segment), 60)


def test_backup_and_restore(carbond_binary, clusters, operator, tables, jwt_key_file):
    # A deleted project's rows are to be there still, since statements may take that long (tests/api/conftest.py).
    options = ["--jwt-hs256-key-file", jwt_key_file, "--statement-timeout", "3600"]
    routes = [route for route in tables["routes"] if route["method"] == "GET" and "/auth/" not in route["path"]]
    dump, restore_dump = commands("A dump")
    archive, base_backup, restore_base = commands("A base backup and the log since")
    check, = commands("After a restore")

    cluster = clusters(harness.Cluster)
    cluster.connect().cursor().execute("create database carbond")
    database = harness.Database(cluster, "carbond")
    assert harness.command(carbond_binary, "migrate", "--database-url", database.url).returncode == 0
    operator.run(archive, cluster)
    cluster.restart()
    with harness.Server(carbond_binary, database, *options) as server:
        original = Original(server)
        operator.run(base_backup, cluster)
        since = [original.emission(run, harness.now()) for run in original.runs]
        original.send(since)
        original.sent += since
        operator.run(dump, cluster)
        expected = original.answers(original.tree.client, routes)
        contents, moment = database.contents(), str(database.value("select now()"))
        original.send([original.emission(run, harness.now()) for run in original.runs])  # too late for either
        archived(database)
    assert len(expected) > 60 and {status for status, _ in expected.values()} == {200, 404}
    database.close()

    from_dump = clusters(harness.Cluster)
    operator.run(restore_dump, from_dump)
    from_base = clusters(RestoredTo, operator, cluster, restore_base, moment)
    for restored in (from_dump, from_base):
        copy = harness.Database(restored, "carbond")
        harness.until(lambda: not copy.value("select pg_is_in_recovery()"), 60)
        assert ": 0 runs differ" in operator.run(check, restored)
        assert copy.contents() == contents
        with harness.Server(carbond_binary, copy, *options) as server:
            client = harness.Client(server, bearer=harness.make_jwt(original.tree.admin.id))
            assert original.answers(client, routes) == expected
            original.assert_goes_on(server)
        copy.close()
