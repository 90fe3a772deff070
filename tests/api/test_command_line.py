"""The command line: what it prints, and the exit status that scripts go by."""

import contextlib
import uuid

import pytest

import harness

COMMANDS = ["serve", "migrate", "openapi", "user add", "user list", "user passwd", "organization add", "project add",
            "experiment add", "token add", "token revoke", "organization list", "project list", "experiment list", "token list",
            "audit list", "verify-sums", "health", "version"]


@pytest.fixture
def run(carbond_binary, database):
    def run(*arguments, status=0, stdin=None, **environment):
        done = harness.command(carbond_binary, *arguments, stdin=stdin,
                               environment={"DATABASE_URL": database.url, **environment})
        assert done.returncode == status, (arguments, done.returncode, done.stderr)
        assert (done.stderr != "") == (status != 0), done.stderr
        return done.stdout
    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_help(run, name):
    text = run(*name.split(), "--help", DATABASE_URL="")
    assert text.startswith(f"usage: carbond {name} ") and "--help" in text
    assert name.split()[0] in run("--help")


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["user"], ["user", "nonsense"], ["serve", "--nonsense"], ["serve", "--workers", "0"],
    ["serve", "--workers", "x"], ["serve", "--auth", "maybe"], ["serve", "--jwt-require-exp", "perhaps"],
    ["serve", "--cors-origin", "dashboard.example"], ["serve", "--cors-origin", "https://x.example/"],
    ["serve", "--listen", "8008"], ["serve", "--listen", "none"], ["serve", "--metrics-listen", "localhost"],
    ["serve", "--metrics-listen", "127.0.0.1:"], ["serve", "--metrics-listen", ":8009"], ["serve", "--metrics-listen", "off"],
    ["serve", "--metrics-listen", "127.0.0.1:http"], ["serve", "--metrics-listen", "127.0.0.1:65536"],
    ["serve", "extra"], ["user", "add", "--email", "x@example.org"], ["user", "add", "--email", "x", "--name", "n"],
    ["user", "add", "--email", "x@example.org", "--name", "n", "--id", "7"], ["token", "add", "--access", "read"],
    ["token", "add", "--project", "x", "--access", "read"], ["token", "revoke"], ["openapi", "--format", "xml"],
    ["token", "add", "--project", harness.UNKNOWN_ID, "--access", "all"], ["token", "list", "--project", "x"],
    ["project", "list"], ["migrate", "--database-url"], ["serve", "--auth", "none", "--listen", "0.0.0.0:0"],
    ["serve", "--auth", "none", "--listen", "127.0.0.1.example:0"], ["serve", "--auth", "none", "--listen", "[::]:0"]])
def test_wrong_usage(run, arguments):
    run(*arguments, status=2, stdin="")


def test_a_mistyped_option_tells_no_secret(carbond_binary):
    done = harness.command(carbond_binary, "serve", "--database-ulr=postgresql://carbond:hunter2@db.example/carbond")
    assert done.returncode == 2 and "--database-ulr" in done.stderr and "hunter2" not in done.stderr


def test_an_empty_variable_is_none(run, carbond_binary, database):
    run("user", "list", CARBOND_DATABASE_URL="")


def test_no_database(run, tmp_path):
    run("migrate", status=2, DATABASE_URL="")
    for command in (["migrate"], ["user", "list"], ["token", "revoke", "--id", harness.UNKNOWN_ID]):
        run(*command, "--database-url", f"postgresql:///x?host={tmp_path}", status=3)


def test_flag_counts_more_than_environment(run, tmp_path):
    away = f"postgresql:///x?host={tmp_path}"
    run("user", "list", status=3, CARBOND_DATABASE_URL=away)
    run("user", "list", "--database-url", run.__closure__[1].cell_contents.url, CARBOND_DATABASE_URL=away)


def test_database_url_is_that_of_no_other_option(carbond_binary, database):
    """Options that may come from the environment are read from their own variables: here nothing but the last is wrong."""
    done = harness.command(carbond_binary, "serve", "--tls-cert", "x", environment={"DATABASE_URL": database.url})
    assert done.returncode == 2 and "--tls-key" in done.stderr, done.stderr


def test_version(run):
    assert run("version").startswith("carbond ") and run("--version") == run("version")


@pytest.mark.parametrize("arguments, told", [(["nonsense"], ["nonsense", "--help"]), (["user"], ["user add", "user passwd"]),
                                             (["user", "ad"], ["user ad", "user add", "user list"])])
def test_what_is_no_command(carbond_binary, arguments, told):
    """The answer names what was typed, and what may have been meant; not all that there is."""
    wrong = harness.command(carbond_binary, *arguments).stderr
    assert wrong.startswith("carbond: ") and all(word in wrong for word in told) and "verify-sums" not in wrong


def test_help_of_a_group(run):
    assert run("token", "--help").splitlines()[0].startswith("  token add ") and "user add" not in run("token", "--help")


def test_migrate_again_changes_nothing(run, unchanged):
    assert "applied" not in run("migrate")


def test_what_a_migration_would_do(run, cluster):
    """Told without doing it; what is printed is what has to be applied."""
    url = cluster.url(cluster.createdb())
    flag = ("--database-url", url)
    run("migrate", "--status", *flag, status=1)
    script = run("migrate", "--dry-run", *flag)
    run("migrate", "--status", *flag, status=1)
    names = [path.stem for path in sorted((harness.ROOT / "migrations").glob("*.sql"))]
    assert all(f"-- {name}\n" in script for name in names) and "create table emissions" in script
    run("migrate", *flag)
    assert [line.split()[:2] for line in run("migrate", "--status", *flag).splitlines()] == [["applied", name] for name in names]
    assert run("migrate", "--dry-run", *flag) == ""


def test_migrate_at_once(carbond_binary, cluster):
    """Several processes, one fresh database: each migration is applied once."""
    url = cluster.url(cluster.createdb())
    processes = [harness.subprocess.Popen([str(carbond_binary), "migrate", "--database-url", url], text=True,
                                          stdout=harness.subprocess.PIPE, env=harness.clean_environment())
                 for _ in range(4)]
    outputs = [process.communicate(timeout=harness.patience(60))[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum(output.count("applied 0001") for output in outputs) == 1


@pytest.mark.parametrize("words", [("user", "list"), ("retention", "--keep", "24months", "--dry-run"), ("verify-sums",)])
def test_commands_want_a_schema_that_fits(carbond_binary, cluster, words):
    name = cluster.createdb()
    flag = ("--database-url", cluster.url(name))

    def told():
        done = harness.command(carbond_binary, *words, *flag)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr

    assert "too old: run carbond migrate" in told()
    assert harness.command(carbond_binary, "migrate", *flag).returncode == 0
    assert harness.command(carbond_binary, *words, *flag).returncode == 0
    with contextlib.closing(harness.Database(cluster, name)) as database:
        database.query("insert into schema_migrations (version, name, checksum, oldest_server) values (9999, 'later', 'x', 9999)")
    assert "too new: run a newer carbond" in told()


def test_a_database_that_has_no_room_for_all_letters(carbond_binary, cluster):
    name = cluster.createdb("template0 encoding 'LATIN1' locale 'C'")
    done = harness.command(carbond_binary, "migrate", "--database-url", cluster.url(name))
    assert done.returncode == 1 and "LATIN1" in done.stderr and "--encoding=UTF8" in done.stderr
    with contextlib.closing(harness.Database(cluster, name)) as database:
        assert database.value("select to_regclass('schema_migrations')") is None


def test_serve_wants_a_migrated_database(carbond_binary, cluster):
    url = cluster.url(cluster.createdb())
    done = harness.command(carbond_binary, "serve", "--database-url", url, "--listen", "127.0.0.1:0")
    assert done.returncode == 1 and "carbond migrate" in done.stderr


def test_users(run, world):
    email, identity = f"{uuid.uuid4().hex[:12]}@example.org", str(uuid.uuid4())
    added = run("user", "add", "--email", email, "--name", "Ada", "--id", identity, "--password-stdin",
                stdin="correct horse\n")
    assert added == identity + "\n"
    assert f"{identity}\t{email}\tAda\tyes\n" in run("user", "list")
    run("user", "add", "--email", email.upper(), "--name", "Ada", status=1)
    run("user", "add", "--email", "y" + email, "--name", "Ada", "--password-stdin", stdin="short", status=2)
    run("user", "add", "--email", "y" + email, "--name", "Ada", "--password-stdin", stdin="", status=2)
    run("user", "passwd", "--email", "nobody@example.org", "--password-stdin", stdin="correct horse", status=1)
    world.nobody.post("/authenticate", {"email": email, "password": "correct horse"}, 200)


def test_from_organization_to_token(run, world):
    user = world.user()
    organization = run("organization", "add", "--name", "o", "--admin", user.email).strip()
    project = run("project", "add", "--organization", organization, "--name", "p").strip()
    experiment = run("experiment", "add", "--project", project, "--name", "e").strip()
    assert user.client.get(f"/experiments/{experiment}").json()["project_id"] == project
    user.client.patch(f"/organizations/{organization}", {"name": "an admin's right"})
    for access, write, read in (("read", 403, 200), ("write", 201, 403), ("read-write", 201, 200)):
        token = run("token", "add", "--project", project, "--access", access)
        client = world.client(token=token.strip())
        assert token == token.strip() + "\n" and token.startswith("cpt_")
        client.post("/runs", harness.run_body(experiment), write)
        client.get(f"/projects/{project}", read)
        run("token", "revoke", "--token-stdin", stdin=token)
        client.get(f"/projects/{project}", 401)
        run("token", "revoke", "--token-stdin", stdin=token, status=1)
    token = world.user_token(user)
    run("token", "revoke", "--id", token["id"])
    world.client(bearer=token["token"]).get("/organizations", 401)


def test_lists(run, world):
    user = world.user()
    organization = run("organization", "add", "--name", "o\t1", "--description", "two\nlines", "--admin", user.email).strip()
    assert f"{organization}\to 1\ttwo lines\n" in run("organization", "list")
    assert run("project", "list", "--organization", organization) == "", "it is there, and empty"
    project = run("project", "add", "--organization", organization, "--name", "p").strip()
    assert run("project", "list", "--organization", organization) == f"{project}\tp\t\n"
    experiments = [run("experiment", "add", "--project", project, "--name", name).strip() for name in "ef"]
    assert run("experiment", "list", "--project", project) == f"{experiments[0]}\te\t\n{experiments[1]}\tf\t\n"
    token = run("token", "add", "--project", project, "--access", "write", "--name", "cluster").strip()
    identity, *rest = run("token", "list", "--project", project).rstrip("\n").split("\t")
    assert rest == ["cluster", "2", "-"]
    run("token", "revoke", "--id", identity)
    assert run("token", "list", "--project", project) == "" and token


def test_what_is_not_there(run):
    run("project", "list", "--organization", harness.UNKNOWN_ID, status=1)
    run("experiment", "list", "--project", harness.UNKNOWN_ID, status=1)
    run("token", "list", "--project", harness.UNKNOWN_ID, status=1)
    run("organization", "add", "--name", "o", "--admin", "nobody@example.org", status=1)
    run("project", "add", "--organization", harness.UNKNOWN_ID, "--name", "p", status=1)
    run("experiment", "add", "--project", harness.UNKNOWN_ID, "--name", "e", status=1)
    run("token", "add", "--project", harness.UNKNOWN_ID, "--access", "read", status=1)
    run("token", "revoke", "--id", harness.UNKNOWN_ID, status=1)


def test_full_output(carbond_binary):
    with open("/dev/full", "w") as full:
        done = harness.subprocess.run([str(carbond_binary), "openapi"], stdout=full, stderr=harness.subprocess.PIPE,
                                      env=harness.clean_environment())
    assert done.returncode == 1 and done.stderr


@pytest.mark.parametrize("url", ["postgresql://carbond:sec%ret@db.example.org/carbond", "postgresql://carbond:se/cret@x/y",
                                 "password=sec ret", "mysql://carbond:secret@x/y", ""])
@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_url_that_is_none_is_not_quoted(carbond_binary, command, url):
    """It may hold the password."""
    done = harness.command(carbond_binary, command, "--database-url", url)
    assert done.returncode == 2
    assert "--database-url" in done.stderr and "sec" not in done.stderr and "ret" not in done.stderr


def test_options_of_the_url_are_kept(carbond_binary, new_database):
    database = new_database()
    name = "Ada " + "x" * 10
    done = harness.command(carbond_binary, "user", "add", "--email", "ada@example.org", "--name", name,
                           "--database-url",
                           database.cluster.url(database.name) + "&options=-c%20default_transaction_read_only%3Don")
    assert done.returncode != 0 and "read-only" in done.stderr
    assert database.value("select count(*) from users") == 0


def of_kubernetes(service):
    """What it sets in each container beside a service."""
    host, port, url = "10.0.0.1", "5432", "tcp://10.0.0.1:5432"
    first = f"{service}_PORT_{port}_TCP"
    return {f"{service}_SERVICE_HOST": host, f"{service}_SERVICE_PORT": port, f"{service}_SERVICE_PORT_SQL": port,
            f"{service}_PORT": url, first: url, f"{first}_PROTO": "tcp", f"{first}_PORT": port, f"{first}_ADDR": host}


def test_a_misspelt_variable_is_told(carbond_binary):
    """Its name alone: its value may be a secret. That of an option is not told."""
    nowhere = "postgresql:///carbond?host=/nonexistent"
    done = harness.command(carbond_binary, "serve", "--database-url", nowhere, "--migrate", "true", "--database-wait", "0",
                           environment={"CARBOND_TRUSTED_PROXIES": "no secret", "CARBOND_WORKERS": "3", "CARBOND_PORT": "9000",
                                        "CARBOND_SERVICE": "no secret", **of_kubernetes("CARBOND_DB"),
                                        "CARBOND_SERVICE_HOST": "10.0.0.1"})
    told = {harness.logged(line, "variable") for line in done.stderr.splitlines() if "no option has this name" in line}
    assert told == {"CARBOND_TRUSTED_PROXIES", "CARBOND_PORT", "CARBOND_SERVICE"}, done.stderr
    assert "no secret" not in done.stderr and done.returncode == 3
