"""A disk that is full, read-only or forbidden; the power that goes; clocks that jump: by a layer between the tracker and
its system (layer.c)."""

import errno
import pathlib
import shutil
import struct
import time

import pytest

import faulty
from faulty import FaultyServer
import harness
import tool
from tracker import Tracker, rejected, segments

EXPERIMENT = "11111111-2222-4333-8444-555555555555"


class Layer:
    """What a tracker's system is like."""

    def __init__(self, directory):
        self.disk = directory / "home"
        self.path = directory / "layer"
        self.durable = directory / "durable"
        self.durable.mkdir()
        self.set()

    def set(self, disk=0, seconds=0, ahead=0, names=0, slow=0):
        """The errno of its disk, how wrong its clock on the wall is, how much time has passed at once, and the seconds that
        it takes to look up a host, and to force something to the disk."""
        with open(self.path, "r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("=qqqqq", disk, seconds, ahead, names, slow))

    def environment(self):
        return {"LD_PRELOAD": str(tool.BUILD / "lib" / "libclient_layer.so"), "CARBOND_TEST_LAYER": str(self.path),
                "CARBOND_TEST_DISK": str(self.disk), "CARBOND_TEST_DURABLE": str(self.durable)}

    def power_cut(self):
        """What is left of the disk is all that there is."""
        after = self.disk.with_name("after")
        (root,) = self.durable.glob(f"{self.disk.stat().st_ino}-*")
        self._restore(root.name, after)
        shutil.rmtree(self.disk)
        after.rename(self.disk)

    def _restore(self, identity, to):
        to.mkdir()
        names = self.durable / identity
        for line in names.read_text().splitlines() if names.exists() else []:
            identity, name = line.split(" ", 1)
            kept = self.durable / identity
            if pathlib.PurePath(name).suffix in (".seg", ".ndjson") or name == "lock":
                (to / name).write_bytes(kept.read_bytes() if kept.exists() else b"")
            else:
                self._restore(identity, to / name)


@pytest.fixture
def layer(tmp_path):
    return Layer(tmp_path)


@pytest.fixture
def server():
    with FaultyServer() as server:
        yield server


@pytest.fixture
def spool(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "spool"


def tracker_of(server, spool, layer=None, **options):
    return Tracker(server.url, spool, experiment=EXPERIMENT, environment=layer and layer.environment(), **options)


# -- a disk that refuses ------------------------------------------------------------------------------------------------

REFUSALS = {"full": errno.ENOSPC, "over quota": errno.EDQUOT, "forbidden": errno.EACCES, "read-only": errno.EROFS,
            "broken": errno.EIO}


@pytest.mark.parametrize("problem", REFUSALS.values(), ids=REFUSALS)
def test_a_disk_that_refuses_from_the_start(server, spool, layer, problem):
    """In memory, and said so; delivered all the same."""
    layer.set(disk=problem)
    with tracker_of(server, spool, layer) as tracker:
        run = tracker.run(code=3)
        ids = tracker.sync(10, code=3)
        assert tracker.stats()["disk_errno"] == problem and "can't be written" in tracker.log()
        tracker.flush()
    assert server.ids(run) == ids


@pytest.mark.parametrize("problem", REFUSALS.values(), ids=REFUSALS)
def test_a_disk_that_refuses_in_the_middle(server, spool, layer, problem):
    """What is there already, drains; what comes, waits in memory and goes to the disk when it takes it."""
    with tracker_of(server, spool, layer) as tracker:
        with server.away():
            run = tracker.run()
            ids = tracker.sync(10)
            layer.set(disk=problem)
            ids += tracker.sync(10, code=3)
            assert segments(spool) and tracker.stats()["pending"] == 20
        tracker.flush()
        assert server.ids(run) == ids
        layer.set()

        def is_taken():
            code, identity = tracker.ask("sync", 1)
            ids.append(identity)
            return code == "0"
        harness.until(is_taken, what="the disk")
        assert tracker.stats()["disk_errno"] == 0
        tracker.flush()
    assert server.ids(run) == ids and server.repeats == 0


def test_a_full_disk_fills_the_memory_then_a_code_says_so(server, spool, layer):
    with tracker_of(server, spool, layer, ring_capacity=64) as tracker:
        with server.away():
            run = tracker.run()
            ids = tracker.sync(10)
            layer.set(disk=errno.ENOSPC)
            tracker.tell("sync", 20000)
            answers = [tracker.hear("sync") for _ in range(20000)]
            codes = [code for code, _ in answers]
            kept = codes.index("2")
            assert set(codes[:kept]) == {"3"} and set(codes[kept:]) == {"2"} and 1000 < kept < 20000
            ids += [identity for _, identity in answers[:kept]]
            ring, refused = map(int, tracker.ask("emit", 1000))
            assert 0 < ring <= 64 and ring + refused == 1000, "the ring is bounded as well"
        tracker.flush()
        assert tracker.stats()["refused"] == refused + len(codes) - kept
        (more,) = tracker.sync(1, code=3)
        tracker.flush()
    sent = server.ids(run)
    assert sent[:len(ids)] == ids and len(sent) == len(ids) + ring + 1 and sent[-1] == more


def test_a_disk_that_hangs_does_not_hold_up_the_tracker(server, spool, layer):
    with tracker_of(server, spool, layer) as tracker:
        run = tracker.run()
        tracker.flush()
        layer.set(slow=4)
        tracker.emit(1)
        time.sleep(0.5)  # the flush interval is over, most likely: the background thread waits for the disk
        began = time.monotonic()
        for _ in range(10):
            tracker.emit(100)
        assert time.monotonic() - began < 3
        layer.set()
        tracker.flush()
    assert len(server.ids(run)) == 1001


def test_memory_is_free_again_when_the_server_has_it_all(server, spool, layer):
    """Though the disk stays full."""
    layer.set(disk=errno.ENOSPC)
    with tracker_of(server, spool, layer) as tracker:
        with server.away():
            tracker.run(code=3)
            tracker.tell("sync", 10000)
            codes = [tracker.hear("sync")[0] for _ in range(10000)]
            assert codes[-1] == "2"
        tracker.flush()
        tracker.sync(3, code=3)
        tracker.flush()
    assert len(server.order) == codes.count("3") + 3


def test_closing_without_a_disk_tells_what_is_lost(server, spool, layer):
    layer.set(disk=errno.ENOSPC)
    with tracker_of(server, spool, layer) as tracker:
        with server.away():
            tracker.run(code=3)
            tracker.sync(10, code=3)
            tracker.close(code=8)
    assert "10 emissions are lost" in tracker.log()


def test_a_run_that_only_memory_knows_is_lost_as_well(server, spool, layer):
    layer.set(disk=errno.ENOSPC)
    with tracker_of(server, spool, layer) as tracker:
        with server.away():
            tracker.run(code=3)
            tracker.close(code=8)
    assert "0 emissions are lost, and 1 creations of runs" in tracker.log()


def test_a_disk_that_works_again_is_noticed_by_itself(server, spool, layer):
    """Though nothing waits for it: the trouble came when all had been written."""
    with tracker_of(server, spool, layer) as tracker:
        run = tracker.run()
        ids = tracker.sync(3)
        layer.set(disk=errno.EIO)
        ids += tracker.sync(1, code=3)
        tracker.flush()
        assert tracker.stats()["disk_errno"] == errno.EIO
        layer.set()
        harness.until(lambda: tracker.stats()["disk_errno"] == 0, what="the disk")
    assert server.ids(run) == ids


def test_a_spool_that_somebody_removes(server, spool, layer):
    """As with rm -r: what it had is lost, and counted but for the file that is open; what comes is safe again."""
    with tracker_of(server, spool, layer, max_bytes=1 << 17) as tracker:
        with server.away():
            tracker.run()
            tracker.sync(300)
            shutil.rmtree(spool)
            tracker.sync(200)
            ids = tracker.sync(10)
            assert segments(spool)
            tracker.kill()
    with tracker_of(server, spool) as successor:
        successor.flush()
    assert set(ids) <= {identity for _, _, identity in server.order}


def test_what_is_in_memory_goes_to_the_disk_before_the_end(server, spool, layer):
    layer.set(disk=errno.ENOSPC)
    with server.away():
        with tracker_of(server, spool, layer) as tracker:
            run = tracker.run(code=3)
            ids = tracker.sync(10, code=3)
            layer.set()
    with tracker_of(server, spool) as successor:
        successor.flush()
    assert server.ids(run) == ids


def test_a_full_disk_keeps_what_is_refused(server, spool, layer):
    """A record is not gone before it is in rejected/."""
    with tracker_of(server, spool, layer) as tracker:
        run = tracker.run()
        tracker.flush()
        with server.away():
            ids = tracker.sync(5)
            layer.set(disk=errno.ENOSPC)
            server.script(*[faulty.rejecting(422)] * 1000)
        tracker.flush(500, code=4)
        assert tracker.stats()["rejected"] == 0
        layer.set()
        tracker.flush()
        assert tracker.stats()["rejected"] >= 1
    assert rejected(spool)[0]["emission"]["id"] == ids[0]
    assert server.ids(run) == ids[1:]


@pytest.mark.parametrize("problem", [errno.EROFS, errno.EACCES])
def test_an_orphan_on_a_disk_that_cannot_be_written_is_delivered(server, spool, layer, problem):
    with server.away():
        tracker = tracker_of(server, spool)
        run = tracker.run()
        ids = tracker.sync(10)
        tracker.kill()
    layer.set(disk=problem)
    with tracker_of(server, spool, layer) as successor:
        successor.flush()
        assert successor.stats()["found"] == 10
    assert server.ids(run) == ids


# -- the power goes -----------------------------------------------------------------------------------------------------

def cut(tracker, layer):
    """The power goes; what is on the disk is all that the next process finds."""
    tracker.kill()
    layer.power_cut()


def test_a_power_cut_takes_nothing_that_was_synced(server, spool, layer):
    with server.away():
        tracker = tracker_of(server, spool, layer)
        run = tracker.run()
        ids = tracker.sync(30)
        cut(tracker, layer)
    with tracker_of(server, spool) as successor:
        successor.flush()
    assert server.ids(run) == ids


def test_a_power_cut_does_take_something(server, spool, layer):
    """What nobody forces to the disk is gone: the other tests here would fail if nothing were forced."""
    with server.away():
        tracker = tracker_of(server, spool, layer, fsync=3)
        tracker.run()
        tracker.sync(30)
        cut(tracker, layer)
    assert not any(path.stat().st_size for path in segments(spool))


def test_a_power_cut_takes_no_new_directory(server, spool, layer):
    """Those above the spool, which were made with it."""
    deep = spool / "state" / "carbond"
    with server.away():
        tracker = tracker_of(server, deep, layer)
        run = tracker.run()
        tracker.emit(3)
        ids = tracker.sync(8)
        cut(tracker, layer)
    with tracker_of(server, deep) as successor:
        successor.flush()
    sent = server.ids(run)
    assert len(sent) == 11 and sent[3:] == ids, "what went before in the same run was forced along with it"


def test_a_power_cut_between_segments(server, spool, layer):
    """Small segments: many of them, with names of their own."""
    with server.away():
        tracker = tracker_of(server, spool, layer, max_bytes=1 << 20)
        run = tracker.run()
        ids = tracker.sync(2000)
        assert len(segments(spool)) >= 3
        cut(tracker, layer)
    with tracker_of(server, spool) as successor:
        successor.flush()
    assert server.ids(run) == ids


def test_a_power_cut_after_an_adoption(server, spool, layer):
    """What has been moved from one directory to another is in one of them."""
    with server.away():
        killed = tracker_of(server, spool, layer)
        first = killed.run()
        ids = killed.sync(10)
        killed.kill()
        heir = tracker_of(server, spool, layer)
        second = heir.run()
        more = heir.sync(10)
        harness.until(lambda: heir.stats()["found"] == 10, 30, "the adoption")
        more += heir.sync(1)
        cut(heir, layer)
    with tracker_of(server, spool) as successor:
        successor.flush()
    assert server.ids(first) == ids and server.ids(second) == more


def test_a_power_cut_with_fsync_interval(server, spool, layer):
    """The same once the flush interval is over."""
    with server.away():
        tracker = tracker_of(server, spool, layer, fsync=2)
        run = tracker.run()
        tracker.emit(30)
        ids = tracker.sync(1)
        tracker.emit(1)
        harness.until(lambda: tracker.stats()["spool_bytes"] > 32 * 150, what="the ring on the disk")
        time.sleep(harness.patience(2))  # ten intervals
        cut(tracker, layer)
    with tracker_of(server, spool) as successor:
        successor.flush()
    assert len(server.ids(run)) == 32 and ids[0] in server.ids(run)


# -- the clock jumps ----------------------------------------------------------------------------------------------------

DAY = 86400


@pytest.mark.parametrize("jump", [-400 * DAY, DAY, 400 * DAY])
def test_pauses_do_not_go_by_the_clock_on_the_wall(server, spool, layer, jump):
    with tracker_of(server, spool, layer, retry_min=3000, retry_max=3000) as tracker:
        run = tracker.run()
        tracker.flush()
        server.script(faulty.status(503, Retry_After=3))
        ids = tracker.sync(5)
        harness.until(lambda: tracker.stats()["retry_in"] > 0)
        layer.set(seconds=jump)
        ids += tracker.sync(5)
        began = time.monotonic()
        tracker.flush(200, code=4)
        assert 0.15 < time.monotonic() - began < harness.patience(5)
        harness.until(lambda: server.ids(run) == ids, 20)
        first, second = server.of("/emissions/batch")[:2]
        assert 2.9 < second.at - first.at < harness.patience(10)


@pytest.mark.parametrize("jump", [-400 * DAY, 400 * DAY])
def test_age_does_not_go_by_the_clock_on_the_wall(server, spool, layer, jump):
    with tracker_of(server, spool, layer, max_age=DAY) as tracker:
        with server.away():
            run = tracker.run()
            ids = tracker.sync(5)
            layer.set(seconds=jump)
            ids += tracker.sync(5)
            time.sleep(0.3)
        tracker.flush()
        assert tracker.stats()["dropped"] == 0
    assert server.ids(run) == ids


# -- time passes --------------------------------------------------------------------------------------------------------

LONG = 61  # s: more than between two searches for orphans


def test_an_orphan_is_adopted_by_a_living_process(server, spool, layer):
    """Within a minute, without a start."""
    with tracker_of(server, spool, layer) as living:
        living.run()
        living.flush()
        with server.away():
            tracker = tracker_of(server, spool)
            run = tracker.run()
            ids = tracker.sync(10)
            tracker.kill()
        assert living.stats()["found"] == 0
        layer.set(ahead=LONG)
        living.sync(1)
        harness.until(lambda: living.stats()["found"] == 10, 30, "the adoption")
        living.flush()
    assert server.ids(run) == ids


def refuse_the_wrong(server):
    """Who has no token is refused."""
    act = server.act
    server.act = lambda request: (act(request) if request.headers.get("x-api-token") == "cpt_good" else
                                  (401, {"detail": "Invalid token"}))


@pytest.fixture
def refused(server, spool, layer):
    """A tracker with a wrong token, which has adopted what another one has left: its run and its ids."""
    refuse_the_wrong(server)
    with server.away():
        tracker = tracker_of(server, spool, token="cpt_good")
        run = tracker.run()
        ids = tracker.sync(10)
        tracker.kill()
    with tracker_of(server, spool, layer, token="cpt_wrong") as refused:
        harness.until(lambda: refused.stats()["link"] == 3, 30, "the refusal")
        assert refused.stats()["found"] == refused.stats()["pending"] == 10
        yield refused, run, ids


def test_a_refused_token_holds_up_no_orphan(server, spool, layer, refused):
    """Another process of the spool has a better one."""
    tracker, run, ids = refused
    with tracker_of(server, spool, token="cpt_good") as other:
        other.flush()
        assert other.stats()["found"] == 0
    layer.set(ahead=LONG)
    tracker.run()
    harness.until(lambda: tracker.stats()["found"] == 0, 30, "its giving back")
    tracker.sync(3)
    assert tracker.stats()["pending"] == 3, "its own stays with it"
    with tracker_of(server, spool, token="cpt_good") as other:
        other.flush()
        assert other.stats()["found"] == 10
    assert server.ids(run) == ids


def test_what_was_given_back_is_sought_again_with_another_token(server, layer, refused):
    tracker, run, ids = refused
    layer.set(ahead=LONG)
    tracker.run()
    harness.until(lambda: tracker.stats()["found"] == 0, 30, "its giving back")
    assert tracker.ask("token", "cpt_good") == ["0"]
    tracker.flush()
    assert server.ids(run) == ids and tracker.stats()["found"] == 10


def test_what_nobody_takes_is_tried_again(server, layer, refused):
    """The token may be made good at the server."""
    tracker, run, ids = refused
    layer.set(ahead=LONG)
    tracker.run()
    harness.until(lambda: tracker.stats()["found"] == 0, 30, "its giving back")
    layer.set(ahead=2 * LONG)
    tracker.sync(1)
    harness.until(lambda: tracker.stats()["found"] == 10, 30, "another try")
    del server.act
    tracker.flush()
    assert server.ids(run) == ids


def test_closing_waits_for_no_name_server(server, spool, layer):
    layer.set(names=20)
    with Tracker("http://carbond.invalid", spool, experiment=EXPERIMENT, environment=layer.environment()) as tracker:
        tracker.run()
        tracker.sync(3)
        harness.until(lambda: tracker.stats()["requests"] > 0, what="the request")
        began = time.monotonic()
        tracker.close()
        assert time.monotonic() - began < 10
