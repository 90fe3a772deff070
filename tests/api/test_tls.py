"""The server with a certificate: what it negotiates, that all flows go through it, that the certificate is renewed under
running connections, and clients that do not speak TLS, or never finish to."""

import contextlib
import gzip
import json
import pathlib
import random
import signal
import socket
import ssl
import threading
import time
import warnings

import pytest

import certificates
import harness
import senders
import tool


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.certificate()


def options(directory, key_file=None):
    jwt = ["--jwt-hs256-key-file", key_file] if key_file else []
    return ["--tls-cert", directory / "cert.pem", "--tls-key", directory / "key.pem", *jwt]


@pytest.fixture(scope="module")
def tls_server(carbond_binary, database, jwt_key_file, authority, certificate, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    certificate.write(directory)
    with harness.Server(carbond_binary, database, *options(directory, jwt_key_file), "--cors-origin", harness.DASHBOARD,
                        "--hsts-max-age", "3600", "--statement-timeout", "3600", authority=authority.file) as server:
        yield server


@pytest.fixture(scope="module")
def tls_world(tls_server):
    return harness.World(tls_server)


class Renewed:
    """A server whose certificate changes."""

    def __init__(self, server, authority, directory):
        self.server, self.authority, self.directory = server, authority, directory

    def reload(self, result):
        """Sends SIGHUP, and waits for the line that tells how it went."""
        told = self.server.log().count(result)
        self.server.process.send_signal(signal.SIGHUP)
        harness.until(lambda: self.server.log().count(result) > told, 20, result)

    def renew(self, **kind):
        certificate = self.authority.certificate(**kind)
        certificate.write(self.directory)
        self.reload("msg=reloaded")
        return certificate.serial

    def serial(self):
        """Of the certificate that a new connection is shown."""
        with harness.RawConnection(self.server) as connection:
            return serial_of(connection)


def serial_of(connection):
    return int(connection.socket.getpeercert()["serialNumber"], 16)


@pytest.fixture
def renewed(carbond_binary, database, jwt_key_file, authority, certificate, tmp_path):
    certificate.write(tmp_path)
    with harness.Server(carbond_binary, database, *options(tmp_path, jwt_key_file), "--statement-timeout", "3600",
                        authority=authority.file) as server:
        yield Renewed(server, authority, tmp_path)


# -- what goes through it -----------------------------------------------------------------------------------------------

def test_emissions_and_batches(tls_world):
    tree = harness.Tree(tls_world)
    token = tls_world.project_token(tree.admin, tree.project)["token"]
    for client in (tls_world.client(token=token), tls_world.client(url_token=token)):
        client.post("/emissions", harness.emission_body(tree.run["id"]))
        bodies = senders.emissions([tree.run["id"]], 5000)
        text = gzip.compress("\n".join(map(json.dumps, bodies)).encode())
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        answer = client.request("POST", "/emissions/batch", 200, data=text, headers=headers).json()
        assert answer["accepted"] == 5000
    assert tree.client.get(f"/runs/{tree.run['id']}/emissions?size=1").json()["total"] == 2 * 5001


def test_large_bodies_and_refusals(tls_world):
    """Bodies of many TLS records, also those that are read only to be forgotten."""
    tree = harness.Tree(tls_world)
    headers = {"Content-Type": "application/x-ndjson"}
    for size, status in ((16 << 20, 200), ((16 << 20) + 1, 413)):
        pieces = (b" " * min(1 << 16, size - begin) for begin in range(0, size, 1 << 16))
        tree.client.request("POST", "/emissions/batch", status, data=pieces, headers=headers)
    tree.client.request("POST", "/runs", 413, data=b" " * 100000)
    tree.client.get("/organizations")


@pytest.fixture(scope="module")
def long_list(tls_world):
    """A list of some 20 MB, and who may read it."""
    tree = harness.Tree(tls_world)
    with tls_world.database.runs(tree.experiment, 20000):
        yield f"/experiments/{tree.experiment['id']}/runs", tree.client


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_stream_of_many_megabytes(long_list, coding):
    path, client = long_list
    response = client.session.get(client.server.url + path, headers={"Accept-Encoding": coding}, timeout=60)
    assert response.headers.get("Content-Encoding", "identity") == coding
    assert len(response.content) > 16 << 20 and len(response.json()) == 20001


def ask(path, client):
    return (f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: {client.session.headers['Authorization']}\r\n\r\n").encode()


def without_chunks(answer):
    """Its body: a chunk may end within a word."""
    at, body = answer.index(b"\r\n\r\n") + 4, bytearray()
    while size := int(answer[at:answer.index(b"\r\n", at)], 16):
        at = answer.index(b"\r\n", at) + 2
        body += answer[at:at + size]
        at += size + 2
    return body


def test_a_stream_to_a_reader_of_little_pieces(long_list):
    """The socket is full again and again, in the middle of a record."""
    path, client = long_list
    with harness.RawConnection(client.server) as connection:
        connection.send(ask(path, client))
        received = bytearray()
        while not received.endswith(b"\r\n0\r\n\r\n"):
            received += connection.socket.recv(random.choice((1, 100, 50000)))
        assert without_chunks(received).count(b'"experiment_id"') == 20001


def test_pipelining_in_one_record(tls_server):
    """What waits behind a request in its record is not forgotten, since no socket will tell of it."""
    with harness.RawConnection(tls_server) as connection:
        connection.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        assert [connection.answer().status for _ in range(20)] == [200] * 20


def test_each_byte_in_a_record_of_its_own(tls_server):
    with harness.RawConnection(tls_server) as connection:
        for byte in b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n":
            connection.send(bytes([byte]))
        assert connection.answer().status == 200


def test_malformed_requests_are_refused_as_ever(tls_server):
    for text in (b"GET / HTTP/1.1\r\n\r\n", b"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                 b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"):
        assert harness.raw(tls_server, text).status == 400


# -- what is negotiated -------------------------------------------------------------------------------------------------

def negotiate(server, version, ciphers=None):
    """The name of the cipher; an ssl.SSLError if there is nothing to agree on."""
    context = ssl.create_default_context(cafile=server.verify)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old versions are what this is about
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers + ":@SECLEVEL=0")
    with socket.create_connection(server.host_and_port, timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            return connection.cipher()[0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(tls_server, version):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        negotiate(tls_server, version, "ALL")


def test_version_1_3(tls_server):
    assert negotiate(tls_server, ssl.TLSVersion.TLSv1_3).startswith("TLS_")


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                                    "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_good_ciphers(tls_server, cipher):
    assert negotiate(tls_server, ssl.TLSVersion.TLSv1_2, cipher) == cipher


@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-CCM",
                                     "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", "aNULL", "eNULL", "PSK"])
def test_ciphers_without_secrecy_for_good_or_without_authentication(tls_server, ciphers):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        negotiate(tls_server, ssl.TLSVersion.TLSv1_2, ciphers)


def test_an_rsa_certificate_does_as_well(renewed):
    renewed.renew(rsa_key=True)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert negotiate(renewed.server, version)
    for cipher in ("AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            negotiate(renewed.server, ssl.TLSVersion.TLSv1_2, cipher)


# -- clients that do not speak it ---------------------------------------------------------------------------------------

def test_plain_http_is_not_answered(tls_server):
    with socket.create_connection(tls_server.host_and_port, timeout=20) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        try:
            while piece := plain.recv(1000):
                received += piece
        except ConnectionResetError:
            pass
        assert b"HTTP/1" not in received
    harness.Client(tls_server).get("/healthz")


def hello(server):
    """The first message of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = server.tls_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def connections(server):
    for line in harness.requests.get(server.monitor_url + "/metrics", timeout=20).text.splitlines():
        if line.startswith("carbond_http_connections "):
            return int(line.split()[1])


def running(server):
    """Nanoseconds that its threads have run."""
    threads = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in threads)


def busiest(server, seconds):
    """How much of that time its busiest thread ran, or would have run if the machine had let it."""
    def runnable():
        threads = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
        return {path: sum(map(int, path.read_text().split()[:2])) for path in threads}

    before, _, after = runnable(), time.sleep(seconds), runnable()
    return max(after[thread] - before[thread] for thread in before) / 1e9 / seconds


def trickle(plain, data):
    """A byte now and then; ends when the server has had enough."""
    try:
        for byte in data:
            plain.sendall(bytes([byte]))
            plain.settimeout(0.05)
            try:
                if not plain.recv(1):
                    return
            except socket.timeout:
                continue
    except ConnectionError:
        return
    raise AssertionError("all of it was taken")


def test_unfinished_handshakes_end(carbond_binary, database, authority, certificate, tmp_path):
    """Silence, half a message, an answer never read on, and a byte now and then: nobody waits for them, neither other clients
    nor the server (libmicrohttpd's epoll loop would turn as fast as it can), and the header timeout ends them, which no byte
    prolongs."""
    certificate.write(tmp_path)
    with harness.Server(carbond_binary, database, *options(tmp_path), "--header-timeout", "10",
                        authority=authority.file) as server:
        first = hello(server)
        slow = [socket.create_connection(server.host_and_port, timeout=30) for _ in range(31)]
        for number, plain in enumerate(slow[1:]):
            plain.sendall((b"", first[:50], first)[number % 3])
        harness.Client(server).get("/healthz")
        harness.until(lambda: connections(server) >= 31, 10)
        harness.until(lambda: busiest(server, 0.5) < 0.2 and connections(server) >= 31, 10, "rest while all of them wait")
        trickle(slow[0], first[:1] + b"\x03\x01\x3f\xff" + b"\0" * 2000)
        harness.until(lambda: connections(server) <= 1, 20, "the end of all unfinished handshakes")
        for plain in slow:
            plain.close()


def test_unfinished_handshakes_cost_nothing(carbond_binary, database, authority, certificate, tmp_path):
    """Who is served beside them costs the server as much as alone, and not a look at each of them for each event."""
    certificate.write(tmp_path)
    with harness.Server(carbond_binary, database, *options(tmp_path), "--header-timeout", "600",
                        authority=authority.file) as server, contextlib.ExitStack() as stack:
        client, first = harness.Client(server), hello(server)

        def cost():
            before = running(server)
            for _ in range(300):
                client.get("/healthz")
            return running(server) - before

        client.get("/healthz")
        alone = cost()
        for number in range(300):
            slow = stack.enter_context(socket.create_connection(server.host_and_port, timeout=30))
            slow.sendall((b"", first[:50], first)[number % 3])
        harness.until(lambda: connections(server) >= 301 and busiest(server, 0.5) < 0.2, 60, "rest while all of them wait")
        amid = cost()
        assert connections(server) >= 301
        assert amid < 3 * alone, (alone, amid)


def test_end_amid_unfinished_handshakes(carbond_binary, database, authority, certificate, tmp_path):
    certificate.write(tmp_path)
    with harness.Server(carbond_binary, database, *options(tmp_path), "--grace", "1", authority=authority.file) as server:
        first = hello(server)
        slow = [socket.create_connection(server.host_and_port, timeout=30) for _ in range(9)]
        for number, plain in enumerate(slow):
            plain.sendall((b"", first[:50], first)[number % 3])
        harness.until(lambda: connections(server) >= 9, 10)
        server.terminate()
        assert server.process.wait(20) == 0
        for plain in slow:
            plain.close()


# -- the end ------------------------------------------------------------------------------------------------------------

def test_end_under_load(carbond_binary, database, jwt_key_file, authority, certificate, tmp_path):
    certificate.write(tmp_path)
    account = senders.Account()
    with harness.Server(carbond_binary, database, *options(tmp_path, jwt_key_file), authority=authority.file) as server:
        tree = harness.Tree(harness.World(server))
        headers = {"x-api-token": tree.world.project_token(tree.admin, tree.project)["token"]}
        busy = [senders.Sender(server, headers, [tree.run["id"]], account, random.random()) for _ in range(6)]
        harness.until(lambda: len(account.acknowledged) > 1000, 60)
        server.terminate()
        assert server.process.wait(30) == 0
        senders.stop(busy)
        assert "cut off" not in server.log()
    assert account.refused == 0 or not tool.IS_PLAIN  # under a tool some may have waited for all the time that they have
    account.assert_all_stored(database)


def test_end_while_streaming_to_a_slow_reader(carbond_binary, database, jwt_key_file, authority, certificate, long_list,
                                              tmp_path):
    path, client = long_list
    certificate.write(tmp_path)
    with harness.Server(carbond_binary, database, *options(tmp_path, jwt_key_file), "--grace", "1",
                        authority=authority.file) as server:
        with harness.RawConnection(server) as reader:
            reader.send(ask(path, client))
            assert reader.socket.recv(100)
            server.terminate()
            assert server.process.wait(20) == 0


# -- renewal ------------------------------------------------------------------------------------------------------------

def test_renewal(renewed, long_list):
    """New connections are shown the new certificate; older ones go on, also in the middle of an answer."""
    path, client = long_list
    before = renewed.serial()
    with harness.RawConnection(renewed.server) as kept, harness.RawConnection(renewed.server) as reading:
        reading.send(ask(path, client))
        received = bytearray(reading.socket.recv(1000))
        assert serial_of(kept) == before
        serials = [renewed.renew(), renewed.renew(rsa_key=True)]
        assert renewed.serial() == serials[-1] and len({before, *serials}) == 3
        kept.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert kept.answer().status == 200 and serial_of(kept) == before
        while not received.endswith(b"\r\n0\r\n\r\n"):
            received += reading.socket.recv(65536)
        assert without_chunks(received).count(b'"experiment_id"') == 20001


def test_renewal_under_load(renewed):
    """A connection for each request, as trackers make them: none of them fails."""
    stopped, failures, answered = threading.Event(), [], []

    def use():
        context = renewed.server.tls_context()
        while not stopped.is_set():
            try:
                with socket.create_connection(renewed.server.host_and_port, timeout=30) as plain, \
                        context.wrap_socket(plain, server_hostname="localhost") as connection:
                    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    answered.append(connection.recv(1000)[:12])
            except OSError as failure:
                failures.append(failure)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            serial = renewed.renew()
            assert renewed.serial() == serial
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    assert not failures and set(answered) == {b"HTTP/1.1 200"}


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


BROKEN = {
    "no certificate": lambda files, other: (files / "cert.pem").unlink(),
    "no key": lambda files, other: (files / "key.pem").unlink(),
    "half a certificate": lambda files, other: (files / "cert.pem").write_bytes(other.pem[:300]),
    "half a key": lambda files, other: cut(files / "key.pem"),
    "something else": lambda files, other: (files / "cert.pem").write_text("hello\n"),
    "nothing": lambda files, other: (files / "key.pem").write_text(""),
    "a key too long": lambda files, other: (files / "key.pem").write_bytes(b"\n" * 99999),
    "the key as certificate": lambda files, other: (files / "cert.pem").write_bytes(other.key_pem),
    "the certificate as key": lambda files, other: (files / "key.pem").write_bytes(other.pem),
    "a key of another certificate": lambda files, other: (files / "key.pem").write_bytes(other.key_pem),
    "an encrypted key": lambda files, other: (files / "key.pem").write_bytes(
        certificates.key_pem(other.key, b"secret")),
    "a directory": lambda files, other: ((files / "cert.pem").unlink(), (files / "cert.pem").mkdir()),
}


@pytest.fixture(scope="module")
def other(authority):
    return authority.certificate()


def test_what_is_broken_leaves_what_was_before(renewed, certificate, other):
    for name, spoil in BROKEN.items():
        spoil(renewed.directory, other)
        renewed.reload("not all was reloaded")
        assert renewed.serial() == certificate.serial, name
        if (renewed.directory / "cert.pem").is_dir():
            (renewed.directory / "cert.pem").rmdir()
        certificate.write(renewed.directory)
    assert renewed.renew() == renewed.serial()


# -- the start ----------------------------------------------------------------------------------------------------------

def start(binary, database, *more):
    return harness.command(binary, "serve", "--database-url", database.url, "--listen", "127.0.0.1:0",
                           "--metrics-listen", "none", *more)


@pytest.mark.parametrize("name", BROKEN)
def test_no_start_with_what_is_broken(carbond_binary, database, certificate, other, tmp_path, name):
    certificate.write(tmp_path)
    BROKEN[name](tmp_path, other)
    done = start(carbond_binary, database, *options(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()  # which names the file and the reason
    assert "level=error" in line and f"file={tmp_path}" in line and "reason=" in line, line
    assert (name == "an encrypted key") == ("encrypted" in line)


def test_one_without_the_other(carbond_binary, database, certificate, tmp_path):
    certificate.write(tmp_path)
    for number in (0, 2):
        done = start(carbond_binary, database, *options(tmp_path)[number:number + 2])
        assert done.returncode == 2 and "--tls-cert and --tls-key go together" in done.stderr


@pytest.mark.parametrize("validity, told", [
    ({}, None),
    ({"ends": 10 * certificates.DAY}, "level=warn msg=\"the TLS certificate expires soon\""),
    ({"ends": -certificates.DAY / 2}, "level=error msg=\"the TLS certificate has expired\""),
    ({"begins": certificates.DAY}, "level=error msg=\"the TLS certificate is not valid yet\"")])
def test_validity_is_told_and_served_all_the_same(renewed, validity, told):
    renewed.authority.certificate(**validity).write(renewed.directory)
    renewed.reload("msg=reloaded")
    lines = [line for line in renewed.server.log_lines() if 'msg="the TLS certificate' in line]
    assert [told in line for line in lines] == ([True] if told else [])


def test_a_key_that_others_may_read_is_told(renewed, certificate):
    key = renewed.directory / "key.pem"
    for mode, told in ((0o600, False), (0o640, False), (0o644, True), (0o620, True)):
        key.chmod(mode)
        before = renewed.server.log().count("the TLS key is open to others")
        renewed.reload("msg=reloaded")
        assert (renewed.server.log().count("the TLS key is open to others") > before) == told, oct(mode)


def test_expiry_is_a_metric(renewed):
    renewed.authority.certificate(ends=30 * certificates.DAY).write(renewed.directory)
    renewed.reload("msg=reloaded")
    text = harness.requests.get(renewed.server.monitor_url + "/metrics", timeout=20).text  # plain, on loopback
    (line,) = [line for line in text.splitlines() if line.startswith("carbond_tls_certificate_expiry_seconds ")]
    assert float(line.split()[1]) == pytest.approx(harness.now().timestamp() + 30 * 86400, abs=3600)


# -- browsers -----------------------------------------------------------------------------------------------------------

def test_cookies_are_for_tls_alone(tls_world):
    user = tls_world.user(password="correct horse")
    body = {"email": user.email, "password": "correct horse"}
    own = {"Origin": tls_world.server.url}
    response = tls_world.nobody.request("POST", "/auth/login", 200, json=body, headers=own)
    session, *attributes = response.headers["Set-Cookie"].split("; ")
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=604800", "Secure"}
    client = tls_world.client(cookie=session.removeprefix("user_session="))
    client.post("/organizations", {"name": "n", "description": "d"}, headers=own)
    assert "; Secure" in client.get("/auth/logout").headers["Set-Cookie"]


def test_a_page_without_tls_is_another_site(tls_world):
    user = tls_world.user(password="correct horse")
    plain = {"Origin": tls_world.server.url.replace("https://", "http://")}
    tls_world.nobody.request("POST", "/auth/login", 403, headers=plain,
                             json={"email": user.email, "password": "correct horse"})


def test_strict_transport_security(tls_server, renewed):
    for path, status in (("/", 200), ("/nowhere", 404), ("/organizations", 401)):
        assert harness.Client(tls_server).get(path, status).headers["Strict-Transport-Security"] == "max-age=3600"
    # It holds for all ports of the host, which may be others' as well: only who asks for it gets it.
    assert "Strict-Transport-Security" not in harness.Client(renewed.server).get("/").headers


def test_samesite_none_wants_tls(carbond_binary, database, authority, certificate, jwt_key_file, tmp_path):
    certificate.write(tmp_path)
    done = start(carbond_binary, database, "--cookie-samesite", "none")
    assert done.returncode == 2 and "--tls-cert" in done.stderr
    with harness.Server(carbond_binary, database, *options(tmp_path, jwt_key_file), "--cookie-samesite", "none",
                        authority=authority.file) as server:
        headers = harness.World(server).client(cookie="ses_wrong").get("/auth/logout").headers
        assert "SameSite=None" in headers["Set-Cookie"] and "; Secure" in headers["Set-Cookie"]
    with harness.Server(carbond_binary, database, "--trusted-proxy", "127.0.0.1", "--cookie-samesite", "none") as server:
        client = harness.World(server).client(cookie="ses_wrong")
        headers = client.get("/auth/logout", headers={"X-Forwarded-Proto": "https"}).headers
        assert "SameSite=None" in headers["Set-Cookie"] and "; Secure" in headers["Set-Cookie"]
