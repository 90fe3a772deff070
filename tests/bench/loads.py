"""What makes load: wrk for single emissions, pgbench for PostgreSQL alone, and a program of our own for batches. Each call
waits for its end, fails loudly when anything was not done well, and returns figures."""

import json
import pathlib
import re
import subprocess
import time

from stand import PROGRAMS, figures_of, harness

HERE = pathlib.Path(__file__).parent
CONNECTIONS = 64
SECONDS = 5


class Runs:
    """Runs whose ids a load generator can make from a number."""

    COUNT = 200

    def __init__(self, name):
        assert len(name) == 8, name
        self.prefix = f"{name}-0000-7000-8000-"

    def ids(self):
        return [f"{self.prefix}{n:012x}" for n in range(self.COUNT)]

    def stored(self, database):
        """How many of their emissions are in the table. The sums must say the same."""
        rows, total = database.query("""select count(*), coalesce(sum(emissions_sum::numeric), 0) from emissions
                                         where run_id = any(%s::uuid[])""", self.ids())[0]
        counted, summed = database.query("""select coalesce(sum(emissions_count), 0), coalesce(sum(emissions_sum), 0)
                                              from run_sums where run_id = any(%s::uuid[])""", self.ids())[0]
        assert rows == counted, f"{rows} emissions are stored, {counted} are in the sums"
        assert abs(float(total) - summed) <= 1e-9 * summed, f"the sum of all is {total}, the sums say {summed}"
        return rows


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}{done.stderr}"
    return done


def with_cost(bench, server, load, rows):
    """What the load returns, and what it cost: all the work of this machine's processes for it, in microseconds a row.
    Unlike a rate it says the same on a busy machine."""
    before = bench.cpu_time(server)
    told = load()
    time.sleep(0.3)  # PostgreSQL's processes end a moment after their clients
    return {**told, "cost": (bench.cpu_time(server) - before) * 1e6 / told[rows]}


# -- wrk ----------------------------------------------------------------------------------------------------------------

def wrk(url, token, runs, seconds=SECONDS, clients=CONNECTIONS):
    done = run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", HERE / "singles.lua", url, "--", token, runs.prefix,
                runs.COUNT])
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["requests"] > 0 and told["refused"] == 0 and told["failed"] == 0, done.stdout
    return told


def rates(told):
    return {"requests/s": told["requests"] / told["seconds"], "p50": told["p50"], "p99": told["p99"]}


def answers(server):
    """How many POST /emissions were answered with each status."""
    samples = figures_of(server, "carbond_http_requests_total")
    return {re.search('status="(.*?)"', labels)[1]: count
            for labels, count in samples.items() if 'route="/emissions"' in labels}


def connections(server):
    return figures_of(server, "carbond_http_connections")[""]


def post_singles(bench, server, token, runs, seconds=SECONDS):
    """Posts emissions, and holds wrk, the server and the table to each other: what wrk has seen answered, the server has
    answered with 201 and the table holds. At wrk's end each of its connections may have one more on its way."""
    rows, before, open_before = runs.stored(bench.database), answers(server), connections(server)
    told = with_cost(bench, server, lambda: wrk(server.url, token, runs, seconds), "requests")
    harness.until(lambda: connections(server) <= open_before, what="the end of wrk's connections")
    rows, after = runs.stored(bench.database) - rows, answers(server)
    gained = {status: count - before.get(status, 0) for status, count in after.items()}
    created, left = gained.pop("201"), gained.pop("unanswered", 0)
    assert not any(gained.values()), f"there were other answers than 201: {gained}"
    assert told["requests"] <= created <= rows <= created + left <= told["requests"] + CONNECTIONS, (told, created, left, rows)
    return told


# -- pgbench ------------------------------------------------------------------------------------------------------------

def pgbench(bench, script, clients, *options, environment=None):
    """Returns transactions and their rate, connecting left out."""
    done = run([bench.cluster.bin / "pgbench", "-n", "-M", "prepared", "-c", clients, "-j", 1, "-f", script, *options,
                bench.database.url], env=harness.clean_environment(**(environment or {})))
    assert re.search(r"^number of failed transactions: 0 ", done.stdout, re.MULTILINE), done.stdout + done.stderr
    return {"transactions": int(re.search(r"actually processed: (\d+)", done.stdout)[1]),
            "rate": float(re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)[1])}


def insert_singles(bench, runs):
    """One row and one commit each, by as many clients as wrk has connections."""
    begin = int(harness.now().timestamp() * 1000)
    done = with_cost(bench, None, lambda: pgbench(bench, HERE / "one_row.pgbench", CONNECTIONS, "-T", SECONDS,
                                                  "-D", f"n={begin}", "-D", f"runs={runs.COUNT}",
                                                  "-D", f"prefix={runs.prefix}"), "transactions")
    return {"commits/s": done["rate"], "cost": done["cost"]}


# -- batches ------------------------------------------------------------------------------------------------------------

def post_batches(bench, token, runs, connections, bodies):
    command = [PROGRAMS / "bench_batch_load", bench.server.address, token, runs.prefix, runs.COUNT, connections, bodies]
    told = with_cost(bench, bench.server, lambda: json.loads(run(command).stdout), "rows")
    return {"rows/s": told["rows"] / told["seconds"], "cost": told["cost"]}


# -- one after the other ------------------------------------------------------------------------------------------------

def get_in_turn(server, path, count):
    """The latencies, in ms, of so many requests on one connection, asked by as little code as there can be."""
    ask = f"GET {path} HTTP/1.1\r\nHost: {server.address}\r\n\r\n".encode()
    latencies = []
    with harness.RawConnection(server) as connection:
        for _ in range(count):
            began = time.monotonic()
            connection.socket.sendall(ask)
            answer = connection.socket.recv(65536)
            latencies.append((time.monotonic() - began) * 1000)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
    return latencies


def post_in_turn(bench, run, until_event):
    """The latencies, in ms, of emissions sent one after the other."""
    latencies = []
    while not until_event.is_set():
        began = time.monotonic()
        bench.tree.client.post("/emissions", harness.emission_body(run["id"]))
        latencies.append((time.monotonic() - began) * 1000)
    return latencies
