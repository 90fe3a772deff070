"""Plain CodeCarbon servers of both generations: scripted ones, which ask for what recorded trackers have sent to them."""

import json

import pytest

import faulty
from faulty import CODECARBON_1, CODECARBON_2, FaultyServer
import harness
from tracker import Tracker, rejected, segments

EXPERIMENT = "11111111-2222-4333-8444-555555555555"
GENERATIONS = {"first": (CODECARBON_1, 2, "codecarbon-2.4.1.jsonl"), "second": (CODECARBON_2, 3, "codecarbon-3.2.9.jsonl")}


@pytest.fixture(params=GENERATIONS)
def generation(request):
    return GENERATIONS[request.param]


@pytest.fixture
def plain(generation):
    with FaultyServer(generation[0]) as server:
        yield server


def tracker_of(plain, spool, **options):
    return Tracker(plain.url, spool, experiment=EXPERIMENT, **options)


def only_run(server):
    (run,) = server.runs
    return run


def recorded(name, path):
    """The members of the first recorded request to this path, and their values."""
    lines = (harness.ROOT / "tests" / "data" / name).read_text().splitlines()
    return next(line["body"] for line in map(json.loads, lines) if line["path"] == path)


def test_it_is_found_out(plain, generation, tmp_path):
    with tracker_of(plain, tmp_path / "spool") as tracker:
        local = tracker.run()
        ids = tracker.sync(10)
        tracker.flush()
        assert tracker.stats()["server"] == generation[1] and tracker.stats()["delivered"] == 10
        harness.until(lambda: not segments(tmp_path / "spool"), what="an empty spool")
    run = only_run(plain)
    assert run != local and plain.ids(run) == ids, "in order, to the run that the server has made"
    assert not plain.repeats and not rejected(tmp_path / "spool")


def test_it_is_told(plain, generation, tmp_path):
    dialect, server, _ = generation
    with tracker_of(plain, tmp_path / "spool", server=server) as tracker:
        tracker.run()
        tracker.sync(3)
        tracker.flush()
    assert [request.path for request in plain.requests] == [dialect.runs, *[dialect.emissions] * 3]


def test_it_is_told_by_the_environment(tmp_path):
    with FaultyServer(CODECARBON_1) as plain:
        with tracker_of(plain, tmp_path / "spool", environment={"CARBOND_SERVER": "codecarbon1"}) as tracker:
            tracker.run()
            tracker.flush()
        assert [request.path for request in plain.requests] == ["/run"]


def test_it_gets_what_recorded_trackers_send(plain, generation, tmp_path):
    dialect, server, recording = generation
    with tracker_of(plain, tmp_path / "spool", server=server, token="cpt_token") as tracker:
        tracker.run()
        tracker.sync(1)
        tracker.flush()
    for path in (dialect.runs, dialect.emissions):
        (request,) = plain.of(path)
        sent, expected = request.json(), recorded(recording, path)
        assert expected.keys() <= sent.keys()
        assert all(type(sent[name]) in (type(value), type(None), int, float) for name, value in expected.items())
        assert request.headers["content-type"] == "application/json" and "content-encoding" not in request.headers
        assert request.headers["x-api-token"] == "cpt_token"


def test_the_run_id_survives_the_process(plain, generation, tmp_path):
    tracker = tracker_of(plain, tmp_path / "spool")
    tracker.run()
    tracker.sync(2)
    tracker.flush()
    plain.refuse()
    ids = tracker.sync(5)
    tracker.kill()
    plain.listen()
    with tracker_of(plain, tmp_path / "spool", server=generation[1]) as successor:
        successor.flush()
    assert plain.ids(only_run(plain))[2:] == ids


def test_a_run_is_resumed_by_the_id_that_was_chosen_here(plain, tmp_path):
    """Though all of it has been delivered, and nothing is left in the spool but what the server calls it."""
    with tracker_of(plain, tmp_path / "spool") as tracker:
        local = tracker.run()
        tracker.flush()
    with tracker_of(plain, tmp_path / "spool") as other:
        other.resume(local)
        ids = other.sync(4)
        other.flush()
    assert plain.ids(only_run(plain)) == ids


def test_a_wrong_address_keeps_everything(plain, tmp_path):
    with Tracker(plain.url + "/nowhere", tmp_path / "spool", experiment=EXPERIMENT) as tracker:
        tracker.run()
        tracker.sync(5)
        tracker.flush(500, code=4)
        stats = tracker.stats()
        assert stats["link"] == 4 and stats["pending"] == 5 and stats["rejected"] == 0, stats


def test_a_killed_tracker_sends_little_again(plain, tmp_path):
    """What was acknowledged is marked in the spool, since this server would store it twice."""
    tracker = tracker_of(plain, tmp_path / "spool")
    tracker.run()
    tracker.sync(20)
    harness.until(lambda: len(plain.emissions) >= 10, what="half of them")
    tracker.kill()
    with tracker_of(plain, tmp_path / "spool") as successor:
        successor.flush()
    assert len(plain.emissions) == 20 and plain.repeats <= 1, "one was on its way"


@pytest.mark.parametrize("fault", [faulty.reset_after_the_body, faulty.status(500), faulty.status(503, Retry_After=1),
                                   faulty.status(401), faulty.says(b"<html>", 404, stored=False)],
                         ids=["reset", "500", "503", "401", "404 of a proxy"])
def test_faults(plain, generation, tmp_path, fault):
    with tracker_of(plain, tmp_path / "spool", server=generation[1]) as tracker:
        plain.script(fault)
        tracker.run()
        tracker.flush()
        plain.refuse()
        ids = tracker.sync(5)
        plain.script(fault, fault)
        plain.listen()
        tracker.flush()
    assert plain.ids(only_run(plain)) == ids and not plain.repeats and not rejected(tmp_path / "spool")


@pytest.mark.parametrize("code", [400, 404, 409, 422])
def test_a_refused_emission_is_set_aside(plain, tmp_path, code):
    with tracker_of(plain, tmp_path / "spool") as tracker:
        tracker.run()
        ids = tracker.sync(1)
        tracker.flush()
        plain.refuse()
        ids += tracker.sync(3)
        plain.script(faulty.status(code, "not this one"))
        plain.listen()
        tracker.flush()
        assert tracker.stats()["rejected"] == 1
    assert plain.ids(only_run(plain)) == [ids[0], *ids[2:]]
    assert [(line["status"], line["emission"]["id"]) for line in rejected(tmp_path / "spool")] == [(code, ids[1])]


def test_an_unknown_experiment_is_no_missing_path(plain, tmp_path):
    """404 to the first request of all: a probe finds out that the path is there, and the run is set aside."""
    dialect = plain.dialect

    async def no_experiment(exchange):
        await exchange.receive()
        if exchange.request.path == dialect.runs and "experiment_id" in exchange.request.json():
            await exchange.send(404, {"detail": "Experiment not found"})
        else:
            await exchange.send(*exchange.act())
    with tracker_of(plain, tmp_path / "spool") as tracker:
        plain.script(*[no_experiment] * 100)
        tracker.run()
        tracker.sync(3)
        tracker.flush()
        assert tracker.stats()["rejected"] == 3
    assert not plain.runs and [line["status"] for line in rejected(tmp_path / "spool")] == [404] * 4
