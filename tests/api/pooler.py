"""PgBouncer in transaction mode before a cluster, with fewer sessions than a server has connections: each transaction gets
whichever is free."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import harness

SESSIONS = 4
CONFIGURATION = """
[databases]
* = host={cluster} user=carbond

[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {directory}
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
ignore_startup_parameters = {ignored}
"""


class Pooler:
    def __init__(self, cluster, ignored=""):
        """`ignored` are startup parameters that it takes and forgets; others it refuses."""
        self.cluster = cluster
        # Under /tmp, since the path of a socket has at most 107 bytes.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="carbond-test-", dir="/tmp"))
        (self.directory / "pgbouncer.ini").write_text(CONFIGURATION.format(
            cluster=cluster.directory, directory=self.directory, sessions=SESSIONS, ignored=ignored))
        self.directory.chmod(0o755)
        self._as_owner = []
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(self.directory, "postgres", "postgres")
            self._as_owner = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.start()

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", *self._as_owner, "--pdeathsig=TERM", "--", shutil.which("pgbouncer") or "/usr/sbin/pgbouncer",
                 str(self.directory / "pgbouncer.ini")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env=harness.clean_environment())
        harness.until(lambda: self.socket.exists() or self.process.poll() is not None, 20, "PgBouncer")
        assert self.process.poll() is None, (self.directory / "log").read_text()

    @property
    def socket(self):
        return self.directory / ".s.PGSQL.6432"

    def stop(self):
        """At once, whatever its clients are about."""
        self.process.terminate()
        self.process.wait(harness.patience(20))
        self.socket.unlink(missing_ok=True)

    def remove(self):
        self.stop()
        shutil.rmtree(self.directory)

    def url(self, name):
        return f"postgresql://carbond@/{name}?host={self.directory}&port=6432"

    def connect(self, name):
        connection = harness.psycopg2.connect(self.url(name))
        connection.autocommit = True
        return connection


class Pooled(harness.Database):
    """A database that carbond reaches through a pooler alone; the test itself asks it directly."""

    OPTIONS = ("--prepared-statements", "false")

    def __init__(self, cluster, name, pooler):
        super().__init__(cluster, name)
        self.pooler, self.url = pooler, pooler.url(name)
