"""What making a partition does to ingest while a slow reader is on the table."""

import statistics
import threading
import time

import loads
from stand import harness

STRAYS = 1_000_000


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
    latencies = loads.post_in_turn(bench, bench.tree.run, end)
    worker.join()
    return latencies


def measure(bench, report):
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
    figures = {"no partition is made": ingest_during(bench, nothing),
               "one is tried again and again": ingest_during(bench, attempts)}
    insert_strays(10)
    figures["the same, with rows to move into it"] = ingest_during(bench, attempts)
    figures["CREATE TABLE ... PARTITION OF, for 3 s"] = ingest_during(bench, naive)
    insert_strays(STRAYS)
    reader.close()
    figures[f"the reader gone, {STRAYS:,} rows move"] = ingest_during(bench, finish)
    report("an emission while a slow reader is on the table", {
        f"{name}: {kind}, ms": of(latencies)
        for name, latencies in figures.items() for kind, of in (("median", statistics.median), ("longest", max))})
