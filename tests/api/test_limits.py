"""Who asks too often gets 429, nobody else does, and not for longer than said. The servers trust this host as a proxy, so
that every test can come from addresses of its own."""

import contextlib
import gzip
import itertools
import json
import pathlib
import re
import time
import uuid

import pytest

import harness
import tool

DASHBOARD = {"Origin": harness.DASHBOARD}
NUMBERS = itertools.count(1)


def new_address():
    """One that nobody has come from yet."""
    return "198.18.{}.{}".format(*divmod(next(NUMBERS), 256))


def new_site():
    """A /64 of IPv6, without its end."""
    return f"2001:db8:0:{next(NUMBERS):x}:"


@contextlib.contextmanager
def serving(binary, database, jwt_key_file, *options):
    with harness.Server(binary, database, "--jwt-hs256-key-file", jwt_key_file, "--cors-origin", harness.DASHBOARD,
                        "--trusted-proxy", "127.0.0.1", *options) as server:
        yield server


@pytest.fixture(scope="module")
def by_token(carbond_binary, database, jwt_key_file):
    with serving(carbond_binary, database, jwt_key_file, "--rate-token", "3/h", "--rate-tracker-token", "4/h",
                 "--rate-credential", "3/h") as server:
        yield server


@pytest.fixture(scope="module")
def by_address(carbond_binary, database, jwt_key_file):
    with serving(carbond_binary, database, jwt_key_file, "--rate-address", "3/h", "--rate-tracker-address", "4/h",
                 "--rate-sign-in", "2/h", "--rate-sign-up", "2/h", "--signup", "open") as server:
        yield server


@pytest.fixture(scope="module")
def by_account(carbond_binary, database, jwt_key_file):
    with serving(carbond_binary, database, jwt_key_file, "--rate-password", "2/h", "--rate-account", "5/h",
                 "--rate-sign-in", "none") as server:
        yield server


@pytest.fixture(scope="module")
def by_second(carbond_binary, database, jwt_key_file):
    with serving(carbond_binary, database, jwt_key_file, "--rate-token", "1/s:2", "--rate-address", "1/s:2",
                 "--rate-password", "12/min:1", "--rate-sign-in", "none") as server:
        yield server


@pytest.fixture
def token(world, tree):
    """Makes project tokens that may do everything."""
    return lambda: world.project_token(tree.admin, tree.project)["token"]


@pytest.fixture
def user(world):
    return world.user(password="correct horse")


def client_at(server, address, **credentials):
    return harness.Client(server, headers={"X-Forwarded-For": address}, **credentials)


def sign_in(server, address, email, password, expect=None):
    server.secrets.add(password)
    response = client_at(server, address).post("/authenticate", {"email": email, "password": password}, expect)
    if response.status_code == 200:
        server.secrets.add(response.json()["access_token"])
    return response


@contextlib.contextmanager
def refusing(server, limit, count):
    """The server says that it refuses so many."""
    def refused():
        text = harness.requests.get(server.monitor_url + "/metrics", timeout=20).text
        return int(re.search(rf'^carbond_limit_refused_total{{limit="{limit}"}} (\d+)$', text, re.M)[1])

    before = refused()
    yield
    assert refused() == before + count


# -- requests -----------------------------------------------------------------------------------------------------------

def test_by_token(by_token, tree, token):
    path = f"/projects/{tree.project['id']}"
    secret = token()
    one, other = harness.Client(by_token, token=secret), harness.Client(by_token, token=token())
    with refusing(by_token, "token", 3):
        for _ in range(3):
            one.get(path)
        response = one.get(path, 429, headers=DASHBOARD)
        assert 0 < int(response.headers["Retry-After"]) <= 1200
        assert "credentials" in response.json()["detail"]
        assert response.headers["Access-Control-Allow-Origin"] == harness.DASHBOARD
        assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]
        one.get("/runs", 429)
        client_at(by_token, new_address(), token=secret).get(path, 429)
        other.get(path)
        harness.Client(by_token).get(path, 401)


def test_every_kind_of_credentials_has_its_own(by_token, world, user):
    jwt = harness.make_jwt(user.id)
    for credentials in ({"bearer": world.user_token(user)["token"]}, {"bearer": jwt},
                        {"bearer": harness.make_jwt(user.id, jti="another")}):
        client = harness.Client(by_token, **credentials)
        for status in (200, 200, 200, 429):
            client.get("/organizations", status)
    harness.Client(by_token, cookie=jwt).get("/organizations", 429)  # the same, wherever it stands


def test_by_address(by_address, tree, token):
    path = f"/projects/{tree.project['id']}"
    here, there, site, other_site = new_address(), new_address(), new_site(), new_site()
    token = token()
    with refusing(by_address, "address", 2):
        client_at(by_address, here, token=token).get(path)
        client_at(by_address, here).get(path, 401)
        client_at(by_address, here).get("/openapi.json")
        assert "address" in client_at(by_address, here, token=token).get(path, 429).json()["detail"]
        client_at(by_address, there, token=token).get(path)
        for last in range(3):
            client_at(by_address, f"{site}:{last}", token=token).get(path)
        client_at(by_address, site + "ffff:ffff:ffff:ffff", token=token).get(path, 429)
        client_at(by_address, f"{other_site}:1", token=token).get(path)


def test_what_asks_no_question_does_not_count(by_address):
    nobody = client_at(by_address, new_address())

    def ask_none():
        assert nobody.request("OPTIONS", "/organizations").status_code == 204
        nobody.get("/nowhere", 404)
        for path in ("/", "/healthz", "/readyz"):
            nobody.get(path)

    ask_none()
    for _ in range(3):
        nobody.get("/auth/check")
    nobody.get("/auth/check", 429)
    assert nobody.request("HEAD", "/auth/check").status_code == 429
    ask_none()


def test_it_passes(by_second, tree, token):
    path = f"/projects/{tree.project['id']}"
    secret = token()

    def status(new):
        """Always with the same token, or always from the same address."""
        response = new().request("GET", path)
        assert response.status_code != 429 or response.headers["Retry-After"] == "1"
        return response.status_code

    here = new_address()
    for new in (lambda: client_at(by_second, new_address(), token=secret), lambda: client_at(by_second, here)):
        for _ in range(2):
            harness.until(lambda: status(new) == 429, 20, "a refusal")
            harness.until(lambda: status(new) != 429, 20, "the end of it")


def test_retry_after_is_enough(by_second):
    client = client_at(by_second, new_address())
    answers = (client.request("GET", "/auth/check") for _ in range(1000))
    refusal = next(answer for answer in answers if answer.status_code == 429)
    time.sleep(int(refusal.headers["Retry-After"]))
    client.get("/auth/check")


# -- trackers -----------------------------------------------------------------------------------------------------------

def emission_of(tree):
    return harness.emission_body(tree.run["id"], id=str(uuid.uuid4()))


def sent_by_trackers(tree):
    return [("/experiments", {"name": "n", "description": "d", "project_id": tree.project["id"]}, 201),
            ("/runs", harness.run_body(tree.experiment["id"]), 201),
            ("/emissions", emission_of(tree), 201),
            ("/emissions/batch", {"emissions": [emission_of(tree)]}, 200)]


def test_trackers_are_let_alone_by_default(carbond_binary, database, jwt_key_file, tree, token):
    """They would lose what is refused."""
    with serving(carbond_binary, database, jwt_key_file, "--rate-address", "1/h", "--rate-token", "1/h",
                 "--rate-credential", "1/h") as server:
        client, wrong = harness.Client(server, token=token()), harness.Client(server, token="cpt_wrong")
        for _ in range(5):
            for path, body, _ in sent_by_trackers(tree):
                wrong.post(path, body, 401)
        for _ in range(5):
            for path, body, status in sent_by_trackers(tree):
                client.post(path, body, status)


@pytest.mark.parametrize("limit, fixture", [("tracker-token", "by_token"), ("tracker-address", "by_address")])
def test_trackers_together(request, tree, token, limit, fixture):
    server = request.getfixturevalue(fixture)
    one, other = (client_at(server, new_address(), token=token()) for _ in range(2))
    with refusing(server, limit, 4):
        for path, body, status in sent_by_trackers(tree):
            one.post(path, body, status)
        for path, body, _ in sent_by_trackers(tree):
            assert 0 < int(one.post(path, body, 429).headers["Retry-After"]) <= 900
        one.get(f"/projects/{tree.project['id']}")
        for path, body, status in sent_by_trackers(tree):
            other.post(path, body, status)


def test_a_token_in_the_url_counts(by_token, tree, token):
    token = token()
    for status in (201, 201, 201, 201, 429):
        harness.Client(by_token, url_token=token).post("/emission", emission_of(tree), status)
    harness.Client(by_token, token=token).post("/emission", emission_of(tree), 429)


def test_a_body_is_read_before_it_is_refused(by_token, tree, token):
    """So that its sender, still writing, gets to read the answer; and the connection serves on."""
    token = token()
    lines = b"\n".join(json.dumps(emission_of(tree)).encode() for _ in range(4000))
    head = (f"POST /emissions/batch HTTP/1.1\r\nHost: x\r\nx-api-token: {token}\r\n"
            "Content-Type: application/x-ndjson\r\n")
    for status in (201, 201, 201, 201, 429):
        harness.Client(by_token, token=token).post("/emissions", emission_of(tree), status)
    with harness.RawConnection(by_token) as connection:
        for body, coding in ((lines, ""), (gzip.compress(lines), "Content-Encoding: gzip\r\n")):
            connection.send(f"{head}{coding}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = connection.answer()
            assert answer.status == 429 and int(answer.headers["retry-after"]) > 0 and answer.json()["detail"]
        connection.send(f"{head}Content-Length: {len(lines)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.answer().status == 429
    assert tree.client.get(f"/runs/{tree.run['id']}/emissions").json()["total"] == 4


# -- signing in and up --------------------------------------------------------------------------------------------------

def test_sign_ins(by_address, user):
    here = new_address()
    with refusing(by_address, "sign-in", 1):
        sign_in(by_address, here, user.email, "correct horse", 200)
        sign_in(by_address, here, "nobody@example.org", "wrong horse", 401)
        response = sign_in(by_address, here, user.email, "correct horse", 429)
        assert 0 < int(response.headers["Retry-After"]) <= 1800
        sign_in(by_address, new_address(), user.email, "correct horse", 200)
        client_at(by_address, here).get("/auth/login")


def test_sign_ups(by_address):
    here, there = new_address(), new_address()
    with refusing(by_address, "sign-up", 2):
        for path, address, status in (("/user", here, 201), ("/user/signup", here, 201), ("/user/signup", here, 429),
                                      ("/user", here, 429), ("/user", there, 201)):
            body = {"email": f"{uuid.uuid4().hex}@example.org", "name": "Ada", "password": "correct horse"}
            answer = client_at(by_address, address).post(path, body, status).json()
            by_address.secrets.update(filter(None, [answer.get("api_key")]))


@pytest.mark.parametrize("fixture", ["by_address", "by_account"])
def test_a_browser_gets_a_page(request, user, fixture):
    server = request.getfixturevalue(fixture)
    client = client_at(server, new_address())
    wrong = {"email": user.email, "password": "wrong horse"}
    for status in (401, 401, 429):
        response = client.request("POST", "/auth/login", status, headers=DASHBOARD, data=wrong)
        assert response.headers["Content-Type"].startswith("text/html") and "<form" in response.text
        assert "Content-Security-Policy" in response.headers and "Set-Cookie" not in response.headers
    assert "Too many" in response.text and int(response.headers["Retry-After"]) > 0
    response = client.request("POST", "/auth/login", 429, headers=DASHBOARD, json=wrong)
    assert "Too many" in response.json()["detail"]


def test_wrong_passwords(by_account, world, user):
    """They count for the account and the address alone, and the same whether there is such an account."""
    here, there = new_address(), new_address()
    stranger = f"{uuid.uuid4().hex}@example.org"
    with refusing(by_account, "password", 3):
        for email in (user.email, stranger):
            for spelling in (email, email.upper()):
                sign_in(by_account, here, spelling, "wrong horse", 401)
            refusal = sign_in(by_account, here, email, "wrong horse", 429)
            assert 0 < int(refusal.headers["Retry-After"]) <= 1800
            sign_in(by_account, there, email.title(), "wrong horse", 401)
        sign_in(by_account, here, user.email, "correct horse", 429)
        sign_in(by_account, there, user.email, "correct horse", 200)
        sign_in(by_account, here, world.user(password="correct horse").email, "correct horse", 200)


def test_right_passwords_do_not_count(by_account, user):
    here = new_address()
    for _ in range(6):
        sign_in(by_account, here, user.email, "correct horse", 200)
    for password, status in (("wrong horse", 401), ("wrong horse", 401), ("correct horse", 429)):
        sign_in(by_account, here, user.email, password, status)


def test_wrong_passwords_pass(by_second, user):
    here = new_address()
    harness.until(lambda: sign_in(by_second, here, user.email, "wrong horse").status_code == 429, 30, "a refusal")
    harness.until(lambda: sign_in(by_second, here, user.email, "correct horse").status_code == 200, 30, "the end of it")


def test_strangers_do_not_lock_out_an_owner(by_account, user):
    """Together they use up what an account has, for all addresses but those from where its owner has signed in."""
    home = new_address()
    sign_in(by_account, home, user.email, "correct horse", 200)
    with refusing(by_account, "account", 2):
        for _ in range(5):
            sign_in(by_account, new_address(), user.email, "wrong horse", 401)
        for password in ("wrong horse", "correct horse"):
            sign_in(by_account, new_address(), user.email, password, 429)
    sign_in(by_account, home, user.email, "wrong horse", 401)
    sign_in(by_account, home, user.email, "correct horse", 200)


def test_one_stranger_does_not_use_up_an_account(by_account, user):
    """What is refused for their own address does not count for the account."""
    here = new_address()
    for status in (401, 401, 429, 429, 429, 429, 429):
        sign_in(by_account, here, user.email, "wrong horse", status)
    sign_in(by_account, new_address(), user.email, "correct horse", 200)


# -- credentials that nobody holds --------------------------------------------------------------------------------------

def test_guessed_tokens(by_token, tree, token):
    path = f"/projects/{tree.project['id']}"
    here = new_address()
    known, new = token(), token()
    client_at(by_token, here, token=known).get(path)
    with refusing(by_token, "credential", 3):
        for credentials in ({"token": "cpt_wrong"}, {"bearer": "cut_wrong"}, {"cookie": "ses_wrong"}):
            client_at(by_token, here, **credentials).get(path, 401)
        for credentials in ({"token": "cpt_another"}, {"bearer": "no.jwt.either"},
                            {"token": new}):  # which cannot be told from a guess without being looked up
            response = client_at(by_token, here, **credentials).get(path, 429)
            assert 0 < int(response.headers["Retry-After"]) <= 1200
        client_at(by_token, here, token=known).get(path)
        client_at(by_token, here).get(path, 401)
        client_at(by_token, new_address(), token=new).get(path)
        client_at(by_token, here, token=new).get(path)  # by now it is known
        client_at(by_token, here, token=new).post("/emissions", emission_of(tree))


def test_signing_in_where_others_guess(by_token, user):
    here = new_address()
    for secret in ("ses_1", "ses_2", "ses_3"):
        client_at(by_token, here, cookie=secret).get("/organizations", 401)
    response = client_at(by_token, here, cookie="ses_4").request(
        "POST", "/auth/login", 200, headers=DASHBOARD, json={"email": user.email, "password": user.password})
    session = response.headers["Set-Cookie"].split(";")[0].removeprefix("user_session=")
    client_at(by_token, here, cookie=session).get("/organizations")
    bearer = sign_in(by_token, here, user.email, user.password, 200).json()["access_token"]
    client_at(by_token, here, bearer=bearer).get("/organizations")


def test_what_was_good_once_is_no_guess(by_token, world, tree):
    path = f"/projects/{tree.project['id']}"
    here = new_address()
    tokens = [world.project_token(tree.admin, tree.project) for _ in range(5)]
    for made in tokens:
        client_at(by_token, here, token=made["token"]).get(path)
        tree.client.delete(f"{path}/api-tokens/{made['id']}")
        client_at(by_token, here, token=made["token"]).get(path, 401)


# -- options and bounds -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("option, value", [("--rate-token", "100"), ("--rate-sign-in", "0/s"), ("--rate-address", "1/day"),
                                           ("--rate-account", ""), ("--trusted-proxy", "proxy.example"),
                                           ("--trusted-proxy", "10.0.0.0/33")])
def test_options_that_make_no_sense(carbond_binary, database, option, value):
    done = harness.command(carbond_binary, "serve", "--database-url", database.url, option, value)
    assert done.returncode == 2 and option in done.stderr


def test_all_of_them_can_be_switched_off(carbond_binary, database, jwt_key_file, user):
    limits = re.findall(r"--rate-[a-z-]+", harness.command(carbond_binary, "serve", "--help").stdout)
    assert len(limits) == 9
    with serving(carbond_binary, database, jwt_key_file, *(word for limit in limits for word in (limit, "none"))) as server:
        for _ in range(12):
            sign_in(server, "198.18.255.255", user.email, "wrong horse", 401)


def resident(server):
    return int(pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096


def test_memory_is_bounded(carbond_binary, database, jwt_key_file):
    """Strangers without number, as a proxy would tell of them: each has limits of its own, and none costs memory."""
    count = 100_000 if tool.IS_PLAIN else 10_000

    def ask(connection, first):
        """100 strangers sign in, with a body that is no good, so that no password is compared."""
        connection.send(b"".join(
            b"POST /authenticate HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 2001:db8:%x:%x::1\r\nContent-Length: 2\r\n\r\n{}"
            % divmod(stranger, 1 << 16) for stranger in range(first, first + 100)))
        return {connection.answer().status for _ in range(100)}

    with serving(carbond_binary, database, jwt_key_file, "--rate-sign-in", "1/h",
                 "--requests-per-connection", "1000000") as server:
        with harness.RawConnection(server) as connection:
            assert ask(connection, 0) == {422}
            assert ask(connection, 0) == {429}
            before = resident(server)
            for first in range(100, count, 100):
                assert ask(connection, first) == {422}
            assert ask(connection, count - 100) == {429}
        assert resident(server) - before < 4 << 20 or not tool.IS_PLAIN
