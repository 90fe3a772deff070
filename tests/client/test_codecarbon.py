"""Plain CodeCarbon servers, of both generations: they choose the run's id, take one emission a request, and know no batch."""

import http.server
import json
import threading
import uuid

import pytest

import harness
from tracker import Tracker, rejected, segments

PATHS = {1: ("/run", "/emission"), 2: ("/runs", "/emissions")}
EMISSION = {"timestamp", "run_id", "duration", "emissions_sum", "emissions_rate", "energy_consumed", "cpu_power",
            "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy"}
UNKNOWN = harness.UNKNOWN_ID


class CodeCarbon(http.server.ThreadingHTTPServer):
    """What FastAPI makes of CodeCarbon's routes, in the order in which it checks: path, method, body, then ids."""

    daemon_threads = True

    def __init__(self, generation):
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs, self.emissions, self.requests = {}, [], []
        self.lock = threading.Lock()
        self.paths = PATHS[generation]
        self.down = False
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return "http://{}:{}".format(*self.server_address)

    def create_run(self, body):
        if body["experiment_id"] == UNKNOWN:
            return 404, {"detail": "Experiment not found"}
        identity = str(uuid.uuid4())
        self.runs[identity] = body
        return 201, {**body, "id": identity}

    def create_emission(self, body):
        if body["run_id"] not in self.runs:
            return 404, {"detail": "Run not found"}
        self.emissions.append(body)
        return 201, str(uuid.uuid4())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.requests.append(self.path)
            self.answer(*self.decide(raw))

    def decide(self, raw):
        if self.server.down:
            return 503, {"detail": "down"}
        if self.path not in self.server.paths:
            # GET /runs is there in both generations, for its list.
            return (405, {"detail": "Method Not Allowed"}) if self.path == "/runs" else (404, {"detail": "Not Found"})
        try:
            body = json.loads(raw)
            missing = ({"timestamp", "experiment_id"} if self.path == self.server.paths[0] else EMISSION) - set(body)
        except ValueError:
            missing = {"everything"}
        if missing:
            return 422, {"detail": [{"loc": ["body", name], "msg": "field required", "type": "missing"}
                                    for name in sorted(missing)]}
        create = self.server.create_run if self.path == self.server.paths[0] else self.server.create_emission
        return create(body)


@pytest.fixture(params=[1, 2])
def codecarbon(request):
    server = CodeCarbon(request.param)
    server.generation = request.param
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def tracker(codecarbon, spool, **more):
    return Tracker(codecarbon.url, spool, **{"experiment": str(uuid.uuid4()), **more})


def test_it_is_found_out(codecarbon, spool):
    with tracker(codecarbon, spool) as one:
        mine = one.run()
        one.emit(30)
        one.flush()
        stats = one.stats()
        assert stats["delivered"] == 30 and stats["server"] == {1: 2, 2: 3}[codecarbon.generation], stats
    (identity,) = codecarbon.runs
    assert identity != mine and codecarbon.runs[identity]["os"] == "Linux"
    assert {emission["run_id"] for emission in codecarbon.emissions} == {identity}
    times = [emission["timestamp"] for emission in codecarbon.emissions]
    assert len(times) == 30 and times == sorted(times), times
    assert codecarbon.requests.count("/emissions/batch") == 0
    assert not segments(spool) and not rejected(spool)


def test_it_is_told(codecarbon, spool):
    with tracker(codecarbon, spool, server={1: 2, 2: 3}[codecarbon.generation]) as one:
        one.run()
        one.sync(3)
        one.flush()
    assert set(codecarbon.requests) == set(codecarbon.paths) and len(codecarbon.emissions) == 3


def test_a_killed_tracker_goes_on_where_it_was(codecarbon, spool):
    """The run is not made twice, and what was acknowledged is not sent twice."""
    killed = tracker(codecarbon, spool)
    killed.run()
    killed.sync(20)
    killed.flush()
    codecarbon.down = True
    killed.sync(20)
    killed.kill()
    codecarbon.down = False
    with tracker(codecarbon, spool) as successor:
        successor.flush()
    assert len(codecarbon.runs) == 1
    assert len(codecarbon.emissions) == len({emission["id"] for emission in codecarbon.emissions}) == 40


def test_a_run_is_resumed_by_the_id_that_was_chosen_here(codecarbon, spool):
    with tracker(codecarbon, spool) as one:
        mine = one.run()
        one.flush()
    with tracker(codecarbon, spool) as other:
        other.resume(mine)
        other.sync(4)
        other.flush()
    assert len(codecarbon.runs) == 1 and len(codecarbon.emissions) == 4


def test_refusals(codecarbon, spool):
    """An unknown experiment is told from an unknown path."""
    with tracker(codecarbon, spool, experiment=UNKNOWN) as one:
        one.run()
        one.sync(2)
        one.flush()
        one.resume(str(uuid.uuid4()))
        one.sync(2)
        one.flush()
    assert [line["status"] for line in rejected(spool)] == [404] * 5


def test_a_wrong_address_keeps_everything(codecarbon, spool):
    with Tracker(codecarbon.url + "/nowhere", spool, experiment=str(uuid.uuid4())) as one:
        one.run()
        one.sync(5)
        one.flush(500, code=4)
        stats = one.stats()
        assert stats["link"] == 4 and stats["pending"] == 5 and stats["rejected"] == 0, stats
