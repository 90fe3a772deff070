"""HTTP as clients speak it, well and badly. What is malformed gets 400 and a closed connection."""

import gzip
import json
import socket

import pytest

import harness

HEAD = "Host: carbond.test\r\n"


def ask(server, text):
    return harness.raw(server, text.encode("latin-1"))


MALFORMED = {
    "length and chunked": f"POST /runs HTTP/1.1\r\n{HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a blank before the colon": f"POST /runs HTTP/1.1\r\n{HEAD}Transfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\n{{}}",
    "a tab before the colon": f"POST /runs HTTP/1.1\r\n{HEAD}Content-Length\t: 2\r\n\r\n{{}}",
    "a length on two lines": f"POST /runs HTTP/1.1\r\n{HEAD}Content-Length: 2\r\n x\r\n\r\n{{}}",
    "a length on the next line": f"POST /runs HTTP/1.1\r\n{HEAD}Content-Length:\r\n 2\r\n\r\n{{}}",
    "two lengths": f"POST /runs HTTP/1.1\r\n{HEAD}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}",
    "two different lengths": f"POST /runs HTTP/1.1\r\n{HEAD}Content-Length: 2\r\nContent-Length: 9\r\n\r\n{{}}",
    "odd coding": f"POST /runs HTTP/1.1\r\n{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": f"POST /runs HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two hosts": f"GET / HTTP/1.1\r\n{HEAD}{HEAD}\r\n",
    "bad escape": f"GET /runs/%zz HTTP/1.1\r\n{HEAD}\r\n",
    "half an escape": f"GET /runs/%4 HTTP/1.1\r\n{HEAD}\r\n",
    "escaped NUL": f"GET /healthz%00x HTTP/1.1\r\n{HEAD}\r\n",
    "escaped line end": f"GET /healthz%0d%0a HTTP/1.1\r\n{HEAD}\r\n",
    "bad UTF-8": f"GET /%ff HTTP/1.1\r\n{HEAD}\r\n",
    "overlong UTF-8": f"GET /%c0%af HTTP/1.1\r\n{HEAD}\r\n",
    "surrogate": f"GET /%ed%a0%80 HTTP/1.1\r\n{HEAD}\r\n",
    "bad escape in the query": f"GET /runs?x=%q HTTP/1.1\r\n{HEAD}\r\n",
    "absolute form without a host": f"GET http:///runs HTTP/1.1\r\n{HEAD}\r\n",
    "absolute form with a user": f"GET http://ada@carbond.test/ HTTP/1.1\r\n{HEAD}\r\n",
    "another scheme": f"GET ftp://carbond.test/ HTTP/1.1\r\n{HEAD}\r\n",
    "a host alone": f"CONNECT carbond.test:80 HTTP/1.1\r\n{HEAD}\r\n",
    "a star": f"GET * HTTP/1.1\r\n{HEAD}\r\n",
    "no slash": f"GET runs HTTP/1.1\r\n{HEAD}\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(server, name):
    with harness.RawConnection(server) as connection:
        connection.send(MALFORMED[name].encode("latin-1"))
        answer = connection.answer()
        assert answer.status == 400 and isinstance(answer.json()["detail"], str), (name, answer.status)
        assert answer.headers["connection"].lower() == "close"
        assert connection.closed()


@pytest.mark.parametrize("text", [
    "garbage\r\n\r\n", "GET\r\n\r\n", f"GET / HTTP/9.9\r\n{HEAD}\r\n",
    f"POST /runs HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n", f"GET / HTTP/1.1\r\n{HEAD}{'x' * 70000}: y\r\n\r\n",
    f"GET / HTTP/1.1\r\n{HEAD}" + "".join(f"X-{i}: {'y' * 90}\r\n" for i in range(1000)) + "\r\n",
    f"GET /{'x' * 70000} HTTP/1.1\r\n{HEAD}\r\n", f"POST /runs HTTP/1.1\r\n{HEAD}Content-Length: -1\r\n\r\n",
    f"POST /runs HTTP/1.1\r\n{HEAD}Content-Length: 99999999999999999999999\r\n\r\n"])
def test_hopeless(server, text):
    """What libmicrohttpd itself refuses, in its own words or by hanging up."""
    answer = ask(server, text)
    assert answer is None or answer.status in (400, 413, 414, 431, 505)
    assert harness.Client(server).get("/healthz").status_code == 200


def test_unknown_routes_and_methods(nobody):
    for path in ("/nowhere", "/runs/a/b/c", "/api/api/runs", "/t/x/t/y/runs", "/runs%2F", "/run%73x", "/" + "a/" * 40,
                 "/api/nothing", "/emissions/batch/x"):
        nobody.get(path, 404)
    nobody.get("/run%73/" + harness.UNKNOWN_ID, 404)  # %73 is s
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "BREW"):
        answer = nobody.request(method, "/runs", 405)
        assert answer.headers["Allow"] == "POST, GET, HEAD, OPTIONS"


def test_long_urls(nobody):
    nobody.get("/healthz?" + "x" * 4000)
    nobody.get("/healthz?" + "x" * 5000, 414)
    nobody.get("/" + "x" * 5000, 414)


def test_http_1_0_needs_no_host(server):
    answer = ask(server, "GET / HTTP/1.0\r\n\r\n")
    assert answer.status == 200 and answer.json() == {"status": "OK"}


def test_absolute_form(server):
    """As a proxy would get it. The host of the target counts, not the header (RFC 9112, 3.2.2)."""
    for target, status in (("http://carbond.test/", 200), ("http://carbond.test", 200), ("HTTP://[::1]:80/healthz?x=1", 200),
                           ("https://carbond.test/nowhere", 404), ("http://carbond.test/runs/x", 422)):
        assert ask(server, f"GET {target} HTTP/1.1\r\n{HEAD}\r\n").status == status, target
    login = "email=a%40b.example&password=x"
    for target, status in (("http://here.example/auth/login", 401), ("http://there.example/auth/login", 403)):
        answer = ask(server, f"POST {target} HTTP/1.1\r\nHost: elsewhere.example\r\nOrigin: http://here.example\r\n"
                             "Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n"
                             f"Content-Length: {len(login)}\r\n\r\n{login}")
        assert answer.status == status, target


def test_options_of_the_server(server):
    answer = ask(server, f"OPTIONS * HTTP/1.1\r\n{HEAD}\r\n")
    assert answer.status == 204
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"}


def test_clients_that_only_listen_from_then_on(server, tree):
    """A request and the end of what the client has to say (SHUT_WR): it is answered all the same, whoever answers."""
    token = f"Authorization: {tree.client.session.headers['Authorization']}\r\n"
    body = json.dumps(harness.emission_body(tree.run["id"]))
    requests = {"worker": (f"GET /projects/{tree.project['id']} HTTP/1.1\r\n{HEAD}{token}\r\n", 200),
                "list": (f"GET /organizations HTTP/1.1\r\n{HEAD}{token}\r\n", 200),
                "writer": (f"POST /emissions HTTP/1.1\r\n{HEAD}{token}Content-Length: {len(body)}\r\n\r\n{body}", 201),
                "event thread": (f"GET / HTTP/1.1\r\n{HEAD}\r\n", 200),
                "refusal": (f"POST /nowhere HTTP/1.1\r\n{HEAD}Content-Length: {len(body)}\r\n\r\n{body}", 404)}
    for who, (text, status) in requests.items():
        for _ in range(20):
            with harness.RawConnection(server) as connection:
                connection.send(text.encode())
                connection.socket.shutdown(socket.SHUT_WR)
                answer = connection.answer()
                assert answer is not None and answer.status == status, who
                assert connection.closed()


def test_keep_alive_and_close(server):
    with harness.RawConnection(server) as connection:
        for _ in range(3):
            connection.send(f"GET / HTTP/1.1\r\n{HEAD}\r\n".encode())
            assert connection.answer().status == 200
        connection.send(f"GET / HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())
        assert connection.answer().status == 200
        assert connection.closed()


def test_pipelining(server):
    with harness.RawConnection(server) as connection:
        connection.send(f"GET / HTTP/1.1\r\n{HEAD}\r\nGET /readyz HTTP/1.1\r\n{HEAD}\r\n"
                        f"GET /nowhere HTTP/1.1\r\n{HEAD}\r\nGET /healthz HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert [connection.answer().status for _ in range(4)] == [200, 200, 404, 200]


def test_refused_body_leaves_the_connection_usable(server):
    with harness.RawConnection(server) as connection:
        connection.send(f"POST /nowhere HTTP/1.1\r\n{HEAD}Content-Length: 100000\r\n\r\n".encode() + b"x" * 100000)
        assert connection.answer().status == 404
        connection.send(f"GET / HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert connection.answer().status == 200


def test_expect_continue(tree, server):
    token = tree.client.session.headers["Authorization"]
    body = json.dumps({"name": "n", "description": "d"})
    with harness.RawConnection(server) as connection:
        connection.send(f"POST /organizations HTTP/1.1\r\n{HEAD}Authorization: {token}\r\nContent-Length: {len(body)}\r\n"
                        "Expect: 100-continue\r\n\r\n".encode())
        connection._more()
        assert connection.buffer.startswith(b"HTTP/1.1 100 ")
        connection.buffer = b""
        connection.send(body.encode())
        assert connection.answer().status == 201
    with harness.RawConnection(server) as connection:
        connection.send(f"POST /organizations HTTP/1.1\r\n{HEAD}Content-Length: 9999999\r\n"
                        "Expect: 100-continue\r\n\r\n".encode())
        assert connection.answer().status == 413  # before a byte of the body is sent
        assert connection.closed()


def test_chunked_body(tree):
    body = json.dumps({"name": "n", "description": "d"}).encode()
    response = tree.client.request("POST", "/organizations", 201, data=iter([body[:5], body[5:]]),
                                   headers={"Content-Type": "application/json"})
    assert response.json()["name"] == "n"


def test_clients_that_leave(server, tree, unchanged):
    for text in (f"POST /runs HTTP/1.1\r\n{HEAD}Content-Length: 500\r\n\r\n{{", "GET / HT", f"GET / HTTP/1.1\r\n{HEAD}", "",
                 f"POST /runs HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nab"):
        with harness.RawConnection(server) as connection:
            connection.send(text.encode())
    with harness.RawConnection(server) as connection:  # while the answer is made
        connection.send(f"GET /projects/{tree.project['id']}/sums HTTP/1.1\r\n{HEAD}\r\n".encode())
    tree.client.get("/healthz")


def test_compression(whole_list, tree):
    for accept, expected in (("gzip", "gzip"), ("gzip;q=0", None), ("*", "gzip"), ("identity", None), ("", None),
                             ("br, GZIP;q=0.5", "gzip"), ("*;q=0", None)):
        response = tree.client.session.get(tree.world.server.url + whole_list, stream=True, timeout=20,
                                           headers={"Accept-Encoding": accept})
        raw = response.raw.read(decode_content=False)
        assert response.headers.get("Content-Encoding") == expected, accept
        assert "Accept-Encoding" in response.headers["Vary"]
        text = gzip.decompress(raw) if expected else raw
        assert len(json.loads(text)) == 20
        assert int(response.headers["Content-Length"]) == len(raw)
    assert "Content-Encoding" not in tree.client.get("/readyz", headers={"Accept-Encoding": "gzip"}).headers


@pytest.fixture
def whole_list(world, tree):
    for _ in range(19):
        world.run(tree.admin, tree.experiment)
    return f"/experiments/{tree.experiment['id']}/runs"


# -- CORS -------------------------------------------------------------------------------------------------------------

ORIGIN = {"Origin": harness.DASHBOARD}


def test_configured_origin_may_read_everything(nobody, tree):
    for client, path, status in ((nobody, "/", 200), (nobody, "/nowhere", 404), (nobody, "/organizations", 401),
                                 (tree.client, "/organizations", 200), (tree.client, "/runs/x", 422)):
        headers = client.get(path, status, headers=ORIGIN).headers
        assert headers["Access-Control-Allow-Origin"] == harness.DASHBOARD
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert "Origin" in headers["Vary"]
    assert nobody.request("PUT", "/runs", 405, headers=ORIGIN).headers["Access-Control-Allow-Origin"]
    assert nobody.request("POST", "/runs", 413, data=b" " * 99999, headers=ORIGIN).headers["Access-Control-Allow-Origin"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", harness.DASHBOARD + ".evil.example",
                                    harness.DASHBOARD + "/", "https://dashboard.exampl", ""])
def test_other_origins_may_not(nobody, origin):
    headers = nobody.get("/", headers={"Origin": origin}).headers
    assert "Access-Control-Allow-Origin" not in headers and "Access-Control-Allow-Credentials" not in headers


def test_preflight_without_credentials(nobody, tables):
    for route in tables["routes"]:
        response = nobody.request("OPTIONS", route["path"].replace("{", "").replace("}", ""), 204, headers={
            **ORIGIN, "Access-Control-Request-Method": route["method"],
            "Access-Control-Request-Headers": "content-type,x-api-token,authorization"})
        assert route["method"] in response.headers["Access-Control-Allow-Methods"].split(", ")
        allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"content-type", "x-api-token", "authorization"} <= set(allowed)
        assert response.headers["Access-Control-Allow-Origin"] == harness.DASHBOARD


def test_headers_of_every_answer(nobody):
    for path, status in (("/", 200), ("/nowhere", 404), ("/auth/login", 200)):
        headers = nobody.get(path, status).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in nobody.get("/auth/login").headers["Content-Security-Policy"]


def test_a_chunked_body_of_any_size_is_answered(tree):
    """Python sends a generator in chunks; the refusal is read, also a step beyond the limit."""
    headers = {"Content-Type": "application/x-ndjson"}
    for size, status in ((16 << 20, 200), ((16 << 20) + 1, 413), (17 << 20, 413)):
        pieces = (b" " * min(1 << 16, size - begin) for begin in range(0, size, 1 << 16))
        tree.client.request("POST", "/emissions/batch", status, data=pieces, headers=headers)


def test_memory_of_all_bodies_together(carbond_binary, database, jwt_key_file):
    """Each is within its own limit; what is too much for all of them is refused, and taken later."""
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--body-memory", "16") as server:
        tree = harness.Tree(harness.World(server))
        head = (f"POST /emissions/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n"
                f"Authorization: {tree.client.session.headers['Authorization']}\r\n\r\n")
        size = 15 << 20
        with harness.RawConnection(server) as first, harness.RawConnection(server) as second:
            first.send((head % size).encode() + b" " * (size - 1))
            harness.all_is_read(server, first)
            second.send((head % (2 << 20)).encode() + b" " * (2 << 20))
            answer = second.answer()
            assert answer.status == 503 and answer.headers["retry-after"]
            first.send(b"\n")
            assert first.answer().status == 200

        def is_taken():
            with harness.RawConnection(server) as third:
                third.send((head % size).encode() + b" " * size)
                return third.answer().status == 200
        harness.until(is_taken)  # a body's memory is given back a moment after its answer
