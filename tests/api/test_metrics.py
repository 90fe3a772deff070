"""GET /metrics: what a scraper reads is well-formed, true, documented, and tells nothing of a client."""

import concurrent.futures
import math
import os
import pathlib
import re
import socket
import time
import uuid

import pytest

import harness
import statements

DOCUMENT = harness.ROOT / "docs" / "metrics.md"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?[0-9.]+(?:e[+-]\d+)?)")
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
STATUSES = {"200", "201", "204", "302", "303", "400", "401", "403", "404", "405", "408", "409", "413", "414", "415", "422", "429",
            "500", "503", "unanswered", "other"}


# -- a strict reader of the format --------------------------------------------------------------------------------------

class Family:
    def __init__(self, name, help_text):
        self.name, self.help, self.kind = name, help_text, None
        self.samples = {}  # (suffix, labels) -> value

    def label_names(self):
        return {name for _, labels in self.samples for name, _ in labels} - {"le"}


def parse_labels(text):
    labels = []
    position = 0
    while position < len(text):
        match = LABEL.match(text, position)
        assert match, text
        labels.append((match.group(1), re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match.group(2))))
        position = match.end()
    assert labels and len({name for name, _ in labels}) == len(labels), text
    return tuple(labels)


def parse_sample(family, line):
    match = SAMPLE.fullmatch(line)
    assert match, line
    name, labels, value = match.groups()
    suffix = name.removeprefix(family.name)
    assert name.startswith(family.name) and suffix in SUFFIXES[family.kind], line
    key = suffix, parse_labels(labels) if labels is not None else ()
    assert key not in family.samples, line
    assert (suffix == "_bucket") == (key[1][-1:] != () and key[1][-1][0] == "le"), line
    family.samples[key] = float(value)


def parse(text):
    """The families by name. Each has its HELP, its TYPE and its samples together, in this order."""
    assert text.endswith("\n")
    families, current = {}, None
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line):
            assert (current is None or current.kind) and match.group(1) not in families, line
            current = families[match.group(1)] = Family(*match.groups())
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram)", line):
            assert current.name == match.group(1) and current.kind is None and not current.samples, line
            current.kind = match.group(2)
        else:
            assert current.kind, line
            parse_sample(current, line)
    for family in families.values():
        check_family(family)
    return families


def check_family(family):
    assert family.name.endswith("_total") == (family.kind == "counter"), family.name
    if family.kind == "counter":
        assert all(value >= 0 for value in family.samples.values()), family.samples
    if family.kind == "histogram":
        for labels in {key[1] for key in family.samples if key[0] == "_count"}:
            check_histogram(family, labels)
        assert len({key[1][:-1] if key[0] == "_bucket" else key[1] for key in family.samples}) == \
            sum(key[0] == "_count" for key in family.samples)


def check_histogram(family, labels):
    buckets = [(float(key[1][-1][1]), value) for key, value in family.samples.items()
               if key[0] == "_bucket" and key[1][:-1] == labels]
    bounds, counts = zip(*buckets)
    assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf
    assert list(counts) == sorted(counts) and counts[-1] == family.samples["_count", labels]
    assert (family.samples["_sum", labels] > 0) <= (counts[-1] > 0)


def scrape(server):
    response = harness.requests.get(server.monitor_url + "/metrics", timeout=20)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(response.text)


def value(server, name, suffix="", **labels):
    """A sample's value; 0 without it, for what appears when it first happens."""
    return scrape(server)[name].samples.get((suffix, tuple(labels.items())), 0)


def reaches(server, expected, name, suffix="", **labels):
    """A request is counted when it is over, which its client does not wait for."""
    harness.until(lambda: value(server, name, suffix, **labels) == expected, 10, f"{expected} of {name} {labels}")


def requests_of(server, method, route):
    return {dict(labels)["status"]: count for (_, labels), count in scrape(server)["carbond_http_requests_total"].samples.items()
            if labels[0] == ("method", method) and labels[1] == ("route", route)}


@pytest.fixture(scope="module")
def own_database(cluster, new_database):
    """Never through a pooler: its sessions are counted."""
    database = harness.Database(cluster, new_database().name)
    yield database
    database.close()


@pytest.fixture
def own(carbond_binary, own_database, jwt_key_file):
    """A server that nobody else asks anything, alone on its database."""
    with harness.Server(carbond_binary, own_database, "--jwt-hs256-key-file", jwt_key_file, "--workers", "1",
                        "--queue-size", "2", "--connection-limit", "100") as server:
        yield harness.World(server)


# -- the listener -------------------------------------------------------------------------------------------------------

def test_every_metric_is_documented(own):
    own.nobody.get("/healthz")
    reaches(own.server, 1, "carbond_http_requests_total", method="GET", route="/healthz", status="200")
    families = scrape(own.server)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in DOCUMENT.read_text().splitlines()
            if line.startswith("| `")]
    rows = [(name.strip("`"), *cells) for name, *cells in rows]
    assert len({name for name, *_ in rows}) == len(rows)
    assert {name: kind for name, kind, *_ in rows} == {name: family.kind for name, family in families.items()}
    for name, _, unit, labels, _ in rows:
        assert all((unit == word) == (word in name.split("_")) for word in ("seconds", "bytes")), name
        if families[name].samples:
            assert set(re.findall(r"`(\w+)`", labels)) == families[name].label_names(), name


def test_own_listener(own):
    own.nobody.get("/metrics", 404)
    url = own.server.monitor_url
    assert harness.requests.get(url + "/healthz", timeout=5).json() == {"status": "ok"}
    assert harness.requests.head(url + "/metrics", timeout=5).status_code == 200
    for method, path, status in (("POST", "/metrics", 405), ("GET", "/", 404), ("GET", "/organizations", 404),
                                 ("GET", "/readyz", 404)):
        response = harness.requests.request(method, url + path, timeout=5)
        assert response.status_code == status
        harness.check_error(response)
    # Its own requests are not those of clients.
    assert "/metrics" not in str(scrape(own.server)["carbond_http_requests_total"].samples)


def test_compressed_for_who_likes_it(own):
    response = harness.requests.get(own.server.monitor_url + "/metrics", headers={"Accept-Encoding": "gzip"}, timeout=5)
    assert response.headers["Content-Encoding"] == "gzip" and parse(response.text)


def test_no_listener(carbond_binary, database):
    with harness.Server(carbond_binary, database, metrics_listen="none") as server:
        assert server.monitor_url is None
    with harness.Server(carbond_binary, database, "--log-format", "json",
                        environment={"CARBOND_METRICS_LISTEN": "none"}) as server:
        assert server.monitor_url and scrape(server)  # the flag counts more


def test_taken_port_names_the_option(carbond_binary, database):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option, other in (("--metrics-listen", "--listen"), ("--listen", "--metrics-listen")):
            done = harness.command(carbond_binary, "serve", "--database-url", database.url, option, address, other, "127.0.0.1:0")
            assert done.returncode == 1
            line = next(line for line in done.stderr.splitlines() if "cannot listen" in line)
            assert harness.logged(line, "option") == option and harness.logged(line, "address") == address
            assert "in use" in line and "msg=listening" not in done.stderr


def test_loopback_by_default(carbond_binary):
    assert re.search(r"--metrics-listen .*\n.*\[default: 127\.0\.0\.1:8009\]",
                     harness.command(carbond_binary, "serve", "--help").stdout)


def test_answers_while_draining(carbond_binary, database):
    with harness.Server(carbond_binary, database, drain_delay=2) as server:
        with harness.RawConnection(server):
            server.terminate()
            harness.until(lambda: harness.requests.get(server.url + "/readyz", timeout=5).status_code == 503)
            assert harness.requests.get(server.monitor_url + "/healthz", timeout=5).status_code == 200
            reaches(server, 1, "carbond_http_requests_total", method="GET", route="/readyz", status="503")
        assert server.process.wait(10) == 0


def test_end_with_scrapers_connected(carbond_binary, database):
    with harness.Server(carbond_binary, database) as server:
        host, port = server.monitor_url.removeprefix("http://").split(":")
        for sent in (b"", b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
            scraper = socket.create_connection((host, int(port)), timeout=20)
            scraper.sendall(sent)
        time.sleep(0.2)
        server.terminate()
        assert server.process.wait(10) == 0
        scraper.close()


# -- requests -----------------------------------------------------------------------------------------------------------

def test_requests_by_route_and_status(own):
    tree = harness.Tree(own)
    seen = lambda method, route: requests_of(own.server, method, route)  # noqa: E731
    run = f"/runs/{tree.run['id']}"
    for path, status in ((run, 200), (run, 200), (f"/runs/{harness.UNKNOWN_ID}", 404), ("/runs/7", 422)):
        tree.client.get(path, status)
    tree.client.request("HEAD", run, 200)
    own.nobody.get(run, 401)
    own.client(url_token="cpt_" + "x" * 43).get(run, 401)
    harness.until(lambda: seen("GET", "/runs/{run_id}") == {"200": 3, "404": 1, "422": 1, "401": 2})
    tree.client.post("/emissions", harness.emission_body(tree.run["id"]))
    tree.client.post("/emissions", {"duration": -1}, 422)
    tree.client.request("POST", "/emissions", 415, data="x", headers={"Content-Type": "text/plain"})
    tree.client.request("POST", "/emissions", 413, data=b" " * 100000, headers={"Content-Type": "application/json"})
    harness.until(lambda: seen("POST", "/emissions") == {"201": 1, "422": 1, "415": 1, "413": 1})
    tree.client.delete(f"/projects/{tree.project['id']}")
    harness.until(lambda: seen("DELETE", "/projects/{project_id}") == {"204": 1})
    route = {"method": "GET", "route": "/runs/{run_id}"}
    reaches(own.server, 7, "carbond_http_request_duration_seconds", "_count", **route)
    assert 0 < value(own.server, "carbond_http_request_duration_seconds", "_sum", **route) < 60


def test_durations(own):
    tree = harness.Tree(own)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, harness.locked(own.database, "runs"):
        asked = pool.submit(tree.client.get, f"/runs/{tree.run['id']}")
        time.sleep(1.2)
        assert not asked.done()
    route = {"method": "GET", "route": "/runs/{run_id}"}
    reaches(own.server, 1, "carbond_http_request_duration_seconds", "_count", **route)
    assert 1 < value(own.server, "carbond_http_request_duration_seconds", "_sum", **route) < 30
    assert value(own.server, "carbond_http_request_duration_seconds", "_bucket", **route, le="1") == 0
    assert value(own.server, "carbond_http_request_duration_seconds", "_bucket", **route, le="30") == 1


def test_unmatched_requests_have_one_label(own):
    client = own.nobody
    for _ in range(20):
        client.get(f"/{uuid.uuid4()}", 404)
        client.get(f"/runs/{uuid.uuid4()}/{uuid.uuid4()}", 404)
    client.request("BREW", "/runs", 405)
    client.request("OPTIONS", "/runs", 204)
    assert harness.raw(own.server, b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n").status == 400
    client.get("/" + "x" * 5000, 414)
    harness.until(lambda: requests_of(own.server, "any", "unmatched") == {"404": 40, "405": 1, "204": 1, "400": 1, "414": 1})
    reaches(own.server, 44, "carbond_http_request_duration_seconds", "_count", method="any", route="unmatched")


def test_client_that_leaves_before_its_answer(own):
    with harness.RawConnection(own.server) as connection:
        connection.send(b"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    harness.until(lambda: requests_of(own.server, "POST", "/runs") == {"unanswered": 1})


def test_labels_are_known_beforehand(own, tables):
    """No id, no token, no path of a client, whatever is asked."""
    tree = harness.Tree(own)
    token = own.project_token(tree.admin, tree.project)["token"]
    own.client(token=token).get(f"/projects/{tree.project['id']}")
    own.client(url_token=token).post("/run", harness.run_body(tree.experiment["id"]))
    for path in (f"/{token}", f"/x/{token}?secret={token}", "/a%22b%0ac%5c", f"/runs/{token}", f"/t/{token}/{token}"):
        harness.requests.request("X" + uuid.uuid4().hex, own.server.url + path, timeout=5, headers={"X-Api-Token": token})
        harness.requests.get(own.server.url + path, timeout=5, headers={"X-Api-Token": token})
    harness.until(lambda: len(own.server.log_lines()) >= 18)
    text = harness.requests.get(own.server.monitor_url + "/metrics", timeout=5).text
    assert token not in text and not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)
    allowed = {
        "method": {route["method"] for route in tables["routes"]} | {"any"},
        "route": {route["path"] for route in tables["routes"]} | {"unmatched"},
        "status": STATUSES, "lane": {"worker", "stream", "password"}, "result": {"accepted", "duplicate", "rejected"},
        "outcome": {"ok", "away", "refused", "taken", "failed"}, "by": {"replica", "primary"}, "phase": {"new", "idle", "headers", "body", "sending"},
        "limit": {"total", "address", "token", "tracker-address", "tracker-token", "sign-in", "sign-up", "password", "account",
                  "credential"},
        "version": {harness.command(own.server.binary, "version").stdout.split()[1]},
    }
    for family in parse(text).values():
        for _, labels in family.samples:
            for name, label in labels:
                assert name == "le" or label in allowed[name], (family.name, name, label)


def store(world, tree, **changes):
    world.client(token=world.project_token(tree.admin, tree.project)["token"]).post(
        "/emissions", harness.emission_body(tree.run["id"], **changes))


def test_what_projects_emitted(carbond_binary, new_database, jwt_key_file):
    """Off by default; then the totals of those that emitted the most, by their names, whatever these are."""
    with harness.Server(carbond_binary, new_database(), "--jwt-hs256-key-file", jwt_key_file,
                        "--metrics-projects", "2") as server:
        world = harness.World(server)
        trees = [harness.Tree(world) for _ in range(3)]
        odd = 'Größe "1"\\ and \n more'
        trees[2].client.patch(f"/projects/{trees[2].project['id']}", {"name": odd})
        for tree, emissions in zip(trees, (1e-9, 0.25, 1.5e-5)):
            store(world, tree, emissions_sum=emissions, energy_consumed=3.4e-05, duration=15)
        store(world, trees[1], emissions_sum=0.5, energy_consumed=1, duration=1.5)
        totals = {tree.project["id"]: tree.client.get(f"/projects/{tree.project['id']}/sums").json() for tree in trees}

        def told(name):
            return {dict(labels)["project_id"]: (dict(labels), value)
                    for (_, labels), value in scrape(server)[name].samples.items()}

        name = "carbond_project_emissions_kg_total"
        harness.until(lambda: {key: value for key, (_, value) in told(name).items()} ==
                      {trees[1].project["id"]: 0.75, trees[2].project["id"]: 1.5e-5}, 60, "the totals")
        for name, member in ((name, "emissions"), ("carbond_project_energy_kwh_total", "energy_consumed"),
                             ("carbond_project_duration_seconds_total", "duration"),
                             ("carbond_project_stored_emissions_total", "emissions_count")):
            for project, (labels, value) in told(name).items():
                assert value == pytest.approx(totals[project][member], rel=1e-14)
        labels = told(name)[trees[2].project["id"]][0]
        assert labels["project"] == odd and labels["organization"] == trees[2].organization["name"]
        trees[1].client.delete(f"/projects/{trees[1].project['id']}")
        harness.until(lambda: set(told(name)) == {trees[0].project["id"], trees[2].project["id"]}, 60, "the deletion")


def test_totals_of_projects_never_shrink_by_rounding(own):
    """In whatever order the rows are read: Prometheus takes a counter that has become smaller for one that began anew."""
    tree, database = harness.Tree(own), harness.Database(own.server.database.cluster, own.server.database.name)
    for emissions in (2 ** 40, *[2 ** -13] * 8):  # half of what such a double can tell apart
        run = own.run(tree.admin, tree.experiment)
        tree.client.post("/emissions", harness.emission_body(run["id"], emissions_sum=emissions, energy_consumed=emissions))
    text, parameters = statements.compiled("project_totals")
    assert parameters == ["projects"]
    for plan in ("indexscan", "indexonlyscan", "bitmapscan", "nestloop", "mergejoin"):
        database.query(f"set enable_{plan} = off")  # as where there are many runs
    totals = set()
    for larger in (">", "<"):
        # Behind all others, whichever table is read first.
        database.query(f"update runs set id = id where id in (select run_id from run_sums where emissions_sum {larger} 1)")
        database.query(f"update run_sums set run_id = run_id where emissions_sum {larger} 1")
        totals.update(row[3:] for row in database.query(text.replace("$1", "10")) if row[2] == tree.project["id"])
    database.close()
    assert len(totals) == 1, totals


def test_what_projects_emitted_is_off_by_default(own):
    tree = harness.Tree(own)
    store(own, tree)
    assert not any(family.samples for name, family in scrape(own.server).items() if name.startswith("carbond_project_"))


def test_scrapes_while_many_requests_come(own):
    def ask():
        for _ in range(200):
            own.nobody.get("/healthz")

    last = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        while not all(future.done() for future in asked):
            count = value(own.server, "carbond_http_requests_total", method="GET", route="/healthz", status="200")
            assert count >= last
            last = count
    [future.result() for future in asked]
    reaches(own.server, 800, "carbond_http_requests_total", method="GET", route="/healthz", status="200")


# -- lanes, connections, the database -----------------------------------------------------------------------------------

def test_connections(own):
    reaches(own.server, 0, "carbond_http_connections")
    connections = [harness.RawConnection(own.server) for _ in range(7)]
    reaches(own.server, 7, "carbond_http_connections")
    for connection in connections[3:]:
        connection.socket.close()
    reaches(own.server, 3, "carbond_http_connections")
    for connection in connections[:3]:
        connection.socket.close()
    assert value(own.server, "carbond_http_connections_limit") == 100


def test_a_lane_that_is_full(own):
    tree = harness.Tree(own)
    lane = lambda what: value(own.server, f"carbond_lane_{what}", lane="worker")  # noqa: E731
    assert (lane("threads"), lane("jobs_capacity"), lane("refused_total")) == (1, 2, 0)
    assert value(own.server, "carbond_lane_threads", lane="password") == 2
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        with harness.locked(own.database, "experiments"):
            ask = lambda: harness.requests.get(f"{own.server.url}/experiments/{tree.experiment['id']}", timeout=20,  # noqa: E731
                                               headers=dict(tree.client.session.headers)).status_code
            asked = [pool.submit(ask)]
            reaches(own.server, 1, "carbond_lane_threads_busy", lane="worker")
            asked += [pool.submit(ask) for _ in range(7)]
            reaches(own.server, 5, "carbond_lane_refused_total", lane="worker")
            assert (lane("jobs_waiting"), lane("threads_busy")) == (2, 1)
        assert sorted(future.result() for future in asked) == [200] * 3 + [503] * 5
    for what in ("jobs_waiting", "threads_busy"):
        reaches(own.server, 0, f"carbond_lane_{what}", lane="worker")
    harness.until(lambda: requests_of(own.server, "GET", "/experiments/{experiment_id}") == {"200": 3, "503": 5})


def test_statements_by_outcome(carbond_binary, new_database, jwt_key_file):
    database = new_database()
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--signup", "open",
                        "--statement-timeout", "1") as server:
        outcome = lambda name: value(server, "carbond_database_statements_total", outcome=name)  # noqa: E731
        tree = harness.Tree(harness.World(server))
        run = f"/runs/{tree.run['id']}"
        before = outcome("ok")
        tree.client.get(run)
        assert outcome("ok") >= before + 2  # who asks, and the answer
        body = {"email": f"{uuid.uuid4().hex}@example.org", "name": "twice", "password": "correct horse"}
        tree.world.nobody.post("/user", body, 201)
        assert (outcome("away"), outcome("refused"), outcome("taken"), outcome("failed")) == (0, 0, 0, 0)
        tree.world.nobody.post("/user", body, 409)
        assert outcome("taken") == 1
        with harness.locked(database, "runs"):
            tree.client.get(run, 503)
        assert outcome("away") == 1
        database.query("drop table runs cascade")
        tree.client.get(run, 500)
        assert outcome("failed") >= 1


def test_reconnects(own):
    ours = "from pg_stat_activity where datname = current_database() and application_name = 'carbond'"
    harness.until(lambda: value(own.server, "carbond_database_connections") == own.database.value(f"select count(*) {ours}") > 0)
    assert value(own.server, "carbond_database_reconnects_total") == 0
    own.database.query(f"select pg_terminate_backend(pid) {ours}")
    # They end a moment later; one that ends under a statement costs it.
    harness.until(lambda: own.nobody.request("GET", "/readyz").status_code == 200
                  and value(own.server, "carbond_database_reconnects_total") >= 1)


# -- the process --------------------------------------------------------------------------------------------------------

def test_process_figures(own):
    process = pathlib.Path(f"/proc/{own.server.process.pid}")
    figures = {name: next(iter(family.samples.values())) for name, family in scrape(own.server).items()
               if name.startswith("process_")}
    status = dict(re.findall(r"^(\w+):\s+(\d+)", (process / "status").read_text(), re.MULTILINE))
    assert figures["process_threads"] == int(status["Threads"])
    assert figures["process_virtual_memory_bytes"] == pytest.approx(int(status["VmSize"]) * 1024, rel=0.2)
    assert figures["process_resident_memory_bytes"] == pytest.approx(int(status["VmRSS"]) * 1024, rel=0.3)
    assert abs(figures["process_open_fds"] - len(os.listdir(process / "fd"))) <= 4
    limit = re.search(r"Max open files\s+(\d+)", (process / "limits").read_text())
    assert figures["process_max_fds"] == int(limit.group(1))
    assert abs(time.time() - figures["process_start_time_seconds"]) < 60
    assert 0 <= figures["process_cpu_seconds_total"] < 60
    assert value(own.server, "process_start_time_seconds") == figures["process_start_time_seconds"]


def test_descriptors_are_not_lost_to_scrapes(own):
    before = value(own.server, "process_open_fds")
    for _ in range(50):
        scrape(own.server)
    assert abs(value(own.server, "process_open_fds") - before) <= 2
