"""The storm: eight processes emit while they, their server and its PostgreSQL are killed at random.

Some seconds of it are part of script/test. For longer: STORM_SECONDS=60 script/test --quick -- -k storm"""

import os
import random
import re
import threading
import time

import pytest

import harness
import tool
from sites import Site
from tracker import segments

SECONDS = float(os.environ.get("STORM_SECONDS", 15))
EMITTERS = 8
AT_ONCE = 20   # emissions of a burst
PAUSE = 0.05   # s between bursts
LIFE = 0.2, 4  # s that an emitter lives
CALM = 0.5, 2  # s between the misfortunes of the server's side
ANSWER = re.compile(r"sync 0 ([0-9a-f-]{36})\n")


class Emitter(threading.Thread):
    """Trackers, one after the other, each killed in the middle of its work; remembers what carbond_emit_sync accepted."""

    def __init__(self, site, spool, over, seed):
        super().__init__()
        self.site, self.spool, self.over = site, spool, over
        self.random = random.Random(seed)
        self.accepted, self.runs, self.lives = {}, [], 0
        self.problem = None

    def run(self):
        try:
            while not self.over.is_set():
                self.live()
        except Exception as problem:  # told by the test
            self.problem = problem

    def live(self):
        tracker = self.site.tracker(self.spool)
        self.lives += 1
        if self.runs and self.random.random() < 0.3:
            run = self.random.choice(self.runs)
            tracker.resume(run)
        else:
            run = tracker.run()
            self.runs.append(run)
        end = time.monotonic() + self.random.uniform(*LIFE)
        while not self.over.is_set() and time.monotonic() < end:
            tracker.tell("emit", 5)
            tracker.tell("sync", AT_ONCE)
            tracker.hear("emit")
            for _ in range(AT_ONCE):
                self.note(run, tracker.process.stdout.readline())
            time.sleep(PAUSE)
        tracker.tell("sync", AT_ONCE * 10)
        time.sleep(self.random.uniform(0, 0.02))
        tracker.kill()
        for line in tracker.process.stdout:
            self.note(run, line)

    def note(self, run, line):
        """The last line may be torn."""
        answer = ANSWER.fullmatch(line)
        if answer:
            self.accepted[answer[1]] = run


class Sky:
    """What falls on the server's side."""

    def __init__(self, site, cluster, seed):
        self.site, self.cluster = site, cluster
        self.random = random.Random(seed)

    def strike(self):
        self.random.choice([self.kill_server, self.kill_postgresql, self.stop_server])()

    def kill_server(self):
        self.site.kill()
        time.sleep(self.random.uniform(0, 1))
        self.site.up()

    def stop_server(self):
        self.site.down()
        self.site.up()

    def kill_postgresql(self):
        self.cluster.kill()
        time.sleep(self.random.uniform(0, 1))
        self.cluster.start()


@pytest.fixture
def own_cluster():
    cluster = harness.Cluster()
    yield cluster
    cluster.remove()


def storm(site, cluster, spool):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    over, sky = threading.Event(), Sky(site, cluster, seed)
    emitters = [Emitter(site, spool, over, seed + number) for number in range(EMITTERS)]
    end = time.monotonic() + SECONDS
    for emitter in emitters:
        emitter.start()
    try:
        while time.monotonic() < end:
            time.sleep(sky.random.uniform(*CALM))
            sky.strike()
    finally:
        over.set()
        for emitter in emitters:
            emitter.join()
    for emitter in emitters:
        if emitter.problem:
            raise emitter.problem
    return emitters


@pytest.mark.skipif(tool.BUILD.name == "valgrind", reason="whoever starts there is killed before it has begun")
def test_storm(carbond_binary, own_cluster, jwt_key_file, tmp_path):
    database = harness.Database(own_cluster, own_cluster.createdb())
    assert harness.command(carbond_binary, "migrate", "--database-url", database.url).returncode == 0
    spool = tmp_path / "spool"
    site = Site(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file)
    try:
        emitters = storm(site, own_cluster, spool)
        with site.tracker(spool) as heir:
            heir.flush(harness.patience(120000))
            stats = heir.stats()
        database.close()
        accepted = {identity: run for emitter in emitters for identity, run in emitter.accepted.items()}
        stored = database.query("select id::text, run_id::text from emissions")
        print(f"{sum(emitter.lives for emitter in emitters)} lives, {len(accepted)} accepted by carbond_emit_sync,",
              f"{len(stored)} stored, {stats}")
        assert len(accepted) > 100 * EMITTERS
        assert len({identity for identity, _ in stored}) == len(stored), "something is stored twice"
        assert accepted.items() <= dict(stored).items(), "something is lost"
        assert stats["rejected"] == stats["dropped"] == stats["lost"] == stats["broken_segments"] == 0, stats
        assert database.query("""
            select run_id, count(*), sum(emissions_sum) from emissions group by run_id except
            select run_id, emissions_count, emissions_sum from run_sums""") == [], "the sums are not those of the records"
        assert not segments(spool) and not list(spool.iterdir())
    finally:
        site.down()
        database.close()
