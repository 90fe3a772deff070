"""What clients that are slow on purpose cost somebody who is not: slow_clients.py tells what they do."""

import json
import pathlib
import statistics
import subprocess
import sys
import time

import loads
import rounds
from stand import figures_of, harness

CONNECTIONS = 2_000
RUNS = 20_000  # in the list that slow readers ask for: some 10 MB
ASKED = 5_000  # requests in turn
HELD = 45  # seconds: longer than the deadlines
CROWD = pathlib.Path(__file__).parent / "slow_clients.py"


class Crowd:
    """Leaving it waits until the server has forgotten it."""

    def __init__(self, bench):
        self.server = bench.server
        self.before = loads.connections(self.server)
        bearer = bench.tree.client.session.headers["Authorization"].split()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-B", CROWD, *map(str, self.server.host_and_port), str(CONNECTIONS),
             f"/experiments/{bench.tree.experiment['id']}/runs", bearer],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        with self.process:
            self.process.stdin.close()
            print("what it was told:", json.loads(self.process.stdout.read()), file=sys.stderr)
        harness.until(lambda: loads.connections(self.server) <= self.before, 120, "the end of the slow connections")


def shut_out(server):
    return figures_of(server, "carbond_http_deadlines_total")


def hold(bench):
    """How many connections the server shuts out meanwhile, by phase. Each is opened again at once."""
    before = shut_out(bench.server)
    with Crowd(bench):
        time.sleep(HELD)
        return {phase: count - before[phase] for phase, count in shut_out(bench.server).items()}


def measure(bench, report):
    token, runs = bench.token(), loads.Runs("01900000")
    bench.make_runs(runs)
    bench.database.query("""insert into runs (id, experiment_id, timestamp, os, cpu_model)
                            select gen_random_uuid(), %s, now() - i * interval '1 second', 'Linux', 'AMD EPYC 7543'
                              from generate_series(1, %s) i""", bench.tree.experiment["id"], RUNS)

    def ask():
        bench.checkpoint()
        stored = loads.wrk(bench.server.url, token, runs, clients=1)
        alive = loads.get_in_turn(bench.server, "/healthz", ASKED)
        return {"stored p50": stored["p50"], "stored p99": stored["p99"], "alive p50": statistics.median(alive),
                "alive p99": statistics.quantiles(alive, n=100)[98], "open": loads.connections(bench.server)}

    def ask_in_crowd():
        with Crowd(bench):
            return ask()

    taken = rounds.alternate({"quiet": ask, "crowd": ask_in_crowd})
    quiet, crowd = taken["quiet"], taken["crowd"]
    report(f"one client among {CONNECTIONS:,} slow connections", {"connections that were open": crowd["open"]})
    for what, name in (("stored", "POST /emissions"), ("alive", "GET /healthz, of the event thread alone")):
        report(name, {
            "latency, 99 % ms": crowd[f"{what} p99"], "the same without slow connections": quiet[f"{what} p99"],
            "ratio (target < 5)": crowd[f"{what} p99"] / quiet[f"{what} p99"],
            "latency, median ms": crowd[f"{what} p50"], "the same without slow connections ": quiet[f"{what} p50"]})
    report(f"of these, shut out in {HELD} s", hold(bench))
