"""A session that ends between the last row of a statement and the word that it is committed: nobody knows then, and nobody may be
told that it is, until it is found to be."""

import contextlib
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading

import pytest

import harness
import senders

READY = b"Z\0\0\0\5I"  # at the end of an answer: what was sent at once is committed


class Cutter:
    """A proxy before PostgreSQL that ends a session with the next answer to a `statement`: all of it comes but its end, and the
    end of the connection with it, as an error. The server stands still meanwhile, so that it meets all of this at once."""

    def __init__(self, cluster, database):
        self.statement = b"insert into emissions"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="carbond-test-", dir="/tmp"))
        self.url = f"postgresql://carbond@/{database}?host={self.directory}"
        self.target = str(cluster.directory / ".s.PGSQL.5432")
        self.victim = None  # the server's process, once it is to happen
        self.happened = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.directory / ".s.PGSQL.5432"))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        shutil.rmtree(self.directory)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            database = socket.socket(socket.AF_UNIX)
            database.connect(self.target)
            due = threading.Event()
            for way in (self._to_database, self._to_server):
                threading.Thread(target=self._pass, args=(way, client, database, due), daemon=True).start()

    @staticmethod
    def _pass(way, client, database, due):
        with contextlib.suppress(OSError, struct.error):
            way(client, database, due)
        for end in () if due.is_set() else (client, database):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _to_database(self, client, database, due):
        """The end of what is sent at once (Sync) is passed on, but not taken when it is to happen: a socket that is closed with
        something unread resets the connection."""
        size = client.recv(4, socket.MSG_WAITALL)
        database.sendall(size + client.recv(struct.unpack("!i", size)[0] - 4, socket.MSG_WAITALL))
        meant = False
        while len(head := client.recv(5, socket.MSG_WAITALL | socket.MSG_PEEK)) == 5:
            kind, size = struct.unpack("!ci", head)
            if kind == b"S" and meant and self.victim:
                due.set()
                return database.sendall(head)
            message = client.recv(size + 1, socket.MSG_WAITALL)
            if kind == b"P":
                meant = self.statement in message
            database.sendall(message)

    def _to_server(self, client, database, due):
        answer = b""
        while data := database.recv(65536):
            if not due.is_set():
                client.sendall(data)
                continue
            answer += data
            if answer.endswith(READY):
                return self._cut(client, answer[:-len(READY)])

    def _cut(self, client, answer):
        victim, self.victim = self.victim, None
        with harness.stopped(victim):
            client.sendall(answer)
            client.close()
        self.happened.set()


@pytest.fixture
def database(cluster, new_database):
    """Behind the proxy, never behind a pooler."""
    database = harness.Database(cluster, new_database().name)
    database.cutter = Cutter(cluster, database.name)
    database.url = database.cutter.url
    yield database
    database.close()
    database.cutter.close()


def test_a_commit_of_which_nobody_knows(carbond_binary, database, jwt_key_file):
    """The batch is stored again, which changes nothing, and then acknowledged. Its answer is so long that libpq reads on, and
    meets the end together with it."""
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--prepared-statements", "false") as server:
        tree = harness.Tree(harness.World(server))
        batch = {"emissions": senders.emissions([tree.run["id"]], 10000)}
        assert tree.client.post("/emissions/batch", batch, 200).json()["accepted"] == 10000
        database.cutter.victim = server.process.pid
        assert tree.client.post("/emissions/batch", batch, 200).json()["duplicates"] == 10000
        assert database.cutter.happened.wait(harness.patience(10))
        assert "database is away" in server.log() and "database is back" in server.log()


def test_a_first_admin_of_whom_nobody_knows(carbond_binary, database):
    """Is not made twice, and told with a password that counts."""
    database.cutter.statement = b"insert into users"
    wait = ("sh", "-c", 'read -r _ && exec "$@"', "sh")  # until the proxy knows whom to stop
    process = subprocess.Popen([*wait, str(carbond_binary), "serve", "--database-url", database.url, "--listen", "127.0.0.1:0",
                                "--metrics-listen", "127.0.0.1:0", "--first-admin", "ada@example.org"], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.clean_environment())
    try:
        database.cutter.victim = process.pid
        print(file=process.stdin, flush=True)
        harness.until(lambda: "listening" in process.stderr.readline(), 30)
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=harness.patience(60))
    finally:
        process.kill()
    assert database.cutter.happened.is_set()
    password = re.search(r"ada@example.org with the password (\S+)\n", told)[1]
    project = re.search(r"Project: (\S+)\n", told)[1]
    assert told.count("First start") == 1
    assert database.query("select email from users") == [("ada@example.org",)]
    assert database.query("select id::text from projects") == [(project,)]
    with harness.Server(carbond_binary, database) as server:
        harness.Client(server).post("/authenticate", {"email": "ada@example.org", "password": password}, 200)
