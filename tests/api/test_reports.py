"""Reports: what an exact sum over the sent numbers gives."""

import datetime
import fractions
import random
import uuid

import pytest

import harness

SUMS = {"emissions": "emissions_sum", "cpu_energy": "cpu_energy", "gpu_energy": "gpu_energy",
        "ram_energy": "ram_energy", "energy_consumed": "energy_consumed", "duration": "duration"}
MEANS = ("cpu_power", "gpu_power", "ram_power", "emissions_rate")
UTILISATIONS = ("cpu_utilization_percent", "gpu_utilization_percent", "ram_utilization_percent")
START = datetime.datetime(2026, 10, 1, tzinfo=harness.UTC)


def mean(values):
    return sum(values) / len(values) if values else None


def expected(emissions):
    """The report over these bodies, in exact arithmetic."""
    def values(name):
        return [fractions.Fraction(body[name]) for body in emissions if body.get(name) is not None]

    report = {name: sum(values(member)) for name, member in SUMS.items()}
    report.update({name: mean(values(name)) or 0 for name in MEANS})
    report.update({name: mean(values(name)) for name in UTILISATIONS})
    report["emissions_count"] = len(emissions)
    return report


def assert_report(report, emissions):
    for name, value in expected(emissions).items():
        if value is None or name == "emissions_count":
            assert report[name] == value, name
        else:
            assert report[name] == pytest.approx(float(value), rel=1e-12, abs=1e-300), name


class Measured:
    """Three experiments; two with runs, whose emissions lie an hour apart from START on; some numbers are null."""

    def __init__(self, world):
        self.tree = harness.Tree(world)
        self.experiments = [self.tree.experiment] + [world.experiment(self.tree.admin, self.tree.project) for _ in "ab"]
        self.emissions = []  # (experiment, run, body)
        random.seed(7)
        for experiment in self.experiments[:2]:
            for _ in "ab":
                run = world.run(self.tree.admin, experiment)
                for hour in range(6):
                    self.add(world, experiment, run, hour)

    def add(self, world, experiment, run, hour):
        numbers = {name: random.choice([None, 0, random.random() * 10 ** random.randint(-9, 3)])
                   for name in (*SUMS.values(), *MEANS) if name != "duration"}
        numbers.update({name: random.choice([None, random.random() * 100]) for name in UTILISATIONS})
        body = harness.emission_body(run["id"], timestamp=(START + datetime.timedelta(hours=hour)).isoformat(),
                                     duration=random.random() + 0.1, **numbers)
        self.tree.client.post("/emissions", body)
        self.emissions.append((experiment["id"], run["id"], body))

    def bodies(self, first=0, last=99, experiment=None, run=None):
        return [body for of_experiment, of_run, body in self.emissions
                if (experiment is None or of_experiment == experiment) and (run is None or of_run == run)
                and first <= (harness.moment(body["timestamp"]) - START).total_seconds() / 3600 <= last]


@pytest.fixture(scope="module")
def measured(world):
    return Measured(world)


def hours(first, last):
    return {"start_date": (START + datetime.timedelta(hours=first)).isoformat(),
            "end_date": (START + datetime.timedelta(hours=last)).isoformat()}


# From edge to edge: both ends belong to the range.
@pytest.mark.parametrize("first, last", [(0, 5), (0, 0), (5, 5), (1, 4), (1.5, 1.6), (-9, 99), (6, 9)])
def test_sums(measured, first, last):
    tree = measured.tree
    range_ = hours(first, last)
    for path in (f"/organizations/{tree.organization['id']}/sums", f"/projects/{tree.project['id']}/sums"):
        assert_report(tree.client.get(path, params=range_).json(), measured.bodies(first, last))

    reports = tree.client.get(f"/projects/{tree.project['id']}/experiments/sums", params=range_).json()
    assert [report["experiment_id"] for report in reports] == [e["id"] for e in measured.experiments]
    for report in reports:
        assert_report(report, measured.bodies(first, last, experiment=report["experiment_id"]))

    for experiment in measured.experiments:
        reports = tree.client.get(f"/experiments/{experiment['id']}/runs/sums", params=range_).json()
        runs = {run for of, run, _ in measured.emissions if of == experiment["id"]}
        assert {report["run_id"] for report in reports} == \
            {run for run in runs if measured.bodies(first, last, run=run)}
        for report in reports:
            assert_report(report, measured.bodies(first, last, run=report["run_id"]))


def test_members_beside_the_sums(measured):
    tree = measured.tree
    report = tree.client.get(f"/project/{tree.project['id']}/sums").json()
    assert (report["name"], report["organization_id"]) == (tree.project["name"], tree.organization["id"])
    report = tree.client.get(f"/organization/{tree.organization['id']}/sums").json()
    assert (report["organization_id"], report["name"]) == (tree.organization["id"], tree.organization["name"])
    report = tree.client.get(f"/experiments/{tree.project['id']}/sums").json()[0]
    assert (report["name"], report["project_id"]) == (tree.experiment["name"], tree.project["id"])


def test_nothing_emitted_is_zeros(tree):
    for path in (f"/organizations/{tree.organization['id']}/sums", f"/projects/{tree.project['id']}/sums"):
        assert_report(tree.client.get(path).json(), [])
    assert [r["emissions_count"] for r in tree.client.get(f"/projects/{tree.project['id']}/experiments/sums").json()] == [0]
    assert tree.client.get(f"/experiments/{tree.experiment['id']}/runs/sums").json() == []


def test_a_deleted_project_counts_no_more(world):
    tree = harness.Tree(world)
    other = world.run(tree.admin, world.experiment(tree.admin, world.project(tree.admin, tree.organization)))
    for run in (tree.run, other):
        world.emission(tree.admin, run, emissions_sum=1)
    path = f"/organizations/{tree.organization['id']}/sums"
    assert tree.client.get(path).json()["emissions"] == 2
    tree.client.delete(f"/projects/{tree.project['id']}")
    assert tree.client.get(path).json()["emissions"] == 1


def test_default_range_is_three_months_to_tomorrow(tree, world):
    now = harness.now()
    for days, counts in ((-85, True), (-100, False), (0.9, True), (1.1, False)):
        moment = (now + datetime.timedelta(days=days)).isoformat()
        world.emission(tree.admin, tree.run, timestamp=moment, emissions_sum=1 if counts else 100)
    assert tree.client.get(f"/projects/{tree.project['id']}/sums").json()["emissions"] == 2


def test_last_run(tree, world):
    path = f"/lastrun/project/{tree.project['id']}"
    later = world.run(tree.admin, tree.experiment, timestamp=(harness.now() + datetime.timedelta(hours=1)).isoformat())
    assert tree.client.get(path).json() == later
    before = {"end_date": (harness.now() + datetime.timedelta(minutes=1)).isoformat()}
    assert tree.client.get(path, params=before).json()["id"] == tree.run["id"]
    assert tree.client.get(path, params={"end_date": "2001-01-01", "start_date": "2000-01-01"}).json() == {}


def test_numbers_too_small_to_divide(tree, world):
    """A mean that no double can hold is 0, and no error for all who read the report."""
    for power in (5e-324, 0):
        world.emission(tree.admin, tree.run, cpu_power=power, cpu_utilization_percent=power)
    for path in (f"/experiments/{tree.experiment['id']}/runs/sums", f"/projects/{tree.project['id']}/experiments/sums"):
        [report] = tree.client.get(path).json()
        assert (report["cpu_power"], report["cpu_utilization_percent"], report["emissions_count"]) == (0, 0, 2)
    assert tree.client.get(f"/organizations/{tree.organization['id']}/sums").json()["cpu_power"] == 0


def test_unescaped_plus(measured):
    tree = measured.tree
    path = f"/projects/{tree.project['id']}/sums?start_date=2026-10-01T01:00:00+01:00&end_date=2026-10-01T01:00:00+01:00"
    assert_report(tree.client.get(path).json(), measured.bodies(0, 0))


# -- ranges whose edges lie anywhere -----------------------------------------------------------------------------------

MICROSECOND, HOUR = datetime.timedelta(microseconds=1), datetime.timedelta(hours=1)
RAW = "select count(*), {columns} from emissions where run_id = any(%s::uuid[]) and timestamp between %s and %s".format(
    columns=", ".join([f"coalesce(sum({member}::numeric), 0)" for member in SUMS.values()]
                      + [f"coalesce(avg({name}::numeric), 0)" for name in MEANS]
                      + [f"avg({name}::numeric)" for name in UTILISATIONS]))


class Scattered:
    """Runs of many lengths, from one emission to several hours of them. Some emissions lie exactly on an hour, a microsecond
    off it, or beside each other; numbers are null here and there; some are sent twice; they come in no order."""

    def __init__(self, world):
        self.random = random.Random(11)
        self.tree = tree = harness.Tree(world)
        self.other = world.project(tree.admin, tree.organization)
        experiments = [tree.experiment, *(world.experiment(tree.admin, project)
                                          for project in (tree.project, tree.project, self.other))]
        self.runs = {experiment["id"]: [] for experiment in experiments}
        bodies = []
        for experiment, lengths in zip(experiments, ((0, 1, 2, 9), (5, 5), (), (3, 7))):
            for hours in lengths:
                run = world.run(tree.admin, experiment)["id"]
                self.runs[experiment["id"]].append(run)
                bodies += self.bodies(run, hours)
        bodies += self.random.sample(bodies, len(bodies) // 10)
        self.random.shuffle(bodies)
        for body in bodies:
            tree.client.post("/emissions", body)
        self.moments = [harness.moment(body["timestamp"]) for body in bodies]

    def bodies(self, run, hours):
        start = START + self.random.randrange(8) * HOUR
        for _ in range(1 + 4 * hours):
            offset = self.random.choice([0 * HOUR, MICROSECOND, -MICROSECOND, HOUR * self.random.random()])
            moment = start + self.random.randrange(hours + 1) * HOUR + offset
            numbers = {name: self.random.choice([None, 0, self.random.random() * 10 ** self.random.randint(-9, 3)])
                       for name in (*SUMS.values(), *MEANS) if name != "duration"}
            numbers.update({name: self.random.choice([None, self.random.random() * 100]) for name in UTILISATIONS})
            yield harness.emission_body(run, id=str(uuid.UUID(int=self.random.getrandbits(128))),
                                        timestamp=moment.isoformat(), duration=self.random.random() + 0.1, **numbers)

    def edge(self):
        hour = START + self.random.randrange(-1, 20) * HOUR
        near = self.random.choice([self.random.choice(self.moments), hour])
        return self.random.choice([near - MICROSECOND, near, near + MICROSECOND, hour + HOUR * self.random.random()])

    def ranges(self, number):
        for _ in range(number):
            start = self.edge()
            # A third of the ranges lies within an hour or so.
            stop = start + HOUR * self.random.random() ** 3 if self.random.random() < 0.3 else self.edge()
            yield min(start, stop), max(start, stop)


@pytest.fixture(scope="module")
def scattered(world):
    return Scattered(world)


def assert_raw(database, report, runs, range_):
    """The report is what PostgreSQL makes of the raw rows."""
    (count, *numbers), = database.query(RAW, list(runs), *range_)
    assert report["emissions_count"] == count
    for name, number in zip([*SUMS, *MEANS, *UTILISATIONS], numbers):
        assert report[name] == (None if number is None else pytest.approx(float(number), rel=1e-9, abs=0)), (name, range_)


def assert_all_reports(database, scattered, start, stop):
    client, organization = scattered.tree.client, scattered.tree.organization["id"]
    range_ = {"start_date": start.isoformat(), "end_date": stop.isoformat()}
    of_project = {scattered.tree.project["id"]: list(scattered.runs)[:3], scattered.other["id"]: list(scattered.runs)[3:]}
    runs = [run for runs in scattered.runs.values() for run in runs]
    assert_raw(database, client.get(f"/organizations/{organization}/sums", params=range_).json(), runs, (start, stop))
    for project, experiments in of_project.items():
        runs = [run for experiment in experiments for run in scattered.runs[experiment]]
        assert_raw(database, client.get(f"/projects/{project}/sums", params=range_).json(), runs, (start, stop))
        reports = client.get(f"/projects/{project}/experiments/sums", params=range_).json()
        assert [report["experiment_id"] for report in reports] == experiments
        for report in reports:
            assert_raw(database, report, scattered.runs[report["experiment_id"]], (start, stop))
    for experiment, runs in scattered.runs.items():
        reports = client.get(f"/experiments/{experiment}/runs/sums", params=range_).json()
        filled = [run for run in runs if database.query(RAW, [run], start, stop)[0][0]]
        assert sorted(report["run_id"] for report in reports) == sorted(filled)
        for report in reports:
            assert_raw(database, report, [report["run_id"]], (start, stop))


def test_ranges_are_exact_to_the_microsecond(scattered, database):
    for start, stop in scattered.ranges(60):
        assert_all_reports(database, scattered, start, stop)


def test_ranges_without_whole_hours(scattered, database):
    """Within an hour, over one full hour's edge, of a single moment, and where nothing is."""
    hour = START + 5 * HOUR
    for start, stop in ((hour, hour), (hour, hour + HOUR / 2), (hour + HOUR / 4, hour + HOUR / 2),
                        (hour - HOUR / 3, hour + HOUR / 3), (hour - MICROSECOND, hour), (hour, hour + HOUR - MICROSECOND),
                        (hour, hour + HOUR), (hour - 99 * HOUR, hour - 98 * HOUR)):
        assert_all_reports(database, scattered, start, stop)


def test_ranges_that_miss_one_emission(scattered, database):
    """From a run's first emission to its last, and a microsecond less at either end."""
    for first, last in database.query("select first_timestamp, last_timestamp from run_sums where run_id = any(%s::uuid[])",
                                      [run for runs in scattered.runs.values() for run in runs]):
        for start, stop in ((first, last), (first + MICROSECOND, last), (first, last - MICROSECOND)):
            if start <= stop:
                assert_all_reports(database, scattered, start, stop)


@pytest.mark.parametrize("first, last", [("0001-01-01T00:00:00+00:00", "1999-12-31T23:00:00+00:00"),
                                         ("1999-12-31T22:59:59.999999+00:00", "9999-12-31T23:59:59.999999+00:00")])
def test_ends_of_time(world, database, first, last):
    """Hours are found wherever an emission may lie."""
    tree = harness.Tree(world)
    for moment in (first, last):
        world.emission(tree.admin, tree.run, timestamp=moment)
    for range_ in ((first, last), (first, first), (last, last), ("0001-01-01", "9999-12-31T23:59:59.999999"),
                   ("1900-01-01", "1999-12-31T23:00:00"), ("1999-12-31T23:00:00", "2500-01-01")):
        report = tree.client.get(f"/projects/{tree.project['id']}/sums",
                                 params={"start_date": range_[0], "end_date": range_[1]}).json()
        assert_raw(database, report, [tree.run["id"]], range_)
