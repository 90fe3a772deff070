"""What the tests stand on: a throw-away PostgreSQL, carbond servers on it, clients that check every answer, and a
world of users, organisations and what is below them, made in the ways that are open to a user."""

import contextlib
import datetime
import http.cookiejar
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse
import uuid

import jwt
import psycopg2
import requests

import tool
from tool import patience

try:
    from schema import Specification
except ImportError:  # the answers then go unchecked against the specification; test_specification.py says so
    Specification = None

ROOT = tool.ROOT
JWT_KEY = "an HS256 key of the tests, more than 32 bytes long"
DASHBOARD = "https://dashboard.example"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
ACCESS = {"read": 1, "write": 2, "read-write": 3}
UTC = datetime.timezone.utc


def until(condition, seconds=10, what="what was waited for"):
    """Polls until the condition holds, and returns its value."""
    deadline = time.monotonic() + patience(seconds)
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come within {patience(seconds)} s"
        time.sleep(0.02)


def _has_stopped(process):
    try:
        states = {(task / "stat").read_text().rpartition(")")[2].split()[0]
                  for task in pathlib.Path(f"/proc/{process}/task").iterdir()}
    except (FileNotFoundError, ProcessLookupError):  # a thread that ends
        return False
    return states <= {"T", "Z"}


@contextlib.contextmanager
def stopped(*processes):
    """The threads of a process that is to stop go on until they hear of it: here they have."""
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        until(lambda: all(map(_has_stopped, processes)), 30, "the end of all that runs")
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _patient(send):
    return lambda self, request, timeout=None, **more: send(self, request, timeout=timeout and patience(timeout), **more)


# Whatever timeout a test sets.
requests.adapters.HTTPAdapter.send = _patient(requests.adapters.HTTPAdapter.send)


def now():
    return datetime.datetime.now(UTC)


def unique(what):
    """A name that occurs nowhere else, so that a leak of it can be seen."""
    return f"{what} {uuid.uuid4().hex[:16]}"


def moment(text):
    """A time as the answers write it. Python 3.11 reads what PostgreSQL's JSON prints."""
    return datetime.datetime.fromisoformat(text)


def clean_environment(**more):
    """This process's environment without what would configure carbond or libpq."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CARBOND_", "PG")) and k != "DATABASE_URL"}
    return {**kept, **tool.ENVIRONMENT, **more}


def logged(line, key):
    """The value of a key in a line of the log, in either format; None without the key."""
    found = re.search(rf'[\s"]{key}"?[=:]\s*"?([^\s",]+)', line)
    return found and found.group(1)


def command(binary, *arguments, stdin=None, environment=None):
    """Runs the carbond command line to its end."""
    return subprocess.run([str(binary), *map(str, arguments)], input=stdin, capture_output=True, text=True,
                          timeout=patience(60), env=clean_environment(**(environment or {})))


# -- PostgreSQL -------------------------------------------------------------------------------------------------------

class Cluster:
    """A PostgreSQL of its own in a directory of its own: Unix socket only, fsync on, gone at the end.
    PostgreSQL refuses to run as root, so root starts it as the user postgres."""

    SETTINGS = {"max_connections": 300, "fsync": "on", "shared_buffers": "64MB", "jit": "off"}

    def __init__(self, within=(), **settings):
        """`within` is a command that runs its arguments somewhere else: see SmallDisk."""
        # Under /tmp, since the path of a socket has at most 107 bytes.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="carbond-test-", dir="/tmp"))
        self.data = self.directory / "data"
        self.bin = self._binaries()
        self.settings = {**self.SETTINGS, **settings}
        self._as_owner = list(within)
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
            self._as_owner += ["runuser", "-u", "postgres", "--"]
        self.directory.chmod(0o755)
        self._names = 0
        self._fill()
        # Its standard input ends when this process does, however it does: then nothing must be left behind.
        self._undertaker = subprocess.Popen(
            [*self._as_owner, "sh", "-c",
             'cd /; cat >/dev/null; "$1" -D "$2/data" -m immediate stop >/dev/null 2>&1; rm -rf "$2"/*', "sh",
             str(self.bin / "pg_ctl"), str(self.directory)],
            stdin=subprocess.PIPE, start_new_session=True)
        self.start()

    def _fill(self):
        self._run("initdb", "--no-sync", "--auth=trust", "--username=carbond", "--encoding=UTF8", "--locale=C.UTF-8",
                  "-D", self.data)

    @staticmethod
    def _binaries():
        versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
        if versions:
            return versions[-1].parent
        return pathlib.Path(shutil.which("initdb") or "initdb").parent

    def _run(self, program, *arguments):
        log = self.directory / "commands.log"
        with open(log, "ab") as out:
            done = subprocess.run([*self._as_owner, str(self.bin / program), *map(str, arguments)], cwd="/",
                                  stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=clean_environment())
        assert done.returncode == 0, f"{program} failed:\n{log.read_text()}"

    def start(self):
        settings = {"listen_addresses": "''", "unix_socket_directories": self.directory, **self.settings}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run("pg_ctl", "-D", self.data, "-w", "-l", self.data / "server.log", "-o", options, "start")

    def stop(self):
        """Orderly, but without waiting for its clients to leave."""
        self._run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")

    def kill(self):
        """As a power cut would: recovery from the log at the next start."""
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def restart(self):
        self.stop()
        self.start()

    def postmaster(self):
        """Its process, while it runs."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def children(self):
        """The postmaster's."""
        postmaster = self.postmaster()
        return list(map(int, pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()))

    @contextlib.contextmanager
    def frozen(self):
        """It accepts connections, and says nothing more."""
        with stopped(self.postmaster()), stopped(*self.children()):
            yield

    def remove(self):
        self._undertaker.stdin.close()
        self._undertaker.wait(timeout=300)  # thousands of files, on a busy disk
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database):
        return f"postgresql://carbond@/{database}?host={self.directory}"

    def connect(self, database="postgres"):
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        return connection

    def createdb(self, template=None):
        """A new database; a copy of the template, which nobody may be connected to. Returns its name."""
        self._names += 1
        name = f"test_{self._names}"
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        finally:
            connection.close()
        return name


class Standby(Cluster):
    """A copy of another cluster that follows it, and takes no changes until it is promoted."""

    def __init__(self, origin, **settings):
        self.origin = origin
        super().__init__(**settings)

    def _fill(self):
        self._run("pg_basebackup", "--checkpoint=fast", "--write-recovery-conf", "-D", self.data,
                  "-d", self.origin.url("postgres"))

    def promote(self):
        self._run("pg_ctl", "-D", self.data, "-w", "promote")


class Database:
    """One database of a cluster, for what the API does not tell."""

    OPTIONS = ()  # that a server on it needs

    TABLES = """SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"""
    OF_TOKENS = "SELECT attrelid::regclass::text FROM pg_attribute WHERE attname = 'last_used'"

    def __init__(self, cluster, name):
        self.cluster, self.name, self.url = cluster, name, cluster.url(name)
        self._connection = None

    def query(self, sql, *arguments):
        if self._connection is None or self._connection.closed:
            self._connection = self.cluster.connect(self.name)
        with self._connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return cursor.fetchall() if cursor.description else None

    def value(self, sql, *arguments):
        return self.query(sql, *arguments)[0][0]

    def contents(self, but=()):
        """A number of rows and a checksum for each table that is not empty; `last_used` may change at any time."""
        hashes = dict.fromkeys((table for table, in self.query(self.TABLES)), "hash_record_extended(t, 0)")
        hashes |= {table: "jsonb_hash_extended(to_jsonb(t) - 'last_used', 0)" for table, in self.query(self.OF_TOKENS)}
        rows = self.query(" UNION ALL ".join(
            f"SELECT '{table}', count(*), sum({hashed}) FROM {table} t"
            for table, hashed in hashes.items() if table not in but))
        return {table: (count, checksum) for table, count, checksum in rows if count}

    @contextlib.contextmanager
    def runs(self, experiment, count, width=1000):
        """An experiment with so many more runs, a second and so many bytes each; they are gone again afterwards, since
        other tests look at all that there is."""
        self.query("""INSERT INTO runs (id, experiment_id, timestamp, os)
                      SELECT gen_random_uuid(), %s, timestamptz '2026-01-01' + i * interval '1 second', repeat('x', %s)
                        FROM generate_series(1, %s) i""", experiment["id"], width, count)
        yield
        self.query("DELETE FROM runs WHERE experiment_id = %s", experiment["id"])
        self.query("VACUUM runs")

    def close(self):
        if self._connection is not None:
            self._connection.close()


# -- carbond ----------------------------------------------------------------------------------------------------------

class Server:
    """`carbond serve` on free ports of 127.0.0.1. A context manager: leaving it stops the server in an orderly way
    and checks that it exited with 0, and without a secret in its log."""

    def __init__(self, binary, database, *options, environment=None, listen="127.0.0.1:0",
                 metrics_listen="127.0.0.1:0", drain_delay=0, ready=200, authority=None):
        """`ready` is what /readyz is to say before this returns. With an authority (a file), it speaks TLS: `options` name
        its certificate and key."""
        self.binary, self.database = binary, database
        self.scheme, self.verify = ("https", str(authority)) if authority else ("http", True)
        self.secrets = set()
        handle, self.log_path = tempfile.mkstemp(prefix="carbond-test-", suffix=".log")
        arguments = [str(binary), "serve", "--database-url", database.url, "--listen", listen,
                     "--metrics-listen", metrics_listen, "--drain-delay", str(drain_delay), *database.OPTIONS,
                     *map(str, options)]
        try:
            # The server must not outlive the tests, even if they are killed.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", *arguments],
                                            stdin=subprocess.DEVNULL, stdout=handle, stderr=handle,
                                            env=clean_environment(**(environment or {})))
        finally:
            os.close(handle)
        try:
            line = until(self._listening, 30, "the server's line that it is listening")
            self.address = logged(line, "address")
            self.url = f"{self.scheme}://{self.address}"
            monitor = logged(line, "metrics")
            self.monitor_url = monitor and f"http://{monitor}"
            until(lambda: requests.get(self.url + "/readyz", timeout=5, verify=self.verify).status_code == ready, 20,
                  "/readyz")
        except BaseException:
            self.process.kill()
            self.process.wait()
            print(self.log())
            raise

    def _listening(self):
        assert self.process.poll() is None, f"the server exited with {self.process.returncode}:\n{self.log()}"
        for line in self.log().splitlines():
            if re.search(r'msg"?[=:]\s*"?listening', line):
                return line

    def log(self):
        return pathlib.Path(self.log_path).read_text(errors="replace")

    def log_lines(self):
        return self.log().splitlines()

    @property
    def host_and_port(self):
        host, port = self.address.rsplit(":", 1)
        return host, int(port)

    def tls_context(self):
        """What a client of it trusts."""
        return ssl.create_default_context(cafile=self.verify)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        if self.process.poll() is None:
            self.terminate()
        try:
            code = self.process.wait(timeout=patience(30))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"SIGTERM did not stop the server within {patience(30)} s:\n{self.log()[-4000:]}")
        log = self.log()
        os.unlink(self.log_path)
        assert code == 0, f"the server exited with {code}:\n{log[-4000:]}"
        leaked = [secret for secret in self.secrets if secret in log]
        assert not leaked, f"secrets in the server's log: {leaked}"

    def abandon(self):
        """Ends it without a look at how it ends, when something else has gone wrong already."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if os.path.exists(self.log_path):
            os.unlink(self.log_path)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.abandon() if kind else self.stop()


_SPECIFICATION = None


def specification():
    global _SPECIFICATION
    if _SPECIFICATION is None and Specification is not None:
        _SPECIFICATION = Specification(ROOT / "openapi" / "openapi.yaml")
    return _SPECIFICATION


def plain_path(url):
    """The path that the specification knows: without the query, /api, /t/TOKEN, and slashes too many."""
    path = re.sub("//+", "/", urllib.parse.urlsplit(url).path)
    path = re.sub(r"^(/api(/t/[^/]+)?|/t/[^/]+(/api)?)(?=/|$)", "", path)
    return path.rstrip("/") or "/"


def check_answer(method, url, response):
    """What holds for every answer: its specification, and the one shape that errors have."""
    status = response.status_code
    if status >= 400 and method != "HEAD":
        if not (method == "POST" and "html" in response.headers.get("Content-Type", "") and "/auth/login" in url):
            check_error(response)
    if method in ("GET", "POST", "PATCH", "DELETE") and specification() is not None:
        specification().check(method, plain_path(url), response)


def check_error(response):
    status = response.status_code
    assert response.headers["Content-Type"].split(";")[0] == "application/json", response.headers
    detail = response.json()["detail"]
    if status == 422:
        assert isinstance(detail, list) and detail, detail
        for fault in detail:
            assert isinstance(fault["msg"], str) and fault["msg"] and isinstance(fault["type"], str), fault
            assert fault["loc"][0] in ("body", "path", "query"), fault
    else:
        assert isinstance(detail, str) and detail, detail
    if status == 401:
        assert response.headers["WWW-Authenticate"] == "Bearer"
    if status == 405:
        assert response.headers["Allow"]
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) >= 0


class Client:
    """Speaks to one server with one set of credentials, and checks every answer. The connection is kept."""

    def __init__(self, server, *, token=None, bearer=None, cookie=None, url_token=None, prefix="", headers=None):
        self.server, self.prefix = server, prefix
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = server.verify
        # Cookies that an answer sets are not sent by themselves: a client is whom the test says it is.
        self.session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self.session.headers.update(headers or {})
        if token is not None:
            self.session.headers["x-api-token"] = token
        if bearer is not None:
            self.session.headers["Authorization"] = f"Bearer {bearer}"
        if cookie is not None:
            self.session.headers["Cookie"] = f"user_session={cookie}"
        if url_token is not None:
            self.prefix = f"{prefix}/t/{url_token}"
        self.server.secrets.update(secret for secret in (token, bearer, cookie, url_token) if secret)

    def request(self, method, path, expect=None, **arguments):
        url = self.server.url + self.prefix + path
        arguments.setdefault("timeout", 30)
        arguments.setdefault("allow_redirects", False)
        response = self.session.request(method, url, **arguments)
        if expect is not None:
            assert response.status_code == expect, f"{method} {path}: {response.status_code} {response.text[:2000]}"
        check_answer(method, path, response)
        return response

    def get(self, path, expect=200, **arguments):
        return self.request("GET", path, expect, **arguments)

    def post(self, path, body=None, expect=201, **arguments):
        return self.request("POST", path, expect, json=body, **arguments)

    def patch(self, path, body, expect=200, **arguments):
        return self.request("PATCH", path, expect, json=body, **arguments)

    def delete(self, path, expect=204, **arguments):
        return self.request("DELETE", path, expect, **arguments)


# -- raw HTTP, for what a decent client does not send -------------------------------------------------------------------

class RawAnswer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


@contextlib.contextmanager
def locked(database, *tables):
    """Keeps everybody else from them."""
    with contextlib.closing(database.cluster.connect(database.name)) as connection, connection.cursor() as cursor:
        connection.autocommit = False
        cursor.execute(f"lock table {', '.join(tables)} in access exclusive mode")
        yield


class RawConnection:
    """A socket to the server. What is sent is exactly the bytes given. All of 127.0.0.0/8 may be the source."""

    def __init__(self, server, source="127.0.0.1"):
        self.socket = socket.create_connection(server.host_and_port, timeout=patience(20), source_address=(source, 0))
        if server.scheme == "https":
            self.socket = server.tls_context().wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server may refuse before it has read everything; its answer tells.

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def answer(self):
        """Reads one answer; None if the server closes without one."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        status = int(lines[0].split()[1])
        length = 0 if status in (204, 304) else int(headers.get("content-length", -1))
        while length < 0 or len(self.buffer) < length:
            if not self._more():
                break
        length = len(self.buffer) if length < 0 else length
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return RawAnswer(status, headers, body)

    def closed(self):
        """Whether the server closes the connection, with nothing more to say."""
        return not self._more() and not self.buffer


def all_is_read(server, connection):
    """Waits until a server has read what was sent."""
    peer = connection.socket.getsockname()

    def is_read():
        with open("/proc/net/tcp") as table:
            ports = {"%04X" % peer[1], "%04X" % server.host_and_port[1]}
            rows = [line.split() for line in table if all(f":{port} " in line for port in ports)]
        return rows and all(row[4] == "00000000:00000000" for row in rows)

    until(is_read, 60, "the end of what was sent")


def raw(server, data):
    with RawConnection(server) as connection:
        connection.send(data)
        return connection.answer()


def raw_post(server, path, body, headers=()):
    """A POST with a body that no JSON library would write."""
    head = [f"POST {path} HTTP/1.1", "Host: carbond.test", "Content-Type: application/json",
            f"Content-Length: {len(body)}", *headers]
    return raw(server, "\r\n".join(head).encode() + b"\r\n\r\n" + body)


# -- what users make ----------------------------------------------------------------------------------------------------

def make_jwt(subject, key=JWT_KEY, algorithm="HS256", **claims):
    """A JWT of an hour; a claim given as None is left out."""
    claims = {"sub": subject, "exp": int(time.time()) + 3600, **claims}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def run_body(experiment_id, **changes):
    return {"timestamp": now().isoformat(), "experiment_id": experiment_id, "os": "Linux", "python_version": "3.11.2",
            "codecarbon_version": "3.2.9", "cpu_count": 2, "cpu_model": unique("processor"), "gpu_count": None,
            "gpu_model": None, "longitude": 2.3, "latitude": 48.9, "region": None, "provider": None,
            "ram_total_size": 23.54058837890625, "tracking_mode": "machine", **changes}


def emission_body(run_id, **changes):
    return {"timestamp": now().isoformat(), "run_id": run_id, "duration": 2, "emissions_sum": 1.9181295845832085e-06,
            "emissions_rate": 9.572650655239563e-07, "cpu_power": 23.440629005749997, "gpu_power": 0.0,
            "ram_power": 20.0, "cpu_energy": 2.3100183360436425e-05, "gpu_energy": 0,
            "ram_energy": 1.1128292961111207e-05, "energy_consumed": 3.422847632154764e-05,
            "cpu_utilization_percent": 7.459999999999999, "gpu_utilization_percent": 0,
            "ram_utilization_percent": 3.4, "wue": 0.0, **changes}


class User:
    def __init__(self, world, identity, email, name, password):
        self.id, self.email, self.name, self.password = identity, email, name, password
        self.client = world.client(bearer=make_jwt(identity))


class World:
    """Makes things on one server: users by the command line, everything else by the API, as users do."""

    def __init__(self, server):
        self.server = server
        self.database = server.database
        self.nobody = self.client()

    def client(self, **credentials):
        return Client(self.server, **credentials)

    def command(self, *arguments, stdin=None):
        done = command(self.server.binary, *arguments, "--database-url", self.database.url, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def user(self, password=None, name=None):
        """Without a password it cannot sign in, and costs no Argon2."""
        name = name or unique("user")
        email = f"{uuid.uuid4().hex[:16]}@example.org"
        options = ["--password-stdin"] if password else []
        identity = self.command("user", "add", "--email", email, "--name", name, *options, stdin=password)
        if password:
            self.server.secrets.add(password)
        return User(self, identity, email, name, password)

    def organization(self, user, **changes):
        body = {"name": unique("organisation"), "description": unique("about"), **changes}
        return user.client.post("/organizations", body).json()

    def member(self, admin, organization, is_admin=False):
        user = self.user()
        admin.client.post(f"/organizations/{organization['id']}/add-user", {"email": user.email}, 200)
        if is_admin:
            admin.client.patch(f"/organizations/{organization['id']}/users/{user.id}", {"is_admin": True})
        return user

    def team(self, user, organization, **changes):
        body = {"name": unique("team"), "description": unique("about"), "organization_id": organization["id"],
                **changes}
        return user.client.post("/team", body).json()

    def project(self, user, organization, public=False, **changes):
        body = {"name": unique("project"), "description": unique("about"), "organization_id": organization["id"],
                **changes}
        project = user.client.post("/projects", body).json()
        if public:
            project = user.client.patch(f"/projects/{project['id']}", {"public": True}).json()
        return project

    def experiment(self, user, project, **changes):
        body = {"name": unique("experiment"), "description": unique("about"), "project_id": project["id"], **changes}
        return user.client.post("/experiments", body).json()

    def run(self, user, experiment, **changes):
        return user.client.post("/runs", run_body(experiment["id"], **changes)).json()

    def emission(self, user, run, **changes):
        """Returns the emission's id."""
        return user.client.post("/emissions", emission_body(run["id"], **changes)).json()

    def project_token(self, user, project, access="read-write"):
        """The answer to its creation; `token` is the secret."""
        token = user.client.post(f"/projects/{project['id']}/api-tokens",
                                 {"name": unique("token"), "access": ACCESS[access]}).json()
        self.server.secrets.add(token["token"])
        return token

    def user_token(self, user, **changes):
        token = user.client.post("/user/tokens", {"name": unique("token"), **changes}).json()
        self.server.secrets.add(token["token"])
        return token


class Tree:
    """One user, and one of everything below an organisation of theirs."""

    def __init__(self, world, public=False):
        self.world = world
        self.admin = world.user()
        self.organization = world.organization(self.admin)
        self.project = world.project(self.admin, self.organization, public=public)
        self.experiment = world.experiment(self.admin, self.project)
        self.run = world.run(self.admin, self.experiment)

    @property
    def client(self):
        return self.admin.client
