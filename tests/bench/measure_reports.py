"""The measure `reports`: sums and pages of ten million emissions. HTTP times are what a client sees over one keep-alive
connection; plain SQL is the aggregate over the raw rows that a report would be without sums, as psycopg2 sees it."""

import datetime
import http.client
import statistics
import time

from stand import Bench, harness

import data

ROUNDS, REQUESTS, LONG_RUN = 7, 40, 1_000_000
SPREAD = datetime.timedelta(days=182)
MINUTE = datetime.timedelta(minutes=1)
PLAIN_SQL = """
    select sum(m.emissions_sum), sum(m.cpu_energy), sum(m.gpu_energy), sum(m.ram_energy), sum(m.energy_consumed),
           sum(m.duration), avg(m.cpu_power), avg(m.gpu_power), avg(m.ram_power), avg(m.emissions_rate),
           avg(m.cpu_utilization_percent), avg(m.gpu_utilization_percent), avg(m.ram_utilization_percent), count(*)
      from emissions m
      join runs r on r.id = m.run_id
      join experiments e on e.id = r.experiment_id
      join projects p on p.id = e.project_id
     where p.{column} = %s and p.deleted_at is null
       and m.timestamp between now() - interval '3 months' and now() + interval '1 day'"""


class Loaded:
    """2 000 runs of one organisation in the server's database, and a client of it."""

    def __init__(self, bench, emissions):
        self.database = bench.database
        self.organization = bench.tree.organization["id"]
        runs = data.load(bench.database, self.organization, projects=5, experiments=50, runs=2000, emissions=emissions,
                         start=harness.now() - SPREAD, period=SPREAD - emissions * MINUTE, step=MINUTE)
        self.project, self.experiment = bench.database.query(
            """select e.project_id::text, e.id::text from runs r join experiments e on e.id = r.experiment_id
                where r.id = %s""", runs[0])[0]
        self.headers = {"Authorization": bench.tree.client.session.headers["Authorization"]}
        self.connection = http.client.HTTPConnection(*bench.server.host_and_port)

    def get(self, path):
        """Milliseconds."""
        began = time.perf_counter()
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status == 200
        return (time.perf_counter() - began) * 1000

    def median(self, path, requests=REQUESTS):
        return statistics.median(self.get(path) for _ in range(requests))

    def plain_sql(self, column, identity):
        """Milliseconds."""
        began = time.perf_counter()
        self.database.query(PLAIN_SQL.format(column=column), identity)
        return (time.perf_counter() - began) * 1000

    def reports(self):
        return {"organisation": f"/organizations/{self.organization}/sums", "project": f"/projects/{self.project}/sums",
                "experiments of a project": f"/projects/{self.project}/experiments/sums",
                "runs of an experiment": f"/experiments/{self.experiment}/runs/sums"}


def alternate(*sides):
    """Each side in turn, ROUNDS times. Returns the median of each, and the median of the second's ratio to the first."""
    rounds = [[side() for side in sides] for _ in range(ROUNDS)]
    ratio = statistics.median(second / first for first, second, *_ in rounds)
    return [statistics.median(times) for times in zip(*rounds)], ratio


def measure_against_plain_sql(big, report):
    for name, column, identity in (("organisation", "organization_id", big.organization), ("project", "id", big.project)):
        path = big.reports()[name]
        (ours, plain), ratio = alternate(lambda: big.median(path), lambda: big.plain_sql(column, identity))
        report(f"sums of the {name}, 10 M emissions", {
            "GET, ms": ours, "plain SQL, ms": plain, "times faster (target >= 200)": ratio})


def measure_growth(big, small, report):
    for name, path in small.reports().items():
        (few, many), ratio = alternate(lambda: small.median(path), lambda: big.median(big.reports()[name]))
        report(f"sums: {name}", {
            "1 M emissions, p50 ms": few, "10 M emissions, p50 ms (target <= 10 for lists)": many,
            "10 M over 1 M (target <= 1.5)": ratio})


def measure_pages(bench, small, report):
    start = harness.now() - LONG_RUN * MINUTE
    run, = data.load(bench.database, bench.tree.organization["id"], projects=1, experiments=1, runs=1, emissions=LONG_RUN,
                     start=start, period=MINUTE, step=MINUTE)
    path, pages = f"/runs/{run}/emissions", LONG_RUN // 100
    (first, last, second, middle), ratio = alternate(
        *(lambda number=number: small.median(f"{path}?page={number}") for number in (1, pages, 2, pages // 2)))
    report(f"a page of a run of {LONG_RUN:,} emissions", {
        "page 1, ms": first, "the last page, ms": last, "last over first (target <= 1.5)": ratio, "page 2, ms": second,
        "the middle page, ms": middle})


def measure(bench, report):
    with Bench() as small_bench:
        big, small = Loaded(bench, 5000), Loaded(small_bench, 500)
        measure_against_plain_sql(big, report)
        measure_growth(big, small, report)
        measure_pages(small_bench, small, report)
