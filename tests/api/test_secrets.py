"""Secrets stay where they belong: neither the log at its most talkative, nor an error, a figure, or the process's title holds
one, whatever they are used for and whatever goes wrong with them."""

import hashlib
import pathlib
import urllib.parse
import uuid

import harness

DATABASE_PASSWORD = "the-password-of-the-database"


class Secrets:
    """All that may never be told, in the spellings in which it could be."""

    def __init__(self):
        self.texts = {DATABASE_PASSWORD, harness.JWT_KEY}

    def add(self, *texts):
        self.texts.update(texts)
        return texts[0]

    def forms(self):
        for text in self.texts:
            yield text
            yield urllib.parse.quote(text)
            yield "".join(f"%{byte:02x}" for byte in text.encode())
            yield hashlib.sha256(text.encode()).hexdigest()

    def assert_not_in(self, text, where):
        found = [form for form in self.forms() if form in text]
        assert not found, f"in {where}: {found}"


def use_everywhere(world, secrets, secret, path="/organizations"):
    """In every place where a credential can stand, rightly or by mistake. Answers of errors must not repeat it."""
    clients = [world.client(token=secret), world.client(bearer=secret), world.client(cookie=secret),
               world.client(url_token=secret), world.client(bearer=f" {secret} {secret}"), world.client(cookie=f'"{secret}"')]
    nobody, quoted = world.nobody, urllib.parse.quote(secret, safe="")
    answers = [client.request(method, path, json={}) for client in clients for method in ("GET", "POST", "PUT")]
    answers += [clients[0].request("POST", "/emissions", data=text, headers={"Content-Type": kind})
                for text, kind in ((b"{", "application/json"), (secret.encode(), "text/plain"), (b" " * 70000, "application/json"))]
    answers += [nobody.request("GET", f"/{quoted}"), nobody.request("GET", f"/runs/{quoted}?token={quoted}"),
                nobody.request("GET", f"/projects/x/{quoted}/sums"), nobody.request("DELETE", f"/user/tokens/{quoted}"),
                nobody.request("POST", "/runs", json={"id": secret, secret: secret}),
                nobody.request("POST", "/authenticate", json={"email": f"{secret}@example.org", "password": secret}),
                nobody.request("GET", "/organizations", headers={"Authorization": f"Basic {secret}", "X-Request-Id": secret,
                                                                 "Referer": f"http://x/t/{secret}", "User-Agent": secret})]
    answers += [harness.raw(world.server, text.encode()) for text in (
        f"GET /t/{secret}/%zz HTTP/1.1\r\nHost: x\r\n\r\n", f"GET /t/{secret}%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /organizations HTTP/1.1\r\nHost: x\r\nx-api-token: {secret}\r\nx-api-token: {secret}\r\n\r\n",
        f"{secret} / HTTP/1.1\r\nHost: x\r\n\r\n", f"GET / HTTP/{secret}\r\nHost: x\r\n\r\n",
        f"GET /{'x' * 20000}{secret} HTTP/1.1\r\nHost: x\r\n\r\n", f"POST / HTTP/1.1\r\n{secret}\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {secret}\r\n\r\n")]
    for answer in answers:
        if answer is not None:
            text = answer.body.decode(errors="replace") if isinstance(answer, harness.RawAnswer) else answer.text
            if (answer.status if isinstance(answer, harness.RawAnswer) else answer.status_code) >= 400:
                secrets.assert_not_in(text, "an error")


def make_secrets(world, secrets):
    """Signs up and in, and makes some of each kind; returns a credential of each, and the password."""
    password = secrets.add("correct horse " + uuid.uuid4().hex)
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    origin = {"Origin": world.server.url}
    account = world.nobody.post("/user/signup", {"email": email, "name": "Ada", "password": password}).json()
    for wrong in (password + "!", secrets.add("wrong horse " + uuid.uuid4().hex)):
        secrets.add(wrong)
        world.nobody.post("/authenticate", {"email": email, "password": wrong}, 401)
        world.nobody.request("POST", "/auth/login", 401, data={"email": email, "password": wrong}, headers=origin)
    world.nobody.post("/user/signup", {"email": email, "name": "Ada", "password": password}, 409)
    signed_in = world.nobody.post("/authenticate", {"email": email, "password": password}, 200).json()["access_token"]
    cookie = world.nobody.request("POST", "/auth/login", 303, data={"email": email, "password": password}, headers=origin) \
        .headers["Set-Cookie"].split(";")[0].removeprefix("user_session=")
    client = world.client(bearer=account["api_key"])
    organization = client.get("/organizations").json()[0]["id"]
    project = client.post("/projects", {"name": "p", "description": "d", "organization_id": organization}).json()["id"]
    tokens = [client.post("/user/tokens", {"name": "t"}).json()["token"],
              *(client.post(f"/projects/{project}/api-tokens", {"access": access}).json()["token"] for access in (1, 2, 3))]
    revoked = client.post("/user/tokens", {"name": "t"}).json()
    client.delete(f"/user/tokens/{revoked['id']}")
    unknown = "cpt_" + "x" * 43
    secrets.add(account["api_key"], signed_in, *tokens, revoked["token"], unknown, harness.make_jwt(account["id"], exp=0))
    return [secrets.add(secret) for secret in (signed_in, cookie, tokens[-1], unknown, harness.make_jwt(account["id"]))], password


def test_no_secret_is_told(carbond_binary, own_cluster, own_database, jwt_key_file):
    secrets = Secrets()
    with_password = harness.Database(own_cluster, own_database.name)
    with_password.url = own_database.url.replace("carbond@", f"carbond:{DATABASE_PASSWORD}@")
    with harness.Server(carbond_binary, with_password, "--jwt-hs256-key-file", jwt_key_file, "--signup", "open", "--log-level",
                        "debug", "--statement-timeout", "3") as server:
        world = harness.World(server)
        credentials, password = make_secrets(world, secrets)
        for secret in (*credentials, password):
            use_everywhere(world, secrets, secret)
        own_cluster.stop()
        try:
            # What can be no credential is told so without the database.
            statuses = [client.request("GET", "/organizations").status_code for secret in credentials
                        for client in (world.client(token=secret), world.client(bearer=secret), world.client(cookie=secret),
                                       world.client(url_token=secret))]
            assert set(statuses) == {401, 503} and statuses.count(503) > len(credentials)
            world.nobody.post("/authenticate", {"email": "x@example.org", "password": password}, 503)
        finally:
            own_cluster.start()
        harness.until(lambda: world.nobody.request("GET", "/readyz").status_code == 200, 30)
        process = pathlib.Path(f"/proc/{server.process.pid}")
        titles = b"".join((process / name).read_bytes() for name in ("cmdline", "comm", "environ"))
        titles += b"".join(comm.read_bytes() for comm in process.glob("task/*/comm"))
        assert b"--database-url" in titles
        secrets.assert_not_in(titles.decode(errors="replace"), "the process's titles")
        secrets.assert_not_in(harness.requests.get(server.monitor_url + "/metrics", timeout=20).text, "/metrics")
        server.terminate()
        assert server.process.wait(30) == 0
        log = server.log()
        assert "level=debug" in log
        secrets.assert_not_in(log, "the log")


def test_a_database_that_refuses_the_password_does_not_repeat_it(carbond_binary, tmp_path):
    """The address leads nowhere."""
    for url in (f"postgresql://carbond:{DATABASE_PASSWORD}@127.0.0.1:1/carbond",
                f"host=127.0.0.1 port=1 password={DATABASE_PASSWORD}", f"postgresql://x:{DATABASE_PASSWORD}%zz@h/d"):
        for command in (("migrate",), ("user", "list")):
            done = harness.command(carbond_binary, *command, "--database-url", url)
            assert done.returncode in (2, 3) and DATABASE_PASSWORD not in done.stderr + done.stdout
