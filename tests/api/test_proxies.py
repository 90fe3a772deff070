"""Behind proxies: who the client is, as the log, the limits and the cookies see it."""

import re

import pytest

import harness

TRUSTED = ("127.0.0.1", "10.0.0.0/8", "2001:db8:aa::/48")


@pytest.fixture(scope="module")
def proxied(carbond_binary, database, jwt_key_file):
    options = [word for network in TRUSTED for word in ("--trusted-proxy", network)]
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, *options) as server:
        yield server


@pytest.fixture
def direct(carbond_binary, database):
    with harness.Server(carbond_binary, database, "--trusted-proxy", "192.0.2.0/24") as server:
        yield server


def ask(server, *headers):
    """Who the server takes the client for, and its answer. The headers are sent as they are."""
    path = "/" + harness.unique("x").replace(" ", "-")
    lines = "".join(f"{header}\r\n" for header in headers)
    answer = harness.raw(server, f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    line = harness.until(lambda: next((line for line in server.log_lines() if path in line), None), 20, "its line")
    return harness.logged(line, "client"), answer


def forwarded_for(*lists):
    return [f"X-Forwarded-For: {entries}" for entries in lists]


@pytest.mark.parametrize("lists, client", [
    ([], "127.0.0.1"),
    (["198.51.100.7"], "198.51.100.7"),
    (["198.51.100.7:4711"], "198.51.100.7"),
    (["2001:db8::7"], "2001:db8::7"),
    (["[2001:db8::7]"], "2001:db8::7"),
    (["[2001:DB8::7]:4711"], "2001:db8::7"),
    (["::ffff:198.51.100.7"], "198.51.100.7"),
    # What stands further left may be the client's own invention.
    (["203.0.113.1, 198.51.100.7"], "198.51.100.7"),
    (["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
    (["what, ever,198.51.100.7"], "198.51.100.7"),
    (["203.0.113.1", "198.51.100.7"], "198.51.100.7"),
    (["203.0.113.1, 198.51.100.7", "10.1.1.1"], "198.51.100.7"),
    # Proxies behind proxies.
    (["198.51.100.7, 10.1.1.1"], "198.51.100.7"),
    (["198.51.100.7,10.1.1.1,2001:db8:aa::1 ,\t10.2.2.2"], "198.51.100.7"),
    (["203.0.113.1, 198.51.100.7, 10.1.1.1", "2001:db8:aa:1::, 10.2.2.2"], "198.51.100.7"),
    (["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
    # No address: the proxy that let it pass is the client.
    (["unknown"], "127.0.0.1"),
    ([""], "127.0.0.1"),
    ([","], "127.0.0.1"),
    (["198.51.100.7,"], "127.0.0.1"),
    (["198.51.100.7, 10.1.1.1, proxy.example"], "127.0.0.1"),
    (["198.51.100.7, , 10.1.1.1"], "10.1.1.1"),
    (["198.51.100.777"], "127.0.0.1"),
    (["198.51.100.7 10.1.1.1"], "127.0.0.1"),
    (["x" * 5000], "127.0.0.1"),
    # More than honest ways have: the last ones are followed.
    ([",".join(["10.1.1.1"] * 500)], "10.1.1.1"),
    ([",".join(["198.51.100.9"] * 500) + ", 198.51.100.7"], "198.51.100.7"),
    (["198.51.100.9"] * 50 + ["198.51.100.7"], "198.51.100.7"),
    (["198.51.100.9"] + ["10.1.1.1"] * 50, "10.1.1.1"),
    (["198.51.100.9"] + ["10.1.1.1"] * 6 + ["10.2.2.2"], "198.51.100.9"),
])
def test_client_behind_proxies(proxied, lists, client):
    found, answer = ask(proxied, *forwarded_for(*lists))
    assert found == client and answer.status == 404


def test_the_name_is_spelt_as_one_likes(proxied):
    assert ask(proxied, "x-FORWARDED-for: 198.51.100.7")[0] == "198.51.100.7"


def test_other_headers_name_no_client(proxied):
    headers = ["Forwarded: for=198.51.100.7", "X-Real-IP: 198.51.100.7", "X-Forwarded-For-Real: 198.51.100.7"]
    assert ask(proxied, *headers)[0] == "127.0.0.1"


def test_whoever_is_no_proxy_is_not_believed(direct):
    for address in ("198.51.100.7", "192.0.2.1", "10.1.1.1"):
        assert ask(direct, *forwarded_for(address))[0] == "127.0.0.1"
    warnings = [line for line in direct.log_lines() if "trusted-proxy" in line]
    assert len(warnings) == 1 and harness.logged(warnings[0], "peer") == "127.0.0.1"


def test_limits_cannot_be_dodged(carbond_binary, database):
    with harness.Server(carbond_binary, database, "--rate-sign-in", "2/h") as server:
        for number, status in enumerate((401, 401, 429, 429)):
            harness.Client(server).post("/authenticate", {"email": "x@example.org", "password": "wrong horse"}, status,
                                        headers={"X-Forwarded-For": f"198.51.100.{number}", "Forwarded": "for=192.0.2.1"})


def test_from_the_environment(carbond_binary, database):
    with harness.Server(carbond_binary, database,
                        environment={"CARBOND_TRUSTED_PROXY": "192.0.2.0/24, 127.0.0.0/8"}) as server:
        assert ask(server, *forwarded_for("198.51.100.7, 192.0.2.1"))[0] == "198.51.100.7"


@pytest.fixture(scope="module")
def user(world):
    return world.user(password="correct horse")


def cookie_from(server, user, headers, secure=False):
    """The attributes of the cookie that a session gets; the sign-in page came from where the session is to be."""
    server.secrets.add(user.password)
    origin = server.url.replace("http:", "https:") if secure else server.url
    response = harness.Client(server).request("POST", "/auth/login", 200, headers={"Origin": origin, **headers},
                                              json={"email": user.email, "password": user.password})
    secret, *attributes = response.headers["Set-Cookie"].split("; ")
    server.secrets.add(re.sub("^[^=]*=", "", secret))
    return attributes


@pytest.mark.parametrize("value, secure", [(None, False), ("https", True), ("HTTPS", True), ("http", False),
                                           ("http, https", True), ("https, http", False), ("https,", False),
                                           ("httpsx", False), ("", False)])
def test_cookies_are_secure_over_tls(proxied, user, value, secure):
    headers = {} if value is None else {"X-Forwarded-Proto": value}
    assert ("Secure" in cookie_from(proxied, user, headers, secure)) == secure


def test_tls_is_not_believed_of_others(direct, user):
    assert "Secure" not in cookie_from(direct, user, {"X-Forwarded-Proto": "https"})
