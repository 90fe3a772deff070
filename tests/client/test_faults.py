"""What a tracker has emitted arrives once, whatever the server does: a scripted one that does wrong on purpose."""

import json
import threading
import time

import pytest

import faulty
from faulty import FaultyServer
import harness
from tracker import Tracker, rejected, segments

EXPERIMENT = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def faults():
    with FaultyServer() as server:
        yield server


def tracker_of(server, spool, **options):
    return Tracker(server.url, spool, experiment=EXPERIMENT, **options)


def begin(server, tracker):
    """A run that the server knows: what follows is about emissions."""
    run = tracker.run()
    tracker.flush()
    assert run in server.runs and not server.emissions
    return run


def complete(server, run, ids, repeats=None):
    assert server.ids(run) == ids, "all, once, in order"
    if repeats is not None:
        assert server.repeats == repeats


# -- an answer that does not come ---------------------------------------------------------------------------------------

NOT_STORED = [faulty.reset_before_the_body, faulty.reset_after_the_body, faulty.status(500), faulty.status(502),
              faulty.status(503, Retry_After=0), faulty.status(408), faulty.status(425), faulty.status(429),
              faulty.status(401), faulty.status(403), faulty.status(302, Location="/elsewhere"), faulty.status(418)]
STORED = [faulty.lost_after_storing, faulty.half_an_answer, faulty.half_a_head, faulty.garbage, faulty.stall,
          faulty.slow_drip]


def name_of(fault):
    cells = [cell.cell_contents for cell in fault.__closure__ or ()]
    return "_".join([fault.__qualname__.split(".")[0], *(str(cell) for cell in cells if isinstance(cell, int))])


@pytest.mark.parametrize("fault", [*NOT_STORED, *STORED], ids=name_of)
@pytest.mark.parametrize("what", ["creation", "emissions"])
def test_sent_again_stored_once(faults, tmp_path, fault, what):
    with tracker_of(faults, tmp_path / "spool", stall_timeout=1000) as tracker:
        run = begin(faults, tracker) if what == "emissions" else None
        with faults.away():
            run = run or tracker.run()
            ids = tracker.sync(10)
            faults.script(fault)
        tracker.flush()
        stats = tracker.stats()
        assert not faults.faults
        assert stats["delivered"] == 10 and stats["rejected"] == 0, stats
        expected = 10 if what == "emissions" and fault in STORED else 0
        assert stats["duplicates"] == expected, stats
    complete(faults, run, ids, expected)
    assert not rejected(tmp_path / "spool")


def test_all_faults_in_a_row(faults, tmp_path):
    with tracker_of(faults, tmp_path / "spool", stall_timeout=1000, batch_size=3) as tracker:
        faults.script(*STORED[:4], *NOT_STORED, *STORED[:4])
        run = tracker.run()
        ids = tracker.sync(30)
        tracker.flush()
    assert not faults.faults
    complete(faults, run, ids)


def test_nobody_listens(faults, tmp_path):
    with tracker_of(faults, tmp_path / "spool") as tracker:
        run = begin(faults, tracker)
        with faults.away():
            ids = tracker.sync(10)
            tracker.flush(300, code=4)
            assert tracker.stats()["link"] == 2
        tracker.flush()
    complete(faults, run, ids, 0)


# -- when it comes back -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_the_floor(faults, tmp_path, code, form):
    """Of the pause, which would be 200 ms at most; even for one who is in a hurry."""
    with tracker_of(faults, tmp_path / "spool") as tracker:
        run = begin(faults, tracker)
        later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3)) if form == "date" else 2
        told = time.monotonic()
        faults.script(faulty.status(code, Retry_After=later))
        ids = tracker.sync(5)
        tracker.flush()
        first, second = faults.of("/emissions/batch")
        assert second.at - (told if form == "date" else first.at) >= 1.9
        assert tracker.stats()["http_status"] == 200
    complete(faults, run, ids, 0)


def test_the_pauses_grow(faults, tmp_path):
    """Full jitter between 0 and a ceiling that doubles: eight attempts need more than three times the first ceiling, on
    average; and never come at once, one after the other."""
    with tracker_of(faults, tmp_path / "spool", retry_min=100, retry_max=2000) as tracker:
        run = begin(faults, tracker)
        faults.script(*[faulty.status(500)] * 8)
        began = time.monotonic()
        ids = tracker.sync(5)
        harness.until(lambda: faults.ids(run) == ids, 30)
        pauses = [b.at - a.at for a, b in zip(faults.of("/emissions/batch"), faults.of("/emissions/batch")[1:])]
        assert len(pauses) == 8
        ceilings = [.1, .2, .4, .8, 1.6, 2, 2, 2]
        assert all(pause <= ceiling + harness.patience(5) for pause, ceiling in zip(pauses, ceilings)), pauses
        assert time.monotonic() - began > 0.5, pauses
    complete(faults, run, ids, 0)


def test_a_flush_hurries(faults, tmp_path):
    with tracker_of(faults, tmp_path / "spool", retry_min=3600000, retry_max=3600000) as tracker:
        run = begin(faults, tracker)
        faults.script(faulty.status(500))
        ids = tracker.sync(5)
        harness.until(lambda: tracker.stats()["retry_in"] > 0)
        tracker.flush()
    complete(faults, run, ids, 0)


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_token_keeps_everything(faults, tmp_path, code):
    async def refuse_the_token(exchange):
        wrong = exchange.request.headers["x-api-token"] == "cpt_wrong"
        await (faulty.status(code) if wrong else faulty.well)(exchange)
    with tracker_of(faults, tmp_path / "spool", token="cpt_wrong") as tracker:
        run = begin(faults, tracker)
        faults.script(*[refuse_the_token] * 1000)
        ids = tracker.sync(10)
        harness.until(lambda: tracker.stats()["link"] == 3)
        harness.until(lambda: tracker.stats()["retry_in"] > 0, what="a pause")
        assert tracker.stats()["pending"] == 10
        assert tracker.ask("token", "cpt_right") == ["0"]
        tracker.flush()
        assert "refuses the token" in tracker.log()
    assert faults.requests[-1].headers["x-api-token"] == "cpt_right"
    complete(faults, run, ids, 0)


def test_a_refused_token_survives_the_process(faults, tmp_path):
    """Nothing of it is in the spool but what was emitted: the next start has another token."""
    faults.script(*[faulty.status(401)] * 100)
    with tracker_of(faults, tmp_path / "spool", token="cpt_wrong") as tracker:
        run = tracker.run()
        ids = tracker.sync(10)
        tracker.flush(300, code=4)
    assert all(b"cpt_wrong" not in path.read_bytes() for path in segments(tmp_path / "spool"))
    faults.faults.clear()
    with tracker_of(faults, tmp_path / "spool", token="cpt_right") as tracker:
        tracker.flush()
    complete(faults, run, ids, 0)


# -- what is refused for good -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("code", [400, 403, 404, 409, 413, 422])
def test_a_record_is_refused(faults, tmp_path, code):
    with tracker_of(faults, tmp_path / "spool") as tracker:
        run = begin(faults, tracker)
        with faults.away():
            ids = tracker.sync(10)
            faults.script(faulty.rejecting(code, code))
        tracker.flush()
        stats = tracker.stats()
        assert stats["delivered"] == 8 and stats["rejected"] == 2, stats
    complete(faults, run, ids[2:], 0)
    lines = rejected(tmp_path / "spool")
    assert [(line["status"], line["detail"], line["emission"]["id"]) for line in lines] == \
        [(code, f"reason {code}", identity) for identity in ids[:2]]
    assert lines[0]["emission"]["run_id"] == run and lines[0]["at"]


def test_not_found_before_the_creation_is_not_final(faults, tmp_path):
    """An emission of a run that another process has yet to create waits."""
    with tracker_of(faults, tmp_path / "spool") as tracker:
        with faults.away():
            beginner = tracker_of(faults, tmp_path / "elsewhere")
            run = beginner.run()
            beginner.kill()
        begin(faults, tracker)
        tracker.resume(run)
        faults.script(faulty.rejecting(404))
        ids = tracker.sync(1)
        tracker.flush()
    complete(faults, run, ids, 0)
    assert not rejected(tmp_path / "spool")


@pytest.mark.parametrize("code", [400, 409, 413, 422])
def test_a_run_is_refused(faults, tmp_path, code):
    """And its emissions with it, without being sent; other runs are not held up."""
    with tracker_of(faults, tmp_path / "spool") as tracker:
        good = begin(faults, tracker)

        async def refuse_the_run(exchange):
            await exchange.receive()
            if exchange.request.path == "/runs" and exchange.request.json()["id"] == bad:
                await exchange.send(code, {"detail": "no such luck"})
            else:
                await exchange.send(*exchange.act())
        with faults.away():
            bad = tracker.run()
            ids = tracker.sync(3)
            tracker.resume(good)
            more = tracker.sync(3)
            faults.script(*[refuse_the_run] * 100)
        tracker.flush()
        stats = tracker.stats()
        assert stats["delivered"] == 3 and stats["rejected"] == 3, stats
    complete(faults, good, more, 0)
    assert not faults.ids(bad)
    lines = rejected(tmp_path / "spool")
    assert [line["run"]["id"] for line in lines if "run" in line] == [bad]
    assert [line["emission"]["id"] for line in lines if "emission" in line] == ids
    assert all(line["status"] == code for line in lines)


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_whole_batch_is_refused(faults, tmp_path, code):
    """The one that is at fault is found, and it alone is set aside."""
    with tracker_of(faults, tmp_path / "spool") as tracker:
        run = begin(faults, tracker)

        async def refuse_the_sixth(exchange):
            await exchange.receive()
            if ids[5] in [emission["id"] for emission in exchange.request.emissions()]:
                await exchange.send(code, {"detail": "one of them"})
            else:
                await exchange.send(*exchange.act())
        with faults.away():
            ids = tracker.sync(16)
            faults.script(*[refuse_the_sixth] * 100)
        tracker.flush()
        assert tracker.stats()["rejected"] == 1
    complete(faults, run, [*ids[:5], *ids[6:]], 0)
    assert [(line["status"], line["emission"]["id"]) for line in rejected(tmp_path / "spool")] == [(code, ids[5])]


# -- answers that are none ----------------------------------------------------------------------------------------------

def batch_answer(**changes):
    return {"accepted": 10, "duplicates": 0, "rejected_count": 0, "rejected": [], **changes}


def rejection(**changes):
    return {"index": 0, "id": EXPERIMENT, "status": 422, "detail": "x", **changes}


HOSTILE = {
    "empty": b"", "no JSON": b"{", "another kind": b"[]", "null": b"null", "no UTF-8": b'{"accepted":"\xff\xfe"}',
    "deep": b"[" * 100000, "zero byte": b'{"accepted"\0:10}', "more than was sent": batch_answer(accepted=11),
    "less than was sent": batch_answer(accepted=9), "negative": batch_answer(accepted=-1, duplicates=11),
    "not whole": batch_answer(accepted=10.0), "text": batch_answer(accepted="10"), "huge": batch_answer(accepted=1 << 62),
    "beyond 64 bits": b'{"accepted":99999999999999999999999999,"duplicates":0,"rejected_count":0,"rejected":[]}',
    "twice": b'{"accepted":1,"accepted":10,"duplicates":0,"rejected_count":0,"rejected":[]}',
    "no list": batch_answer(rejected={}), "an index beyond": batch_answer(accepted=9, rejected=[rejection(index=10)]),
    "an index below": batch_answer(accepted=9, rejected=[rejection(index=-1)]),
    "one index twice": batch_answer(accepted=8, rejected=[rejection(), rejection()]),
    "a status of success": batch_answer(accepted=9, rejected=[rejection(status=200)]),
    "rejected and accepted": batch_answer(rejected=[rejection()]),
    "endless": b'{"accepted":10,"duplicates":0,"rejected_count":0,"rejected":[' + b" " * (2 << 20) + b"]}",
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_an_answer_that_makes_no_sense_settles_nothing(faults, tmp_path, answer):
    with tracker_of(faults, tmp_path / "spool") as tracker:
        run = begin(faults, tracker)
        with faults.away():
            ids = tracker.sync(10)
            faults.script(faulty.says(answer, stored=False))
        tracker.flush()
        assert tracker.stats()["delivered"] == 10
    complete(faults, run, ids, 0)
    assert not rejected(tmp_path / "spool")


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", {"id": None}, {"id": "me"}, {"id": EXPERIMENT[:-1]}, b"\xff" * 3000],
                         ids=repr)
def test_a_creation_answered_with_nonsense_is_repeated(faults, tmp_path, answer):
    with tracker_of(faults, tmp_path / "spool") as tracker:
        faults.script(faulty.says(answer, 201))
        run = tracker.run()
        ids = tracker.sync(5)
        tracker.flush()
    assert len(faults.of("/runs")) == 2
    complete(faults, run, ids, 0)


@pytest.mark.parametrize("answer", [b"<html>Not Found</html>", b"", b'{"error":"no route"}'], ids=repr)
def test_a_404_of_somebody_else_is_no_refusal(faults, tmp_path, answer):
    """As of a proxy in front: everything is kept."""
    with tracker_of(faults, tmp_path / "spool") as tracker:
        run = begin(faults, tracker)
        faults.script(faulty.says(answer, 404, stored=False))
        ids = tracker.sync(5)
        tracker.flush()
    complete(faults, run, ids, 0)
    assert not rejected(tmp_path / "spool")


# -- how it speaks ------------------------------------------------------------------------------------------------------

def test_connections_are_kept_and_bodies_compressed(faults, tmp_path):
    with tracker_of(faults, tmp_path / "spool", batch_size=10, token="cpt_secret") as tracker:
        run = begin(faults, tracker)
        ids = tracker.sync(200)
        tracker.flush()
    batches = faults.of("/emissions/batch")
    assert len(batches) >= 20 and faults.connections <= 2
    assert {request.headers["content-encoding"] for request in batches} == {"gzip"}
    assert {request.headers["content-type"] for request in batches} == {"application/x-ndjson"}
    assert {request.headers["x-api-token"] for request in faults.requests} == {"cpt_secret"}
    assert all("expect" not in request.headers for request in faults.requests)
    complete(faults, run, ids, 0)


def test_two_batches_are_in_flight_of_different_runs(faults, tmp_path):
    with tracker_of(faults, tmp_path / "spool", batch_size=5) as tracker:
        runs = [begin(faults, tracker), tracker.run()]
        tracker.flush()
        waiting = []

        async def wait_for_the_other(exchange):
            await exchange.receive()
            waiting.append({emission["run_id"] for emission in exchange.request.emissions()})
            while len(waiting) < 2:
                await faulty.asyncio.sleep(0.01)
            await exchange.send(*exchange.act())
        with faults.away():
            ids = {}
            for run in runs:
                tracker.resume(run)
                ids[run] = tracker.sync(20)
            faults.script(*[wait_for_the_other] * 2)
        tracker.flush()
    assert sorted(map(list, waiting)) == sorted([run] for run in runs)
    for run in runs:
        complete(faults, run, ids[run], 0)


def test_a_404_from_before_the_creation_is_not_final(faults, tmp_path):
    """It is on its way while the creation, by another process, is acknowledged and gone from the spool."""
    batches, created = [], threading.Event()

    async def wait_for(condition):
        while not condition():
            await faulty.asyncio.sleep(0.01)

    async def crossing(exchange):
        if exchange.request.path == "/runs":
            await wait_for(lambda: len(batches) >= 2)
            return await faulty.well(exchange)
        batches.append(exchange)
        if len(batches) > 2:
            return await faulty.well(exchange)
        await wait_for(lambda: len(batches) == 1 or created.is_set())
        return await faulty.rejecting(*[404] * 5)(exchange)
    spool = tmp_path / "spool"
    with tracker_of(faults, spool) as beginner, tracker_of(faults, spool) as other:
        with faults.away():
            run = beginner.run()
            other.resume(run)
            ids = other.sync(5)
            faults.script(*[crossing] * 1000)
        beginner.flush()
        created.set()
        other.flush()
        assert other.stats()["rejected"] == 0
    complete(faults, run, ids, 0)


def test_what_was_dropped_is_told_to_the_server(faults, tmp_path):
    with tracker_of(faults, tmp_path / "spool", max_bytes=1 << 17) as tracker:
        run = begin(faults, tracker)
        with faults.away():
            tracker.sync(3000)
            dropped = tracker.stats()["dropped"]
            assert dropped > 1000 and "is at its cap" in tracker.log()
        tracker.flush()
        assert tracker.stats()["dropped"] == dropped, "telling it costs none"
        assert len(faults.ids(run)) == 3000 - dropped
        harness.until(lambda: faults.runs[run].get("emissions_dropped") == dropped, what="the figure of the run")


def test_telling_what_was_dropped_drops_nothing(faults, tmp_path):
    """The spool is as full as it can be, and the figure of the run is to be written as well."""
    with tracker_of(faults, tmp_path / "spool", max_bytes=1 << 16, flush_interval=3600000) as tracker:
        run = begin(faults, tracker)
        with faults.away():
            def sync_until_a_drop():
                before, count = tracker.stats()["dropped"], 0
                while tracker.stats()["dropped"] == before:
                    tracker.sync(1)
                    count += 1
                return count
            sync_until_a_drop()
            between = sync_until_a_drop()
            tracker.sync(between - 1)
            dropped = tracker.stats()["dropped"]
            tracker.flush(300, code=4)
        tracker.flush()
        assert tracker.stats()["dropped"] == dropped
    assert faults.runs[run]["emissions_dropped"] == dropped


def test_what_is_too_old_is_dropped(faults, tmp_path):
    with tracker_of(faults, tmp_path / "spool", max_age=1) as tracker:
        run = begin(faults, tracker)
        with faults.away():
            tracker.sync(10)
            harness.until(lambda: tracker.stats()["dropped"] == 10, 20, "the end of what is too old")
            ids = tracker.sync(5)
        tracker.flush()
        assert "too old" in tracker.log()
    complete(faults, run, ids, 0)


def test_a_path_and_a_token_in_the_url_are_kept(faults, tmp_path):
    faults.dialect = faulty.Dialect("/api/t/TOKEN/runs", "/api/t/TOKEN/emissions/batch", True)
    with Tracker(faults.url + "/api/t/TOKEN/", tmp_path / "spool", experiment=EXPERIMENT) as tracker:
        run = tracker.run()
        tracker.flush()
    assert list(faults.runs) == [run]
    assert {request.path for request in faults.requests} == {"/api/t/TOKEN/runs"}


def test_proxies_of_the_environment_are_used(faults, tmp_path):
    with Tracker("http://carbond.invalid", tmp_path / "spool", experiment=EXPERIMENT,
                 environment={"http_proxy": faults.url}) as tracker:
        run = tracker.run()
        ids = tracker.sync(5)
        tracker.flush()
    complete(faults, run, ids, 0)
    assert {request.headers["host"] for request in faults.requests} == {"carbond.invalid"}


def test_emissions_say_what_was_measured(faults, tmp_path):
    """Each number as it was, what is unknown as null; all the members that an emission has."""
    with tracker_of(faults, tmp_path / "spool") as tracker:
        run = begin(faults, tracker)
        (identity,) = tracker.sync(1)
        tracker.flush()
    (emission,) = faults.emissions.values()
    assert emission["id"] == identity and emission["run_id"] == run and emission["duration"] == 1
    assert emission["cpu_power"] == 23.440629005749997 and emission["cpu_energy"] == 2.3100183360436425e-05
    assert emission["gpu_power"] is None and emission["wue"] is None
    assert abs(harness.moment(emission["timestamp"]) - harness.now()).total_seconds() < 60
    assert faults.runs[run]["os"] == "Linux" and faults.runs[run]["gpu_model"] is None
    assert json.dumps(emission)


def test_a_request_in_flight_does_not_suspend_the_policy(faults, tmp_path):
    """The whole spool is in a request that stalls: at the cap the oldest go all the same, and nobody is refused."""
    with tracker_of(faults, tmp_path / "spool", max_bytes=1 << 17) as tracker:
        run = begin(faults, tracker)
        with faults.away():
            tracker.sync(700)
            faults.script(faulty.stall)
        harness.until(lambda: faults.of("/emissions/batch"), what="the request")
        last = tracker.sync(1000)[-100:]
        stats = tracker.stats()
        assert stats["refused"] == 0 and stats["spool_bytes"] <= 1 << 17, stats
        faults.refuse()
        faults.listen()
        tracker.flush()
        assert tracker.stats()["dropped"] >= 900
    assert faults.ids(run)[-100:] == last


def test_what_is_stored_while_its_segment_is_dropped_is_no_drop(faults, tmp_path):
    """At the cap the spool lets go of what is in flight; what becomes of it is the server's word."""
    answer = threading.Event()

    async def wait(exchange):
        await exchange.receive()
        while not answer.is_set():
            await faulty.asyncio.sleep(0.01)
        await exchange.send(*exchange.act())
    with tracker_of(faults, tmp_path / "spool", max_bytes=1 << 17) as tracker:
        run = begin(faults, tracker)
        with faults.away():
            ids = tracker.sync(700)
            faults.script(wait)
        harness.until(lambda: faults.of("/emissions/batch"), what="the request")
        ids += tracker.sync(1000)
        answer.set()
        tracker.flush()
        harness.until(lambda: tracker.stats()["pending"] == 0, what="the last answer")
        stats = tracker.stats()
        stored = faults.ids(run)
        assert stored == [identity for identity in ids if identity in set(stored)]
        assert stats["delivered"] == len(stored) and stats["dropped"] == 1700 - len(stored), stats
        assert len(set(ids[:700]) & set(stored)) == 700
        harness.until(lambda: faults.runs[run].get("emissions_dropped", 0) == stats["dropped"], what="the figure of the run")


def test_a_creation_that_is_damaged_after_a_403(faults, tmp_path):
    """Its run's emissions do not wait for it for ever."""
    with tracker_of(faults, tmp_path / "spool") as tracker:
        with faults.away():
            run = tracker.run()
            ids = tracker.sync(5)
            faults.script(faulty.status(403))
        harness.until(lambda: not faults.faults, what="the refusal")
        (segment,) = segments(tmp_path / "spool")
        with open(segment, "r+b") as file:
            file.seek(32 + 12 + 40)
            file.write(b"????")
        tracker.flush()
        assert tracker.stats()["delivered"] == 5
    assert faults.ids(run) == ids


def test_asking_hurries_nothing_and_writes_nothing(faults, tmp_path):
    """A program that asks again and again with a timeout of 0 gets neither a file nor a request for it."""
    with tracker_of(faults, tmp_path / "spool", retry_min=3600000, retry_max=3600000) as tracker:
        begin(faults, tracker)
        faults.script(*[faulty.status(503)] * 100)
        for _ in range(20):
            tracker.sync(1)
            tracker.flush(0, code=4)
        assert len(segments(tmp_path / "spool")) == 1
        assert len(faults.of("/emissions/batch")) <= 2, "a pause is drawn: one may be short"
        faults.faults.clear()
        tracker.flush()
        tracker.flush(0)


def test_the_longest_flush(faults, tmp_path):
    with tracker_of(faults, tmp_path / "spool") as tracker:
        tracker.run()
        tracker.sync(3)
        tracker.flush((1 << 63) - 1)
        tracker.sync(3)
        tracker.flush(-1)
