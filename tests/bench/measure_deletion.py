"""What the deletion of a large project does to ingest."""

import statistics
import threading
import time

import loads
from stand import harness

EMISSIONS = 2_000_000


def measure(bench, report):
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
    quiet = loads.post_in_turn(bench, tree.run, quiet_end)

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
    busy = loads.post_in_turn(bench, tree.run, busy_end)
    watcher.join()
    report(f"deletion of a project of {EMISSIONS:,} emissions", {
        "answered after, ms": answered, "hidden at once": hidden, "all rows gone after, s": time.monotonic() - began,
        "an emission meanwhile, median ms": statistics.median(busy), "the same before": statistics.median(quiet),
        "the longest meanwhile, ms": max(busy), "the longest before, ms": max(quiet)})
