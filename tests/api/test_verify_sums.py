"""carbond verify-sums: finds every sum that differs from the emissions, mends it, and takes nothing else for wrong."""

import datetime
import re
import sys
import threading
import time
import uuid

import pytest

import harness
import senders
import statements

sys.path.append(str(harness.ROOT / "tests" / "bench"))
import data  # noqa: E402

HOUR = datetime.timedelta(hours=1)
START = datetime.datetime(2026, 10, 1, tzinfo=harness.UTC)
SUMS = ["emissions_sum", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "duration"]
MEANS = ["cpu_power", "gpu_power", "ram_power", "emissions_rate", "cpu_utilization_percent", "gpu_utilization_percent",
         "ram_utilization_percent"]
COUNTS = ["emissions_count", *(name + "_count" for name in MEANS)]
LINE = re.compile(r"run (\S+): (?:(totals|emissions|hour \S+ \S+): (.*)|(sums made anew)|not repaired: its totals count more .*)")
SUMMARY = re.compile(r"compared (\d+) emissions of (\d+) runs: (\d+) runs differ, (\d+) of them repaired")
NO_RUN = "11111111-1111-4111-8111-111111111111"
LEAST = "00000000-0000-0000-0000-000000000000"


class Verified:
    """What one call of the command told."""

    def __init__(self, binary, database, *options):
        done = harness.command(binary, "verify-sums", "--database-url", database.url, *options)
        *lines, last = done.stdout.splitlines()
        self.found, self.rebuilt, self.unclear = {}, set(), set()
        for run, what, how, rebuilt in (LINE.fullmatch(line).groups() for line in lines):
            if what:
                assert (run, what) not in self.found
                self.found[run, what] = how
            else:
                (self.rebuilt if rebuilt else self.unclear).add(run)
        self.emissions, self.runs, self.differing, self.repaired = map(int, SUMMARY.fullmatch(last).groups())
        assert self.differing == len({run for run, _ in self.found})
        assert done.returncode == (1 if self.differing > self.repaired else 0)
        assert done.stderr == ""


class Stored:
    """More runs than a chunk takes, each with emissions in three hours, and the command on them."""

    def __init__(self, binary, database):
        self.binary, self.database = binary, database
        organization = database.value("insert into organizations (name, description) values ('', '') returning id::text")
        self.runs = data.load(database, organization, projects=2, experiments=4, runs=230, emissions=9, start=START,
                              period=500 * HOUR, step=20 * HOUR / 60)
        self.run = self.runs[100]
        self.hours = [hour for hour, in database.query(
            "select 'hour ' || hour from emission_hours where run_id = %s order by 1", self.run)]

    def verify(self, *options):
        return Verified(self.binary, self.database, *options)

    def assert_mended(self, *wrong):
        """Exactly these (run, what) are found, one repair mends them, and nothing is found afterwards."""
        before = self.verify()
        assert set(before.found) == set(wrong)
        repair = self.verify("--repair")
        assert repair.found == before.found
        assert repair.rebuilt == {run for run, _ in wrong} and repair.repaired == len(repair.rebuilt)
        after = self.verify()
        assert after.found == {} and (after.emissions, after.runs) == (before.emissions, before.runs)
        return before.found


@pytest.fixture(scope="module")
def stored(carbond_binary, new_database):
    return Stored(carbond_binary, new_database())


def test_all_is_well(stored):
    verified = stored.verify("--repair")
    assert (verified.found, verified.rebuilt) == ({}, set())
    assert (verified.emissions, verified.runs) == (230 * 9, 230)


# Of a run's hours, the first.
ONE_ROW = {"run_sums": "run_id = %s",
           "emission_hours": "(run_id, hour) in (select run_id, min(hour) from emission_hours where run_id = %s group by 1)"}


@pytest.mark.parametrize("table", ONE_ROW)
def test_every_column_is_compared(stored, table):
    wrong = {}
    changes = [*((name, name + " + 1") for name in SUMS + MEANS + COUNTS),
               *((name, name + " - interval '1 microsecond'") for name in ("first_timestamp", "last_timestamp"))]
    for (name, value), run in zip(changes, stored.runs):
        if table == "run_sums" or not name.endswith("_timestamp"):
            what, = stored.database.query(f"update {table} set {name} = {value} where {ONE_ROW[table]} returning "
                                          + ("'totals'" if table == "run_sums" else "'hour ' || hour"), run)[0]
            wrong[run, what] = name
    found = stored.assert_mended(*wrong)
    for place, name in wrong.items():
        assert re.fullmatch(rf"{name} is [^,]+, should be [^,]+", found[place])


def test_every_run_is_compared(stored):
    stored.database.query("update run_sums set duration = 0")
    stored.assert_mended(*((run, "totals") for run in stored.runs))


@pytest.mark.parametrize("value, wrong", [
    ("cpu_power * (1 + 1e-8)", True), ("cpu_power * (1 - 1e-8)", True), ("cpu_power * (1 + 1e-11)", False), ("0", True),
    ("-cpu_power", True), ("1e-300", True), ("'NaN'", True), ("'Infinity'", True)])
def test_how_much_a_sum_may_differ(stored, value, wrong):
    """By what comes of adding up in another order, and no more."""
    for table, condition in ONE_ROW.items():
        stored.database.query(f"update {table} set cpu_power = {value} where {condition}", stored.run)
    stored.assert_mended(*[(stored.run, "totals"), (stored.run, stored.hours[0])] if wrong else [])


@pytest.mark.parametrize("sql, wrong", [
    ("delete from run_sums where run_id = %s", ["totals"]),
    ("delete from emission_hours where run_id = %s", ["hours"]),
    ("with h as (delete from emission_hours where run_id = %s returning run_id) delete from run_sums where run_id in "
     "(select run_id from h)", ["totals", "hours"])])
def test_missing_sums(stored, sql, wrong):
    stored.database.query(sql, stored.run)
    places = [what for kind in wrong for what in (stored.hours if kind == "hours" else [kind])]
    found = stored.assert_mended(*((stored.run, what) for what in places))
    assert set(found.values()) == {"missing"}


def test_superfluous_sums(stored):
    """Of an hour without emissions, of a run without any, of a run that is not there."""
    empty = stored.database.value("""insert into runs (id, experiment_id, timestamp)
                                     select gen_random_uuid(), id, now() from experiments limit 1 returning id::text""")
    for target, moved in ((stored.run, "interval '30 minutes'"), (empty, "interval '0'"), (NO_RUN, "interval '0'")):
        stored.database.query(f"""create temporary table copied as
            select * from emission_hours where run_id = %s order by hour limit 1;
            update copied set run_id = %s, hour = hour + {moved};
            insert into emission_hours select * from copied;
            drop table copied""", stored.run, target)
    for target in (empty, NO_RUN):
        stored.database.query("""create temporary table copied as select * from run_sums where run_id = %s;
            update copied set run_id = %s;
            insert into run_sums select * from copied;
            drop table copied""", stored.run, target)
    half_past = stored.hours[0].replace(":00:00", ":30:00")
    found = stored.assert_mended((stored.run, half_past), (empty, "totals"), (empty, stored.hours[0]), (NO_RUN, "totals"),
                                 (NO_RUN, stored.hours[0]))
    assert set(found.values()) == {"should not be there"}


def test_emissions_that_went_past_the_sums(stored):
    """The emissions are right, whatever they are: the sums follow."""
    database = stored.database
    database.query("""update emissions set duration = duration + 1 where (run_id, timestamp) in
                      (select run_id, max(timestamp) from emissions where run_id = %s group by 1)""", stored.run)
    stored.assert_mended((stored.run, "totals"), (stored.run, stored.hours[-1]))
    run, identity = stored.runs[7], str(uuid.uuid4())
    database.query("insert into emissions (run_id, timestamp, id, duration) values (%s, %s, %s, 1)",
                   run, "1900-01-01 00:30:00+00", identity)
    found = stored.assert_mended((run, "totals"), (run, "hour 1900-01-01 00:00:00+00"))
    assert "emissions_count is 9, should be 10" in found[run, "totals"]
    database.query("delete from emissions where run_id = %s and id = %s", run, identity)
    assert set(stored.verify("--repair").found.values()) >= {"should not be there"}
    assert stored.verify().found == {}


def test_emissions_without_a_run(carbond_binary, new_database):
    """Their sums go; they themselves are for somebody to look at."""
    stored = Stored(carbond_binary, new_database())
    stored.database.query("delete from runs where id = %s", stored.run)
    repair = stored.verify("--repair")
    assert repair.found == {(stored.run, "emissions"): "of a run that is not there",
                            **{(stored.run, what): "should not be there" for what in ("totals", *stored.hours)}}
    assert (repair.differing, repair.repaired) == (1, 0)
    assert set(stored.verify().found) == {(stored.run, "emissions")}
    stored.database.query("delete from emissions where run_id = %s", stored.run)
    assert stored.verify().found == {}


def test_a_deleted_project_is_left_alone(carbond_binary, new_database):
    stored = Stored(carbond_binary, new_database())
    stored.database.query("update projects set deleted_at = now() where id = (select min(id::text)::uuid from projects)")
    stored.database.query("""delete from emissions m using runs r, experiments e, projects p
                              where r.id = m.run_id and e.id = r.experiment_id and p.id = e.project_id
                                and p.deleted_at is not null and m.timestamp > r.timestamp""")
    verified = stored.verify()
    assert (verified.found, verified.runs) == ({}, 115)


def test_a_run_with_the_least_id(stored):
    """A client may choose it, and no chunk may begin behind it."""
    stored.database.query("insert into runs (id, experiment_id, timestamp) select %s, id, now() from experiments limit 1",
                          LEAST)
    stored.database.query("insert into emissions (run_id, timestamp, id, duration) values (%s, now(), %s, 1)", LEAST, LEAST)
    assert {run for run, _ in stored.verify("--repair").found} == {LEAST}
    assert stored.verify().found == {}
    for table, column in (("emissions", "run_id"), ("emission_hours", "run_id"), ("run_sums", "run_id"), ("runs", "id")):
        stored.database.query(f"delete from {table} where {column} = %s", LEAST)


MANY_ROWS = {
    "emissions": """insert into emissions (run_id, timestamp, id, duration)
                    select run::uuid, timestamptz '2026-01-01' + n * interval '1 s', gen_random_uuid(), 1""",
    "emission_hours": "insert into emission_hours select run::uuid, timestamptz '2020-01-01' + n * interval '1 hour', "
                      + ", ".join("1" for _ in [*SUMS, *MEANS, *COUNTS])}


@pytest.mark.parametrize("table", MANY_ROWS)
def test_a_chunk_ends_where_a_hundred_thousand_are_reached(new_database, table):
    """Whatever it is full of: here of what belongs to no run."""
    database = new_database()
    runs = sorted(str(uuid.uuid4()) for _ in range(4))
    database.query(f"{MANY_ROWS[table]} from unnest(%s) run, generate_series(1, 40000) n", runs)
    text, names = statements.compiled("sums_verify")
    database.query(f"prepare compare as {text}")
    chunks, after = [], None
    while not chunks or chunks[-1]:
        values = {"runs": 100, "after": after}
        rows = database.query("execute compare (%s, %s)", *(values[name] for name in names))
        chunks.append(sorted({run for run, *_ in rows}))
        after = max(chunks[-1], default=None)
    assert chunks == [[LEAST, *runs[:3]], runs[3:], []]


def test_the_migration_fills_the_tables(carbond_binary, new_database):
    stored = Stored(carbond_binary, new_database())
    sums = "select to_jsonb(s) from run_sums s order by run_id", "select to_jsonb(h) from emission_hours h order by run_id, hour"
    before = [stored.database.query(query) for query in sums]
    stored.database.query("drop table run_sums, emission_hours cascade; drop view raw_hours; "
                          "drop function hour_of, same_sum, rebuild_sums, mean_of")
    stored.database.query((harness.ROOT / "migrations" / "0003_sums.sql").read_text())
    assert [stored.database.query(query) for query in sums] == before
    assert stored.verify().found == {}


def test_an_empty_database(carbond_binary, new_database):
    verified = Verified(carbond_binary, new_database())
    assert (verified.found, verified.emissions, verified.runs) == ({}, 0, 0)


def test_a_database_that_is_away(carbond_binary, cluster):
    done = harness.command(carbond_binary, "verify-sums", "--database-url", cluster.url("no_such_database"))
    assert done.returncode == 3 and done.stderr and not done.stdout


# -- while servers write ----------------------------------------------------------------------------------------------

class Batches(senders.Writers):
    """Batches to the same runs, as fast as they can be sent, in different orders."""

    def __init__(self, tree, runs):
        super().__init__(3)
        self.tree, self.runs, self.sent = tree, runs, 0

    def write(self, number):
        client, runs = self.tree.world.client(bearer=harness.make_jwt(self.tree.admin.id)), self.runs[:: 1 if number % 2 else -1]
        while not self.end.is_set():
            batch = [harness.emission_body(run["id"], id=str(uuid.uuid4()), timestamp=(START + i * HOUR / 7).isoformat())
                     for i in range(20) for run in runs]
            answer = client.post("/emissions/batch", {"emissions": batch}, 200).json()
            assert answer["accepted"] == len(batch)
            self.sent += len(batch)


@pytest.fixture(scope="module")
def busy(carbond_binary, new_database, jwt_key_file):
    database = new_database()
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file) as server:
        tree = harness.Tree(harness.World(server))
        yield tree, [tree.run, *(tree.world.run(tree.admin, tree.experiment) for _ in "abc")]


def test_nothing_is_found_while_servers_write(carbond_binary, busy):
    tree, runs = busy
    with Batches(tree, runs) as writers:
        for _ in range(30):
            assert Verified(carbond_binary, tree.world.database).found == {}
    assert Verified(carbond_binary, tree.world.database).emissions == writers.sent > 0


def test_repair_while_servers_write(carbond_binary, busy):
    """What is being stored while sums are made anew is counted once."""
    tree, runs = busy
    database = tree.world.database
    with Batches(tree, runs):
        for _ in range(8):
            for run in runs:
                database.query("update run_sums set emissions_sum = emissions_sum * 2, emissions_count = emissions_count + 7 "
                               "where run_id = %s", run["id"])
                database.query("delete from emission_hours where run_id = %s and hour = %s", run["id"], START)
            verified = Verified(carbond_binary, database, "--repair")
            assert verified.rebuilt == {run["id"] for run in runs}
            assert Verified(carbond_binary, database).found == {}
    assert Verified(carbond_binary, database).found == {}


def test_repair_waits_for_its_lock(carbond_binary, busy):
    tree, _ = busy
    database = tree.world.database
    tree.world.emission(tree.admin, tree.run)
    database.query("update run_sums set duration = 0 where run_id = %s", tree.run["id"])
    writer = database.cluster.connect(database.name)
    writer.autocommit = False
    writer.cursor().execute("lock table run_sums in row exclusive mode")
    threading.Timer(1.5, writer.rollback).start()
    began = time.monotonic()
    assert Verified(carbond_binary, database, "--repair").repaired == 1
    assert time.monotonic() - began > 1
    writer.close()
    assert Verified(carbond_binary, database).found == {}
