"""Bytes that no decent client sends. Whatever comes: the server lives, others are answered meanwhile, answers are whole and
as many as there were requests, and what two programs could understand differently is refused and ends its connection.

Some seconds of random damage are part of script/test. For longer: HOSTILE_SECONDS=600 script/test --quick -- -k random_damage
It prints its seed; HOSTILE_SEED=... does the same again."""

import concurrent.futures
import json
import os
import random
import re
import socket
import struct
import time
import uuid

import pytest

import harness

SECONDS = float(os.environ.get("HOSTILE_SECONDS", 5))
SEED = int(os.environ.get("HOSTILE_SEED", random.SystemRandom().randrange(1 << 32)))
PATIENCE = 30  # s, for what must come
AT_ONCE = 16   # damaged requests
QUIET = 0.02   # s without a byte, after which no more is waited for; nothing that is asserted depends on it
CLOSE = b"Connection: close\r\n"
REFUSALS = {400, 413, 414, 431, 501, 505}


# -- answers, read strictly --------------------------------------------------------------------------------------------

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]+")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): *([ -~]*)")


def read_answers(data, methods=()):
    """All answers of a connection, as (status, headers, body); fails where there is a byte that belongs to none.
    The last one may be cut, if the server hung up: it is left out."""
    answers = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            break
        first, *lines = head.split(b"\r\n")
        status_line = STATUS_LINE.fullmatch(first)
        assert status_line, f"not a status line: {first[:200]}"
        fields = [FIELD.fullmatch(line) for line in lines]
        assert all(fields), f"not a header: {lines}"
        headers = {field[1].decode().lower(): field[2].decode() for field in fields}
        assert len(headers) == len(fields), f"a header comes twice: {lines}"
        status = int(status_line[1])
        if status == 100:
            data = rest
            continue
        body, rest = take_body(rest, headers, status, methods[len(answers)] if len(answers) < len(methods) else b"")
        if body is None:
            break
        answers.append((status, headers, body))
        data = rest
    return answers


def take_body(data, headers, status, method):
    """The body and what follows it; None and nothing if it is cut."""
    if status in (204, 304) or method == b"HEAD":
        return b"", data
    if "transfer-encoding" not in headers:
        size = int(headers["content-length"])
        return (data[:size], data[size:]) if len(data) >= size else (None, b"")
    body = b""
    while True:
        size, end, data = data.partition(b"\r\n")
        if not end or len(data) < int(size, 16) + 2:
            return None, b""
        if int(size, 16) == 0:
            return body, data[2:]
        body += data[:int(size, 16)]
        assert data[int(size, 16):][:2] == b"\r\n"
        data = data[int(size, 16) + 2:]


# -- requests, read strictly -------------------------------------------------------------------------------------------

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) [!-~\x80-\xff]+ HTTP/1\.([0-9])")
REQUEST_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")


def read_requests(data):
    """The methods of the whole and well-formed requests (RFC 9112) that the bytes begin with. Since libmicrohttpd writes NULs
    over CR and LF, the server cannot tell a NUL before LF from a CR; nothing can hide between them."""
    methods, data = [], data.replace(b"\0\n", b"\r\n")
    while True:
        data = data[re.match(rb"(\r?\n)*", data).end():]  # empty lines before a request are nothing, with a CR or without
        head, end, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        line, fields = REQUEST_LINE.fullmatch(first), [REQUEST_FIELD.fullmatch(field) for field in lines]
        if not end or not line or not all(fields):
            return methods
        rest = after_body(rest, [(field[1].lower(), field[2]) for field in fields], line[2])
        if rest is None:
            return methods
        methods.append(line[1])
        data = rest


def after_body(data, fields, version):
    """What follows the body; None if it is not whole, or its end unclear."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    hosts = [value for name, value in fields if name == b"host"]
    if len(lengths) + len(codings) > 1 or len(hosts) > 1 or (not hosts and version != b"0"):
        return None
    if codings:
        return after_chunks(data) if codings[0].lower() == b"chunked" and version != b"0" else None
    if not lengths:
        return data
    size = int(lengths[0]) if re.fullmatch(rb"\d+", lengths[0]) else len(data) + 1
    return data[size:] if size <= len(data) else None


def after_chunks(data):
    """libmicrohttpd takes a bare LF for the end of a line here: that is why it is the connection's last request."""
    while True:
        found = re.match(rb"([0-9A-Fa-f]+)(;[^\n]*)?\r?\n", data)
        size = int(found[1], 16) if found else 0
        if not found or len(data) < found.end() + size:
            return None
        data = data[found.end() + size:]
        if size == 0:
            trailer = re.match(rb"([^\n]+\n)*?\r?\n", data)
            return data[trailer.end():] if trailer else None
        newline = re.match(rb"\r?\n", data)
        if not newline:
            return None
        data = data[newline.end():]


# -- what is asked -----------------------------------------------------------------------------------------------------

class Site:
    """A server of its own, with a run, and a token that may write its emissions."""

    def __init__(self, server):
        self.server = server
        self.tree = harness.Tree(harness.World(server))
        self.token = self.tree.world.project_token(self.tree.admin, self.tree.project)["token"]

    def count(self):
        return self.server.database.value("SELECT count(*) FROM emissions")

    def check(self):
        """The server lives, and whoever behaves is answered."""
        assert self.server.process.poll() is None, self.server.log()[-20000:]
        answer = harness.raw(self.server, b"GET /healthz HTTP/1.1\r\nHost: carbond.test\r\n\r\n")
        assert answer is not None and answer.status == 200 and answer.json() == {"status": "ok"}

    def emission(self, **changes):
        return json.dumps(harness.emission_body(self.tree.run["id"], **changes)).encode()

    def request(self, line=b"POST /emissions HTTP/1.1", host=b"Host: carbond.test\r\n", framing=None, more=b"", body=None):
        """An emission that would be stored; parts of the request as the caller likes them."""
        body = self.emission() if body is None else body
        framing = b"Content-Length: %d\r\n" % len(body) if framing is None else framing.replace(b"SIZE", b"%d" % len(body))
        return b"%s\r\n%s%sx-api-token: %s\r\n%s\r\n%s" % (line, host, more, self.token.encode(), framing, body)

    def exchange(self, data, leave_open=False):
        """Everything that the server has to say until it hangs up. Unless it must do that by itself, the client says that
        it has no more to say, as soon as there is some quiet."""
        with harness.RawConnection(self.server) as connection:
            connection.send(data)
            said, end = self._listen(connection.socket, PATIENCE if leave_open else QUIET)
            if not end:
                assert not leave_open, f"the server keeps the connection; it said {said}"
                connection.socket.shutdown(socket.SHUT_WR)
                more, end = self._listen(connection.socket, PATIENCE)
                said += more
                assert end, "a client that has no more to say is kept waiting"
        return said

    @staticmethod
    def _listen(client, patience):
        client.settimeout(patience)
        said = b""
        try:
            while data := client.recv(1 << 16):
                said += data
        except socket.timeout:
            return said, False
        except ConnectionError:
            pass
        return said, True


@pytest.fixture(scope="module")
def site(carbond_binary, new_database, jwt_key_file):
    # A chunk's head for which libmicrohttpd has no room is not read to its end: the deadline ends it.
    with harness.Server(carbond_binary, new_database(), "--jwt-hs256-key-file", jwt_key_file, "--body-timeout", "2") as server:
        yield Site(server)


def chunked(body):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


# -- smuggling ---------------------------------------------------------------------------------------------------------

LINES = {
    "lower-case version": b"POST /emissions http/1.1",
    "no version": b"POST /emissions",
    "version with more digits": b"POST /emissions HTTP/1.11",
    "version of another major": b"POST /emissions HTTP/2.0",
    "blank behind the version": b"POST /emissions HTTP/1.1 ",
    "two blanks": b"POST  /emissions HTTP/1.1",
    "two blanks before the version": b"POST /emissions  HTTP/1.1",
    "blank in the target": b"POST /emissions /x HTTP/1.1",
    "NUL in the target": b"POST /emissions\0/x HTTP/1.1",
    "NUL in the method": b"POST\0X /emissions HTTP/1.1",
    "control character in the method": b"PO\x01ST /emissions HTTP/1.1",
    "colon in the method": b"PO:ST /emissions HTTP/1.1",
    "CR in the target": b"POST /emissions?a=\rb HTTP/1.1",
    "tab in the target": b"POST /emissions?a=\tb HTTP/1.1",
    "DEL in the target": b"POST /emissions?a=\x7fb HTTP/1.1",
    "fragment": b"POST /emissions#x HTTP/1.1",
    "bare LF": b"POST /emissions HTTP/1.1\nX: y",
    "folded first line": b"POST /emissions\r\n HTTP/1.1",
    "header before the host, folded": b"POST /emissions HTTP/1.1\r\n X: y",
}
HEADERS = {
    "NUL in a value": b"X: a\0b\r\n",
    "NUL at a value's end": b"X: a\0\r\n",
    "NUL in a name": b"X\0Y: a\r\n",
    "NUL before a name": b"\0X: a\r\n",
    "CR in a value": b"X: a\rb\r\n",
    "coding behind CR": b"X: a\rTransfer-Encoding: chunked\r\n",
    "coding behind LF": b"X: a\nTransfer-Encoding: chunked\r\n",
    "length behind CR": b"X: a\rContent-Length: 0\r\n",
    "control character in a value": b"X: \x0b\r\n",
    "DEL in a value": b"X: \x7f\r\n",
    "bare LF": b"X: a\nY: b\r\n",
    "CR alone at the end": b"X: a\r\r\n",
    "folded": b"X: a\r\n b\r\n",
    "folded with a tab": b"X: a\r\n\tb\r\n",
    "folded to nothing": b"X: a\r\n \r\n",
    "coding in a fold": b"X: a\r\n Transfer-Encoding: chunked\r\n",
    "blank before the colon": b"X : a\r\n",
    "blank before the name": b" X: a\r\n",
    "no colon": b"X\r\n",
    "no name": b": a\r\n",
    "only a colon": b":\r\n",
    "odd name": b"X(Y): a\r\n",
    "name beyond ASCII": b"X\xe9: a\r\n",
}
HOSTS = {
    "none": b"",
    "two": b"Host: carbond.test\r\nHost: carbond.test\r\n",
    "two different ones": b"Host: carbond.test\r\nHost: other.test\r\n",
    "a blank inside": b"Host: carbond.test other.test\r\n",
    "a slash": b"Host: carbond.test/x\r\n",
    "a user": b"Host: user@carbond.test\r\n",
    "NUL inside": b"Host: carbond.test\0other.test\r\n",
}
LENGTHS = {
    "twice": b"Content-Length: SIZE\r\nContent-Length: SIZE\r\n",
    "twice, apart": b"Content-Length: SIZE\r\nX: y\r\nContent-Length: SIZE\r\n",
    "two different ones": b"Content-Length: SIZE\r\nContent-Length: 0\r\n",
    "two different ones, the other way": b"Content-Length: 0\r\nContent-Length: SIZE\r\n",
    "NUL behind": b"Content-Length: SIZE\x000\r\n",
    "NUL before a second one": b"Content-Length: SIZE\0, 0\r\n",
    "blank before the colon": b"Content-Length : SIZE\r\n",
    "tab before the colon": b"Content-Length\t: SIZE\r\n",
    "on the next line": b"Content-Length:\r\n SIZE\r\n",
    "folded": b"Content-Length: SIZE\r\n 0\r\n",
    "bare LF behind": b"Content-Length: SIZE\nX: y\r\n",
}
ODD_NUMBERS = {
    "sign": b"Content-Length: +SIZE\r\n",
    "minus": b"Content-Length: -1\r\n",
    "hexadecimal": b"Content-Length: 0x400\r\n",
    "list": b"Content-Length: SIZE, SIZE\r\n",
    "list of different ones": b"Content-Length: SIZE, 0\r\n",
    "blank inside": b"Content-Length: SIZE 0\r\n",
    "empty": b"Content-Length:\r\n",
    "fraction": b"Content-Length: SIZE.0\r\n",
    "more than 64 bits": b"Content-Length: 18446744073709551616\r\n",
    "a letter behind": b"Content-Length: SIZEx\r\n",
    "vertical tab before": b"Content-Length: \x0bSIZE\r\n",
}
CODINGS = {
    "with a length": b"Transfer-Encoding: chunked\r\nContent-Length: SIZE\r\n",
    "behind a length": b"Content-Length: SIZE\r\nTransfer-Encoding: chunked\r\n",
    "behind a length of nothing": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "and identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "chunked last": b"Transfer-Encoding: gzip, chunked\r\n",
    "chunked first": b"Transfer-Encoding: chunked, identity\r\n",
    "chunked in a list": b"Transfer-Encoding: ,chunked\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "nothing": b"Transfer-Encoding:\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "quoted": b"Transfer-Encoding: \"chunked\"\r\n",
    "blank behind": b"Transfer-Encoding: chunked \r\n",
    "tab behind": b"Transfer-Encoding: chunked\t\r\n",
    "vertical tab before": b"Transfer-Encoding: \x0bchunked\r\n",
    "NUL behind": b"Transfer-Encoding: chunked\0x\r\n",
    "NUL in the name": b"Transfer-Encoding\0: chunked\r\n",
    "blank before the colon": b"Transfer-Encoding : chunked\r\n",
    "on the next line": b"Transfer-Encoding:\r\n chunked\r\n",
    "folded": b"Transfer-Encoding: chunked\r\n x\r\n",
    "in a name's fold": b"Transfer-\r\n Encoding: chunked\r\n",
}
CHUNKS = {
    "sign": b"+SIZE\r\nBODY\r\n0\r\n\r\n",
    "minus": b"-SIZE\r\nBODY\r\n0\r\n\r\n",
    "0x": b"0xSIZE\r\nBODY\r\n0\r\n\r\n",
    "blank before": b" SIZE\r\nBODY\r\n0\r\n\r\n",
    "blank behind": b"SIZE \r\nBODY\r\n0\r\n\r\n",
    "tab behind": b"SIZE\t\r\nBODY\r\n0\r\n\r\n",
    "NUL behind": b"SIZE\0\r\nBODY\r\n0\r\n\r\n",
    "CR alone": b"SIZE\rBODY\r\n0\r\n\r\n",
    "more than 64 bits": b"10000000000000SIZE\r\nBODY\r\n0\r\n\r\n",
    "more than all bits": b"fffffffffffffffff\r\nBODY\r\n0\r\n\r\n",
    "no size": b"\r\nBODY\r\n0\r\n\r\n",
    "letters": b"zz\r\nBODY\r\n0\r\n\r\n",
    "no line's end behind the bytes": b"SIZE\r\nBODY0\r\n\r\n",
    "a byte more": b"SIZE\r\nBODY}\r\n0\r\n\r\n",
    "another line in an extension": b"SIZE;\nx\r\nBODY\r\n0\r\n\r\n",
}


def cases(*tables):
    return [pytest.param(value, id=name) for table in tables for name, value in table.items()]


def check_refused(site, data, answers=(1,)):
    """It is refused, nothing is stored, and what stands behind it is no request."""
    before = site.count()
    told = read_answers(site.exchange(data + site.request(more=CLOSE), leave_open=True))
    assert all(status in REFUSALS for status, _, _ in told) and len(told) in answers, told
    assert site.count() == before
    site.check()


@pytest.mark.parametrize("line", cases(LINES))
def test_odd_request_lines(site, line):
    check_refused(site, site.request(line=line))


@pytest.mark.parametrize("more", cases(HEADERS))
def test_odd_headers(site, more):
    check_refused(site, site.request(more=more))


@pytest.mark.parametrize("host", cases(HOSTS))
def test_odd_hosts(site, host):
    check_refused(site, site.request(host=host))


@pytest.mark.parametrize("framing", cases(LENGTHS))
def test_odd_lengths(site, framing):
    check_refused(site, site.request(framing=framing))


@pytest.mark.parametrize("framing", cases(ODD_NUMBERS))
def test_lengths_that_are_no_numbers(site, framing):
    check_refused(site, site.request(framing=framing), answers=(1, 2))


@pytest.mark.parametrize("framing", cases(CODINGS))
def test_odd_codings(site, framing):
    body = site.emission()
    check_refused(site, site.request(framing=framing, body=chunked(body)))
    check_refused(site, site.request(framing=framing, body=body))


@pytest.mark.parametrize("chunks", cases(CHUNKS))
def test_bad_chunks(site, chunks):
    body = site.emission()
    body = chunks.replace(b"SIZE", b"%x" % len(body)).replace(b"BODY", body)
    check_refused(site, site.request(framing=b"Transfer-Encoding: chunked\r\n", body=body))


def test_http_1_0_knows_no_chunks(site):
    check_refused(site, site.request(line=b"POST /emissions HTTP/1.0", framing=b"Transfer-Encoding: chunked\r\n",
                                     body=chunked(site.emission())))


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\nContent-Length: 9\r\n\r\n", b"000\r\n\r\n",
                                 b"0;x=y\r\n\r\n"])
def test_nothing_behind_a_chunked_body_is_read(site, end):
    """Where it ends, a proxy may see otherwise: that must not matter."""
    before, body = site.count(), site.emission()
    data = site.request(framing=b"Transfer-Encoding: chunked\r\n", body=b"%x;x\r\n%s\r\n%s" % (len(body), body, end))
    [(status, headers, _)] = read_answers(site.exchange(data + site.request(more=CLOSE), leave_open=True))
    assert status == 201 and headers["connection"].lower() == "close"
    assert site.count() == before + 1
    site.check()


@pytest.mark.parametrize("parts", [
    {"line": b"\r\n\r\nPOST /emissions HTTP/1.1"}, {"line": b"POST //emissions/?x=%C3%A9&y=\xc3\xa9 HTTP/1.1"},
    {"line": b"POST /emissions HTTP/1.0", "host": b""}, {"host": b"hOST:[::1]:8008\r\n"}, {"host": b"Host:\r\n"},
    {"more": b"X:\r\nY: \r\nZ:\t a \t \r\n"}, {"more": b"X: \xe9\r\n"}, {"more": b"!#$%&'*+-.^_`|~: a:b\r\n"},
    {"more": b"X: " + b"y" * 12000 + b"\r\n"}, {"framing": b"Content-Length:\t0SIZE\r\n"},
    {"framing": b"content-length: SIZE\r\nTransfer_Encoding: chunked\r\nTransfer-Encoding-: x\r\nContent-Length-: x\r\n"},
])
def test_what_is_odd_and_clear_is_taken(site, parts):
    """Strictness refuses no request that can be understood in one way only."""
    parts["more"] = parts.get("more", b"") + CLOSE
    before = site.count()
    [(status, _, _)] = read_answers(site.exchange(site.request(**parts), leave_open=True))
    assert status == 201 and site.count() == before + 1


@pytest.mark.parametrize("lines", [b"\r\n", b"\n", b"\n\r\n\n"], ids=repr)
def test_empty_lines_before_a_request_are_nothing(site, lines):
    """Nothing can hide in them. libmicrohttpd skips them before anybody else sees the request."""
    data = lines + site.request() + lines + site.request(more=CLOSE)
    before = site.count()
    answers = read_answers(site.exchange(data, leave_open=True), [b"POST"] * 2)
    assert [status for status, _, _ in answers] == [201, 201] and read_requests(data) == [b"POST"] * 2
    assert site.count() == before + 2


# -- size --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("data", [
    b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /?" + b"x=y&" * (1 << 18) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"y" * (1 << 20) + b": x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * (1 << 17) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a=b; " * (1 << 17) + b"\r\n\r\n",
    b"x" * (1 << 20),
    b"\0" * (1 << 20),
    b"\r\n" * (1 << 19),
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * (1 << 20),
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * (1 << 20),
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * (1 << 17),
], ids=["target", "query", "value", "name", "headers", "cookies", "no end", "NULs", "empty lines", "chunk's size",
        "chunk's extension", "trailers"])
def test_too_much(site, data):
    for status, _, _ in read_answers(site.exchange(data)):
        assert status in REFUSALS | {408}
    site.check()


# -- several requests --------------------------------------------------------------------------------------------------

def test_pipelined_answers_come_whole_and_in_order(site):
    ids = [str(uuid.uuid4()) for _ in range(40)]
    data, expected = b"", []
    for number, identity in enumerate(ids):
        data += site.request(body=site.emission(id=identity)) + b"GET /nowhere/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number
        data += site.request(body=b"{") + b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        expected += [(201, json.dumps(identity).encode()), (404, None), (422, None), (200, b"")]
    data += b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = read_answers(site.exchange(data, leave_open=True), [b"POST", b"GET", b"POST", b"HEAD"] * len(ids))
    assert [status for status, _, _ in answers] == [status for status, _ in expected] + [200]
    for (_, _, body), (_, wanted) in zip(answers, expected):
        assert wanted is None or body == wanted
    site.check()


def test_after_a_refusal_the_connection_ends(site):
    """What is pipelined behind it is not answered, however well-formed."""
    good = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    for bad in (b"GET / HTTP/1.1\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", b"BAD\r\n\r\n", b"GET / HTTP/1.1\nHost: x\n\n"):
        answers = read_answers(site.exchange(good + bad + good * 5, leave_open=True))
        assert [status for status, _, _ in answers][:1] == [200] and len(answers) <= 2
        assert all(status in REFUSALS for status, _, _ in answers[1:])
    site.check()


# -- clients that leave ------------------------------------------------------------------------------------------------

def leave(client):
    client.close()


def leave_with_a_reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("how", [leave, leave_with_a_reset])
def test_leaving_at_each_byte(site, how):
    before, data = site.count(), site.request()
    for size in range(len(data)):
        with harness.RawConnection(site.server) as connection:
            connection.send(data[:size])
            how(connection.socket)
        if size % 50 == 0:
            site.check()
    site.check()
    assert site.count() == before


def test_having_no_more_to_say_at_each_byte(site):
    before, data = site.count(), site.request()
    for size in range(0, len(data), 7):
        with harness.RawConnection(site.server) as connection:
            connection.send(data[:size])
            connection.socket.shutdown(socket.SHUT_WR)
            said, end = site._listen(connection.socket, PATIENCE)
            assert end and all(status in REFUSALS for status, _, _ in read_answers(said))
    site.check()
    assert site.count() == before


def test_one_byte_at_a_time(site):
    data = site.request(more=b"X: y\r\nCookie: a=b\r\nAccept-Encoding: gzip\r\n")
    with harness.RawConnection(site.server) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            for byte in data:
                connection.send(bytes([byte]))
            assert connection.answer().status == 201 and not connection.buffer
    site.check()


# -- random damage -----------------------------------------------------------------------------------------------------

TOKENS = [b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b";", b"%", b"%00", b"/", b"?", b"#", b"\x7f", b"\xff",
          b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: ", b"chunked", b"Host: y\r\n",
          b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n",
          b"Content-Encoding: gzip\r\n", b"Content-Type: application/x-ndjson\r\n", b"Cookie: user_session=x\r\n",
          b"Authorization: Bearer a.b.c\r\n", b"HTTP/1.1", b"HTTP/1.0", b"GET ", b"HEAD ", b"OPTIONS ", b"/api", b"/t/x", b"0\r\n\r\n",
          b"5\r\nhello\r\n", b"{", b"}", b"\"", b"\\u0000", b"1e999"]


def recorded(site):
    """The requests of trackers, with a token and ids that are good here."""
    requests = []
    for path in sorted((harness.ROOT / "tests" / "data").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            request = json.loads(line)
            body = request.get("body")
            if isinstance(body, dict):
                body.update({name: site.tree.run["id"] for name in ("run_id",) if name in body})
                body.update({name: site.tree.experiment["id"] for name in ("experiment_id",) if name in body})
            text = b"" if body is None else json.dumps(body).encode()
            head = [f"{request['method']} {request['path']} HTTP/1.1", "Host: carbond.test", f"x-api-token: {site.token}"]
            head += [f"{name}: {value}" for name, value in request["headers"].items()
                     if name.lower() not in ("host", "x-api-token", "content-length")]
            requests.append(("\r\n".join(head) + f"\r\nContent-Length: {len(text)}\r\n\r\n").encode() + text)
    assert len(requests) > 10
    return requests + [site.request(framing=b"Transfer-Encoding: chunked\r\n", body=chunked(site.emission()))]


def damage(chance, data, others):
    """One to four changes, most of them in the head, where most is decided."""
    for _ in range(chance.randint(1, 4)):
        most = data.find(b"\r\n\r\n") + 4 if chance.random() < 0.7 else len(data)
        at = chance.randint(0, max(most, 0))
        end = min(at + chance.choice((1, 1, 2, 5, 40)), len(data))
        data = chance.choice((
            lambda: data[:at] + chance.choice(TOKENS) + data[at:],
            lambda: data[:at] + chance.choice(TOKENS) + data[end:],
            lambda: data[:at] + data[end:],
            lambda: data[:end] + data[at:],
            lambda: data[:at] + bytes([chance.randrange(256)]) + data[at + 1:],
            lambda: data[:at] + chance.choice(others) + data[at:],
            lambda: data + chance.choice(others),
        ))()
    return data


def check_damage(data, said):
    """No more is answered with success than a strict reader finds well-formed requests."""
    methods = read_requests(data)
    answers = read_answers(said, methods)
    good = sum(status < 400 for status, _, _ in answers)
    assert good <= len(methods), f"sent: {data!r}\nanswered: {answers}"
    assert all(status < 500 or status in REFUSALS for status, _, _ in answers), f"sent: {data!r}\nanswered: {answers}"
    return good


def test_random_damage(site):
    print(f"HOSTILE_SEED={SEED}")
    chance, others = random.Random(SEED), recorded(site)
    deadline, sent, taken = time.monotonic() + SECONDS, 0, 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        while sent < 5 * AT_ONCE or time.monotonic() < deadline:
            damaged = [damage(chance, chance.choice(others), others) for _ in range(AT_ONCE)]
            taken += sum(map(check_damage, damaged, pool.map(site.exchange, damaged)))
            sent += AT_ONCE
            site.check()
    print(f"{sent} damaged requests, {taken} answered with success")
