"""What every measure stands on: a PostgreSQL with default settings, a server on a database of its own, and a tenant with
one of everything."""

import os
import pathlib
import re
import socket
import sys
import tempfile

import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
import harness  # noqa: E402
import ports  # noqa: E402

PROGRAMS = harness.ROOT / "build" / "bin"
BINARY = PROGRAMS / "carbond"


class DefaultCluster(harness.Cluster):
    SETTINGS = {}


class QuietServer(harness.Server):
    """One that logs warnings at most, and so not where it listens: that is chosen beforehand."""

    def __init__(self, *arguments):
        self.chosen = [ports.free_address(), ports.free_address()]
        super().__init__(*arguments, "--log-level", "warn", listen=self.chosen[0], metrics_listen=self.chosen[1])

    def _listening(self):
        super()._listening()  # that it has not ended
        host, port = self.chosen[1].split(":")
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return "msg=listening address={} metrics={}".format(*self.chosen)


def figures_of(server, metric):
    """The samples of a metric at /metrics: {labels: value}."""
    text = requests.get(server.monitor_url + "/metrics", timeout=10).text
    return {labels or "": float(value)
            for labels, value in re.findall(rf"^{metric}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)}


def cpu_time(pid):
    """Seconds that a process has worked, and its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


class Bench:
    """A server on a database of its own, and a tenant with one of everything."""

    def __enter__(self):
        self.cluster = DefaultCluster()
        self.database = harness.Database(self.cluster, self.cluster.createdb())
        done = harness.command(BINARY, "migrate", "--database-url", self.database.url)
        assert done.returncode == 0, done.stderr
        self.key = tempfile.NamedTemporaryFile("w")
        self.key.write(harness.JWT_KEY)
        self.key.flush()
        self.server = self.serve()
        self.tree = harness.Tree(harness.World(self.server))
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.database.close()
        self.cluster.remove()
        self.key.close()

    def serve(self, kind=harness.Server):
        """Another server on the same database; the caller stops it."""
        return kind(BINARY, self.database, "--jwt-hs256-key-file", self.key.name, "--statement-timeout", "5",
                    "--rate-address", "none", "--rate-token", "none")

    def token(self):
        """A new project token that may write."""
        return self.tree.world.project_token(self.tree.admin, self.tree.project, "write")["token"]

    def make_runs(self, runs):
        """Puts the runs of a loads.Runs into the experiment."""
        self.database.query("insert into runs (id, experiment_id, timestamp) select id::uuid, %s, now() from unnest(%s) id",
                            self.tree.experiment["id"], runs.ids())

    def cpu_time(self, server):
        """Seconds that PostgreSQL, the server (or None) and the load generators that have ended have worked."""
        postmaster = self.cluster.postmaster()
        seconds = os.times().children_user + os.times().children_system
        for pid in [postmaster, *children(postmaster), *([server.process.pid] if server else [])]:
            try:
                seconds += cpu_time(pid)
            except FileNotFoundError:
                pass  # it has just ended: from now on its parent tells its time
        return seconds

    def checkpoint(self):
        """So that nobody pays for the pages that somebody else has left dirty."""
        self.database.query("checkpoint")

    def memory(self, name, server=None):
        status = pathlib.Path(f"/proc/{(server or self.server).process.pid}/status").read_text()
        return int(status.split(name + ":")[1].split()[0]) / 1024  # MB

    def reset_peak(self):
        pathlib.Path(f"/proc/{self.server.process.pid}/clear_refs").write_text("5")
