"""What `carbond serve` does before it serves: waits for its database, migrates it, makes the first admin and tells how to sign in,
once, however many servers start at once. And `carbond health`, by which others see that it is done."""

import contextlib
import re
import signal
import subprocess

import pytest

import certificates
import harness
import ports

EMAIL = "admin@example.org"
TOLD = re.compile(r"""First start: this is told once\.
Sign in as (?P<email>\S+) with the password (?P<password>\S+)
Project token: (?P<token>cpt_\S+)
Project: (?P<project>\S+)
Experiment: (?P<experiment>\S+)
Organization: (?P<organization>\S+)
""")
FEW = ("--workers", "1", "--stream-workers", "1", "--ingest-writers", "1")
FIRST_START = ("--migrate", "true", "--first-admin", EMAIL, *FEW)


@pytest.fixture
def empty_database(cluster):
    """Not migrated."""
    database = harness.Database(cluster, cluster.createdb())
    yield database
    database.close()


def serve(binary, database, *options):
    """A server that may not come as far as to serve."""
    return subprocess.Popen([str(binary), "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
                             "--database-url", database.url, *FEW, *options], text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.clean_environment())


def read_until(process, word):
    """Its log, as far as the line with this word."""
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"it ended, and said nothing of: {word}")


def end_of(process):
    """Its exit status, and what it said."""
    _, errors = process.communicate(timeout=harness.patience(60))
    return process.returncode, errors


# -- the first start ----------------------------------------------------------------------------------------------------

def test_ten_servers_at_once(carbond_binary, empty_database):
    """Each migration is applied once, one admin is made, and told once."""
    processes = [serve(carbond_binary, empty_database, *FIRST_START) for _ in range(10)]
    try:
        for process in processes:
            read_until(process, "listening")
        for process in processes:
            process.send_signal(signal.SIGTERM)
        outputs = [process.communicate(timeout=harness.patience(60))[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * 10
    told = [output for output in outputs if output]
    assert len(told) == 1 and TOLD.fullmatch(told[0]), told
    assert empty_database.value("select count(*) from users") == 1
    assert empty_database.value("select count(*) from organizations") == 1


def test_what_is_told_is_right(carbond_binary, empty_database):
    with harness.Server(carbond_binary, empty_database, *FIRST_START) as server:
        told = TOLD.search(server.log())
        nobody, tracker = harness.Client(server), harness.Client(server, token=told["token"])
        signed_in = nobody.post("/authenticate", {"email": EMAIL, "password": told["password"]}, 200).json()
        admin = harness.Client(server, bearer=signed_in["access_token"])
        server.secrets.clear()  # they are told, this once
        assert [one["id"] for one in admin.get("/organizations").json()] == [told["organization"]]
        run = tracker.post("/runs", harness.run_body(told["experiment"])).json()
        tracker.post("/emissions", harness.emission_body(run["id"]))
        assert tracker.get(f"/projects/{told['project']}/sums").json()["emissions_count"] == 1
        deeds = [record["action"] for record in admin.get(f"/organizations/{told['organization']}/audit").json()["items"]]
        assert {"organization_created", "project_token_created"} <= set(deeds)
    with harness.Server(carbond_binary, empty_database, *FIRST_START) as server:
        assert "First start" not in server.log() and "migrated" not in server.log()
    assert empty_database.value("select count(*) from users") == 1


def test_nobody_is_added_where_there_are_users(carbond_binary, new_database):
    database = new_database()
    add = ("user", "add", "--email", "ada@example.org", "--name", "Ada", "--database-url", database.url)
    assert harness.command(carbond_binary, *add).returncode == 0
    with harness.Server(carbond_binary, database, *FIRST_START) as server:
        assert "First start" not in server.log()
    assert database.value("select count(*) from users") == 1


def test_an_address_that_is_none(carbond_binary, empty_database):
    status, errors = end_of(serve(carbond_binary, empty_database, "--first-admin", "admin"))
    assert status == 2 and "--first-admin" in errors


def test_a_database_that_is_no_carbonds(carbond_binary, new_database):
    database = new_database()
    database.query("update schema_migrations set checksum = 'x' where version = 1")
    status, errors = end_of(serve(carbond_binary, database, "--migrate", "true"))
    assert status == 1 and "another wording" in errors


def test_a_newer_schema_is_served(carbond_binary, new_database):
    """By an older server, which starts anew while others are being replaced."""
    database = new_database()
    database.query("insert into schema_migrations (version, name, checksum) values (9999, 'later', 'x')")
    with harness.Server(carbond_binary, database, *FIRST_START) as server:
        assert "migrated" not in server.log() and TOLD.search(server.log())


# -- a database that is away --------------------------------------------------------------------------------------------

@contextlib.contextmanager
def away(cluster):
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


def test_waits_for_its_database(carbond_binary, own_cluster):
    database = harness.Database(own_cluster, own_cluster.createdb())
    with away(own_cluster):
        process = serve(carbond_binary, database, *FIRST_START, "--database-wait", "3600")
        read_until(process, "database is away")
    read_until(process, "listening")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=harness.patience(60))
    assert process.returncode == 0 and TOLD.fullmatch(output)


def test_does_not_wait_for_ever(carbond_binary, own_cluster, own_database):
    with away(own_cluster):
        status, errors = end_of(serve(carbond_binary, own_database, "--migrate", "true", "--database-wait", "1"))
    assert status == 3 and "the database is away" in errors


def test_may_be_ended_while_it_waits(carbond_binary, own_cluster, own_database):
    with away(own_cluster):
        process = serve(carbond_binary, own_database, "--migrate", "true", "--database-wait", "3600")
        read_until(process, "database is away")
        process.send_signal(signal.SIGTERM)
        assert end_of(process)[0] == 3


@pytest.mark.parametrize("ends", (False, True))
def test_another_migrates(carbond_binary, empty_database, ends):
    """Its end is waited for, but for a signal."""
    other = empty_database.cluster.connect(empty_database.name)
    other.cursor().execute("select pg_advisory_lock(hashtext('carbond migrations'))")
    process = serve(carbond_binary, empty_database, "--migrate", "true", "--lock-wait", "0")
    try:
        # Between two tries: each of them ends so.
        harness.until(lambda: empty_database.value("select count(*) from pg_stat_activity "
                                                   "where datname = current_database() and query = 'commit'"), 30)
        if ends:
            process.send_signal(signal.SIGTERM)
            status, errors = end_of(process)
            assert status == 3 and "asked to end before" in errors
        other.close()
        if not ends:
            read_until(process, "listening")
    finally:
        process.kill()
        process.communicate()
    assert empty_database.value("select to_regclass('runs') is null") == ends


# -- a password in a file -----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def guarded(own_cluster):
    """A migrated database, and one that asks for a password."""
    name = own_cluster.createdb()
    admin = harness.Database(own_cluster, name)
    admin.query("create role guarded superuser login password 'o''p%en /se:same@'")
    rules = own_cluster.data / "pg_hba.conf"
    rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
    admin.query("select pg_reload_conf()")
    yield harness.Database(own_cluster, name).url.replace("carbond@", "guarded@")
    admin.close()


@pytest.mark.parametrize("text, status, told", [
    ("o'p%en /se:same@", 0, ""), ("o'p%en /se:same@\n", 0, ""), ("o'p%en /se:same@\r\n", 0, ""), ("wrong", 3, "password"),
    ("", 2, "empty"), ("\n", 2, "empty"), ("a\0b", 2, "NUL"), ("x" * 1025, 2, "large")])
def test_password_file(carbond_binary, guarded, tmp_path, text, status, told):
    file = tmp_path / "password"
    file.write_bytes(text.encode())
    environment = {"CARBOND_DATABASE_PASSWORD_FILE": str(file), "DATABASE_URL": guarded}
    for options, variables in ((("--database-password-file", file, "--database-url", guarded), {}), ((), environment)):
        done = harness.command(carbond_binary, "migrate", *options, environment=variables)
        assert done.returncode == status and told in done.stderr, done.stderr
        assert "sesame" not in done.stderr


def test_no_password_file(carbond_binary, guarded, tmp_path):
    done = harness.command(carbond_binary, "migrate", "--database-url", guarded, "--database-password-file", tmp_path / "none")
    assert done.returncode == 2 and "No such file" in done.stderr
    assert harness.command(carbond_binary, "migrate", "--database-url", guarded).returncode == 3


def test_a_password_in_the_url_counts_more(carbond_binary, guarded, tmp_path):
    (tmp_path / "password").write_text("o'p%en /se:same@")
    done = harness.command(carbond_binary, "migrate", "--database-url", guarded.replace("guarded@", "guarded:wrong@"),
                           "--database-password-file", tmp_path / "password")
    assert done.returncode == 3


# -- carbond health -----------------------------------------------------------------------------------------------------

def health(binary, listen, *options, **environment):
    return harness.command(binary, "health", *options, environment={"CARBOND_LISTEN": listen, **environment})


def test_health(carbond_binary, database):
    server = harness.Server(carbond_binary, database, listen=ports.free_address(), drain_delay=3600)
    try:
        done = health(carbond_binary, server.address)
        assert (done.returncode, done.stderr) == (0, "") and '"ok"' in done.stdout
        anywhere = f"0.0.0.0:{server.host_and_port[1]}"
        assert health(carbond_binary, anywhere, http_proxy="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9").returncode == 0
        server.terminate()
        harness.until(lambda: health(carbond_binary, server.address).returncode == 1, what="that it is about to end")
        assert "about to end" in health(carbond_binary, server.address).stderr
    finally:
        server.abandon()
    done = health(carbond_binary, server.address)
    assert done.returncode == 1 and "no answer" in done.stderr


def test_health_over_tls(carbond_binary, database, tmp_path):
    authority = certificates.Authority(tmp_path)
    authority.certificate().write(tmp_path)
    files = ("--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    with harness.Server(carbond_binary, database, *files, authority=authority.file) as server:
        assert health(carbond_binary, server.address, "--tls-cert", tmp_path / "cert.pem").returncode == 0
        assert health(carbond_binary, server.address, CARBOND_TLS_CERT="any").returncode == 0
        assert health(carbond_binary, server.address).returncode == 1
