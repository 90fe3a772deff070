"""The client library: what it costs the program that embeds it, and how fast it gets rid of a backlog."""

import functools
import json
import pathlib
import sys
import tempfile

import loads
import rounds
from stand import PROGRAMS, QuietServer, harness

EMITTERS = 8
RATE = 100_000     # calls a second, of all of them
SYNCERS = 16
SECONDS = 3
BACKLOG = 1_000_000
CONNECTIONS = 2    # as many as the library has


class Load:
    """client_load on a spool and with a server of its own choice."""

    def __init__(self, bench, url, spool):
        self.environment = harness.clean_environment(
            CARBOND_URL=url, CARBOND_SPOOL_DIR=str(spool), CARBOND_TOKEN=bench.token(), HOME="/nonexistent",
            CARBOND_EXPERIMENT_ID=bench.tree.experiment["id"])

    def __call__(self, *words):
        out = loads.run([PROGRAMS / "client_load", *words], env=self.environment).stdout
        return json.loads(out) if out else None


def measure_emit(bench, directory, report):
    """The sender works meanwhile: the server takes what is emitted."""
    def emit(rate):
        with tempfile.TemporaryDirectory(dir=directory) as spool:
            return Load(bench, bench.server.url, spool)("emit", EMITTERS, rate, SECONDS)
    taken = rounds.alternate({"steady": lambda: emit(RATE), "full": lambda: emit(0)})
    steady, full = taken["steady"], taken["full"]
    report(f"carbond_emit, {EMITTERS} threads, while the sender works", {
        "calls/s": steady["calls"] / SECONDS,
        "p50, us": steady["p50_ns"] / 1000,
        "p99, us (target <= 5)": steady["p99_ns"] / 1000,
        "refused": steady["refused"],
        "allocations (target 0)": steady["allocations"],
        "at full speed: calls/s": full["calls"] / SECONDS,
        "at full speed: p50, us": full["p50_ns"] / 1000,
        "at full speed: p99, us": full["p99_ns"] / 1000,
        "at full speed: share of calls that found the ring full": full["refused"] / full["calls"]})


def measure_sync(bench, directory, report):
    load = Load(bench, "http://127.0.0.1:9", pathlib.Path(directory) / "sync")  # nobody is there: the disk alone
    taken = rounds.alternate({"emit_sync": lambda: load("sync", SYNCERS, SECONDS),
                              "an fsync a call": lambda: load("fsync", SYNCERS, SECONDS)})
    shared, single = (taken[side]["calls_a_second"] for side in ("emit_sync", "an fsync a call"))
    report(f"carbond_emit_sync, {SYNCERS} threads, each call on the disk when it returns", {
        "calls/s": shared, "one fdatasync a call: calls/s": single, "ratio (target >= 4)": shared / single})


def measure_drain(bench, directory, report):
    """The backlog is there before the server is. The server's own batch measure, by as many connections, comes before and
    after, with as many rows."""
    address = QuietServer.free_address()
    load = Load(bench, f"http://{address}", pathlib.Path(directory) / "drain")
    load("fill", loads.Runs.COUNT, BACKLOG)
    runs, token = loads.Runs("01940000"), bench.token()
    bench.make_runs(runs)
    with bench.serve(functools.partial(harness.Server, listen=address)):
        before = batches(bench, token, runs)
        bench.checkpoint()
        drained = load("drain")
        after = batches(bench, token, runs)
    assert drained["delivered"] == BACKLOG, drained
    reference = (before + after) / 2
    print(f"batches before: {before:,.0f} rows/s, after: {after:,.0f} rows/s", file=sys.stderr, flush=True)
    report(f"draining a spool of {BACKLOG:,} emissions", {
        "rows/s": drained["rows_a_second"],
        "POST /emissions/batch by a load generator: rows/s": reference,
        "ratio (target >= 0.6)": drained["rows_a_second"] / reference,
        "us of CPU a row, of the process that drains": drained["cpu_seconds"] * 1e6 / BACKLOG,
        "requests": drained["requests"],
        "MB of memory, libcurl's among it (target: 4 beside libcurl)": (drained["memory_kb"] - drained["before_kb"]) / 1024})


def batches(bench, token, runs):
    bench.checkpoint()
    return loads.post_batches(bench, token, runs, CONNECTIONS, BACKLOG // 1000 // CONNECTIONS // 2)["rows/s"]


def measure(bench, report):
    with tempfile.TemporaryDirectory(prefix="carbond-bench-") as directory:
        measure_emit(bench, directory, report)
        measure_sync(bench, directory, report)
        measure_drain(bench, directory, report)
