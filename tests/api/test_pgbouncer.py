"""Behind PgBouncer in transaction mode (docs/scale.md): all works, nothing of what a session would have been told is lost,
and nothing is left behind in sessions that others use. All other tests go through it with POOLER=1."""

import concurrent.futures
import json
import uuid

import pytest

import harness
import pooler
import senders

IGNORED = "the session does not heed its options"


@pytest.fixture(scope="module")
def pgbouncer(cluster):
    pgbouncer = pooler.Pooler(cluster)
    yield pgbouncer
    pgbouncer.remove()


@pytest.fixture(scope="module")
def database(cluster, template, pgbouncer):
    """Its defaults are none that carbond can live with."""
    database = pooler.Pooled(cluster, cluster.createdb(template), pgbouncer)
    for name, value in (("timezone", "'Asia/Tokyo'"), ("default_transaction_isolation", "serializable"),
                        ("statement_timeout", "'1h'")):
        database.query(f"alter database {database.name} set {name} = {value}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def world(carbond_binary, database, jwt_key_file):
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--statement-timeout", "3") as server:
        yield harness.World(server)


def test_migrations(carbond_binary, cluster, pgbouncer):
    """Three at once, on an empty database."""
    database = pooler.Pooled(cluster, cluster.createdb(), pgbouncer)

    def migrate(*options):
        return harness.command(carbond_binary, "migrate", "--database-url", database.url, *options)

    assert migrate("--status").returncode == 1
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert [done.returncode for done in pool.map(lambda _: migrate(), range(3))] == [0] * 3
    assert migrate("--status").returncode == 0
    assert database.value("select count(*) = max(version) from schema_migrations")
    database.close()


def test_what_trackers_send_and_dashboards_ask(world):
    tree = harness.Tree(world)
    client, token = tree.client, world.client(token=world.project_token(tree.admin, tree.project)["token"])
    single = harness.emission_body(tree.run["id"], id=str(uuid.uuid4()), timestamp="2026-03-01T12:00:00+00:00")
    for _ in range(2):
        token.post("/emissions", single)
    batch = senders.emissions([tree.run["id"]], 1000)
    assert token.post("/emissions/batch", {"emissions": batch}, 200).json()["accepted"] == 1000
    page = client.get(f"/runs/{tree.run['id']}/emissions?size=100").json()
    assert (page["total"], len(page["items"])) == (1001, 100)
    assert page["items"][-1]["timestamp"].endswith("+00:00")
    sums = client.get(f"/projects/{tree.project['id']}/sums?start_date=2026-02-28T00:00:00Z&end_date=2026-03-02T00:00:00Z")
    assert sums.json()["emissions_count"] == 1
    client.get(f"/experiments/{tree.experiment['id']}/runs/sums")
    client.patch(f"/projects/{tree.project['id']}", {"public": True})
    world.nobody.get(f"/projects/{tree.project['id']}")
    world.nobody.get(f"/runs/{harness.UNKNOWN_ID}", 404)
    token.get("/organizations", 403)


def test_accounts(world):
    user = world.user(password="a password of some length")
    token = world.nobody.post("/authenticate", {"email": user.email, "password": user.password}, 200).json()
    world.server.secrets.add(token["access_token"])
    world.client(bearer=token["access_token"]).get("/user/tokens")
    world.nobody.post("/authenticate", {"email": user.email, "password": "wrong"}, 401)


def test_a_long_list_is_streamed(world, database):
    tree = harness.Tree(world)
    database.query("""insert into runs (id, experiment_id, timestamp)
                      select gen_random_uuid(), %s, now() from generate_series(1, 5000)""", tree.experiment["id"])
    response = tree.client.get(f"/experiments/{tree.experiment['id']}/runs")
    assert response.headers["Transfer-Encoding"] == "chunked" and len(response.json()) == 5001
    # A reader that leaves costs its session, and nobody else anything.
    with harness.RawConnection(world.server) as connection:
        connection.send(f"GET /experiments/{tree.experiment['id']}/runs HTTP/1.1\r\nHost: carbond\r\nAuthorization: "
                        f"{tree.client.session.headers['Authorization']}\r\n\r\n".encode())
        assert connection.socket.recv(100)
    assert len(tree.client.get(f"/experiments/{tree.experiment['id']}/runs").json()) == 5001


def test_a_deleted_project_goes(world, database):
    tree = harness.Tree(world)
    world.emission(tree.admin, tree.run)
    tree.client.delete(f"/projects/{tree.project['id']}")
    harness.until(lambda: database.value("select count(*) from projects where id = %s", tree.project["id"]) == 0, 30,
                  "the end of its rows")


def test_partitions_are_made(database, world):
    assert harness.until(lambda: database.value("select count(*) from emission_partitions") >= 4)


def test_a_statement_ends_in_time(world, database):
    """Its timeout came with it: the session's own is an hour."""
    tree = harness.Tree(world)
    with harness.locked(database, "experiments"):
        tree.client.get(f"/experiments/{tree.experiment['id']}", 503)
    assert "sqlstate=57014" in world.server.log()
    tree.client.get(f"/experiments/{tree.experiment['id']}")


def test_each_transaction_is_told(world, database):
    """In whichever session it runs."""
    tree = harness.Tree(world)
    ours = {"timezone": "UTC", "jit": "off", "statement_timeout": "3s", "client_connection_check_interval": "1s",
            "transaction_isolation": "read committed"}
    names = ", ".join(f"current_setting({name!r})" for name in ours)
    database.query("create table told (settings text[])")
    database.query(f"""create function tell() returns trigger language plpgsql as
                       $$ begin insert into told values (array[{names}]); return new; end $$""")
    database.query("create trigger tell before insert on runs for each row execute function tell()")
    try:
        for _ in range(3):
            world.run(tree.admin, tree.experiment)
        assert database.query("select * from told") == [(list(ours.values()),)] * 3
    finally:
        database.query("drop function tell cascade")
        database.query("drop table told")


def test_nothing_is_left_in_a_session(world, database):
    """What others find, who use the same ones."""
    harness.Tree(world)
    ours = ("timezone", "jit", "statement_timeout", "client_connection_check_interval", "enable_seqscan",
            "transaction_isolation")
    settings = f"select pg_backend_pid(), array[{', '.join(f'current_setting({name!r})' for name in ours)}]"
    direct = database.cluster.connect(database.name).cursor()
    direct.execute(settings)
    (_, usual), found = direct.fetchone(), {}
    others = [database.pooler.connect(database.name).cursor() for _ in range(pooler.SESSIONS)]
    for other in others:  # each keeps its session for now, so that the next gets another
        other.execute("begin")
        other.execute(settings)
        found.update([other.fetchone()])
    for other in others:
        other.execute("rollback")
        other.connection.close()
    direct.connection.close()
    assert set(map(tuple, found.values())) == {tuple(usual)} and len(found) == pooler.SESSIONS


def test_what_fails_in_the_commit_is_not_acknowledged(world, database):
    tree = harness.Tree(world)
    database.query("""create function refuse() returns trigger language plpgsql as
                      $$ begin raise sqlstate '53100' using message = 'as the test wants it'; end $$""")
    database.query("""create constraint trigger refuse after insert on runs deferrable initially deferred
                      for each row execute function refuse()""")
    try:
        tree.client.post("/runs", harness.run_body(tree.experiment["id"]), 503)
        assert "sqlstate=53100" in world.server.log()
    finally:
        database.query("drop function refuse cascade")
    assert len(tree.client.get(f"/experiments/{tree.experiment['id']}/runs").json()) == 1
    world.run(tree.admin, tree.experiment)


def test_conflicts_are_tried_again(world, database):
    """A serialisation failure, which the pipeline reports like any other."""
    tree = harness.Tree(world)
    database.query("create sequence tries")
    database.query("""create function conflict() returns trigger language plpgsql as
                      $$ begin if nextval('tries') < 3 then raise sqlstate '40001'; end if; return new; end $$""")
    database.query("create trigger conflict before insert on runs for each row execute function conflict()")
    try:
        world.run(tree.admin, tree.experiment)
        assert database.value("select last_value from tries") == 3
    finally:
        database.query("drop function conflict cascade")
        database.query("drop sequence tries")


def test_pgbouncer_is_restarted(world, pgbouncer):
    with senders.Sending(world.server) as sending:
        pgbouncer.stop()
        sending.until_refused()
        pgbouncer.start()
        sending.some_more()
    done = harness.command(world.server.binary, "verify-sums", "--database-url", world.database.url)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("ignored, reason", [("", "unsupported startup parameter: options"), ("options", IGNORED)],
                         ids=["refused", "ignored"])
def test_prepared_statements_are_left_on(carbond_binary, cluster, template, jwt_key_file, ignored, reason):
    """The log says what is wrong. Above all, nothing runs without a timeout."""
    pgbouncer = pooler.Pooler(cluster, ignored)
    try:
        database = pooler.Pooled(cluster, cluster.createdb(template), pgbouncer)
        with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--log-format", "json",
                            "--prepared-statements", "true", ready=503) as server:
            reasons = [json.loads(line).get("reason", "") for line in server.log_lines()]
            assert any(reason in told for told in reasons), reasons
    finally:
        pgbouncer.remove()
