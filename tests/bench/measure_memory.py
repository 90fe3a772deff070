"""The server's memory after a million single emissions."""

import loads

EMISSIONS = 1_000_000
SECONDS = 10  # at a time


def measure(bench, report):
    token, runs = bench.token(), loads.Runs("01900000")
    bench.make_runs(runs)
    server = bench.serve()  # the other one has worked already
    before, posted = bench.memory("VmRSS", server), 0
    while posted < EMISSIONS:
        posted += loads.post_singles(bench, server, token, runs, SECONDS)["requests"]
    after = bench.memory("VmRSS", server)
    server.stop()
    report(f"resident memory after {EMISSIONS:,} single emissions", {
        "just after start, MB": before, "after them, MB (target < 64)": after, "ratio (target <= 1.3)": after / before})
