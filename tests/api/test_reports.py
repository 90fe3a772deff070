"""Reports: what an exact sum over the sent numbers gives."""

import datetime
import fractions
import random

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


def test_unescaped_plus(measured):
    tree = measured.tree
    path = f"/projects/{tree.project['id']}/sums?start_date=2026-10-01T01:00:00+01:00&end_date=2026-10-01T01:00:00+01:00"
    assert_report(tree.client.get(path).json(), measured.bodies(0, 0))
