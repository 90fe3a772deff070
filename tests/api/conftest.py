"""Fixtures that all tests share. Servers live as long as the session; every test makes organisations of its own."""

import json
import os
import signal

import pytest

import harness
import pooler
import tool


def pytest_configure():
    # A test run that is asked to end still stops what it has started.
    def interrupted(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)


def pytest_terminal_summary(terminalreporter):
    """The figures that tests have measured."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties if report.when == "call" else []:
            shown = f"{value:,.2f}" if isinstance(value, float) else value
            terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}: {name}: {shown}")


@pytest.fixture
def tell(request):
    """Tells figures, by their names, at the end of all tests."""
    return lambda figures: request.node.user_properties.extend(figures.items())


@pytest.fixture(scope="session", autouse=True)
def no_findings_at_the_end():
    yield
    assert_no_findings()


@pytest.fixture(autouse=True)
def no_findings(no_findings_at_the_end):
    """What the tool finds fails the test that made it do so, or the one that was under way."""
    yield
    assert_no_findings()


def assert_no_findings():
    found = tool.new_findings()
    assert not found, f"\n{found[:40000]}"


@pytest.fixture(scope="session")
def carbond_binary():
    if not os.access(tool.BINARY, os.X_OK):
        pytest.exit(f"no carbond at {tool.BINARY}: run script/build, or set CARBOND_BINARY", returncode=2)
    return tool.BINARY


@pytest.fixture(scope="session")
def tables(carbond_binary):
    """The server's own tables of routes and members."""
    done = harness.command(carbond_binary, "openapi", "--tables")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def cluster():
    cluster = harness.Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def template(cluster, carbond_binary):
    """The name of a migrated database, which others are copied from."""
    name = cluster.createdb()
    done = harness.command(carbond_binary, "migrate", "--database-url", cluster.url(name))
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture(scope="session")
def new_database(cluster, template):
    """Makes a migrated, empty database; with POOLER=1, one that carbond reaches through PgBouncer."""
    made = []
    pgbouncer = pooler.Pooler(cluster) if os.environ.get("POOLER") else None

    def new():
        name = cluster.createdb(template)
        made.append(pooler.Pooled(cluster, name, pgbouncer) if pgbouncer else harness.Database(cluster, name))
        return made[-1]

    yield new
    for database in made:
        database.close()
    if pgbouncer:
        pgbouncer.remove()


@pytest.fixture(scope="session")
def jwt_key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "hs256"
    path.write_text(harness.JWT_KEY + "\n")  # The newline is not part of the key.
    return path


@pytest.fixture(scope="session")
def database(new_database):
    return new_database()


@pytest.fixture(scope="module")
def own_cluster():
    """A PostgreSQL that may be stopped, killed or held up."""
    cluster = harness.Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="module")
def own_database(own_cluster, carbond_binary):
    database = harness.Database(own_cluster, own_cluster.createdb())
    assert harness.command(carbond_binary, "migrate", "--database-url", database.url).returncode == 0
    yield database
    database.close()


# What is deleted is removed twice this time later: beyond any test that compares what the database holds.
LATER = ("--statement-timeout", "3600")

# All tests come from one address, try many passwords, and send many tokens that nobody holds.
UNLIMITED = ("--rate-sign-in", "none", "--rate-sign-up", "none", "--rate-password", "none", "--rate-account", "none",
             "--rate-credential", "none", "--rate-address", "none", "--rate-token", "none")


@pytest.fixture(scope="session")
def server(carbond_binary, database, jwt_key_file):
    """The usual server: users, JWTs, a dashboard elsewhere, nobody signs up by themselves."""
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file,
                        "--cors-origin", harness.DASHBOARD, *LATER, *UNLIMITED) as server:
        yield server


@pytest.fixture(scope="session")
def open_server(carbond_binary, database, jwt_key_file):
    """On the same database: signing up is open, and there is a front end to go to."""
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--signup", "open",
                        "--frontend-url", harness.DASHBOARD, "--log-format", "json", *LATER, *UNLIMITED) as server:
        yield server


@pytest.fixture(scope="session")
def world(server):
    return harness.World(server)


@pytest.fixture(scope="session")
def open_world(open_server):
    return harness.World(open_server)


@pytest.fixture
def nobody(world):
    return world.nobody


@pytest.fixture
def tree(world):
    """A user with an organisation, a project, an experiment and a run of their own."""
    return harness.Tree(world)


@pytest.fixture
def unchanged(database):
    """A test that uses this may change nothing in the database from here on."""
    before = database.contents()
    yield
    assert database.contents() == before
