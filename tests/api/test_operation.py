"""A server in its surroundings: the database leaves and returns, the process is told to end, two share one database."""

import concurrent.futures
import json
import re
import signal
import socket
import threading
import time

import pytest

import harness


@pytest.fixture(scope="module")
def own_world(carbond_binary, own_database, jwt_key_file):
    with harness.Server(carbond_binary, own_database, "--jwt-hs256-key-file", jwt_key_file) as server:
        yield harness.World(server)


@pytest.mark.parametrize("leave", ["stop", "kill"])
def test_database_leaves_and_returns(own_world, own_cluster, leave):
    tree = harness.Tree(own_world)
    getattr(own_cluster, leave)()
    try:
        for path in (f"/runs/{tree.run['id']}", "/organizations", "/readyz"):
            assert int(tree.client.get(path, 503).headers["Retry-After"]) >= 0
        tree.client.post("/runs", harness.run_body(tree.experiment["id"]), 503)
        tree.client.get("/healthz")
        begun = time.monotonic()
        tree.client.post("/emissions", harness.emission_body(tree.run["id"]), 503)
        assert time.monotonic() - begun > 1
    finally:
        own_cluster.start()
    back = time.monotonic()
    harness.until(lambda: tree.client.request("GET", "/readyz").status_code == 200, 5)
    assert time.monotonic() - back < harness.patience(4)
    for _ in range(8):  # every worker's connection
        tree.client.get("/organizations")
    assert tree.client.get(f"/runs/{tree.run['id']}/emissions").json()["total"] == 0


def test_emission_waits_for_a_restart(own_world, own_cluster):
    tree = harness.Tree(own_world)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        own_cluster.stop()
        sent = pool.submit(harness.requests.post, own_world.server.url + "/emissions", timeout=10,
                           json=harness.emission_body(tree.run["id"]), headers=dict(tree.client.session.headers))
        own_cluster.start()
        assert sent.result().status_code == 201
    assert tree.client.get(f"/runs/{tree.run['id']}/emissions").json()["total"] == 1


def test_connections_that_postgresql_ends(own_world, own_database):
    """An idle connection that was ended is noticed before a statement is lost to it."""
    harness.until(lambda: own_world.nobody.request("GET", "/readyz").status_code == 200)
    tree = harness.Tree(own_world)
    for _ in range(3):
        own_database.query("""select pg_terminate_backend(pid) from pg_stat_activity
                              where pid <> pg_backend_pid() and application_name = 'carbond'""")
        for _ in range(12):
            tree.client.post("/emissions", harness.emission_body(tree.run["id"]))


def test_server_starts_without_database(carbond_binary, own_cluster, own_database, jwt_key_file):
    own_cluster.stop()
    try:
        process = harness.subprocess.Popen(
            [str(carbond_binary), "serve", "--database-url", own_database.url, "--listen", "127.0.0.1:0",
             "--metrics-listen", "none", "--drain-delay", "0"],
            stderr=harness.subprocess.PIPE, text=True, env=harness.clean_environment())
        line = ""
        while "listening" not in line:
            line = process.stderr.readline()
            assert line
        url = "http://" + re.search(r"address=(\S+)", line).group(1)
        assert harness.requests.get(url + "/readyz", timeout=10).status_code == 503
    finally:
        own_cluster.start()
    harness.until(lambda: harness.requests.get(url + "/readyz", timeout=10).status_code == 200, 5)
    process.terminate()
    assert process.wait(harness.patience(30)) == 0
    process.stderr.close()


def test_orderly_end(carbond_binary, database, jwt_key_file):
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, drain_delay=1) as server:
        world = harness.World(server)
        tree = harness.Tree(world)
        with harness.RawConnection(server) as begun:
            body = json.dumps(harness.emission_body(tree.run["id"])).encode()
            begun.send(f"POST /emissions HTTP/1.1\r\nHost: x\r\nAuthorization: {tree.client.session.headers['Authorization']}"
                       f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:10])
            server.terminate()
            harness.until(lambda: harness.requests.get(server.url + "/readyz", timeout=5).status_code == 503, 5)
            # It serves on meanwhile, and tells its clients to come back on another connection.
            response = harness.requests.post(server.url + "/emissions", json=harness.emission_body(tree.run["id"]),
                                             headers=dict(tree.client.session.headers), timeout=5)
            assert response.status_code == 201 and response.headers["Connection"] == "close"
            begun.send(body[10:])
            assert begun.answer().status == 201
        assert server.process.wait(10) == 0
    assert database.value("select count(*) from emissions where run_id = %s", tree.run["id"]) == 2


def test_interrupt_is_an_orderly_end_too(carbond_binary, database):
    with harness.Server(carbond_binary, database) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0


def test_whoever_started_it_is_told(carbond_binary, database, tmp_path):
    """systemd, for one (Type=notify): when it listens, and when it is about to end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(harness.patience(20))
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        wrong = harness.command(carbond_binary, "serve", "--listen", "nowhere:0", "--database-url", database.url,
                                environment=environment)
        assert wrong.returncode != 0
        with harness.Server(carbond_binary, database, environment=environment) as server:
            assert supervisor.recv(100) == b"READY=1" and "was not told" not in server.log()
            server.terminate()
            assert supervisor.recv(100) == b"STOPPING=1"


def test_nobody_is_there_to_be_told(carbond_binary, database, tmp_path):
    with harness.Server(carbond_binary, database, environment={"NOTIFY_SOCKET": str(tmp_path / "none")}) as server:
        line = harness.until(lambda: [line for line in server.log_lines() if "the supervisor was not told" in line])[0]
        assert 'state="READY=1" reason="No such file or directory"' in line


def test_end_while_streaming_to_a_slow_reader(carbond_binary, database, jwt_key_file):
    """A list that nobody reads ends with the grace time; the server still exits in order."""
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--grace", "1") as server:
        tree = harness.Tree(harness.World(server))
        with database.runs(tree.experiment, 60000), harness.RawConnection(server) as reader:
            reader.send(f"GET /experiments/{tree.experiment['id']}/runs HTTP/1.1\r\nHost: x\r\n"
                        f"Authorization: {tree.client.session.headers['Authorization']}\r\n\r\n".encode())
            assert reader.socket.recv(100)
            server.terminate()
            assert server.process.wait(15) == 0


def test_slow_reader_gives_its_worker_back(carbond_binary, database, jwt_key_file):
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--stream-workers", "1",
                        "--send-timeout", "1") as server:
        tree = harness.Tree(harness.World(server))
        with database.runs(tree.experiment, 60000), harness.RawConnection(server) as reader:
            reader.send(f"GET /experiments/{tree.experiment['id']}/runs HTTP/1.1\r\nHost: x\r\n"
                        f"Authorization: {tree.client.session.headers['Authorization']}\r\n\r\n".encode())
            assert reader.socket.recv(100)
            tree.client.get("/organizations", timeout=20)  # it waits for the one worker there is


def test_full_queue_is_503_at_once(carbond_binary, database, jwt_key_file):
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--workers", "1",
                        "--queue-size", "2") as server:
        tree = harness.Tree(harness.World(server))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            with harness.locked(database, "experiments"):
                asked = [pool.submit(harness.requests.get, f"{server.url}/experiments/{tree.experiment['id']}", timeout=20,
                                     headers=dict(tree.client.session.headers)) for _ in range(8)]
                harness.until(lambda: sum(future.done() for future in asked) >= 5, 10)
            statuses = [future.result().status_code for future in asked]
        assert statuses.count(200) >= 2 and set(statuses) == {200, 503}


def test_statement_timeout(carbond_binary, database, jwt_key_file):
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--statement-timeout", "1") as server:
        tree = harness.Tree(harness.World(server))
        with harness.locked(database, "experiments"):
            tree.client.get(f"/experiments/{tree.experiment['id']}", 503)
        tree.client.get(f"/experiments/{tree.experiment['id']}")


def test_without_prepared_statements(carbond_binary, database, jwt_key_file):
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--prepared-statements",
                        "false") as server:
        tree = harness.Tree(harness.World(server))
        emission = tree.world.emission(tree.admin, tree.run)
        tree.client.get(f"/emissions/{emission}")
        tree.client.get(f"/projects/{tree.project['id']}/sums")


def test_two_servers_on_one_database(world, open_world):
    tree = harness.Tree(world)
    token = world.project_token(tree.admin, tree.project)
    there = open_world.client(token=token["token"])
    there.post("/emissions", harness.emission_body(tree.run["id"]))
    tree.client.delete(f"/projects/{tree.project['id']}/api-tokens/{token['id']}")
    harness.until(lambda: there.request("GET", f"/projects/{tree.project['id']}").status_code == 401, 2)
    open_world.client(bearer=harness.make_jwt(tree.admin.id)).delete(f"/projects/{tree.project['id']}")
    tree.client.get(f"/projects/{tree.project['id']}", 404)


def test_deleted_rows_go_in_the_background(carbond_binary, new_database, jwt_key_file):
    database = new_database()
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--statement-timeout", "1") as server:
        world = harness.World(server)
        tree, kept = harness.Tree(world), harness.Tree(world)
        kept.emission = world.emission(kept.admin, kept.run)
        world.project_token(tree.admin, tree.project)
        world.emission(tree.admin, tree.run)
        database.query("""insert into emissions (run_id, timestamp, id, duration)
                          select %s, now() - i * interval '1 second', gen_random_uuid(), 1
                            from generate_series(1, 12000) i""", tree.run["id"])
        tree.client.delete(f"/projects/{tree.project['id']}")
        harness.until(lambda: database.value("select count(*) from projects") == 1, 20, "the end of the removal")
        for table, count in (("emissions", 1), ("run_sums", 1), ("emission_hours", 1), ("runs", 1), ("experiments", 1),
                             ("project_tokens", 0)):
            assert database.value(f"select count(*) from {table}") == count
        kept.client.get(f"/emissions/{kept.emission}")
        # Once removed, its run's id is free, and the organisation is as it was.
        tree.client.get(f"/organizations/{tree.organization['id']}")


def test_probes_are_logged_when_they_fail(carbond_binary, cluster, database):
    """Or for debugging: supervisors ask them again and again."""
    with harness.Server(carbond_binary, database) as server:
        for path in ("/healthz", "/readyz", "/openapi.yaml"):
            harness.Client(server).get(path)
        harness.until(lambda: "path=/openapi.yaml" in server.log())
        assert not [line for line in server.log_lines() if re.search("path=/(healthz|readyz) .*status=200", line)]
    with harness.Server(carbond_binary, database, "--log-level", "debug") as server:
        harness.Client(server).get("/healthz")
        harness.until(lambda: "path=/healthz" in server.log())
    with harness.Server(carbond_binary, harness.Database(cluster, "no_such_database"), ready=503) as server:
        harness.until(lambda: "path=/readyz" in server.log())


def test_log(carbond_binary, database, jwt_key_file):
    for form in ("logfmt", "json"):
        with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--log-format", form) as server:
            world = harness.World(server)
            tree = harness.Tree(world)
            token = world.project_token(tree.admin, tree.project)["token"]
            # A line is written when its request is over, which its client does not wait for.
            world.nobody.get("/openapi.yaml")
            harness.until(lambda: "/openapi.yaml" in server.log())
            before = len(server.log_lines())
            world.client(token=token).get("/runs")
            world.client(url_token=token).post("/emission", harness.emission_body(tree.run["id"]))
            world.nobody.get(f"/x/{token}?secret={token}", 404)
            world.nobody.get("/a%22b%20c\u00e9=", 404)
            assert harness.raw(server, b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n").status == 400
            lines = harness.until(lambda: len(server.log_lines()) >= before + 5 and server.log_lines()[before:])
            assert len(lines) == 5  # one for each request
            if form == "json":
                entries = [json.loads(line) for line in lines]
                # In the order in which connections are done with, which is not that of the answers.
                assert sorted((entry["method"], str(entry["status"])) for entry in entries) == \
                    [("GET", "200"), ("GET", "400"), ("GET", "404"), ("GET", "404"), ("POST", "201")]
                assert "/emission" in [entry["path"] for entry in entries]
            else:
                assert all(re.match(r"ts=\S+ level=info msg=request method=\w+ path=", line) for line in lines), lines
            assert not [line for line in server.log_lines() if token in line]


def test_log_level(carbond_binary, database):
    with harness.Server(carbond_binary, database, environment={"CARBOND_LOG_LEVEL": "info"}) as server:
        harness.Client(server).get("/openapi.yaml")
        harness.until(lambda: "msg=request" in server.log())


def test_many_clients_at_once(world):
    """More connections than workers; each gets its own answer."""
    trees = [harness.Tree(world) for _ in range(4)]
    failures = []

    def use(number):
        tree = trees[number % 4]
        client = world.client(bearer=harness.make_jwt(tree.admin.id))
        for _ in range(15):
            if client.get(f"/runs/{tree.run['id']}").json() != tree.run:
                failures.append(number)
            client.post("/emissions", harness.emission_body(tree.run["id"]))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [tree.client.get(f"/runs/{tree.run['id']}/emissions").json()["total"] for tree in trees] == [90] * 4


def test_kill_loses_nothing_acknowledged(carbond_binary, database, jwt_key_file):
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file) as server:
        tree = harness.Tree(harness.World(server))
        acknowledged = []

        def send():
            while True:
                try:
                    response = harness.requests.post(server.url + "/emissions", timeout=10,
                                                     json=harness.emission_body(tree.run["id"]),
                                                     headers=dict(tree.client.session.headers))
                except harness.requests.RequestException:
                    return
                assert response.status_code == 201
                acknowledged.append(response.json())

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        harness.until(lambda: len(acknowledged) > 100, 30)
        server.process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
        server.process.wait()
        stored = {identity for identity, in database.query("select id::text from emissions where run_id = %s", tree.run["id"])}
        assert set(acknowledged) <= stored
        server.abandon()
        server.stop = lambda: None
