"""Two servers behind a load balancer, the one that docs/operations.md configures, are replaced one after the other under
load: no request fails."""

import collections
import http.client
import json
import re
import socket
import subprocess
import threading

import harness
import plain_sql
import ports
import senders

MANUAL = (harness.ROOT / "docs" / "operations.md").read_text()
# Long enough for the load balancer to look again, on a busy machine as well.
DRAIN_DELAY = 4


class Balancer:
    """HAProxy with the configuration of the manual, and addresses of the test."""

    def __init__(self, directory, servers):
        self.address = ports.free_address()
        self.url, self.secrets, self.process = f"http://{self.address}", set(), None
        text = re.search(r"^```haproxy\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)[1]
        for written, address in (("*:8008", self.address), *zip(("carbond-1:8008", "carbond-2:8008"), servers)):
            assert text.count(written) == 1
            text = text.replace(written, address)
        (directory / "haproxy.cfg").write_text(f"global\n    stats socket {directory}/stats\n{text}")
        self.statistics = directory / "stats"
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", "haproxy", "-db", "-f",
                                         str(directory / "haproxy.cfg")], stdin=subprocess.DEVNULL)
        harness.until(lambda: self.statistics.exists() and self.up() == 2, 30, "two servers that are up")

    host_and_port = harness.Server.host_and_port

    def up(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.statistics))
            connection.sendall(b"show stat\n")
            text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        return len(re.findall(r"^carbond,carbond-\d,.*,UP,", text, re.MULTILINE))

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) is not None


class Tracker(threading.Thread):
    """Emissions, each on a connection of its own, as trackers send them; or all on one that is kept, which is given up when
    an answer says so. Whatever is no 201 is a failure; nothing is tried twice."""

    def __init__(self, balancer, headers, run, kept):
        super().__init__(daemon=True)
        self.balancer, self.headers, self.run_id, self.kept = balancer, headers, run, kept
        self.account, self.failures, self.closed = senders.Account(), [], 0
        self.over = threading.Event()
        self.start()

    def run(self):
        connection = None
        while not self.over.is_set():
            connection = connection or http.client.HTTPConnection(*self.balancer.host_and_port, timeout=30)
            body = senders.emissions([self.run_id], 1)[0]
            try:
                connection.request("POST", "/emissions", json.dumps(body),
                                   {**self.headers, "Connection": "keep-alive" if self.kept else "close"})
                response = connection.getresponse()
                text = response.read()
            except senders.FAILURES as failure:
                self.failures.append(repr(failure))
                connection.close()
                connection = None
                continue
            if response.status == 201:
                self.account.acknowledge([body])
            else:
                self.failures.append((response.status, text))
            if response.getheader("Connection") == "close":
                self.closed += 1
                connection.close()
                connection = None
        if connection:
            connection.close()


def more(trackers):
    """Waits until each has sent some more."""
    before = [len(tracker.account.acknowledged) for tracker in trackers]
    harness.until(lambda: all(tracker.failures or len(tracker.account.acknowledged) > count + 20
                              for tracker, count in zip(trackers, before)), 60, "emissions of every tracker")


def test_rolling_restart(carbond_binary, new_database, jwt_key_file, tmp_path):
    database = new_database()
    addresses = [ports.free_address(), ports.free_address()]

    def start(address):
        return harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, listen=address,
                              drain_delay=DRAIN_DELAY)

    servers = [start(address) for address in addresses]
    balancer = None
    try:
        tree = harness.Tree(harness.World(servers[0]))
        headers = {"x-api-token": tree.world.project_token(tree.admin, tree.project)["token"],
                   "Content-Type": "application/json"}
        balancer = Balancer(tmp_path, addresses)
        trackers = [Tracker(balancer, headers, tree.run["id"], kept) for kept in (False, True, False, True)]
        counts = collections.Counter()
        for number in (0, 1):
            more(trackers)
            servers[number].stop()
            more(trackers)
            servers[number] = start(addresses[number])
            harness.until(lambda: balancer.up() == 2, 60, "both servers")
        more(trackers)
        for tracker in trackers:
            tracker.over.set()
        for tracker in trackers:
            tracker.join(40)
            assert tracker.failures == []
            tracker.account.assert_all_stored(database)
            counts[tracker.kept] += tracker.closed
        assert counts[True] >= 2  # each of those who keep a connection was told at least once
        assert database.value("select count(*) from emissions") == sum(len(t.account.acknowledged) for t in trackers)
        plain_sql.assert_tables_match(database)
        while servers:
            servers.pop().stop()
    finally:
        for server in servers:
            server.abandon()
        if balancer:
            balancer.stop()
