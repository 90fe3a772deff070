"""Who is asking: tokens, JWTs, sessions, and the server without any."""

import time
import uuid

import pytest

import harness

ORIGIN = {"Origin": harness.DASHBOARD}


# -- project tokens ---------------------------------------------------------------------------------------------------

def test_project_token_is_told_once(world, tree):
    token = world.project_token(tree.admin, tree.project)
    assert token["token"].startswith("cpt_") and len(token["token"]) == 47
    (listed,) = tree.client.get(f"/projects/{tree.project['id']}/api-tokens").json()
    assert listed == {**token, "token": None}
    assert token["token"] not in str(world.database.query("select to_jsonb(t) from project_tokens t"))


def test_project_token_writes_by_default(tree):
    path = f"/projects/{tree.project['id']}/api-tokens"
    # What the tracker's own command line sends besides is ignored.
    token = tree.client.post(path, {"name": "t", "project_id": "7777", "x_token": "???"}).json()
    tree.world.server.secrets.add(token["token"])
    assert token["access"] == 2 and token["project_id"] == tree.project["id"]
    assert tree.client.post(path, {}).json()["name"] == ""


def test_use_of_tokens_is_noted(world, tree):
    token, unused = world.project_token(tree.admin, tree.project), world.project_token(tree.admin, tree.project)
    world.client(token=token["token"]).get(f"/projects/{tree.project['id']}")
    used = {t["id"]: t["last_used"] for t in tree.client.get(f"/projects/{tree.project['id']}/api-tokens").json()}
    assert abs((harness.moment(used[token["id"]]) - harness.now()).total_seconds()) < 60
    assert used[unused["id"]] is None
    before = used[token["id"]]
    world.client(token=token["token"]).get(f"/projects/{tree.project['id']}")
    assert tree.client.get(f"/projects/{tree.project['id']}/api-tokens").json()[0]["last_used"] == before


def test_revoked_token_is_nobodys(world, tree):
    token = world.project_token(tree.admin, tree.project)
    client = world.client(token=token["token"])
    client.get(f"/projects/{tree.project['id']}")
    path = f"/projects/{tree.project['id']}/api-tokens"
    tree.client.delete(f"{path}/{token['id']}")
    client.get(f"/projects/{tree.project['id']}", 401)
    assert tree.client.get(path).json() == []
    tree.client.delete(f"{path}/{token['id']}", 404)


@pytest.mark.parametrize("prefix", ["/t/{}", "/api/t/{}", "/t/{}/api"])
def test_token_in_the_url_only_writes(world, tree, prefix):
    token = world.project_token(tree.admin, tree.project, "read-write")["token"]
    client = world.client()
    client.prefix = prefix.format(token)
    run = client.post("/run", harness.run_body(tree.experiment["id"])).json()
    client.post("/emission/", harness.emission_body(run["id"]))
    client.get(f"/projects/{tree.project['id']}", 403)
    read = world.client(url_token=world.project_token(tree.admin, tree.project, "read")["token"])
    read.post("/run", harness.run_body(tree.experiment["id"]), 403)
    read.get(f"/projects/{tree.project['id']}", 403)
    assert token not in client.request("POST", "/nowhere", 404).text


# -- user tokens ------------------------------------------------------------------------------------------------------

def test_user_tokens(world):
    user = world.user()
    token = world.user_token(user, expires_in_days=3)
    assert token["token"].startswith("cut_")
    days = (harness.moment(token["expires_at"]) - harness.now()).total_seconds() / 86400
    assert 2.99 < days < 3.01
    client = world.client(bearer=token["token"])
    assert client.get("/auth/check").json()["user"]["id"] == user.id
    (listed,) = user.client.get("/user/tokens").json()
    assert listed["token"] is None and listed["last_used"]
    world.database.query("update user_tokens set expires_at = now() - interval '1 second' where id = %s", token["id"])
    assert client.get("/auth/check").json() == {"user": None}
    client.get("/organizations", 401)


def test_revoked_user_token(world):
    user, other = world.user(), world.user()
    token = world.user_token(user)
    assert token["expires_at"] is None
    other.client.delete(f"/user/tokens/{token['id']}", 404)
    client = world.client(bearer=token["token"])
    client.delete(f"/user/tokens/{token['id']}")
    client.get("/organizations", 401)


def test_authenticate(world):
    user = world.user(password="correct horse")
    nobody = world.nobody
    answer = nobody.post("/authenticate", {"email": user.email.upper(), "password": "correct horse"}, 200).json()
    world.server.secrets.add(answer["access_token"])
    client = world.client(bearer=answer["access_token"])
    assert client.get("/auth/check").json()["user"]["id"] == user.id
    (token,) = client.get("/user/tokens").json()
    assert harness.moment(token["expires_at"]).timestamp() == pytest.approx(time.time() + 86400, abs=60)
    wrong = nobody.post("/authenticate", {"email": user.email, "password": "wrong"}, 401)
    unknown = nobody.post("/authenticate", {"email": "nobody@example.org", "password": "wrong"}, 401)
    assert wrong.json() == unknown.json()
    without = world.user()
    nobody.post("/authenticate", {"email": without.email, "password": ""}, 401)
    world.database.query("update users set is_active = false where id = %s", user.id)
    nobody.post("/authenticate", {"email": user.email, "password": "correct horse"}, 401)
    client.get("/organizations", 401)


# -- JWT --------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def user(world):
    return world.user()


# Numbers are seconds from now.
GOOD_CLAIMS = [{}, {"exp": -30}, {"nbf": 30}, {"iss": "anyone", "aud": ["x"]}, {"extra": {"a": 1}}]
BAD_CLAIMS = [{"exp": -120}, {"exp": None}, {"nbf": 3600}, {"exp": "tomorrow"}, {"sub": harness.UNKNOWN_ID}, {"sub": "admin"},
              {"sub": None}]


def from_now(claims):
    return {name: int(time.time()) + value if isinstance(value, int) else value for name, value in claims.items()}


@pytest.mark.parametrize("claims", GOOD_CLAIMS)
def test_good_jwt(world, user, claims):
    token = harness.make_jwt(user.id, **from_now(claims))
    for credentials in ({"bearer": token}, {"cookie": token}):
        assert world.client(**credentials).get("/auth/check").json()["user"]["id"] == user.id


@pytest.mark.parametrize("claims", BAD_CLAIMS)
def test_bad_claims(world, user, claims):
    claims = {"subject": user.id, **{"subject" if k == "sub" else k: v for k, v in claims.items()}}
    if claims.get("exp") == "tomorrow":
        token = harness.jwt.api_jws.PyJWS().encode(
            harness.json.dumps({"sub": user.id, "exp": "tomorrow"}).encode(), harness.JWT_KEY, "HS256")
    else:
        token = harness.make_jwt(**from_now(claims))
    assert world.client(bearer=token).get("/auth/check").json() == {"user": None}
    world.client(bearer=token).get("/organizations", 401)


def test_bad_signatures(world, user):
    good = harness.make_jwt(user.id)
    head, body, signature = good.split(".")
    other = harness.make_jwt(world.user().id).split(".")
    for token in (harness.make_jwt(user.id, key="another HS256 key, as long as the right one is"),
                  harness.make_jwt(user.id, key="", algorithm="none"), harness.make_jwt(user.id, algorithm="HS512"),
                  f"{head}.{body}.", f"{head}.{body}", f"{head}.{other[1]}.{signature}", good + ".x", "x" * 9000, "...",
                  "cut_", "cpt_x", good[:-2]):
        assert world.client(bearer=token).get("/auth/check").json() == {"user": None}, token


def test_inactive_user(world):
    user = world.user()
    world.database.query("update users set is_active = false where id = %s", user.id)
    user.client.get("/organizations", 401)


def test_policy(carbond_binary, database, jwt_key_file, world, user):
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file, "--jwt-require-exp", "false",
                        "--jwt-issuer", "us", "--jwt-audience", "carbond") as server:
        for claims, accepted in (({"iss": "us", "aud": "carbond"}, True), ({"iss": "us", "aud": ["x", "carbond"]}, True),
                                 ({"iss": "us", "aud": "carbond", "exp": None}, True), ({"iss": "us"}, False),
                                 ({"aud": "carbond"}, False), ({"iss": "them", "aud": "carbond"}, False),
                                 ({"iss": "us", "aud": ["carbon"]}, False)):
            client = harness.Client(server, bearer=harness.make_jwt(user.id, **claims))
            assert (client.get("/auth/check").json()["user"] is not None) == accepted, claims
    with harness.Server(carbond_binary, database) as server:  # without a key no JWT counts
        client = harness.Client(server, bearer=harness.make_jwt(user.id))
        assert client.get("/auth/check").json() == {"user": None}


def test_short_key_is_refused(carbond_binary, database, tmp_path):
    (tmp_path / "key").write_text("too short\n")
    for path in (tmp_path / "key", tmp_path / "missing"):
        done = harness.command(carbond_binary, "serve", "--database-url", database.url, "--listen", "127.0.0.1:0",
                               "--jwt-hs256-key-file", path)
        assert done.returncode == 2 and done.stderr


# -- sessions ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def signed_in(world):
    """A user, and a client with their session's cookie."""
    user = world.user(password="correct horse")
    response = world.nobody.request("POST", "/auth/login", 200, headers=ORIGIN,
                                    json={"email": user.email, "password": "correct horse"})
    cookie = response.headers["Set-Cookie"]
    assert "; HttpOnly" in cookie and "; SameSite=Lax" in cookie and "; Path=/" in cookie
    session = cookie.split(";")[0].removeprefix("user_session=")
    return user, world.client(cookie=session)


def test_session(world, signed_in):
    user, client = signed_in
    assert client.get("/auth/check").json()["user"]["id"] == user.id
    client.get("/organizations")
    body = {"name": "n", "description": "d"}
    client.post("/organizations", body, 403)
    client.post("/organizations", body, 403, headers={"Origin": "https://evil.example"})
    client.post("/organizations", body, 201, headers=ORIGIN)
    client.post("/organizations", body, 201, headers={"Origin": world.server.url})
    response = client.get("/auth/logout")
    assert response.headers["Set-Cookie"].startswith("user_session=;")
    client.get("/organizations", 401)


def test_wrong_sign_in(world, signed_in):
    user, _ = signed_in
    for email, password in ((user.email, "wrong horse"), ("nobody@example.org", "correct horse"), (user.email, "")):
        response = world.nobody.request("POST", "/auth/login", 401, headers=ORIGIN,
                                        json={"email": email, "password": password})
        assert "Set-Cookie" not in response.headers


def test_session_expires(world, signed_in):
    user, client = signed_in
    world.database.query("update sessions set expires_at = now() where user_id = %s", user.id)
    client.get("/organizations", 401)


def test_password_change_ends_sessions(world, signed_in):
    user, client = signed_in
    world.command("user", "passwd", "--email", user.email, "--password-stdin", stdin="another password")
    client.get("/organizations", 401)
    world.nobody.post("/authenticate", {"email": user.email, "password": "correct horse"}, 401)
    world.nobody.post("/authenticate", {"email": user.email, "password": "another password"}, 200)


def test_sign_in_form(world):
    user = world.user(password="p&ss=w+rd %41")
    form = {"email": user.email, "password": "p&ss=w+rd %41"}
    nobody = world.nobody
    page = nobody.get("/auth/login").text
    assert 'name="email"' in page and 'name="password"' in page and "<script" not in page
    own = {"Origin": world.server.url}
    assert nobody.request("POST", "/auth/login", 303, data=form, headers=own).headers["Location"] == "/auth/login"
    response = nobody.request("POST", "/auth/login", 401, data={**form, "password": "x"}, headers=own)
    assert "wrong" in response.text and "Set-Cookie" not in response.headers
    nobody.request("POST", "/auth/login", 403, data=form)
    nobody.request("POST", "/auth/login", 403, data=form, headers={"Origin": "https://evil.example"})
    nobody.request("POST", "/auth/login", 422, data={"email": "x"}, headers=own)


def test_front_end(open_world):
    user = open_world.user(password="correct horse")
    nobody = open_world.nobody
    response = nobody.request("POST", "/auth/login", 303, headers=ORIGIN,
                              data={"email": user.email, "password": "correct horse"})
    assert response.headers["Location"] == harness.DASHBOARD + "/home"
    session = response.headers["Set-Cookie"].split(";")[0].removeprefix("user_session=")
    client = open_world.client(cookie=session)
    assert client.get("/auth/login", 302).headers["Location"] == harness.DASHBOARD + "/home"
    response = client.get("/auth/logout", 303, headers={"Accept": "text/html,*/*"})
    assert response.headers["Location"] == harness.DASHBOARD
    assert client.get("/auth/check").json() == {"user": None}


# -- which one decides ------------------------------------------------------------------------------------------------

def test_first_credential_decides(world, tree):
    token = world.project_token(tree.admin, tree.project, "write")["token"]
    bearer = harness.make_jwt(tree.admin.id)
    path = f"/projects/{tree.project['id']}"
    world.client(token=token, bearer=bearer).get(path, 403)
    world.client(token="cpt_wrong", bearer=bearer).get(path, 401)
    world.client(bearer="nobody-holds-this", cookie=bearer).get(path, 401)
    world.client(bearer=bearer, cookie="nobody-holds-this").get(path)
    world.client(cookie="nobody-holds-this", url_token=token).post("/runs", harness.run_body(tree.experiment["id"]), 401)
    world.client(bearer=bearer, url_token=token).get(path)


# -- signing up -------------------------------------------------------------------------------------------------------

def test_sign_up(open_world):
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    body = {"email": email, "name": "Ada", "password": "correct horse"}
    user = open_world.nobody.post("/user/signup", body).json()
    open_world.server.secrets.add(user["api_key"])
    client = open_world.client(bearer=user["api_key"])
    (organization,) = client.get("/organizations").json()
    assert user["organizations"] == [organization["id"]]
    assert client.get("/teams").json()[0]["organization_id"] == organization["id"]
    client.patch(f"/organizations/{organization['id']}", {"name": "mine"})
    assert client.get("/auth/check").json()["user"]["email"] == email
    open_world.nobody.post("/user/signup", {**body, "email": email.upper()}, 409)
    open_world.nobody.post("/user", body, 409)


def test_account_alone(open_world):
    body = {"email": f"{uuid.uuid4().hex[:12]}@example.org", "name": "Ada", "password": "correct horse"}
    user = open_world.nobody.post("/user", body).json()
    assert user["organizations"] == [] and "password" not in user
    open_world.nobody.post("/authenticate", {"email": body["email"], "password": body["password"]}, 200)


def test_sign_up_closed(nobody, unchanged):
    body = {"email": "x@example.org", "name": "Ada", "password": "correct horse"}
    for path in ("/user", "/user/signup"):
        nobody.post(path, body, 403)
        nobody.post(path, {}, 422)


# -- without authentication -------------------------------------------------------------------------------------------

def test_auth_none(carbond_binary, new_database, world):
    database = new_database()
    with harness.Server(carbond_binary, database, "--auth", "none") as server:
        other = harness.Client(server, token="cpt_whatever", bearer="whatever-it-may-be")
        organization = other.post("/organizations", {"name": "o", "description": "d"}).json()
        project = other.post("/projects", {"name": "p", "description": "d", "organization_id": organization["id"]}).json()
        nobody = harness.Client(server)
        assert nobody.get("/organizations").json() == [organization]
        assert nobody.get("/auth/check").json()["user"]["name"] == "Local admin"
        nobody.patch(f"/organizations/{organization['id']}", {"name": "x"})
        nobody.get("/auth/login")
        nobody.delete(f"/projects/{project['id']}")
        nobody.get(f"/projects/{project['id']}", 404)
    assert database.value("select count(*) from users") == 1


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_auth_none_stays_at_home(carbond_binary, database, listen):
    done = harness.command(carbond_binary, "serve", "--database-url", database.url, "--auth", "none", "--listen", listen)
    assert done.returncode == 2 and "auth-none-anywhere" in done.stderr
