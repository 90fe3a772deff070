"""A team's collector, from its first start to its restore, by the commands of README.md and docs/operations.md. The tests go on
from where the one before has left the containers."""

import contextlib
import ipaddress
import threading
import uuid

import pytest
import requests

import dashboard
import engine
from stack import commands, until
from test_first_start import TOLD
from test_fixtures import RANGE, recording
from test_reports import assert_report


@pytest.fixture(scope="module")
def first(stack):
    """What the first start told."""
    return TOLD.search(stack.logs())


def sums(stack, first):
    query = "&".join(f"{name}={value}" for name, value in RANGE.items())
    return stack.get(f"/projects/{first['project']}/sums?{query}", **{"x-api-token": first["token"]})


def post(url, path, body, token):
    return requests.post(url + path, json=body, headers={"x-api-token": token}, timeout=30)


def replay(url, first, name="codecarbon-3.2.9.jsonl"):
    """What a tracker sent, sent again as a new run. Returns its emissions."""
    run, sent = None, []
    for request in recording(name):
        body = request["body"]
        if "experiment_id" in body:
            answer = post(url, request["path"], {**body, "experiment_id": first["experiment"]}, first["token"])
            run = answer.json()["id"]
        else:
            answer = post(url, request["path"], {**body, "run_id": run}, first["token"])
            sent.append({**body, "run_id": run})
        assert answer.status_code == 201, answer.text
    return sent


class Load:
    """Stores emissions, one after the other, until told to stop. One that was not acknowledged is sent again, with its id."""

    def __init__(self, url, first):
        self.url, self.first = url, first
        self.run = replay(url, first)[0]["run_id"]
        self.sent = self.failed = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._work)

    def _work(self):
        like = next(request["body"] for request in recording("codecarbon-3.2.9.jsonl") if "run_id" in request["body"])
        while not self.ending.is_set():
            emission = {**like, "run_id": self.run, "id": str(uuid.uuid4())}
            while not self._store(emission):
                self.failed += 1
                self.ending.wait(0.1)
            self.sent += 1

    def _store(self, emission):
        try:
            return post(self.url, "/emissions", emission, self.first["token"]).status_code == 201
        except requests.RequestException:
            return False

    def more(self, count=20):
        """Waits until as many more are stored."""
        wanted = self.sent + count
        until(lambda: self.sent >= wanted or not self.thread.is_alive(), f"{count} more emissions")
        assert self.thread.is_alive()


@contextlib.contextmanager
def load(url, first):
    load = Load(url, first)
    load.thread.start()
    try:
        yield load
    finally:
        load.ending.set()
        load.thread.join()


# -- the first start ----------------------------------------------------------------------------------------------------

def test_all_are_healthy(stack):
    for service in ("carbond", "postgres"):
        until(lambda: stack.is_healthy(service), f"a healthy {service}")
    assert stack.get("/readyz") == {"status": "ok"}


def test_ports_are_on_loopback(stack):
    for service in ("carbond", "postgres"):
        for bindings in stack.state(service)["NetworkSettings"]["Ports"].values():
            assert all(binding["HostIp"] == "127.0.0.1" for binding in bindings or [])
    assert requests.get(stack.url + "/metrics", timeout=30).status_code == 404


def test_the_first_admin_is_told_once(stack, first):
    assert first["password"] in stack.told, "the manual's command shows it"
    answer = requests.post(stack.url + "/authenticate", json={"email": first["email"], "password": first["password"]}, timeout=30)
    assert answer.status_code == 200
    stack.shell("docker compose restart carbond", "docker compose up --wait")
    assert len(TOLD.findall(stack.logs())) == 1


def test_trackers(stack, first):
    sent = replay(stack.url, first)
    assert_report(sums(stack, first), sent)
    assert first["email"] in stack.carbond("user", "list")


# -- what is killed comes back ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("service", ["carbond", "postgres"])
def test_a_service_is_killed(stack, first, service):
    before = sums(stack, first)
    stack.kill(service)
    until(lambda: requests.get(stack.url + "/readyz", timeout=30).status_code == 200, "a carbond that is ready")
    assert sums(stack, first) == before
    replay(stack.url, first)


@pytest.mark.parametrize("service", ["carbond", "postgres"])
def test_a_service_is_restarted(stack, first, service):
    before = sums(stack, first)
    stack.shell(f"docker compose restart {service}", "docker compose up --wait")
    until(lambda: requests.get(stack.url + "/readyz", timeout=30).status_code == 200, "a carbond that is ready")
    assert sums(stack, first) == before
    state = stack.state(service)["State"]
    assert state["Running"] and not state["OOMKilled"]


# -- a backup -----------------------------------------------------------------------------------------------------------

def test_backup_and_restore(stack, first):
    dump, *restore = commands("docs/operations.md", "A backup of the containers")
    before = sums(stack, first)
    stack.shell(dump)
    replay(stack.url, first)
    assert sums(stack, first) != before
    told = stack.shell(*restore)
    assert f"compared {before['emissions_count']} emissions of" in told and ": 0 runs differ" in told
    assert sums(stack, first) == before
    replay(stack.url, first)


def test_restore_on_another_machine(stack, first):
    """From nothing but the dump: the volume is gone. The users are those of the dump, so nobody is told anything."""
    dump, *restore = commands("docs/operations.md", "A backup of the containers")
    before = sums(stack, first)
    stack.shell(dump, "docker compose down --volumes", "docker compose up --wait postgres", *restore[3:])
    assert sums(stack, first) == before
    assert not TOLD.search(stack.logs())


def test_another_password(stack, first):
    file = stack.directory / "secrets" / "database_password"
    connect = "docker compose exec -T -e PGPASSWORD={} postgres psql --host=postgres --username=carbond --command='select 1'"
    old, before = file.read_text().strip(), sums(stack, first)
    stack.shell(*commands("docs/operations.md", "Another password for the database"), "docker compose up --wait")
    assert sums(stack, first) == before and first["email"] in stack.carbond("user", "list")
    stack.shell(connect.format(file.read_text().strip()), "! " + connect.format(old))


# -- two servers, and an upgrade ----------------------------------------------------------------------------------------

def test_a_replica_is_killed(stack, first):
    """What was under way in it is not acknowledged; sent again, it is stored, once."""
    stack.shell("docker compose --profile replicas up --wait")
    until(lambda: requests.get(stack.proxy + "/readyz", timeout=30).status_code == 200, "a server behind the proxy")
    before = sums(stack, first)["emissions_count"]
    with load(stack.proxy, first) as sending:
        sending.more()
        for service in ("carbond-2", "carbond", "proxy"):
            stack.kill(service)
            sending.more()
    stored = sums(stack, first)["emissions_count"] - before
    assert stored == sending.sent + len([one for one in recording("codecarbon-3.2.9.jsonl") if "run_id" in one["body"]])


def clients_of(stack, path):
    logs = "".join(engine.run("docker", "logs", stack.container(service)).stderr for service in ("carbond", "carbond-2"))
    return [line.split("client=")[1].split()[0] for line in logs.splitlines() if f"path={path} " in line]


def test_clients_have_their_own_addresses(stack):
    """carbond believes the proxy, and nobody else."""
    path, forwarded = "/openapi.json", {"X-Forwarded-For": "198.51.100.7"}
    before = len(clients_of(stack, path))
    stack.get(path, url=stack.proxy, **forwarded)
    stack.get(path, **forwarded)
    until(lambda: len(clients_of(stack, path)) == before + 2, "the log's line of each")
    clients = set(clients_of(stack, path))
    host = next(ipaddress.ip_network(stack.settings["SUBNET"]).hosts())
    assert not clients & {"198.51.100.7", stack.settings["PROXY_ADDRESS"]}, clients
    assert str(host) in clients, "as the manual says of a proxy on this machine"


def test_an_upgrade(stack, first):
    """To a carbond with one migration more; each of two servers is replaced under load, and no request fails."""
    build, up, *replace = commands("docs/operations.md", "An upgrade of the containers")
    migrations = stack.clone / "migrations"
    added = migrations / f"{len(list(migrations.glob('*.sql'))) + 1:04}_upgraded.sql"
    added.write_text("create table upgraded (at timestamptz);\n")
    stack.image = stack.environment["CARBOND_IMAGE"] = f"{stack.project}:new"
    stack.shell(build)
    with load(stack.proxy, first) as sending:
        for command in replace:
            sending.more()
            stack.shell(command)
            sending.more()
    assert sending.failed == 0
    before = sums(stack, first)
    stack.shell(up)
    assert sums(stack, first) == before
    assert f"applied   {added.stem}" in stack.carbond("migrate", "--status")
    assert stack.state("carbond")["Config"]["Image"] == stack.image == stack.state("carbond-2")["Config"]["Image"]
    assert not TOLD.search(stack.logs())


def test_an_older_server_on_the_newer_schema(stack, first):
    """As one that starts anew while others are being replaced."""
    stack.shell("docker compose --profile replicas up --wait --no-deps carbond-2", CARBOND_IMAGE=f"{stack.project}:old")
    assert stack.is_healthy("carbond-2")


# -- monitoring ---------------------------------------------------------------------------------------------------------

def test_prometheus(stack):
    stack.shell("docker compose --profile monitoring up --wait prometheus")
    until(lambda: sorted(value for _, value in stack.query('up{job="carbond"}')) == [1, 1], "both servers in Prometheus")


def test_what_a_tracker_sent_is_in_grafanas_panels(stack, first):
    """Each panel's question, put to Prometheus as Grafana would, has an answer; that of the sums is the API's."""
    sent = replay(stack.url, first)
    total = sums(stack, first)
    panels = {panel["title"]: list(dashboard.expressions(panel)) for panel in dashboard.PANELS}

    def answers(title):
        return [value for expression in panels[title] for _, value in stack.query(expression)]

    for title, member in (("Emissions, in all", "emissions"), ("Energy, in all", "energy_consumed")):
        until(lambda: answers(title) == pytest.approx([total[member]]), f"{title}: {total[member]}")
    until(lambda: answers("Emissions, in this time") and answers("Emissions, in this time")[0] > 0, "an increase")
    assert sent
    labels = [labels for labels, _ in stack.query(panels["Projects"][0])]
    assert [(one["organization"], one["project"]) for one in labels] == [("First organization", "First project")]
    for title, asked in panels.items():
        for expression in asked:
            until(lambda: stack.query(expression), f"an answer to {expression}")


def test_prometheus_is_killed(stack):
    before = stack.query('sum(up{job="carbond"})')
    stack.kill("prometheus")
    until(lambda: stack.query('sum(up{job="carbond"})') == before, "what it knew")


def test_grafana(stack):
    """Its own reading of what is provisioned."""
    if stack.missing:
        pytest.skip(f"NO IMAGE OF GRAFANA: {', '.join(stack.missing)} can be neither pulled nor made of Debian's packages. Its "
                    "dashboard's questions were put to Prometheus; whether Grafana reads the file was NOT tried")
    stack.shell("docker compose --profile monitoring up --wait")
    url = f"http://127.0.0.1:{stack.ports['GRAFANA_PORT']}/api"
    admin = ("admin", (stack.directory / "secrets" / "grafana_password").read_text().strip())
    found = requests.get(f"{url}/dashboards/uid/carbond", auth=admin, timeout=30).json()["dashboard"]
    assert [panel["title"] for panel in found["panels"]] == [panel["title"] for panel in dashboard.MODEL["panels"]]
    assert requests.get(f"{url}/datasources/uid/prometheus/health", auth=admin, timeout=30).json()["status"] == "OK"
    stack.kill("grafana")
