"""Reports and the tables that they are made of are what plain SQL makes of the raw rows, whatever was sent, in whatever
order, through two servers at once. SUMS_SEED repeats a run that failed."""

import concurrent.futures
import datetime
import itertools
import json
import os
import random
import uuid

import pytest

import harness
import plain_sql
import senders

SEED = int(os.environ.get("SUMS_SEED", random.SystemRandom().randrange(1 << 32)))
WRITERS = 6
HOUR = datetime.timedelta(hours=1)
LONG_AGO = datetime.timedelta(days=10)
STEP = datetime.timedelta(microseconds=1)


@pytest.fixture(scope="module")
def own_cluster():
    """Whose log is about these servers alone."""
    cluster = harness.Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="module")
def servers(own_cluster, carbond_binary, jwt_key_file):
    database = harness.Database(own_cluster, own_cluster.createdb())
    assert harness.command(carbond_binary, "migrate", "--database-url", database.url).returncode == 0
    options = ("--jwt-hs256-key-file", jwt_key_file, "--statement-timeout", "3")
    with harness.Server(carbond_binary, database, *options) as first, \
            harness.Server(carbond_binary, database, *options) as second:
        yield first, second
    database.close()
    assert "deadlock detected" not in (own_cluster.data / "server.log").read_text()


class Forest:
    """Two organisations with two projects each, with two experiments each, with three runs each."""

    def __init__(self, server):
        world = harness.World(server)
        self.admin = world.user()
        self.organizations = [world.organization(self.admin) for _ in range(2)]
        self.projects = [world.project(self.admin, parent) for parent in self.organizations for _ in range(2)]
        self.experiments = [world.experiment(self.admin, parent) for parent in self.projects for _ in range(2)]
        self.runs = [world.run(self.admin, parent) for parent in self.experiments for _ in range(3)]
        self.run_ids = [run["id"] for run in self.runs]
        self.headers = {"Authorization": self.admin.client.session.headers["Authorization"]}


@pytest.fixture
def forest(servers):
    return Forest(servers[0])


def random_time(source, start):
    """Around the edges of hours, late, and still to come; never near the edges of the default range."""
    return source.choice([
        lambda: start + source.randrange(-48, 48) * HOUR,
        lambda: start + source.randrange(-48, 48) * HOUR - STEP,
        lambda: start + source.randrange(-48, 48) * HOUR + STEP,
        lambda: start + datetime.timedelta(seconds=source.uniform(-2e5, 2e5)),
        lambda: start + datetime.timedelta(days=source.choice((-1, 1)) * source.randrange(200, 4000)),
        lambda: source.choice([datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, harness.UTC),
                               datetime.datetime(1, 1, 2, tzinfo=harness.UTC),
                               datetime.datetime(9999, 12, 30, tzinfo=harness.UTC)]),
    ])()


def random_number(source):
    return source.choice([None, 0, source.uniform(0, 1e-9), source.uniform(0, 1), source.uniform(0, 1e6)])


def random_emission(source, runs, start):
    numbers = {name: random_number(source) for name in (
        "emissions_sum", "emissions_rate", "cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy",
        "ram_energy", "energy_consumed")}
    percents = {name: source.choice([None, 0, 100, source.uniform(0, 100)]) for name in plain_sql.UTILIZATIONS}
    return {"id": str(uuid.UUID(int=source.getrandbits(128), version=4)), "run_id": source.choice(runs),
            "timestamp": random_time(source, start).isoformat(), "duration": source.uniform(1e-6, 1e4),
            **numbers, **percents, "wue": source.uniform(0, 5)}


def random_batches(source, emissions):
    """Each emission in several batches, and in some of them twice."""
    sent = emissions * 3
    source.shuffle(sent)
    while sent:
        size = source.choice([1, 1, 2, 10, 150])
        batch, sent = sent[:size], sent[size:]
        yield batch + source.sample(batch, source.randrange(len(batch)) if len(batch) > 2 else 0)


def send_all(server, headers, batches, source):
    """Returns how many were accepted in batches."""
    connection = senders.Connection(server, headers)
    accepted = 0
    for batch in batches:
        if len(batch) == 1 and source.random() < 0.5:
            status, text, _ = connection.single(batch[0])
            assert status == 201 and json.loads(text) == batch[0]["id"]
            continue
        status, text, _ = connection.batch(batch, source.choice([senders.JSON, senders.NDJSON]), source.random() < 0.3)
        answer = json.loads(text)
        assert status == 200 and not answer["rejected"], (status, text)
        assert answer["accepted"] + answer["duplicates"] == len(batch)
        accepted += answer["accepted"]
    connection.close()
    return accepted


def send_by_many(servers, headers, lists):
    """Each list by one writer, through the servers in turn."""
    sources = [random.Random(f"{SEED} {number}") for number in range(len(lists))]
    with concurrent.futures.ThreadPoolExecutor(len(lists)) as pool:
        return sum(pool.map(send_all, itertools.cycle(servers), [headers] * len(lists), lists, sources))


def ranges(source, start):
    """The default one, all of time, and some whose edges cut hours and runs."""
    yield {}
    yield {"start_date": "0001-01-01T00:00:00Z", "end_date": "9999-12-31T23:59:59.999999Z"}
    for _ in range(6):
        first, last = sorted(random_time(source, start) for _ in range(2))
        yield {"start_date": first.isoformat(), "end_date": last.isoformat()}
    # An hour, to the microsecond; and one moment.
    hour = start.replace(minute=0, second=0, microsecond=0)
    yield {"start_date": hour.isoformat(), "end_date": (hour + HOUR - STEP).isoformat()}
    yield {"start_date": hour.isoformat(), "end_date": hour.isoformat()}


def bounds(parameters):
    """The default is that of the contract: three months ago to tomorrow; nothing is close to its edges here."""
    now = harness.now()
    return (parameters.get("start_date") or now - datetime.timedelta(days=91),
            parameters.get("end_date") or now + datetime.timedelta(days=1))


def assert_reports(servers, forest, parameters):
    database = servers[0].database
    clients = itertools.cycle([harness.Client(server, bearer=harness.make_jwt(forest.admin.id)) for server in servers])
    start, end = bounds(parameters)

    def expected(condition, identity):
        return plain_sql.report(database, condition, identity, start, end)

    def ask(path):
        return next(clients).get(path, params=parameters).json()

    for organization in forest.organizations:
        plain_sql.assert_report(ask(f"/organizations/{organization['id']}/sums"), expected("o.id", organization["id"]))
    for project in forest.projects:
        plain_sql.assert_report(ask(f"/projects/{project['id']}/sums"), expected("p.id", project["id"]))
        listed = ask(f"/projects/{project['id']}/experiments/sums")
        assert [entry["experiment_id"] for entry in listed] == \
            [e["id"] for e in forest.experiments if e["project_id"] == project["id"]]
        for entry in listed:
            plain_sql.assert_report(entry, expected("e.id", entry["experiment_id"]))
    for experiment in forest.experiments:
        reports = {run["id"]: expected("r.id", run["id"]) for run in forest.runs
                   if run["experiment_id"] == experiment["id"]}
        listed = ask(f"/experiments/{experiment['id']}/runs/sums")
        assert {entry["run_id"] for entry in listed} == \
            {run for run, report in reports.items() if report["emissions_count"]}
        for entry in listed:
            plain_sql.assert_report(entry, reports[entry["run_id"]])


def test_random_emissions_through_two_servers(servers, forest):
    print(f"SUMS_SEED={SEED}")
    source, database = random.Random(SEED), servers[0].database
    start = harness.now() - LONG_AGO
    emissions = [random_emission(source, forest.run_ids, start) for _ in range(1500)]
    # Some of the same id, at other times and in other runs: others.
    emissions += [{**emission, "timestamp": random_time(source, start).isoformat(),
                   "run_id": source.choice(forest.run_ids)} for emission in source.sample(emissions, 100)]
    keys = {(e["run_id"], datetime.datetime.fromisoformat(e["timestamp"]), e["id"]) for e in emissions}
    before = database.value("select count(*) from emissions")
    accepted = send_by_many(servers, forest.headers, [list(random_batches(source, emissions)) for _ in range(WRITERS)])
    assert database.value("select count(*) from emissions") - before == len(keys)
    assert accepted <= len(keys)
    plain_sql.assert_tables_match(database)
    for parameters in ranges(source, start):
        assert_reports(servers, forest, parameters)


def test_the_same_runs_in_opposite_order(servers, forest):
    """What deadlocks unless both servers take rows in one order: nothing may show, neither to clients nor in the log."""
    source, database = random.Random(SEED), servers[0].database
    start = harness.now() - LONG_AGO
    emissions = [random_emission(source, forest.run_ids, start) for _ in range(8000)]
    batches = [emissions[i:i + 100] for i in range(0, len(emissions), 100)]
    backwards = [batch[::-1] for batch in batches]
    accepted = send_by_many(servers, forest.headers, [batches, backwards, batches, backwards])
    assert accepted == len({(e["run_id"], e["timestamp"], e["id"]) for e in emissions})
    plain_sql.assert_tables_match(database)
    assert_reports(servers, forest, {})
    assert "deadlock detected" not in (database.cluster.data / "server.log").read_text()


def test_a_project_that_is_deleted_under_load(servers, forest):
    """Its emissions are refused from then on, its neighbours' go on, and its rows leave the tables of sums, too."""
    source, database = random.Random(SEED), servers[0].database
    gone = {run["id"] for run in forest.runs
            if run["experiment_id"] in [e["id"] for e in forest.experiments if e["project_id"] == forest.projects[0]["id"]]}
    start = harness.now() - LONG_AGO
    account = senders.Account()

    def write(server, seed):
        writer = random.Random(seed)
        connection = senders.Connection(server, forest.headers)
        rejected = 0
        while not rejected:
            bodies = [random_emission(writer, forest.run_ids, start) for _ in range(60)]
            status, text, _ = connection.batch(bodies)
            assert status == 200, (status, text)
            answer = json.loads(text)
            rejected = len(answer["rejected"])
            refused = {entry["index"] for entry in answer["rejected"]}
            assert {entry["status"] for entry in answer["rejected"]} <= {404}
            # All of the project or none.
            assert refused in (set(), {i for i, body in enumerate(bodies) if body["run_id"] in gone})
            account.acknowledge(body for i, body in enumerate(bodies)
                                if i not in refused and body["run_id"] not in gone)
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(write, servers[i % 2], source.random()) for i in range(WRITERS)]
        harness.until(lambda: len(account.acknowledged) > 500, 30)
        forest.admin.client.delete(f"/projects/{forest.projects[0]['id']}")
        for future in writing:
            future.result()
    account.assert_stored(database)
    for table in ("emissions", "run_sums", "emission_hours"):
        harness.until(lambda: not database.value(f"select count(*) from {table} where run_id = any(%s::uuid[])", list(gone)),
                      60, f"the removal of {table}")
    plain_sql.assert_tables_match(database)
    deleted = forest.projects.pop(0)
    forest.experiments = [e for e in forest.experiments if e["project_id"] != deleted["id"]]
    forest.runs = [run for run in forest.runs if run["id"] not in gone]
    assert_reports(servers, forest, {"start_date": "0001-01-01T00:00:00Z", "end_date": "9999-12-31T00:00:00Z"})
