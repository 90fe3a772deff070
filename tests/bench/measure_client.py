"""The client library: what it costs the program that embeds it, and how fast it gets rid of a backlog."""

import functools
import json
import pathlib
import sys
import tempfile

import loads
import rounds
from stand import PROGRAMS, harness, ports

EMITTERS = 8
RATE = 100_000     # calls a second, of all of them
SYNCERS = 16
SECONDS = 3
BACKLOG = 1_000_000
BACKLOG_RUNS = 2, 200
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
        "accepted/s": steady["accepted"] / SECONDS,
        "refused": steady["refused"],
        "p50, us": steady["p50_ns"] / 1000,
        "p99, us (target <= 5)": steady["p99_ns"] / 1000,
        "allocations (target 0)": steady["allocations"],
        "at full speed: accepted/s": full["accepted"] / SECONDS,
        "at full speed: refused/s, since the ring was full": full["refused"] / SECONDS,
        "at full speed: p50 of the accepted, us": full["p50_ns"] / 1000,
        "at full speed: p99 of the accepted, us": full["p99_ns"] / 1000})


def measure_sync(bench, directory, report):
    load = Load(bench, "http://127.0.0.1:9", pathlib.Path(directory) / "sync")  # nobody is there: the disk alone
    taken = rounds.alternate({"emit_sync": lambda: load("sync", SYNCERS, SECONDS),
                              "an fsync a call": lambda: load("fsync", SYNCERS, SECONDS)})
    shared, single = (taken[side]["calls_a_second"] for side in ("emit_sync", "an fsync a call"))
    report(f"carbond_emit_sync, {SYNCERS} threads, each call on the disk when it returns", {
        "calls/s": shared, "one fdatasync a call: calls/s": single, "ratio (target >= 4)": shared / single})


def measure_drain(bench, directory, report):
    """The backlog is there before the server is. The server's own batch measure, by as many connections, comes before and
    after each, with half as many rows; its batches are of one run, as are those of a program that has two."""
    runs, token = loads.Runs("01940000"), bench.token()
    bench.make_runs(runs)
    for count in BACKLOG_RUNS:
        address = ports.free_address()
        load = Load(bench, f"http://{address}", pathlib.Path(directory) / f"drain-{count}")
        load("fill", count, BACKLOG)
        with bench.serve(functools.partial(harness.Server, listen=address)):
            before = batches(bench, token, runs)
            bench.checkpoint()
            drained = load("drain")
            after = batches(bench, token, runs)
            curl = load("curl")
        assert drained["delivered"] == BACKLOG, drained
        print(f"batches before: {before:,.0f} rows/s, after: {after:,.0f} rows/s", file=sys.stderr, flush=True)
        reference = (before + after) / 2
        memory, of_curl = (figures["memory_kb"] - figures["before_kb"] for figures in (drained, curl))
        report(f"draining a spool of {BACKLOG:,} emissions of {count} runs", {
            "rows/s": drained["rows_a_second"],
            "POST /emissions/batch by a load generator: rows/s": reference,
            "ratio" + (" (target >= 0.6)" if count == BACKLOG_RUNS[0] else ""): drained["rows_a_second"] / reference,
            "us of CPU a row, of the process that drains": drained["cpu_seconds"] * 1e6 / BACKLOG,
            "requests": drained["requests"],
            "MB of memory beside libcurl's (target <= 4)": (memory - of_curl) / 1024,
            "MB of libcurl's": of_curl / 1024})


def batches(bench, token, runs):
    bench.checkpoint()
    return loads.post_batches(bench, token, runs, CONNECTIONS, BACKLOG // 1000 // CONNECTIONS // 2)["rows/s"]


def measure(bench, report):
    with tempfile.TemporaryDirectory(prefix="carbond-bench-") as directory:
        measure_emit(bench, directory, report)
        measure_sync(bench, directory, report)
        measure_drain(bench, directory, report)
