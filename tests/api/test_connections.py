"""What one client may take of the server: connections, time, memory. What is beyond is answered where it can be, closed,
and counted; whoever else is there does not notice."""

import contextlib
import resource
import shutil
import socket
import time

import pytest

import harness
from test_metrics import reaches, value
from test_tls import busiest, running

HEAD = "Host: carbond.test\r\n"
GREETING = f"GET / HTTP/1.1\r\n{HEAD}\r\n"
PATIENCE = 30  # seconds: a loaded machine may take its time, but not for ever


@pytest.fixture
def serve(carbond_binary, database, jwt_key_file):
    """Starts a server with these options, and gives a tenant on it."""
    with contextlib.ExitStack() as stack:
        yield lambda *options: harness.Tree(harness.World(stack.enter_context(harness.Server(
            carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, *options))))


def credentials(tree):
    return f"Authorization: {tree.client.session.headers['Authorization']}\r\n"


def trickle(connection, piece=b"x", pause=0.2):
    """Sends byte by byte until the server has something to say, or hangs up; returns its answer."""
    deadline = time.monotonic() + PATIENCE
    connection.socket.settimeout(pause)
    while time.monotonic() < deadline:
        connection.send(piece)
        try:
            if not connection._more() or b"\r\n\r\n" in connection.buffer:
                return connection.answer()
        except socket.timeout:
            pass
    raise AssertionError(f"the server still waits after {PATIENCE} s")


def late(server, phase, count=1):
    harness.until(lambda: value(server, "carbond_http_deadlines_total", phase=phase) >= count, PATIENCE, f"{phase} is late")


# -- deadlines ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("phase, option, text", [
    ("headers", "--header-timeout", f"POST /emissions HTTP/1.1\r\n{HEAD}X-Slow: "),
    ("body", "--body-timeout", f"POST /emissions HTTP/1.1\r\n{HEAD}Content-Length: 60000\r\n\r\n"),
    ("body", "--body-timeout", f"POST /nowhere HTTP/1.1\r\n{HEAD}Content-Length: 60000\r\n\r\n")])
def test_trickling_requests(serve, phase, option, text):
    """Each byte comes long before the deadline; the whole never does."""
    tree = serve(option, "1")
    with harness.RawConnection(tree.world.server) as connection:
        connection.send(text.encode())
        answer = trickle(connection)
        assert answer.status == 408 and answer.headers["connection"] == "close" and answer.json()["detail"]
    late(tree.world.server, phase)
    if phase == "body":
        route = "/emissions" if "/emissions" in text else "unmatched"
        reaches(tree.world.server, 1, "carbond_http_requests_total", method="POST" if route[0] == "/" else "any", route=route,
                status="408")


@pytest.mark.parametrize("phase, text, option", [("new", "", "--header-timeout"), ("new", "GET / HT", "--header-timeout"),
                                                 ("idle", GREETING, "--idle-timeout")])
def test_silent_connections(serve, phase, text, option):
    tree = serve(option, "1")
    with harness.RawConnection(tree.world.server) as connection:
        connection.send(text.encode())
        if phase == "idle":
            assert connection.answer().status == 200
        assert connection.closed()
    late(tree.world.server, phase)


def test_who_comes_while_the_server_is_stopped(serve):
    """Its clock goes on: who is let in late has all the time that there is."""
    server = serve("--header-timeout", "1").world.server
    with contextlib.ExitStack() as stack:
        with harness.stopped(server.process.pid):
            connection = stack.enter_context(harness.RawConnection(server))
            connection.send(GREETING.encode())
            time.sleep(3)
        answer = connection.answer()
        assert answer and answer.status == 200


def test_whom_the_server_keeps_waiting(serve, database):
    """That it was stopped in the midst of a request is not the client's delay, whether it still sends, or waits for a
    worker."""
    tree = serve("--header-timeout", "10", "--queue-timeout", "10", "--workers", "1")
    server = tree.world.server
    ask = f"GET /experiments/{tree.experiment['id']} HTTP/1.1\r\n{HEAD}{credentials(tree)}\r\n"
    with contextlib.ExitStack() as stack:
        with harness.locked(database, "experiments"):
            asking = [stack.enter_context(harness.RawConnection(server)) for _ in range(2)]
            asking[0].send(ask.encode())
            reaches(server, 1, "carbond_lane_threads_busy", lane="worker")
            asking[1].send(ask.encode())
            reaches(server, 1, "carbond_lane_jobs_waiting", lane="worker")
            begun = {text: stack.enter_context(harness.RawConnection(server)) for text in ("", GREETING[:8], GREETING[:18])}
            for text, connection in begun.items():
                connection.send(text.encode())
                harness.all_is_read(server, connection)
            assert harness.raw(server, GREETING.encode()).status == 200  # so all before have been let in
            with harness.stopped(server.process.pid):
                time.sleep(12)
            for _ in range(2):  # the first one's answer may come before the server has looked who is late
                assert harness.raw(server, GREETING.encode()).status == 200
        for text, connection in begun.items():
            connection.send(GREETING[len(text):].encode())
        for connection in (*begun.values(), *asking):
            answer = connection.answer()
            assert answer and answer.status == 200


def test_slow_link(serve):
    """A body that takes longer than the deadline, but comes at the rate that is asked for."""
    tree = serve("--body-timeout", "2", "--minimum-rate", "1")
    piece, pieces = 16 << 10, 20
    with harness.RawConnection(tree.world.server) as connection:
        connection.send(f"POST /emissions/batch HTTP/1.1\r\n{HEAD}{credentials(tree)}Content-Type: application/x-ndjson\r\n"
                        f"Content-Length: {piece * pieces}\r\n\r\n".encode())
        for _ in range(pieces):
            connection.send(b"\n" * piece)
            time.sleep(0.2)
        assert connection.answer().status == 200


LONG_LIST = 30_000_000  # bytes at least


@contextlib.contextmanager
def long_list(tree):
    """A request whose answer is far longer than what all buffers on its way hold."""
    with tree.world.database.runs(tree.experiment, 30000):
        yield f"GET /experiments/{tree.experiment['id']}/runs HTTP/1.1\r\n{HEAD}{credentials(tree)}\r\n".encode()


def read_with_pauses(connection, piece=1 << 20, pause=0.05):
    """Reads to the end, so that the sender waits for us, and we for it; returns how many bytes there were."""
    received = 0
    while connection._more():
        if len(connection.buffer) >= piece:
            received, connection.buffer = received + len(connection.buffer), b""
            time.sleep(pause)
    return received + len(connection.buffer)


def slow_reader(tree, ask, source):
    """Asks, and reads nothing."""
    reader = harness.RawConnection(tree.world.server, source)
    reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.send(ask)
    return reader


def test_readers_that_trickle(serve):
    """From two addresses they have all the workers for lists; they are cut off, and who waits gets its list."""
    tree = serve("--stream-workers", "2", "--send-timeout", "1", "--queue-timeout", str(PATIENCE))
    with long_list(tree) as ask, slow_reader(tree, ask, "127.0.0.2") as one, slow_reader(tree, ask, "127.0.0.3") as other:
        assert one.socket.recv(1) and other.socket.recv(1)
        tree.client.get("/organizations", timeout=PATIENCE)
        late(tree.world.server, "sending")


def test_one_address_leaves_workers_to_others(serve):
    """However many lists it asks for, and however slowly it reads them."""
    tree = serve("--send-timeout", "600", "--queue-timeout", str(PATIENCE))
    server = tree.world.server
    with long_list(tree) as ask, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(slow_reader(tree, ask, "127.0.0.2")) for _ in range(6)]
        reaches(server, 4, "carbond_lane_jobs_waiting", lane="stream")
        for _ in range(3):
            tree.client.get("/organizations", timeout=PATIENCE / 2)
        reaches(server, 2, "carbond_lane_threads_busy", lane="stream")
        for reader in readers[:2]:
            reader.__exit__()
        reaches(server, 2, "carbond_lane_jobs_waiting", lane="stream")  # its turn comes


def test_who_waits_too_long_for_a_worker(serve, database):
    tree = serve("--workers", "1", "--queue-timeout", "1")
    path = f"/experiments/{tree.experiment['id']}"
    ask = f"GET {path} HTTP/1.1\r\n{HEAD}{credentials(tree)}\r\n".encode()
    with harness.RawConnection(tree.world.server) as first, harness.RawConnection(tree.world.server) as second:
        with harness.locked(database, "experiments"):
            first.send(ask)
            reaches(tree.world.server, 1, "carbond_lane_threads_busy", lane="worker")
            began = time.monotonic()
            second.send(ask)
            answer = second.answer()
            assert 1 <= time.monotonic() - began < harness.patience(8)
            assert answer.status == 503 and answer.headers["retry-after"]
        assert first.answer().status == 200
    reaches(tree.world.server, 1, "carbond_lane_late_total", lane="worker")


# -- chunks -------------------------------------------------------------------------------------------------------------

CHUNKED = f"POST /emissions/batch HTTP/1.1\r\n{HEAD}Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n"


def test_chunks_byte_by_byte(serve):
    tree = serve()
    with harness.RawConnection(tree.world.server) as connection:
        connection.send(f"{CHUNKED}{credentials(tree)}\r\n".encode())
        for byte in b"2;a=b\r\n\n\n\r\n1\r\n\n\r\n0\r\nA: b\r\n\r\n":
            connection.send(bytes([byte]))
            time.sleep(0.01)
        assert connection.answer().status == 200


def test_a_chunk_whose_head_is_too_long(serve):
    """libmicrohttpd has no room for it, and would try again until the deadline."""
    tree = serve("--body-timeout", "600")
    with harness.RawConnection(tree.world.server) as connection:
        connection.send(f"{CHUNKED}\r\n".encode() + b"1;" + b"a" * 100_000)
        answer = connection.answer()
        assert answer is None or answer.status == 400
    reaches(tree.world.server, 1, "carbond_http_requests_total", method="POST", route="/emissions/batch", status="400")


def test_heads_of_chunks_cost_nothing(serve):
    """Some of them fill libmicrohttpd's room to the last byte."""
    tree = serve("--body-timeout", "600")
    server = tree.world.server

    def cost():
        before = running(server)
        for _ in range(300):
            tree.client.get("/healthz")
        return running(server) - before

    tree.client.get("/healthz")
    alone = cost()
    with contextlib.ExitStack() as stack:
        for number in range(300):
            connection = stack.enter_context(harness.RawConnection(server, "127.0.0.2"))
            connection.send(f"{CHUNKED}\r\n".encode() + b"1;" + b"a" * (number * 60))
        harness.until(lambda: busiest(server, 0.5) < 0.2, 60, "rest while all of them wait")
        amid = cost()
    assert amid < 3 * alone, (alone, amid)


# -- connections --------------------------------------------------------------------------------------------------------

def refused(connection):
    """The server's refusal, which it gives before it has read anything."""
    answer = connection.answer()
    assert answer.headers["connection"] == "close" and answer.json()["detail"] and answer.headers["retry-after"]
    return answer.status


def test_connections_of_one_address(serve):
    tree = serve("--connections-per-address", "5")
    server = tree.world.server
    ask = GREETING.encode()
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(harness.RawConnection(server, "127.0.0.2")).send(b"GET")
        with harness.RawConnection(server, "127.0.0.2") as one_more:
            assert refused(one_more) == 429
            assert not one_more._more()
        with harness.RawConnection(server, "127.0.0.3") as elsewhere:
            elsewhere.send(ask)
            assert elsewhere.answer().status == 200
        tree.client.get("/healthz")
    reaches(server, 1, "carbond_http_connections_refused_total", limit="address")

    def is_let_in():
        with harness.RawConnection(server, "127.0.0.2") as connection:
            connection.send(ask)
            return connection.answer().status == 200

    harness.until(is_let_in, PATIENCE)


def test_a_trusted_proxy_comes_for_many(serve):
    tree = serve("--connections-per-address", "2", "--trusted-proxy", "127.0.0.2")
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(harness.RawConnection(tree.world.server, "127.0.0.2"))
            connection.send(GREETING.encode())
            assert connection.answer().status == 200


def test_what_a_refused_connection_asks_for_is_not_done(serve):
    tree = serve("--connections-per-address", "1")
    with harness.RawConnection(tree.world.server, "127.0.0.2"):
        for _ in range(20):
            with harness.RawConnection(tree.world.server, "127.0.0.2") as connection:
                body = '{"name": "refused", "description": "d"}'
                connection.send(f"POST /organizations HTTP/1.1\r\n{HEAD}{credentials(tree)}Content-Length: {len(body)}\r\n\r\n"
                                f"{body}".encode())
                answer = connection.answer()
                assert answer is None or answer.status == 429
    assert "refused" not in [organization["name"] for organization in tree.client.get("/organizations").json()]


def test_connections_of_all(serve):
    tree = serve("--connection-limit", "8")
    server = tree.world.server
    with contextlib.ExitStack() as stack:
        for n in range(7):
            stack.enter_context(harness.RawConnection(server, f"127.0.0.{n + 2}")).send(b"GET")
        reaches(server, 8, "carbond_http_connections")  # with the tenant's
        with harness.RawConnection(server) as one_more:
            assert refused(one_more) == 503
        tree.client.get("/healthz")
    reaches(server, 1, "carbond_http_connections_refused_total", limit="total")


def test_descriptors_for_all_connections(serve):
    """Many systems grant 1024 until asked for more, for the sake of select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 8192:
        pytest.skip("this system grants no more")
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        tree = serve("--connection-limit", "6000")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert value(tree.world.server, "process_max_fds") > 6000


def test_requests_of_one_connection(serve):
    tree = serve("--requests-per-connection", "3")
    with harness.RawConnection(tree.world.server) as connection:
        for last in (False, False, True):
            connection.send(GREETING.encode())
            assert (connection.answer().headers.get("connection", "").lower() == "close") is last
        assert connection.closed()


def test_many_slow_connections(serve):
    """They come from several addresses, are all shown out, and nobody else notices."""
    tree = serve("--header-timeout", "2", "--body-timeout", "2")
    server = tree.world.server
    texts = [f"POST /emissions HTTP/1.1\r\n{HEAD}X-Slow: ", f"POST /emissions HTTP/1.1\r\n{HEAD}Content-Length: 9\r\n\r\n{{"]
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(harness.RawConnection(server, f"127.0.0.{2 + n % 10}")) for n in range(200)]
        for n, connection in enumerate(slow):
            connection.send(texts[n % 2].encode())
        for _ in range(20):
            tree.world.emission(tree.admin, tree.run)
        assert {connection.answer().status for connection in slow} == {408}
    late(server, "headers", 100)
    late(server, "body", 100)
    reaches(server, 1, "carbond_http_connections")


# -- what libmicrohttpd forgets ----------------------------------------------------------------------------------------

def test_a_connection_that_no_epoll_takes(carbond_binary, database, jwt_key_file, tmp_path):
    """libmicrohttpd drops it in the middle of its answer, without a word to us. Nobody waits for that request at the end."""
    if carbond_binary.parents[1].name == "tsan":
        pytest.skip("epoll_ctl is the tool's own")
    switch = tmp_path / "switch"
    switch.write_bytes(b"\0")
    # LD_PRELOAD would take a path apart at its spaces.
    library = shutil.copy(carbond_binary.parents[1] / "lib" / "failing_epoll.so", tmp_path)
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--grace", "1",
                        environment={"LD_PRELOAD": str(library), "FAILING_EPOLL": str(switch)}) as server:
        tree = harness.Tree(harness.World(server))
        with long_list(tree) as ask, harness.RawConnection(server) as reader:
            reader.send(ask)
            assert reader.socket.recv(1)
            with open(switch, "r+b", buffering=0) as file:
                file.write(b"\1")
                received = read_with_pauses(reader)
                file.seek(0)
                file.write(b"\0")
            assert received < LONG_LIST
        tree.client.get("/healthz")
        server.terminate()
        server.process.wait(harness.patience(PATIENCE))
        assert "cut off" not in server.log()


# -- memory for bodies --------------------------------------------------------------------------------------------------

def begin_batch(server, size, source, headers=""):
    connection = harness.RawConnection(server, source)
    connection.send(f"POST /emissions/batch HTTP/1.1\r\n{HEAD}{headers}Content-Type: application/x-ndjson\r\n"
                    f"Content-Length: {size}\r\n\r\n".encode() + b"\n" * (size - 1))
    return connection


def test_one_address_does_not_take_all_memory(serve):
    tree = serve("--body-memory", "64")
    server = tree.world.server
    with begin_batch(server, 16 << 20, "127.0.0.2") as greedy:
        harness.all_is_read(server, greedy)
        with begin_batch(server, 1 << 20, "127.0.0.2") as more:
            more.send(b"\n")
            assert more.answer().status == 503
        with begin_batch(server, 1 << 20, "127.0.0.3", credentials(tree)) as other:
            other.send(b"\n")
            assert other.answer().status == 200


@pytest.mark.parametrize("elsewhere", ["127.0.0.2", "127.0.0.3"])
def test_a_refused_body_takes_no_memory(serve, elsewhere):
    """However long its sender goes on."""
    tree = serve("--body-memory", "16")
    server, size = tree.world.server, (16 << 20) + 1
    with harness.RawConnection(server, "127.0.0.2") as greedy:
        greedy.send(f"POST /emissions/batch HTTP/1.1\r\n{HEAD}Content-Type: application/x-ndjson\r\n"
                    f"Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n".encode() + b"\n" * size)
        harness.all_is_read(server, greedy)
        with begin_batch(server, 1 << 20, elsewhere, credentials(tree)) as other:
            other.send(b"\n")
            assert other.answer().status == 200
        greedy.send(b"\r\n0\r\n\r\n")
        assert greedy.answer().status == 413


def test_single_emissions_find_room_beside_large_bodies(serve):
    tree = serve("--body-memory", "16")
    server = tree.world.server
    with begin_batch(server, 16 << 20, "127.0.0.2") as greedy:
        harness.all_is_read(server, greedy)
        with begin_batch(server, 1 << 20, "127.0.0.3") as large:
            large.send(b"\n")
            assert large.answer().status == 503
        tree.world.emission(tree.admin, tree.run)
