"""carbond retention: old emissions go, their sums stay, and nothing is counted twice, whoever writes meanwhile."""

import concurrent.futures
import datetime
import json
import os
import random
import re
import signal
import subprocess
import threading
import uuid

import psycopg2.errors
import pytest

import harness
import plain_sql
import senders
import tool
from test_backup import commands
from test_partitions import (SlowReader, expected, longest_wait, month, nobody_waits, partition, partitions, waiting,
                             within_a_month)  # noqa: F401
from test_verify_sums import Verified

KEPT = None  # of --keep 24months, from then on: see from_when
OLDEST = -27  # the first month that has a partition
MICROSECOND, MINUTE = datetime.timedelta(microseconds=1), datetime.timedelta(minutes=1)
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
FAULT = {"loc": ["body", "timestamp"], "type": "timestamp_too_old",
         "msg": "Emissions of that time have been dropped, and no more of them are taken"}
SUMMARY = re.compile(r"emissions are kept from (\S+) on: (\d+) partitions dropped, and (\d+) emissions that were in none\n")
ALL_OF_TIME = {"start_date": "0001-01-01T00:00:00Z", "end_date": "9999-12-31T23:59:59.999999Z"}
SUMS = ("select to_jsonb(s) from run_sums s order by run_id", "select to_jsonb(h) from emission_hours h order by run_id, hour")


@pytest.fixture(scope="module", autouse=True)
def from_when(within_a_month):  # noqa: F811
    """When the tests were collected, it may have been another month."""
    global KEPT
    KEPT = month(-24)


class Retention:
    """What one call of the command told."""

    def __init__(self, binary, database, keep="24months", *options):
        done = harness.command(binary, "retention", "--database-url", database.url, "--keep", keep, *options)
        assert done.returncode == 0, done.stderr
        # On a busy machine it may take so long that it says how far it is.
        assert all(line.startswith("carbond: looked through ") for line in done.stderr.splitlines()), done.stderr
        self.lines = done.stdout.splitlines()
        if "--dry-run" not in options:
            self.kept_from, *counts = SUMMARY.search(done.stdout).groups()
            self.partitions, self.strays = map(int, counts)


class Kept:
    """A tenant on a database that has no emissions yet, but partitions of three months before the watermark; and what tests
    ask of it."""

    def __init__(self, server):
        self.binary, self.database = server.binary, server.database
        harness.until(lambda: self._is_reset(), 60, "an empty database")
        self.tree = harness.Tree(harness.World(server))
        self.client, self.run = self.tree.client, self.tree.run["id"]
        self.token = self.tree.world.project_token(self.tree.admin, self.tree.project)["token"]

    def _is_reset(self):
        """The server's upkeep may be in the way, or wait for what this waits for."""
        try:
            self.database.query("truncate emissions, run_sums, emission_hours, audit_records")
            self.database.query("update retention set kept_from = '-infinity'")
            there = partitions(self.database)
            for moment in map(month, range(OLDEST, -21)):
                if partition(moment) not in there:
                    self.database.query("select make_emission_partition(%s)", moment)
            return True
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
            return False

    def body(self, moment, **changes):
        return harness.emission_body(changes.pop("run", self.run), id=str(uuid.uuid4()), timestamp=moment.isoformat(), **changes)

    def store(self, *moments, **changes):
        """Returns what was sent."""
        bodies = [self.body(moment, **changes) for moment in moments]
        assert self.batch(bodies)["accepted"] == len(bodies)
        return bodies

    def batch(self, bodies):
        return self.client.post("/emissions/batch", {"emissions": bodies}, 200).json()

    def retention(self, *arguments):
        return Retention(self.binary, self.database, *arguments)

    def drop(self):
        told = self.retention()
        assert told.kept_from == f"{KEPT:%Y-%m-%d}"
        return told

    def verify(self, *options):
        return Verified(self.binary, self.database, *options)

    def report(self, **range_):
        return self.client.get(f"/projects/{self.tree.project['id']}/sums", params=range_ or ALL_OF_TIME).json()

    def sums(self):
        return [self.database.query(query) for query in SUMS]

    def watermark(self):
        return self.database.value("select kept_from from retention")


@pytest.fixture(scope="module")
def own_server(new_database, carbond_binary, jwt_key_file):
    database = new_database()
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file) as server:
        harness.until(lambda: partitions(database) == expected(-1, 2))  # then its upkeep rests
        yield server


@pytest.fixture
def kept(own_server):
    return Kept(own_server)


# -- what goes, what stays ------------------------------------------------------------------------------------------------

def test_what_lies_before_the_watermark_goes(kept):
    old = kept.store(month(OLDEST), month(-26) + 5 * DAY, KEPT - MICROSECOND, month(-60), datetime.datetime(1970, 1, 1, tzinfo=harness.UTC))
    new = kept.store(KEPT, KEPT + MICROSECOND, month(-23), month(5), harness.now())
    before, report = kept.sums(), kept.report()
    told = kept.drop()
    assert (told.partitions, told.strays) == (3, 2)
    assert told.lines[0] == f"emissions before {KEPT:%Y-%m-%d} are refused from now on"
    assert [line.split(",")[0] for line in told.lines[1:4]] == [f"dropped {partition(month(i))}" for i in range(OLDEST, -24)]
    assert partitions(kept.database)[0] == partition(KEPT)
    left = {identity for identity, in kept.database.query("select id::text from emissions")}
    assert left == {body["id"] for body in new}
    assert kept.sums() == before and kept.report() == report and report["emissions_count"] == len(old) + len(new)
    for body in old:
        kept.client.get(f"/emissions/{body['id']}", 404)
    assert kept.verify().found == {}


def test_late_emissions_are_refused(kept):
    stored = kept.store(KEPT - MICROSECOND, KEPT)
    kept.drop()
    before = kept.database.contents()
    hurried = kept.tree.world.client(token=kept.token)
    for client in (kept.client, hurried):  # on a worker, and on the event thread
        for moment in (KEPT - MICROSECOND, month(-40), datetime.datetime(1, 1, 1, tzinfo=harness.UTC)):
            with_id = kept.body(moment)
            without = {name: value for name, value in with_id.items() if name != "id"}
            for body in (with_id, without, stored[0]):
                assert client.post("/emissions", body, 422).json() == {"detail": [FAULT]}
        assert client.post("/emissions", stored[1]).json() == stored[1]["id"]
    assert kept.database.contents() == before
    assert client.post("/emissions", harness.emission_body(kept.run, timestamp=KEPT.isoformat()))


@pytest.mark.parametrize("kind", [senders.JSON, senders.NDJSON])
@pytest.mark.parametrize("packed", [False, True])
def test_late_emissions_of_a_batch_are_refused_alone(kept, kind, packed):
    again = kept.store(KEPT - MICROSECOND, KEPT)
    kept.drop()
    late, twice, fresh = kept.body(KEPT - 5 * DAY), kept.body(KEPT - DAY), kept.body(KEPT + DAY)
    others = harness.Tree(kept.tree.world)
    bodies = [late, kept.body(KEPT - DAY, run=harness.UNKNOWN_ID), fresh, twice, again[0], again[1], twice, fresh,
              kept.body(KEPT - DAY, run=others.run["id"]), kept.body(KEPT, duration=-1)]
    connection = senders.Connection(kept.tree.world.server, {"x-api-token": kept.token})
    status, text, _ = connection.batch(bodies, kind, packed)
    connection.close()
    answer = json.loads(text)
    assert (status, answer["accepted"], answer["duplicates"]) == (200, 1, 2)
    assert [(entry["index"], entry["id"], entry["status"]) for entry in answer["rejected"]] == [
        (n, bodies[n]["id"], verdict) for n, verdict in ((0, 422), (1, 404), (3, 422), (4, 422), (6, 422), (8, 403), (9, 422))]
    assert all(answer["rejected"][n]["detail"] == [FAULT] for n in (0, 2, 3, 4))
    assert kept.verify().found == {}


def test_a_retry_of_a_dropped_emission_is_not_counted_twice(kept):
    sent = kept.store(month(-26), KEPT - MICROSECOND)
    kept.drop()
    before = kept.report()
    answer = kept.batch(sent)
    assert answer["accepted"] == answer["duplicates"] == 0 and len(answer["rejected"]) == 2
    assert kept.report() == before


def test_a_second_time_does_nothing(kept):
    kept.store(month(-26), month(-70), KEPT)
    kept.drop()
    before = kept.database.contents()
    again = kept.drop()
    assert (again.partitions, again.strays, len(again.lines)) == (0, 0, 1)
    assert kept.database.contents() == before
    assert kept.retention("30months").kept_from == f"{KEPT:%Y-%m-%d}", "it never goes back"
    assert kept.database.contents() == before


def test_dry_run_tells_and_changes_nothing(kept):
    kept.store(month(-26), month(-70), month(-71), KEPT)
    before, there = kept.database.contents(), partitions(kept.database)
    told = kept.retention("24months", "--dry-run").lines
    assert kept.database.contents() == before and partitions(kept.database) == there
    assert told[0] == f"emissions before {KEPT:%Y-%m-%d} would be dropped and refused; now: none"
    assert [line.split(",")[0] for line in told[1:-1]] == [f"would drop {partition(month(i))}" for i in range(OLDEST, -24)]
    assert told[-1] == "would remove 2 emissions that are in no month's partition"
    kept.drop()
    assert kept.retention("24months", "--dry-run").lines == [
        f"emissions before {KEPT:%Y-%m-%d} would be dropped and refused; now: {KEPT:%Y-%m-%d}",
        "would remove 0 emissions that are in no month's partition"]


@pytest.mark.parametrize("keep", ["24months", "2years", "2year", "days"])
def test_how_long(database, carbond_binary, keep):
    if keep == "days":
        keep = f"{(harness.now() - KEPT).days}days"
    assert Retention(carbond_binary, database, keep, "--dry-run").lines[0].startswith(f"emissions before {KEPT:%Y-%m-%d} would")


@pytest.mark.parametrize("keep", ["", "24", "months", "-24months", "24 months", "24months ", "1.5years", "0months", "30days",
                                  "4weeks", "101years", "99999999999999999999months", "24fortnights", "none"])
def test_what_is_no_age(carbond_binary, keep):
    done = harness.command(carbond_binary, "retention", "--database-url", "postgresql://nowhere.invalid/x", "--keep", keep)
    assert done.returncode == 2 and "1month, 5weeks or 31days" in done.stderr


def next_step(kept, page):
    """Its outcome, how many emissions it removed, and where to go on. Others may be in the way for a moment: the server's upkeep,
    an autovacuum."""
    def step():
        told, = kept.database.query("select outcome, removed, coalesce(next_page, %s) "
                                    "from retention_step('24 months', now(), null, %s)", page, page)
        return told if told[0] not in ("busy", "held") else None

    return harness.until(step, 60, "a step")


def test_emissions_in_no_partition_go_in_steps(kept):
    """Old and new ones between each other, on more pages than a step takes; of no month so many that the server makes a partition
    for it."""
    kept.database.query("""insert into emissions (run_id, timestamp, id, duration)
                           select %s, %s + i %% 24 * interval '1 month' + i * interval '1 ms', gen_random_uuid(), 1
                             from generate_series(1, 45000) i""", kept.run, month(20))
    kept.database.query("update emissions set timestamp = timestamp - interval '10 years' where timestamp < %s", month(32))
    kept.database.query("select rebuild_sums(%s)", kept.run)
    before = kept.report()
    steps = 0
    assert kept.database.value("select default_partition_pages()") > 2 * 256
    kept.database.query("select raise_watermark(%s, null)", KEPT)
    outcome, page = None, 0
    while outcome != "done":
        outcome, removed, page = next_step(kept, page)
        assert outcome in ("dropped", "removed", "done") and (removed or 0) <= 256 * 100
        steps += outcome == "removed"
    assert steps > 2
    assert kept.database.query("select count(*), min(timestamp) > now() from emissions_default") == [(22500, True)]
    assert kept.report() == before and kept.verify().found == {}


def test_as_the_manual_has_it(kept):
    kept.store(month(-26), KEPT)
    script, = commands("Retention")
    done = subprocess.run(["bash", "-euxc", script], capture_output=True, text=True, timeout=harness.patience(60),
                          env=harness.clean_environment(DATABASE_URL=kept.database.url,
                                                        PATH=f"{kept.binary.parent}:{os.environ['PATH']}"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.database.value("select count(*) from emissions") == 1 and kept.watermark() == KEPT


# -- the clock ------------------------------------------------------------------------------------------------------------

def test_a_clock_that_is_ahead_drops_nothing(kept):
    moment = "select watermark_after('24 months', now() + %s::interval)"
    assert kept.database.value(moment, "10 years") == kept.database.value(moment, "0") == KEPT
    assert kept.database.value(moment, "-10 years") == month(-144)


def test_a_clock_that_goes_back_does_not_lower_the_watermark(kept):
    kept.store(month(-22), month(-20))
    later = month(-21)
    kept.database.query("select raise_watermark(%s, null)", later)  # when the clock was ahead
    assert kept.retention().kept_from == f"{later:%Y-%m-%d}"
    assert kept.watermark() == later
    kept.database.query("select raise_watermark(%s, null)", month(-26))
    assert kept.watermark() == later
    kept.client.post("/emissions", kept.body(month(-22)), 422)


# -- what is answered -----------------------------------------------------------------------------------------------------

def test_reports_are_widened_to_whole_hours_before_the_watermark(kept):
    chance = random.Random(3)
    other = kept.tree.world.run(kept.tree.admin, kept.tree.experiment)["id"]
    moments = [first + chance.random() * 6 * HOUR for first in (month(-26), KEPT - 3 * HOUR, month(-3)) for _ in range(40)]
    kept.batch([kept.body(moment, run=run, energy_consumed=n * 0.25) for run in (kept.run, other) for n, moment in enumerate(moments)])
    minute = 17 * MINUTE + 5 * MICROSECOND

    def hour_of(moment):
        return moment.replace(minute=0, second=0, microsecond=0)

    ranges = [(month(-26) + 2 * HOUR + minute, KEPT + minute), (month(-26) + HOUR + minute, month(-26) + 3 * HOUR + minute),
              (month(-26) + HOUR + minute, month(-26) + HOUR + minute + MINUTE), (KEPT - HOUR + minute, KEPT + 2 * HOUR - minute),
              (KEPT - MICROSECOND, KEPT), (KEPT - HOUR, KEPT - MICROSECOND), (KEPT, KEPT + minute), (KEPT + minute, month(-3) + HOUR + minute),
              (month(-26), KEPT)]
    expected = []
    for start, end in ranges:
        wide_start = hour_of(start) if start < KEPT else start
        wide_end = hour_of(end) + HOUR - MICROSECOND if end < KEPT else end
        expected.append([plain_sql.report(kept.database, condition, identity, wide_start, wide_end) for condition, identity in (
            ("p.id", kept.tree.project["id"]), ("r.id", kept.run), ("r.id", other))])
    kept.drop()
    for (start, end), (project, *runs) in zip(ranges, expected):
        asked = {"start_date": start.isoformat(), "end_date": end.isoformat()}
        plain_sql.assert_report(kept.report(**asked), project)
        answers = {answer["run_id"]: answer for answer in
                   kept.client.get(f"/experiments/{kept.tree.experiment['id']}/runs/sums", params=asked).json()}
        for run, report in zip((kept.run, other), runs):
            if report["emissions_count"]:
                plain_sql.assert_report(answers[run], report)
            else:
                assert run not in answers


def test_the_last_run_of_a_range_is_none_before_it(kept):
    kept.drop()
    path = f"/lastrun/project/{kept.tree.project['id']}"
    kept.tree.world.run(kept.tree.admin, kept.tree.experiment, timestamp=(month(-26) + MINUTE).isoformat())
    asked = {"start_date": (month(-26) + 2 * MINUTE).isoformat(), "end_date": (month(-26) + 3 * MINUTE).isoformat()}
    assert kept.client.get(path, params=asked).json() == {}


@pytest.mark.parametrize("dropped", [False, True], ids=["refused", "dropped"])
def test_pages_hold_what_is_there(kept, dropped):
    """From the moment on at which older ones are refused, dropped or not."""
    kept.store(*(month(-26) + i * MINUTE for i in range(130)), *(KEPT - (i + 1) * MINUTE for i in range(20)))
    there = kept.store(*(KEPT + i * MINUTE for i in range(75)), *(month(-2) + i * 20 * MINUTE for i in range(75)))
    ids = [body["id"] for body in reversed(there)]
    kept.store(KEPT, run=kept.tree.world.run(kept.tree.admin, kept.tree.experiment)["id"])
    kept.drop() if dropped else kept.database.query("select raise_watermark(%s, null)", KEPT)
    path = f"/runs/{kept.run}/emissions"
    for size in (1, 7, 75, 149, 150, 151, 10000):
        last = -(-150 // size)
        for number in {1, 2, last // 2 + 1, last - 1 or 1, last, last + 1, last + 5}:
            page = kept.client.get(path, params={"page": number, "size": size}).json()
            assert [item["id"] for item in page["items"]] == ids[(number - 1) * size:number * size], (size, number)
            assert (page["total"], page["pages"], page["cursor"] is not None) == (150, last, number < last)
    page, got = kept.client.get(path, params={"size": 50}).json(), []
    while got.extend(item["id"] for item in page["items"]) or page["cursor"]:
        page = kept.client.get(path, params={"size": 50, "cursor": page["cursor"]}).json()
    assert got == ids


def test_a_run_of_which_nothing_is_left(kept):
    kept.store(month(-26), month(-25))
    kept.drop()
    page = kept.client.get(f"/runs/{kept.run}/emissions").json()
    assert (page["items"], page["total"], page["pages"], page["cursor"]) == ([], 0, 0, None)
    assert kept.report()["emissions_count"] == 2


# -- verify-sums ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def dropped(kept):
    """A run with two hours before the watermark and two behind it; one with all before, one with all behind."""
    kept.old, kept.new = (kept.tree.world.run(kept.tree.admin, kept.tree.experiment)["id"] for _ in range(2))
    kept.store(month(-26), month(-26) + MINUTE, KEPT - MINUTE, KEPT, KEPT + MINUTE, month(-3))
    kept.store(month(-26), KEPT - MINUTE, run=kept.old)
    kept.store(KEPT, month(-3), run=kept.new)
    kept.drop()
    kept.before = kept.sums()
    return kept


def assert_same_sums(sums, before):
    """But for what comes of adding up in another order."""
    assert len(sums) == len(before)
    for (row,), (old,) in zip(sums, before):
        assert row == {name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for name, value in old.items()}


@pytest.mark.parametrize("damage", [
    "update run_sums set duration = duration * 2", "update run_sums set emissions_count = emissions_count - 1",
    "update run_sums set last_timestamp = last_timestamp - interval '1 day' where last_timestamp > now() - interval '6 months'",
    "update emission_hours set emissions_sum = 7, emissions_count = 9 where hour >= KEPT",
    "delete from emission_hours where hour >= KEPT",
    "delete from emission_hours where hour >= KEPT; update run_sums set emissions_count = 0"])
def test_repair_makes_the_sums_what_they_were(dropped, damage):
    dropped.database.query(damage.replace("KEPT", f"'{KEPT.isoformat()}'"))
    assert dropped.verify().found
    assert dropped.verify("--repair").found
    assert dropped.verify().found == {}
    for sums, before in zip(dropped.sums(), dropped.before):
        assert_same_sums(sums, before)


def test_repair_of_missing_totals(dropped):
    """Of emissions that are gone no more than the hour is known."""
    dropped.database.query("delete from run_sums")
    assert set(dropped.verify("--repair").found.values()) == {"missing"}
    assert dropped.verify().found == {}
    last = {dropped.run: month(-3), dropped.old: KEPT - MICROSECOND, dropped.new: month(-3)}
    first = {dropped.run: month(-26), dropped.old: month(-26), dropped.new: KEPT}
    totals = dropped.sums()[0]
    for (row,), (old,) in zip(totals, dropped.before[0]):
        assert harness.moment(row["first_timestamp"]) == first[row["run_id"]]
        assert harness.moment(row["last_timestamp"]) == last[row["run_id"]]
        old.update({name: row[name] for name in ("first_timestamp", "last_timestamp")})
    assert_same_sums(totals, dropped.before[0])
    assert dropped.report()["emissions_count"] == 10


def test_repair_lowers_nothing_that_was_dropped(dropped):
    """Hours that are missing before the watermark: the totals know of more, and keep it."""
    dropped.database.query("delete from emission_hours where hour < %s", KEPT - HOUR)
    dropped.database.query("update emission_hours set duration = 9 where hour = %s", KEPT)
    repair = dropped.verify("--repair")
    assert repair.unclear == {dropped.run, dropped.old} and repair.rebuilt == {dropped.new}
    assert dropped.sums()[0] == dropped.before[0], "all totals are as they were"
    assert dropped.sums()[1] == [row for row in dropped.before[1] if harness.moment(row[0]["hour"]) >= KEPT - HOUR]
    assert {what for _, what in dropped.verify().found} == {"totals"}


def test_what_was_left_before_the_watermark_is_looked_at_by_nobody(kept):
    kept.store(month(-26), month(-60), KEPT)
    before = kept.sums()
    kept.database.query("select raise_watermark(%s, null)", KEPT)
    kept.database.query("update emissions set duration = 99 where timestamp < %s", KEPT)
    assert kept.verify("--repair").found == {}
    assert kept.sums() == before


def test_a_deleted_project_takes_its_sums_along(kept):
    kept.store(month(-26), month(-60), KEPT)
    kept.drop()
    kept.client.delete(f"/projects/{kept.tree.project['id']}")
    with harness.Server(kept.binary, kept.database, "--statement-timeout", "1"):  # it waits for twice that
        for table, column in (("emissions", "run_id"), ("run_sums", "run_id"), ("emission_hours", "run_id"), ("runs", "id")):
            harness.until(lambda: not kept.database.value(f"select count(*) from {table} where {column} = %s", kept.run), 30, table)


# -- while servers write --------------------------------------------------------------------------------------------------

def begin(kept, sql, *values):
    """A transaction that has done this."""
    connection = kept.database.cluster.connect(kept.database.name)
    connection.autocommit = False
    connection.cursor().execute(sql, values)
    return connection


def test_who_waits_for_the_watermark_sees_it(kept):
    """A writer that set out before it was raised, and stores after."""
    sent, = kept.store(KEPT - DAY)
    raising = begin(kept, "select raise_watermark(%s, null)", KEPT)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(kept.tree.world.client(token=kept.token).post, path, body, status) for path, body, status in (
            ("/emissions", sent, 422), ("/emissions/batch", {"emissions": [kept.body(KEPT - DAY)]}, 200))]
        harness.until(lambda: waiting(kept.database) > 0)
        raising.commit()
        assert [answer.result().status_code for answer in answers] == [422, 200]
    raising.close()
    assert answers[1].result().json()["rejected"][0]["status"] == 422
    assert kept.report()["emissions_count"] == 1


def test_the_watermark_waits_for_who_stores(kept):
    storing = begin(kept, "lock table run_sums in row exclusive mode")
    step = "select outcome, next_page from retention_step('24 months', now(), null, 7)"
    assert kept.database.query(step) == [("held", None)] and kept.watermark().year < 2
    storing.rollback()
    storing.close()
    assert next_step(kept, 7) == ("raised", None, 0) and kept.watermark() == KEPT


class Repeaters(senders.Writers):
    """They send emissions of two years around the watermark, many of them again and again, through all servers."""

    def __init__(self, kept, servers):
        super().__init__(4)
        self.kept, self.servers, self.lock = kept, servers, threading.Lock()
        self.acknowledged, self.surprises = {}, []

    def write(self, number):
        chance, sent = random.Random(number), []
        connection = senders.Connection(self.servers[number % len(self.servers)], {"x-api-token": self.kept.token})
        while not self.end.is_set():
            fresh = [self.kept.body(month(-34) + chance.random() * 600 * DAY) for _ in range(20)]
            sent += fresh
            bodies = fresh + chance.sample(sent, min(len(sent), 20))
            chance.shuffle(bodies)
            if chance.random() < 0.3:
                self._take(bodies[:1], *connection.single(bodies[0])[:2])
            else:
                self._take(bodies, *connection.batch(bodies)[:2])
        connection.close()

    def _take(self, bodies, status, text):
        answer = json.loads(text)
        if status == 200:
            refused = {entry["index"]: entry["status"] for entry in answer["rejected"]}
            stored = [body for n, body in enumerate(bodies) if n not in refused]
        else:
            refused, stored = ({0: status}, []) if status != 201 else ({}, bodies)
        with self.lock:
            self.acknowledged.update((body["id"], body["timestamp"]) for body in stored)
            self.surprises += [status for status in refused.values() if status != 422]


def test_nothing_is_lost_or_counted_twice_while_servers_write(kept, jwt_key_file):
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    before = kept.database.value(deadlocks)
    with harness.Server(kept.binary, kept.database, "--jwt-hs256-key-file", jwt_key_file) as other:
        with Repeaters(kept, [kept.tree.world.server, other]) as repeaters:
            for keep in range(33, 22, -2):
                so_far = len(repeaters.acknowledged)
                harness.until(lambda: len(repeaters.acknowledged) > so_far + 100 or repeaters.surprises + repeaters.failures, 30)
                kept.retention(f"{keep}months")
    assert repeaters.surprises == []
    since = kept.watermark()
    assert since == month(-23)
    left = {identity for identity, moment in repeaters.acknowledged.items() if harness.moment(moment) >= since}
    assert {identity for identity, in kept.database.query("select id::text from emissions")} == left
    assert kept.report()["emissions_count"] == len(repeaters.acknowledged) > len(left)
    assert kept.verify().found == {}
    assert kept.database.value(deadlocks) == before


def test_a_slow_reader_holds_up_no_emission(kept):
    """Neither when emissions are refused from a new moment on, nor when partitions would go."""
    reader = SlowReader(kept.database)

    def bodies():
        while True:
            yield harness.emission_body(kept.run)

    def attempts():
        other = harness.Database(kept.database.cluster, kept.database.name)
        for _ in range(4):  # before that it is raised, and a server may be at it for a moment
            harness.until(lambda: other.value("select outcome from retention_step('24 months', now(), null, 0)") == "held")
        other.close()

    # As long as the reader stays, were it not bounded: until the statement's timeout, 30 s.
    assert longest_wait(kept.client, bodies(), attempts) < harness.patience(10)
    # Once it is raised, nobody waits at all.
    assert longest_wait(kept.client, bodies(), attempts, lambda: nobody_waits(kept.database)) < harness.patience(10)
    reader.leave()
    assert kept.drop().partitions == 3


def test_killed_on_the_way_and_begun_again(kept):
    kept.store(month(-26), month(-60), KEPT)
    before, report = kept.sums(), kept.report()
    reader = SlowReader(kept.database)
    process = subprocess.Popen([str(kept.binary), "retention", "--database-url", kept.database.url, "--keep", "24months"],
                               stdout=subprocess.PIPE, text=True, env=harness.clean_environment())
    assert process.stdout.readline() == f"emissions before {KEPT:%Y-%m-%d} are refused from now on\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    # And its session, which may not have noticed yet.
    kept.database.query("""select pg_terminate_backend(pid, 60000) from pg_stat_activity
                            where datname = current_database() and query like %s and pid <> pg_backend_pid()""", "%retention_step%")
    assert kept.database.value("select count(*) from emissions") == 3 and kept.watermark() == KEPT
    kept.client.post("/emissions", kept.body(month(-26)), 422)
    assert kept.client.get(f"/runs/{kept.run}/emissions").json()["total"] == 1
    reader.leave()
    told = kept.drop()
    assert (told.partitions, told.strays) == (3, 1)
    assert kept.sums() == before and kept.report() == report and kept.verify().found == {}


# -- by the server itself, and who is told ----------------------------------------------------------------------------------

def test_the_server_does_it_by_itself(kept):
    kept.store(month(-26), month(-60), KEPT)
    report = kept.report()
    with harness.Server(kept.binary, kept.database, "--retention", "24months") as server:
        harness.until(lambda: kept.database.value("select count(*) from emissions") == 1, 30)
        harness.until(lambda: "removed old emissions" in server.log())
        assert server.log().count("dropped a partition") == 3
        assert f"day={KEPT:%Y-%m-%d}" in server.log()
    assert kept.report() == report
    assert kept.database.query("select action, address, target from audit_records where action = 'emissions_dropped'") == [
        ("emissions_dropped", "server", f"before {KEPT:%Y-%m-%d}")]


@pytest.mark.parametrize("options", [(), ("--retention", "none"), ("--retention", "24months", "--retention", "none")],
                         ids=["unsaid", "none", "none-last"])
def test_a_server_without_the_option_drops_nothing(kept, options):
    kept.store(month(-26), KEPT)
    with harness.Server(kept.binary, kept.database, "--metrics-projects", "1", *options) as server:
        # What it does behind retention, in its first round.
        harness.until(lambda: "carbond_project_emissions_kg_total{" in harness.requests.get(
            server.monitor_url + "/metrics", timeout=20).text, 60, "the totals")
    assert kept.watermark().year < 2 and kept.report()["emissions_count"] == 2


def test_the_audit_tells_of_the_command(kept):
    kept.drop()
    kept.drop()
    told = [line.split("\t") for line in harness.command(kept.binary, "audit", "list", "--database-url", kept.database.url)
            .stdout.splitlines()]
    assert [line[1:] for line in told if line[1] == "emissions_dropped"] == [
        ["emissions_dropped", "command line", "-", f"before {KEPT:%Y-%m-%d}", "-"]]


def test_without_the_privilege(kept):
    database = kept.database
    database.query("create role clerk login; grant all on all tables in schema public to clerk")
    done = harness.command(kept.binary, "retention", "--keep", "24months", "--database-url",
                           database.url.replace("carbond@", "clerk@"))
    database.query("drop owned by clerk; drop role clerk")
    assert done.returncode == 1 and "may be begun again: must be owner of" in done.stderr


# -- the client library ---------------------------------------------------------------------------------------------------

def test_an_emission_that_waited_for_too_long_is_set_aside(kept, tmp_path):
    """libcarbond keeps what the server refuses for good, with the reason, and delivers the rest."""
    kept.drop()
    send = tool.BINARY.with_name("carbond-send")
    lines = [{"timestamp": (KEPT + offset).isoformat(), "duration": 1, "energy_consumed": 1} for offset in (-DAY, DAY)]
    done = subprocess.run(
        [str(send), "emission", "--run", kept.run, "--stdin", "--url", kept.tree.world.server.url, "--spool", str(tmp_path / "spool")],
        input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True, timeout=harness.patience(60),
        env=harness.clean_environment(HOME="/nonexistent", CARBOND_TOKEN=kept.token))
    assert done.returncode == 1, done.stderr
    late, fresh = done.stdout.split()
    aside = [json.loads(line) for path in (tmp_path / "spool").glob("rejected/*.ndjson") for line in path.read_text().splitlines()]
    assert [(entry["status"], entry["emission"]["id"]) for entry in aside] == [(422, late)]
    assert FAULT["msg"] in json.dumps(aside[0]["detail"])
    assert kept.client.get(f"/emissions/{fresh}").json()["id"] == fresh
