"""What script/bench measures. Times mean little on a shared machine: compare figures of one run."""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
import harness  # noqa: E402
import reports  # noqa: E402

BINARY = harness.ROOT / "build" / "bin" / "carbond"
RUNS = 1_000_000
EMISSIONS = 2_000_000


class Bench:
    """A server on a database of its own, and a tenant with one of everything."""

    def __enter__(self):
        self.cluster = harness.Cluster()
        self.database = harness.Database(self.cluster, self.cluster.createdb())
        done = harness.command(BINARY, "migrate", "--database-url", self.database.url)
        assert done.returncode == 0, done.stderr
        self.key = tempfile.NamedTemporaryFile("w")
        self.key.write(harness.JWT_KEY)
        self.key.flush()
        self.server = harness.Server(BINARY, self.database, "--jwt-hs256-key-file", self.key.name,
                                     "--statement-timeout", "5")
        self.tree = harness.Tree(harness.World(self.server))
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.database.close()
        self.cluster.remove()
        self.key.close()

    def memory(self, name):
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.split(name + ":")[1].split()[0]) / 1024  # MB

    def reset_peak(self):
        pathlib.Path(f"/proc/{self.server.process.pid}/clear_refs").write_text("5")


def download(bench, path, encoding):
    """Reads the answer as it comes. Returns its bytes."""
    response = bench.tree.client.session.get(bench.server.url + path, stream=True, timeout=600,
                                             headers={"Accept-Encoding": encoding})
    assert response.status_code == 200
    return sum(len(piece) for piece in response.raw.stream(65536, decode_content=False))


def measure_stream(bench, report):
    bench.database.query("""insert into runs (id, experiment_id, timestamp, os, cpu_model)
                            select gen_random_uuid(), %s, now() - i * interval '1 second', 'Linux', 'AMD EPYC 7543'
                              from generate_series(1, %s) i""", bench.tree.experiment["id"], RUNS)
    bench.database.query("analyze")
    path = f"/experiments/{bench.tree.experiment['id']}/runs"
    small = f"/projects/{bench.tree.project['id']}/experiments"
    for encoding in ("identity", "gzip"):
        download(bench, small, encoding)
        bench.reset_peak()
        before = bench.memory("VmHWM")
        began = time.monotonic()
        size = download(bench, path, encoding)
        report(f"list of {RUNS:,} runs, {encoding}", {
            "answer, MB": size / 1e6, "growth of the server's peak memory, MB (target < 8)": bench.memory("VmHWM") - before,
            "runs/s": RUNS / (time.monotonic() - began)})


def ingest(bench, run, until_event):
    """The latencies, in ms, of emissions sent one after the other."""
    latencies = []
    while not until_event.is_set():
        began = time.monotonic()
        bench.tree.client.post("/emissions", harness.emission_body(run["id"]))
        latencies.append((time.monotonic() - began) * 1000)
    return latencies


def measure_deletion(bench, report):
    world, tree = bench.tree.world, bench.tree
    doomed = world.project(tree.admin, tree.organization)
    experiment = world.experiment(tree.admin, doomed)
    for _ in range(20):
        run = world.run(tree.admin, experiment)
        bench.database.query("""insert into emissions (run_id, timestamp, id, duration, emissions_sum)
                                select %s, now() - i * interval '1 minute', gen_random_uuid(), 60, 0.001
                                  from generate_series(1, %s) i""", run["id"], EMISSIONS // 20)
    bench.database.query("analyze")
    quiet_end, busy_end = threading.Event(), threading.Event()
    threading.Timer(5, quiet_end.set).start()
    quiet = ingest(bench, tree.run, quiet_end)

    began = time.monotonic()
    tree.client.delete(f"/projects/{doomed['id']}")
    answered = (time.monotonic() - began) * 1000
    hidden = tree.client.request("GET", f"/projects/{doomed['id']}").status_code == 404

    def watch():
        database = harness.Database(bench.cluster, bench.database.name)
        while database.value("select count(*) from projects where id = %s", doomed["id"]):
            time.sleep(0.5)
        database.close()
        busy_end.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    busy = ingest(bench, tree.run, busy_end)
    watcher.join()
    report(f"deletion of a project of {EMISSIONS:,} emissions", {
        "answered after, ms": answered, "hidden at once": hidden, "all rows gone after, s": time.monotonic() - began,
        "an emission meanwhile, median ms": statistics.median(busy), "the same before": statistics.median(quiet),
        "the longest meanwhile, ms": max(busy), "the longest before, ms": max(quiet)})


def ingest_during(bench, work):
    """The latencies, in ms, of emissions sent one after the other while the work is done on a connection of its own."""
    end = threading.Event()

    def run():
        database = harness.Database(bench.cluster, bench.database.name)
        try:
            work(database)
        finally:
            database.close()
            end.set()

    worker = threading.Thread(target=run)
    worker.start()
    latencies = ingest(bench, bench.tree.run, end)
    worker.join()
    return latencies


def measure_partitions(bench, report):
    make = "select outcome from make_missing_emission_partition(3, null)"  # one month more than the server makes

    def nothing(database):
        time.sleep(5)

    def attempts(database):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert database.value(make) == "held"
            time.sleep(0.1)

    def naive(database):
        database.query("set lock_timeout = '3s'")  # it would wait as long as the reader stays
        try:
            database.query("create table naive partition of emissions for values from ('2001-01-01') to ('2001-02-01')")
        except harness.psycopg2.errors.LockNotAvailable:
            pass

    def finish(database):
        while database.value(make) is not None:
            time.sleep(0.1)

    def insert_strays(count):
        bench.database.query("""insert into emissions (run_id, timestamp, id, duration)
                                select gen_random_uuid(), month_of(now()) + interval '3 months', gen_random_uuid(), 1
                                  from generate_series(1, %s) i""", count)

    harness.until(lambda: bench.database.value("select count(*) from emission_partitions") == 4)
    reader = bench.cluster.connect(bench.database.name)
    reader.autocommit = False
    reader.cursor().execute("select count(*) from emissions")
    figures = {"no partition is made": ingest_during(bench, nothing), "one is tried ten times a second": ingest_during(bench, attempts)}
    insert_strays(10)
    figures["the same, with rows to move into it"] = ingest_during(bench, attempts)
    figures["CREATE TABLE ... PARTITION OF, for 3 s"] = ingest_during(bench, naive)
    insert_strays(EMISSIONS // 2)
    reader.close()
    figures[f"the reader gone, {EMISSIONS // 2:,} rows move"] = ingest_during(bench, finish)
    report("an emission while a slow reader is on the table", {
        f"{name}: {kind}, ms": of(latencies)
        for name, latencies in figures.items() for kind, of in (("median", statistics.median), ("longest", max))})


def measure_reports(bench, report):
    with Bench() as small:
        reports.measure(bench, small, report)


MEASURES = {"stream": measure_stream, "deletion": measure_deletion, "partitions": measure_partitions,
            "reports": measure_reports}


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    results = {}

    def report(name, figures):
        results[name] = figures
        if not options.json:
            print(name)
            for figure, value in figures.items():
                print(f"    {figure:<58} {value if isinstance(value, bool) else format(value, ',.1f')}", flush=True)

    for name in options.names or MEASURES:
        with Bench() as bench:
            MEASURES[name](bench, report)
    if options.json:
        print(json.dumps(results, indent=1))


main()
