"""carbond-send and carbond-spool: what a script sees of the library."""

import json
import re
import subprocess

import pytest

import faulty
from faulty import FaultyServer
import harness
import tool
from tracker import Tracker, rejected, segments

EXPERIMENT = "11111111-2222-4333-8444-555555555555"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DONE, FAILED, USAGE, LATER = range(4)


@pytest.fixture
def server():
    with FaultyServer() as server:
        yield server


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def program(name, *words, code=DONE, stdin="", environment=None):
    """Standard output and standard error."""
    done = subprocess.run([str(tool.BINARY.with_name(name)), *map(str, words)], input=stdin, capture_output=True, text=True,
                          timeout=harness.patience(60),
                          env=harness.clean_environment(HOME="/nonexistent", **(environment or {})))
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


@pytest.fixture
def send(server, spool):
    def send(*words, **options):
        return program("carbond-send", *words, "--url", server.url, "--spool", spool, **options)
    return send


@pytest.fixture
def orphan(server, spool):
    """A run and ten emissions that a killed process has left."""
    with server.away():
        tracker = Tracker(server.url, spool, experiment=EXPERIMENT)
        run, ids = tracker.run(), tracker.sync(10)
        tracker.kill()
        yield run, ids


# -- carbond-send -------------------------------------------------------------------------------------------------------

def test_a_run_and_its_emissions(server, spool, send):
    run = send("run", "--experiment", EXPERIMENT, "--os", "Linux", "--cpu-count", 8, "--latitude", "48.9",
               "--timestamp", "2026-11-23T17:40:00.25+01:00")[0].strip()
    body = server.runs[run]
    assert body["os"] == "Linux" and body["cpu_count"] == 8 and body["latitude"] == 48.9 and body["gpu_count"] is None
    assert body["timestamp"] == "2026-11-23T16:40:00.250000Z"
    emission = send("emission", "--run", run, "--duration", 15, "--emissions-sum", "1.9e-06", "--energy-consumed",
                    "3.4e-05", "--wue", "0.5")[0].strip()
    assert server.ids(run) == [emission]
    (body,) = server.emissions.values()
    assert body["duration"] == 15 and body["emissions_sum"] == 1.9e-06 and body["wue"] == 0.5 and body["cpu_power"] is None
    assert not segments(spool)


def test_lines(server, send):
    run = send("run", "--experiment", EXPERIMENT)[0].strip()
    other = send("run", "--experiment", EXPERIMENT)[0].strip()
    lines = [{"duration": 1, "emissions_sum": 1}, {"duration": 2.5, "timestamp": "2026-11-23T17:40:00Z", "unknown": [{}]},
             {"run_id": other, "id": EXPERIMENT.upper(), "duration": 1, "cpu_power": None}]
    ids = send("emission", "--run", run, "--stdin", "--ram-power", 20,
               stdin="\n".join(map(json.dumps, lines)) + "\n\n")[0].split()
    assert server.ids(run) == ids[:2] and server.ids(other) == [EXPERIMENT] and ids[2] == EXPERIMENT.upper()
    bodies = list(server.emissions.values())
    assert [body["ram_power"] for body in bodies] == [20, 20, 20]
    assert {"2026-11-23T17:40:00.000000Z"} < {body["timestamp"] for body in bodies}


def test_many_lines(server, send):
    """More than the ring holds at once."""
    run = send("run", "--experiment", EXPERIMENT)[0].strip()
    line = json.dumps({"duration": 1, "emissions_sum": 1}) + "\n"
    ids = send("emission", "--run", run, "--stdin", stdin=line * 20000)[0].split()
    assert len(set(ids)) == 20000 and server.ids(run) == ids


def test_faulty_lines_cost_their_neighbours_nothing(server, send):
    run = send("run", "--experiment", EXPERIMENT)[0].strip()
    lines = ["{", "[]", "null", '{"duration": 1}', '{"duration": -1}', '{"duration": "1"}', "{}", '{"duration": 1, "id": "x"}',
             '{"duration": 1, "timestamp": 5}', '{"duration": 1, "run_id": "me"}', '{"duration": true}', '{"duration": 2}']
    ids, told = send("emission", "--run", run, "--stdin", stdin="\n".join(lines), code=FAILED)
    assert server.ids(run) == ids.split() and len(ids.split()) == 2
    assert re.findall(r"line (\d+):", told) == ["1", "2", "3", "5", "6", "7", "8", "9", "10", "11"]


def test_offline(server, spool, send):
    """The run begins offline, its emissions follow; whoever comes next delivers all of it."""
    with server.away():
        out, told = send("run", "--experiment", EXPERIMENT, "--wait", "0.2", code=LATER)
        run = out.strip()
        assert "stays in the spool" in told
        one = send("emission", "--run", run, "--duration", 1, "--wait", 0)[0].strip()
        two = send("emission", "--run", run, "--stdin", "--wait", 0, stdin='{"duration": 1}')[0].strip()
        assert segments(spool)
    program("carbond-spool", "flush", "--url", server.url, spool)
    assert server.ids(run) == [one, two] and not list(spool.iterdir())


def test_what_the_server_refuses_is_a_failure(server, spool, send):
    run = send("run", "--experiment", EXPERIMENT)[0].strip()
    server.script(faulty.rejecting(422))
    assert "1 rejected" in send("emission", "--run", run, "--duration", 1, code=FAILED)[1]
    assert len(rejected(spool)) == 1


def test_a_token_from_a_file(server, tmp_path, send):
    (tmp_path / "token").write_text("cpt_secret\n")
    send("run", "--experiment", EXPERIMENT, "--token-file", tmp_path / "token")
    assert server.requests[0].headers["x-api-token"] == "cpt_secret"


def test_the_environment(server, spool):
    program("carbond-send", "run", environment={"CARBOND_URL": server.url, "CARBOND_SPOOL_DIR": str(spool),
                                                "CARBOND_TOKEN": "cpt_token", "CARBOND_EXPERIMENT_ID": EXPERIMENT})
    assert server.requests[0].headers["x-api-token"] == "cpt_token"


@pytest.mark.parametrize("words, told", [
    ([], "usage"), (["walk"], "no such command: walk"), (["run", "--nonsense"], "is not an option"), (["run", "--os"], "needs a value"),
    (["run", "more"], "unexpected argument"), (["run", "--cpu-count", "-1"], "whole number"),
    (["run", "--latitude", "north"], "a number"), (["run", "--timestamp", "yesterday"], "a time"),
    (["run", "--timestamp", "2026-11-23T17:40:00+25:00"], "a time"), (["run", "--server", "apache"], "codecarbon1"),
    (["run", "--timestamp", "2026-02-31T00:00:00Z"], "a time"), (["run", "--token-file", "/dev/null"], "no token"),
    (["run", "--wait", "-1"], "seconds"), (["run", "--token-file", "/nonexistent"], "No such file"),
    (["run", "--url", "ftp://x"], "http(s)"), (["run", "--experiment", "x", "--url", "http://x"], "UUID"),
])
def test_wrong_usage(tmp_path, words, told):
    out, error = program("carbond-send", *words, code=USAGE, environment={"CARBOND_SPOOL_DIR": str(tmp_path / "spool")})
    assert told in error and not out


@pytest.mark.parametrize("words", [["--run", EXPERIMENT], ["--duration", "1"], ["--run", "x", "--duration", "1"],
                                   ["--run", EXPERIMENT, "--duration", "0"], ["--run", EXPERIMENT, "--id", "x", "--duration", "1"],
                                   ["--run", EXPERIMENT, "--duration", "1", "--cpu-utilization-percent", "101"]])
def test_an_emission_that_is_none(send, words):
    out, error = send("emission", *words, code=FAILED)
    assert error and not out


@pytest.mark.parametrize("words", [["carbond-send"], ["carbond-send", "run"], ["carbond-send", "emission"], ["carbond-spool"],
                                   ["carbond-spool", "list"], ["carbond-spool", "flush"], ["carbond-spool", "verify"]])
def test_help(words):
    out, error = program(*words, "--help")
    assert out.startswith(("usage:", words[0])) and not error
    assert max(map(len, out.splitlines())) <= 132


@pytest.mark.parametrize("name", ["carbond-send", "carbond-spool"])
def test_version(name):
    assert program(name, "--version") == (f"{name} 0.1.0\n", "")


def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        done = subprocess.run([tool.BINARY.with_name("carbond-send"), "--help"], stdout=full, stderr=subprocess.PIPE,
                              env=harness.clean_environment())
    assert done.returncode == FAILED and b"can't be written" in done.stderr


# -- carbond-spool ------------------------------------------------------------------------------------------------------

def rows(text):
    return [line.split() for line in text.splitlines()[1:]]


def test_list(server, spool, orphan):
    with Tracker(server.url, spool.parent / "other", experiment=EXPERIMENT) as live:
        live.run()
        live.sync(3)
        (directory,) = (spool.parent / "other").iterdir()
        directory.rename(spool / directory.name)  # beside the orphan, which it would have adopted
        state = {row[0]: row[1:5] for row in rows(program("carbond-spool", "list", spool)[0])}
        assert len(state) == 2
        assert state.pop(directory.name) == ["live", "1", "3", "0"]
        assert list(state.values()) == [["orphan", "1", "10", "0"]]
        (spool / directory.name).rename(directory)
        before = live.stats()["pending"]
        live.sync(1)
        assert before == 3 and live.stats()["disk_errno"] == 0, "it was not disturbed"


def test_list_tells_what_was_set_aside(server, spool, send):
    run = send("run", "--experiment", EXPERIMENT)[0].strip()
    server.script(faulty.rejecting(422))
    send("emission", "--run", run, "--duration", 1, code=FAILED)
    assert re.search(r"^rejected/\S+\.ndjson$", program("carbond-spool", "list", spool)[0], re.MULTILINE)


def test_verify(spool, orphan):
    (segment,) = segments(spool)
    out = program("carbond-spool", "verify", spool)[0]
    assert out == f"{segment.parent.name}/{segment.name}: whole, 11 records, 10 emissions waiting, 0 bytes lost\n"
    data = segment.read_bytes()
    segment.write_bytes(data[:-5])
    assert ": torn, 10 records, 9 emissions" in program("carbond-spool", "verify", spool, code=FAILED)[0]
    segment.write_bytes(data[:-300] + b"\0" * 10 + data[-290:])
    assert re.search(r": damaged, 10 records, 9 emissions waiting, 1[0-9]{2} bytes lost",
                     program("carbond-spool", "verify", spool, code=FAILED)[0])


def test_flush(server, spool, orphan):
    run, ids = orphan
    out, _ = program("carbond-spool", "flush", "--url", server.url, "--wait", "0.2", spool, code=LATER)
    assert out == "10 found, 0 delivered, 0 rejected, 10 left\n"
    server.listen()
    out, _ = program("carbond-spool", "flush", "--url", server.url, spool)
    assert out == "10 found, 10 delivered, 0 rejected, 0 left\n"
    assert server.ids(run) == ids and not list(spool.iterdir())


def test_flush_of_what_was_meant_for_another_url(server, spool, orphan):
    run, ids = orphan
    server.listen()
    url = server.url.replace("127.0.0.1", "localhost")
    assert program("carbond-spool", "flush", "--url", url, spool)[0].startswith("0 found")
    assert program("carbond-spool", "flush", "--url", url, "--any-url", spool)[0].startswith("10 found, 10 delivered")
    assert server.ids(run) == ids


def test_flush_leaves_live_ones_alone(server, spool):
    with server.away():
        with Tracker(server.url, spool, experiment=EXPERIMENT) as live:
            run = live.run()
            ids = live.sync(5)
            assert program("carbond-spool", "flush", "--url", server.url, "--wait", 1, spool)[0].startswith("0 found")
            ids += live.sync(5)
            server.listen()
            live.flush()
            assert live.stats()["delivered"] == 10
    assert server.ids(run) == ids


@pytest.mark.parametrize("command", ["list", "verify", "flush"])
def test_a_directory_that_is_not_there(tmp_path, command):
    words = ["--url", "http://127.0.0.1:9"] if command == "flush" else []
    assert "No such file" in program("carbond-spool", command, *words, tmp_path / "no", code=FAILED)[1]
    assert not (tmp_path / "no").exists()
    assert "one DIR" in program("carbond-spool", command, code=USAGE)[1]
