"""What is emitted arrives, once: against a real server that comes and goes, and trackers that are killed."""

import contextlib
import os
import shutil
import subprocess
import time

import pytest

import harness
import tool
from sites import Site
from tracker import rejected, segments


@pytest.fixture(scope="module")
def site(carbond_binary, new_database, jwt_key_file):
    site = Site(carbond_binary, new_database(), "--jwt-hs256-key-file", jwt_key_file)
    yield site
    site.down()


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def test_all_arrives_once(site, spool):
    with site.tracker(spool) as tracker:
        run = tracker.run()
        tracker.emit(2500)
        synced = tracker.sync(20)
        tracker.flush()
        stats = tracker.stats()
        assert stats["emitted"] == stats["delivered"] == 2520 and stats["pending"] == 0, stats
        assert stats["server"] == 1 and stats["link"] == 1
    ids = site.ids(run)
    assert len(ids) == len(set(ids)) == 2520 and set(synced) <= set(ids)
    assert not segments(spool) and not list(spool.iterdir()), "an empty spool leaves nothing behind"


def test_emissions_arrive_in_order_within_a_run(site, spool):
    with site.tracker(spool, batch_size=7) as tracker:
        run = tracker.run()
        for _ in range(5):
            tracker.emit(20)
            tracker.sync(1)
        tracker.flush()
    rows = site.database.query("select id, timestamp from emissions where run_id = %s order by ctid", run)
    assert len(rows) == 105
    assert [moment for _, moment in rows] == sorted(moment for _, moment in rows)


def test_offline_then_online(site, spool):
    site.down()
    try:
        with site.tracker(spool) as tracker:
            run = tracker.run()
            tracker.emit(300)
            tracker.flush(300, code=4)
            assert tracker.stats()["link"] == 2
            assert segments(spool)
            site.up()
            tracker.emit(300)
            tracker.flush()
        assert site.count(run) == 600
    finally:
        if site.server.process.poll() is not None:
            site.up()


def test_the_server_is_killed_again_and_again(site, spool):
    with site.tracker(spool, batch_size=50) as tracker:
        run = tracker.run()
        for _ in range(4):
            tracker.emit(500)
            tracker.sync(5)
            site.kill()
            tracker.sync(5)
            site.up()
        tracker.flush()
    assert site.count(run) == 4 * 510


def test_a_killed_tracker_loses_nothing_that_was_synced(site, spool):
    site.down()
    try:
        tracker = site.tracker(spool)
        run = tracker.run()
        synced = tracker.sync(50)
        tracker.kill()
        assert segments(spool)
    finally:
        site.up()
    with site.tracker(spool) as successor:
        successor.flush()
        stats = successor.stats()
        assert stats["found"] == 50 and stats["adopted_spools"] == 1, stats
    assert site.ids(run) == sorted(synced)
    assert not segments(spool)


def test_a_spool_is_adopted_by_one_and_lived_ones_are_left_alone(site, spool):
    site.down()
    try:
        killed = site.tracker(spool)
        orphan = killed.run()
        killed.sync(30)
        killed.kill()
        with contextlib.ExitStack() as stack:
            trackers = [stack.enter_context(site.tracker(spool)) for _ in range(4)]
            runs = [tracker.run() for tracker in trackers]
            for tracker in trackers:
                tracker.sync(10)
            site.up()
            for tracker in trackers:
                tracker.flush()
            assert sum(tracker.stats()["found"] for tracker in trackers) == 30
    finally:
        if site.server.process.poll() is not None:
            site.up()
    assert [site.count(run) for run in [orphan, *runs]] == [30, 10, 10, 10, 10]
    assert not segments(spool)


def test_a_directory_whose_maker_was_killed_goes(site, spool):
    """It has no name of its own yet. One that may be in the making stays."""
    for name, age in [("a" * 8, 3600), ("b" * 8, 0)]:
        directory = spool / f".{name}-{harness.UNKNOWN_ID}"
        directory.mkdir(parents=True)
        (directory / "lock").touch()
        os.utime(directory, (time.time() - age,) * 2)
    with site.tracker(spool) as tracker:
        tracker.flush()
    assert [path.name[:9] for path in spool.iterdir()] == [".bbbbbbbb"]


def test_exit_without_close(site, spool):
    site.down()
    try:
        tracker = site.tracker(spool, flush_interval=60000)
        run = tracker.run()
        tracker.emit(100)
        tracker.process.stdin.close()
        assert tracker.process.wait(timeout=harness.patience(30)) == 0
    finally:
        site.up()
    with site.tracker(spool) as successor:
        successor.flush()
    assert site.count(run) == 100


def test_exit_in_the_middle_of_writing(site, spool):
    """The background thread is just at it."""
    site.down()
    try:
        for _ in range(5):
            tracker = site.tracker(spool, ring_capacity=65536)
            tracker.run()
            tracker.tell("emit", 65536)
            tracker.process.stdin.close()
            accepted, _ = map(int, tracker.hear("emit"))
            assert tracker.process.wait(timeout=60) == 0
            listed = subprocess.run([site.binary.with_name("carbond-spool"), "list", spool], capture_output=True, text=True,
                                    check=True).stdout
            assert sum(int(line.split()[3]) for line in listed.splitlines()[1:]) == accepted
            shutil.rmtree(spool)
    finally:
        site.up()


def test_a_killed_tracker_loses_an_interval_at_most(site, spool):
    """What carbond_emit accepted is on the disk after the flush interval, though nothing else happens."""
    site.down()
    try:
        tracker = site.tracker(spool, flush_interval=200)
        run = tracker.run()
        for _ in range(3):
            tracker.emit(100)
            time.sleep(harness.patience(2))  # ten intervals, since a machine may be slow
        tracker.emit(10)
        tracker.kill()
    finally:
        site.up()
    with site.tracker(spool) as successor:
        successor.flush()
    assert 300 <= site.count(run) <= 310


@pytest.mark.skipif(tool.BUILD.name in ("asan", "tsan"), reason="the sanitizers are not made for threads beside a fork")
def test_a_child_delivers_its_own_and_nothing_of_its_parent(site, spool):
    site.down()
    try:
        with site.tracker(spool) as tracker:
            run = tracker.run()
            tracker.emit(40)
            tracker.sync(10)
            tracker.tell("fork")
            site.up()
            tracker.emit(7)
            tracker.sync(3)
            tracker.flush()
            stats = tracker.stats()
            assert stats["delivered"] == 10, stats
            assert tracker.ask("close") == ["0"]
            tracker.process.stdin.close()
            tracker.hear("fork")
            assert tracker.process.wait(timeout=harness.patience(30)) == 0, tracker.log()
    finally:
        if site.server.process.poll() is not None:
            site.up()
    # The parent got no more input, and ended without closing: its spool is an orphan.
    with site.tracker(spool) as successor:
        successor.flush()
    assert site.count(run) == 60


def test_a_wrong_token_keeps_everything(site, spool):
    with site.tracker(spool, token="cpt_wrong") as tracker:
        run = tracker.run()
        tracker.sync(20)
        tracker.flush(300, code=4)
        stats = tracker.stats()
        assert stats["link"] == 3 and stats["http_status"] == 401 and stats["pending"] == 20, stats
        tracker.token = site.token
        assert tracker.ask("token", site.token) == ["0"]
        tracker.flush()
    assert site.count(run) == 20 and not rejected(spool)


def test_a_run_of_an_unknown_experiment_is_set_aside(site, spool):
    with site.tracker(spool, experiment=harness.UNKNOWN_ID) as tracker:
        run = tracker.run()
        tracker.sync(3)
        tracker.flush()
        assert tracker.stats()["rejected"] == 3
    lines = rejected(spool)
    assert [line["status"] for line in lines] == [404] * 4
    assert lines[0]["run"]["id"] == run
    assert all(line["emission"]["run_id"] == run for line in lines[1:])


def test_an_unknown_run_is_set_aside(site, spool):
    with site.tracker(spool) as tracker:
        tracker.resume(harness.UNKNOWN_ID)
        tracker.sync(250)
        tracker.flush()
        assert tracker.stats()["rejected"] == 250
    assert len({line["emission"]["id"] for line in rejected(spool)}) == 250


def test_a_faulty_neighbour_costs_nothing(site, spool):
    """More rejections than an answer lists, among good ones."""
    site.down()
    try:
        with site.tracker(spool) as tracker:
            good = tracker.run()
            tracker.sync(150)
            tracker.resume(harness.UNKNOWN_ID)
            tracker.sync(150)
            tracker.resume(good)
            tracker.sync(150)
            site.up()
            tracker.flush()
            stats = tracker.stats()
            assert stats["delivered"] == 300 and stats["rejected"] == 150, stats
    finally:
        if site.server.process.poll() is not None:
            site.up()
    assert site.count(good) == 300
    assert len({line["emission"]["id"] for line in rejected(spool)}) == len(rejected(spool)) == 150


def test_a_forbidden_experiment_holds_up_nobody(site, spool):
    """Everything of it is kept, in case it is allowed one day; the other runs go on."""
    other = harness.World(site.server)
    project = other.project(site.admin, other.organization(site.admin))
    foreign = other.experiment(site.admin, project)["id"]
    with site.tracker(spool, experiment=foreign) as tracker:
        forbidden = tracker.run()
        tracker.sync(5)
        tracker.kill()
    with site.tracker(spool) as tracker:
        run = tracker.run()
        tracker.sync(30)
        harness.until(lambda: site.count(run) == 30, 20, "the other run's emissions")
        harness.until(lambda: tracker.stats()["pending"] == 5, 20, "the last answer")
        assert tracker.stats()["rejected"] == 0
        tracker.flush(100, code=4)
        tracker.ask("token", other.project_token(site.admin, project)["token"])
        tracker.flush()
    assert site.count(forbidden) == 5 and not rejected(spool)


def test_damage_while_it_lives(site, spool):
    """A bit that flips in a segment that was sound when it was written."""
    site.down()
    try:
        with site.tracker(spool) as tracker:
            run = tracker.run()
            synced = tracker.sync(20)
            (segment,) = segments(spool)
            data = bytearray(segment.read_bytes())
            data[-1000] ^= 16
            with open(segment, "r+b") as file:
                file.write(data)
            site.up()
            tracker.flush()
            stats = tracker.stats()
            assert stats["delivered"] == 19 and stats["lost"] == 1 and stats["pending"] == 0, stats
    finally:
        if site.server.process.poll() is not None:
            site.up()
    assert len(set(site.ids(run)) & set(synced)) == 19
    assert len(list((spool / "broken").iterdir())) == 1 and not segments(spool)


def test_a_resumed_run_waits_for_its_creation(site, spool):
    site.down()
    try:
        with site.tracker(spool) as beginner, site.tracker(spool) as other:
            run = beginner.run()
            other.resume(run)
            other.sync(10)
            site.up()
            other.flush()
            beginner.flush()
    finally:
        if site.server.process.poll() is not None:
            site.up()
    assert site.count(run) == 10 and not rejected(spool)


def test_a_creation_behind_its_emissions(site, spool):
    """The process that began the run was adopted late: its directory comes after that of the one that went on with it."""
    site.down()
    try:
        beginner = site.tracker(spool.with_name("beginner"))
        run = beginner.run()
        synced = beginner.sync(5)
        beginner.kill()
        other = site.tracker(spool.with_name("other"))
        other.resume(run)
        synced += other.sync(5)
        other.kill()
        spool.mkdir()
        for name, place in [("other", "0" * 8), ("beginner", "f" * 8)]:
            (directory,) = spool.with_name(name).iterdir()
            directory.rename(spool / (directory.name[:9] + place + directory.name[17:]))
    finally:
        site.up()
    with site.tracker(spool) as tracker:
        tracker.flush()
    assert site.ids(run) == sorted(synced) and not rejected(spool)


def test_a_damaged_spool(site, spool):
    """A torn tail, a flipped bit, foreign files, a newer version: what is readable arrives, nothing is deleted."""
    site.down()
    try:
        runs, synced = [], []
        for _ in range(5):
            # Each with a directory of its own: the others are kept from adopting it.
            tracker = site.tracker(spool.parent / f"spool-{len(runs)}")
            runs.append(tracker.run())
            synced.append(tracker.sync(10))
            tracker.kill()
        torn, flipped, good, newer, headless = [segments(spool.parent / f"spool-{i}")[0] for i in range(5)]
        torn.write_bytes(torn.read_bytes()[:-7])
        data = bytearray(flipped.read_bytes())
        data[-300] ^= 4
        flipped.write_bytes(data)
        data = bytearray(headless.read_bytes())
        data[3] ^= 1
        headless.write_bytes(data)
        header = bytearray(newer.read_bytes()[:32])
        header[8] = 2
        header[24:28] = crc32c(header[:24]).to_bytes(4, "little")
        newer.write_bytes(header + b"what only a newer version can read")
        spool.mkdir()
        for i in range(5):
            for directory in (spool.parent / f"spool-{i}").iterdir():
                directory.rename(spool / directory.name)
        (spool / "README").write_text("not ours")
        (good_directory,) = [path.parent for path in segments(spool) if path.parent.name == good.parent.name]
        (good_directory / "notes.txt").write_text("not ours either")
        (good_directory / ("f" * 16 + ".seg")).write_text("nor this")
    finally:
        site.up()
    with site.tracker(spool) as tracker:
        tracker.flush()
        stats = tracker.stats()
        assert stats["found"] == 10 + 9 + 9 + 10, stats
        assert stats["torn_segments"] == 1 and stats["broken_segments"] == 2, stats
        assert stats["foreign_files"] == 4, stats  # README, notes.txt, the file beyond all numbers, the newer one
    assert [site.count(run) for run in runs] == [9, 9, 10, 0, 10]
    assert site.ids(runs[2]) == sorted(synced[2])
    assert len(list((spool / "broken").iterdir())) == 2
    assert [path.read_bytes()[8] for path in segments(spool) if path.parent.name == newer.parent.name] == [2]
    assert (good_directory / "notes.txt").exists() and (spool / "README").exists()


def crc32c(data):
    value = 0xffffffff
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    return value ^ 0xffffffff


def test_a_spool_that_cannot_be_used(site, tmp_path):
    """A file where the directory should be: it works in memory, says so, and goes on when the way is free."""
    spool = tmp_path / "blocked"
    spool.write_text("in the way")
    site.down()
    try:
        with site.tracker(spool, ring_capacity=64) as tracker:
            run = tracker.run(code=3)
            tracker.sync(5, code=3)
            tracker.emit(50)
            stats = tracker.stats()
            assert stats["disk_errno"] != 0 and stats["pending"] == 55, stats
            spool.unlink()
            harness.until(lambda: tracker.stats()["disk_errno"] == 0, 10, "the disk")
            assert len(tracker.sync(5)) == 5
            assert segments(spool)
            site.up()
            tracker.flush()
    finally:
        if site.server.process.poll() is not None:
            site.up()
    assert site.count(run) == 60


def test_caps(site, spool):
    """At the cap the oldest are dropped, and counted; or the new ones are refused."""
    site.down()
    try:
        with site.tracker(spool, max_bytes=1 << 17) as tracker:
            run = tracker.run()
            tracker.sync(3000)
            stats = tracker.stats()
            assert stats["spool_bytes"] <= 1 << 17, stats
            assert stats["dropped"] + stats["pending"] == 3000 and stats["dropped"] > 1500, stats
            site.up()
            tracker.flush()
            dropped = stats["dropped"]
        assert site.count(run) == 3000 - dropped
        assert site.admin_client().get(f"/runs/{run}").json()["emissions_dropped"] == dropped
        site.down()
        with site.tracker(spool, max_bytes=1 << 17, when_full=2, ring_capacity=64) as tracker:
            run = tracker.run()
            tracker.tell("sync", 3000)
            answers = [tracker.hear("sync") for _ in range(3000)]
            accepted = [identity for code, identity in answers if code == "0"]
            assert {code for code, _ in answers} == {"0", "2"}
            assert tracker.stats()["dropped"] == 0
            site.up()
            tracker.flush()
        assert site.ids(run) == sorted(accepted)
    finally:
        if site.server.process.poll() is not None:
            site.up()
