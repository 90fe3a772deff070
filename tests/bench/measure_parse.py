"""Single emissions: the server against its own HTTP and parser alone."""

import contextlib
import pathlib
import subprocess
import tempfile

import loads
import rounds
from stand import PROGRAMS, harness


@contextlib.contextmanager
def parse_only():
    """The address of a server that answers 201 after parsing. Its log goes into a file, as the real server's."""
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", PROGRAMS / "bench_parse_only", "127.0.0.1:0"],
                                   stderr=log)
        told = pathlib.Path(log.name)
        try:
            yield harness.until(lambda: harness.logged(told.read_text(), "address"), what="where bench_parse_only listens")
        finally:
            process.terminate()
            process.wait(timeout=30)


def measure(bench, report):
    token, runs = bench.token(), loads.Runs("01900000")
    bench.make_runs(runs)

    def post():
        bench.checkpoint()
        return loads.rates(loads.post_singles(bench, bench.server, token, runs))

    with parse_only() as address:
        taken = rounds.alternate({"carbond": post,
                                  "parsing": lambda: loads.rates(loads.wrk(f"http://{address}", token, runs))})
    carbond, parsing = taken["carbond"]["requests/s"], taken["parsing"]["requests/s"]
    report("POST /emissions against parsing alone, 64 connections", {
        "emissions/s": carbond, "answered 201 after parsing alone: emissions/s": parsing,
        "ratio (target >= 0.3)": carbond / parsing})
