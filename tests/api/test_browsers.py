"""What browsers are told and asked: the headers of every answer, the Origin of every write, and the session's cookie."""

import base64
import hashlib
import re

import pytest

import harness

EVERYWHERE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
EVIL = {"Origin": "https://evil.example"}
OURS = {"Origin": harness.DASHBOARD}


def check_headers(response):
    expected = dict(EVERYWHERE)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        expected.pop("Content-Security-Policy")
    assert {name: response.headers.get(name) for name in expected} == expected


def session(world, user):
    response = world.nobody.request("POST", "/auth/login", 200, headers=OURS,
                                    json={"email": user.email, "password": user.password})
    return world.client(cookie=response.headers["Set-Cookie"].split(";")[0].removeprefix("user_session="))


@pytest.fixture(scope="module")
def signed_in(world):
    return session(world, world.user(password="correct horse"))


def url_of(route):
    """Of nothing that is there."""
    return re.sub(r"{\w+}", harness.UNKNOWN_ID, route["path"])


# -- headers ----------------------------------------------------------------------------------------------------------

def test_headers_of_every_route(tables, world, signed_in):
    """Whoever asks, and whatever is answered."""
    user = world.user().client
    for route in tables["routes"]:
        for client in (world.nobody, user, signed_in):
            if route["path"] != "/auth/logout":  # the session is needed for others
                check_headers(client.request(route["method"], url_of(route), json={}, headers=OURS))
        check_headers(world.nobody.request("OPTIONS", url_of(route)))


def test_headers_of_other_answers(world, tree):
    nobody, client = world.nobody, tree.client
    check_headers(nobody.get("/nowhere", 404))
    check_headers(nobody.request("PUT", "/runs", 405))
    check_headers(nobody.request("HEAD", "/healthz", 200))
    check_headers(client.request("POST", "/runs", 413, data=b" " * 99999))
    check_headers(client.request("POST", "/runs", 415, data=b"x", headers={"Content-Type": "text/plain"}))
    check_headers(client.post("/emissions", harness.emission_body(tree.run["id"])))
    check_headers(client.get("/openapi.yaml", headers={"Accept-Encoding": "gzip"}))
    with world.database.runs(tree.experiment, 200):
        streamed = client.get(f"/experiments/{tree.experiment['id']}/runs")
    assert streamed.headers["Transfer-Encoding"] == "chunked"
    check_headers(streamed)
    check_headers(harness.requests.get(world.server.monitor_url + "/metrics", timeout=20))
    refused = harness.raw(world.server, b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert {name: refused.headers.get(name.lower()) for name in EVERYWHERE} == EVERYWHERE


def directives(policy):
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


def test_pages_run_nothing(world, open_world, signed_in):
    """Their one style is known by its hash. A form's answer redirects to the front end, which browsers hold to form-action."""
    for client, page_of, targets in ((world.nobody, "form", ["'self'"]), (signed_in, "signed in", ["'self'"]),
                                     (open_world.nobody, "form", ["'self'", harness.DASHBOARD])):
        page = client.get("/auth/login")
        assert page_of in page.text
        (style,) = re.findall("<style>(.*?)</style>", page.text, re.S)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert directives(page.headers["Content-Security-Policy"]) == {
            "default-src": ["'none'"], "base-uri": ["'none'"], "frame-ancestors": ["'none'"],
            "style-src": [f"'sha256-{digest}'"], "form-action": targets}
        assert "style=" not in page.text and "<script" not in page.text
    wrong = world.nobody.request("POST", "/auth/login", 401, headers=OURS,
                                 data={"email": "nobody@example.org", "password": "wrong horse"})
    assert "style-src 'sha256-" in wrong.headers["Content-Security-Policy"]


# -- the Origin of writes -----------------------------------------------------------------------------------------------

def writes(tables):
    return [route for route in tables["routes"] if route["method"] != "GET"]


def test_every_write_by_cookie_needs_an_origin(tables, signed_in, unchanged):
    """The refusal of a foreign or missing origin comes before anything is looked at."""
    for route in writes(tables):
        for headers in (None, EVIL, {"Origin": "null"}, {"Origin": harness.DASHBOARD + ".evil.example"}):
            answer = signed_in.request(route["method"], url_of(route), 403, json={}, headers=headers)
            assert "Origin" in answer.json()["detail"], route


def test_with_an_origin_of_ours_every_write_goes_on(tables, world):
    client = session(world, world.user(password="correct horse"))
    for route in writes(tables):
        if route["path"] == "/auth/logout":
            continue
        for headers in (OURS, {"Origin": world.server.url}):
            answer = client.request(route["method"], url_of(route), json={}, headers=headers)
            assert "Origin" not in answer.text, route


def test_reads_by_cookie_need_none(signed_in):
    signed_in.get("/organizations")
    signed_in.get("/organizations", headers=EVIL)  # which its page cannot read: test_http.py


def test_tokens_need_no_origin(world, tree):
    """No browser sends them by itself."""
    token = world.project_token(tree.admin, tree.project)["token"]
    for client in (world.client(token=token), world.client(url_token=token), tree.client):
        client.post("/emissions", harness.emission_body(tree.run["id"]), headers=EVIL)


def test_without_authentication_other_sites_may_not_write(carbond_binary, new_database, tables):
    """Every page that its user looks at reaches a server on loopback."""
    database = new_database()
    with harness.Server(carbond_binary, database, "--auth", "none", "--cors-origin", harness.DASHBOARD) as server:
        client = harness.Client(server)
        organization = client.post("/organizations", {"name": "o", "description": "d"}).json()
        project = client.post("/projects", {"name": "p", "description": "d", "organization_id": organization["id"]}).json()
        experiment = client.post("/experiments", {"name": "e", "description": "d", "project_id": project["id"]}).json()
        run = client.post("/runs", harness.run_body(experiment["id"])).json()
        before = database.contents()
        for route in writes(tables):
            if not route["path"].startswith(("/auth", "/user")):
                client.request(route["method"], url_of(route), 403, json={}, headers=EVIL)
        emission = harness.emission_body(run["id"])
        client.post("/emissions", emission, 403, headers=EVIL)
        client.request("POST", "/emissions/batch", 403, json={"emissions": []}, headers=EVIL)
        assert database.contents() == before
        for headers in (None, OURS, {"Origin": server.url}):
            client.post("/emissions", emission, headers=headers)


def test_without_authentication_a_strange_name_leads_nowhere(carbond_binary, new_database):
    """A page of a name that its owner has let lead to this host is of our own origin, as far as its browser knows."""
    with harness.Server(carbond_binary, new_database(), "--auth", "none", "--cors-origin", harness.DASHBOARD) as server:
        def ask(host, line="GET /organizations HTTP/1.1"):
            return harness.raw(server, f"{line}\r\nHost: {host}\r\n\r\n".encode()).status

        for host in ("evil.example", "evil.example:8008", "localhost.evil.example", "127.0.0.1.evil.example", "[::1].evil.example"):
            assert (ask(host), ask("localhost", f"GET http://{host}/users HTTP/1.1")) == (403, 403)
            harness.Client(server).post("/organizations", {"name": "o", "description": "d"}, 403,
                                        headers={"Host": host, "Origin": f"http://{host}"})
        for host in ("localhost", "LOCALHOST:8008", "127.0.0.1", "127.0.0.1:8008", "[::1]:8008", "dashboard.example"):
            assert ask(host) == 200
        assert harness.raw(server, b"GET /organizations HTTP/1.0\r\n\r\n").status == 200
    with harness.Server(carbond_binary, new_database(), "--auth", "none", "--auth-none-anywhere", "true") as server:
        assert ask("carbond.intranet.example") == 200


# -- the cookie -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("option, attribute", [("lax", "SameSite=Lax"), ("strict", "SameSite=Strict")])
def test_samesite(carbond_binary, database, option, attribute):
    with harness.Server(carbond_binary, database, "--cookie-samesite", option) as server:
        world = harness.World(server)
        user = world.user(password="correct horse")
        response = world.nobody.request("POST", "/auth/login", 200, headers={"Origin": server.url},
                                        json={"email": user.email, "password": "correct horse"})
        name, *attributes = response.headers["Set-Cookie"].split("; ")
        server.secrets.add(name.removeprefix("user_session="))
        assert attributes == ["Path=/", "HttpOnly", attribute, "Max-Age=604800"]  # not Secure: it came without TLS


def test_sessions_are_new_each_time_and_stored_as_hashes(world):
    user = world.user(password="correct horse")
    cookies = [session(world, user).session.headers["Cookie"].removeprefix("user_session=") for _ in range(2)]
    assert len(set(cookies)) == 2 and all(re.fullmatch(r"ses_[\w-]{43}", cookie) for cookie in cookies)
    stored = {bytes(digest) for digest, in world.database.query(
        "select token_hash from sessions where user_id = %s", user.id)}
    assert stored == {hashlib.sha256(cookie.encode()).digest() for cookie in cookies}


def test_a_new_password_ends_all_that_the_old_one_gave(world):
    user = world.user(password="correct horse")
    sessions = [session(world, user) for _ in range(2)]
    body = {"email": user.email, "password": user.password}
    given = world.client(bearer=world.nobody.post("/authenticate", body, 200).json()["access_token"])
    made = world.client(bearer=world.user_token(user)["token"])
    world.command("user", "passwd", "--email", user.email, "--password-stdin", stdin="battery staple")
    for client in (*sessions, given):
        client.get("/organizations", 401)
    made.get("/organizations")  # a tracker's, say: its user revokes it if that is meant


def test_signing_out_ends_this_session_alone(world):
    user = world.user(password="correct horse")
    one, other = session(world, user), session(world, user)
    one.request("POST", "/auth/logout", 200, headers=OURS)
    one.get("/organizations", 401)
    other.get("/organizations")
