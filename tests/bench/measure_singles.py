"""Single emissions: the server against PostgreSQL alone."""

import loads
import rounds
from stand import QuietServer


def measure(bench, report):
    token, posted, inserted = bench.token(), loads.Runs("01900000"), loads.Runs("01910000")
    bench.make_runs(posted)
    bench.make_runs(inserted)
    quiet = bench.serve(QuietServer)

    def post(server):
        bench.checkpoint()
        told = loads.post_singles(bench, server, token, posted)
        return {**loads.rates(told), "cost": told["cost"]}

    def insert():
        bench.checkpoint()
        return loads.insert_singles(bench, inserted)

    taken = rounds.alternate({"carbond": lambda: post(bench.server), "quiet": lambda: post(quiet), "pgbench": insert})
    quiet.stop()
    carbond, commits = taken["carbond"], taken["pgbench"]["commits/s"]
    report("POST /emissions, 64 connections", {
        "emissions/s": carbond["requests/s"],
        "pgbench, 64 clients, a row and a commit each: rows/s": commits,
        "ratio (target >= 2.0)": carbond["requests/s"] / commits,
        "us of CPU an emission, load generator and all": carbond["cost"],
        "us of CPU a row of pgbench": taken["pgbench"]["cost"],
        "ratio of these": taken["pgbench"]["cost"] / carbond["cost"],
        "latency, median ms": carbond["p50"], "latency, 99 % ms": carbond["p99"],
        "emissions/s with --log-level warn": taken["quiet"]["requests/s"],
        "ratio with --log-level warn": taken["quiet"]["requests/s"] / commits})
