"""What is not as it should be is refused, with all that is wrong in one answer, and leaves nothing behind."""

import json
import math
import re
import uuid

import pytest

import harness

WRONG_TYPES = {
    "string": [7, True, [], {}], "uuid": [7, "", "not-a-uuid", "f" * 32],
    "email": [7, "no at sign", "@x", "x@", "a@b@c", "a b@c", " a@b", "a@b ", "a@\nb", "a\u007f@b"],
    "timestamp": [7, "", "yesterday", "0000-01-01T00:00:00Z", "99999-01-01T00:00:00Z", "2026-02-30T00:00:00Z",
                  "2026-11-23T25:00:00Z", "2026-11-23T18:00:00Zx"],
    "number": ["7", True, [], {}], "integer": ["7", 7.5, True, 1e300], "boolean": [0, 1, "true", []],
}


class Verdict:
    """Of a batch of one: as if it had been sent alone."""

    def __init__(self, answer):
        [rejected] = answer["rejected"] or [{"status": 201, "detail": None}]
        self.status_code, self.detail, self.text = rejected["status"], rejected["detail"], str(answer)

    def json(self):
        return {"detail": self.detail}


def more_than(number):
    return max(number + 1, math.nextafter(number, math.inf))


class Bodies:
    """A valid body for each kind, and where to send it."""

    def __init__(self, world, open_world):
        self.tree = harness.Tree(world)
        organization, project = self.tree.organization["id"], self.tree.project["id"]
        self.member = world.member(self.tree.admin, self.tree.organization)
        nobody = open_world.nobody
        named = {"name": "n", "description": "d"}
        client = self.tree.client
        self.kinds = {
            "organization": (client, "POST", "/organizations", named),
            "organization_patch": (client, "PATCH", f"/organizations/{organization}", named),
            "team": (client, "POST", "/team", {**named, "organization_id": organization}),
            "project": (client, "POST", "/projects", {**named, "organization_id": organization}),
            "project_patch": (client, "PATCH", f"/projects/{project}", {**named, "public": False}),
            "experiment": (client, "POST", "/experiments", {**named, "project_id": project}),
            "run": (client, "POST", "/runs", harness.run_body(self.tree.experiment["id"])),
            "emission": (client, "POST", "/emissions", harness.emission_body(self.tree.run["id"])),
            "batch_emission": (client, "POST", "/emissions/batch",
                               harness.emission_body(self.tree.run["id"], id=str(uuid.uuid4()))),
            "project_token": (client, "POST", f"/projects/{project}/api-tokens", {"name": "n", "access": 1}),
            "user_token": (client, "POST", "/user/tokens", {"name": "n", "expires_in_days": 1}),
            "user": (nobody, "POST", "/user", {"email": "x@example.org", "name": "n", "password": "password"}),
            "credentials": (nobody, "POST", "/authenticate", {"email": "x@example.org", "password": "password"}),
            "add_user": (client, "POST", f"/organizations/{organization}/add-user", {"email": self.member.email}),
            "membership": (client, "PATCH", f"/organizations/{organization}/users/{self.member.id}", {"is_admin": False}),
        }

    def send(self, kind, **changes):
        client, method, path, body = self.kinds[kind]
        body = {name: value for name, value in {**body, **changes}.items() if value is not ...}
        if kind == "batch_emission":
            return Verdict(client.post(path, {"emissions": [body]}, 200).json())
        return client.request(method, path, data=json.dumps(body), headers={"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def bodies(world, open_world):
    return Bodies(world, open_world)


@pytest.fixture(scope="module")
def members(tables):
    return [(kind, member) for kind, members in tables["bodies"].items() for member in members]


def refuses(bodies, kind, name, value):
    """The one fault that an answer names."""
    response = bodies.send(kind, **{name: value})
    assert response.status_code == 422, (kind, name, value, response.status_code, response.text)
    (fault,) = response.json()["detail"]
    assert fault["loc"] == ["body", name], (kind, name, value, fault)
    return fault["type"]


def takes(bodies, kind, name, value):
    response = bodies.send(kind, **{name: value})
    assert response.status_code in (200, 201, 401), (kind, name, value, response.text)  # 401: a wrong password


def test_each_body_is_valid_to_begin_with(bodies, tables):
    assert set(bodies.kinds) == set(tables["bodies"])
    for kind in set(bodies.kinds) - {"user"}:
        takes(bodies, kind, "unknown", {"members": ["are", "ignored"]})


def test_required_members(bodies, members, unchanged):
    for kind, member in members:
        if member["required"]:
            assert refuses(bodies, kind, member["name"], ...) == "missing"
        if not member["nullable"]:
            assert refuses(bodies, kind, member["name"], None) == "not_null"


def test_optional_members_may_be_absent_or_null(bodies, members):
    for kind, member in members:
        if member["nullable"] and not (kind == "project" and member["name"] == "organization_id"):
            takes(bodies, kind, member["name"], None)
            if not member["required"]:
                takes(bodies, kind, member["name"], ...)


def test_types(bodies, members, unchanged):
    for kind, member in members:
        for value in WRONG_TYPES[member["type"]]:
            refuses(bodies, kind, member["name"], value)


def test_bounds(bodies, members):
    for kind, member in members:
        name = member["name"]
        if member["type"] == "string" or kind == "user":
            continue
        if "minimum" in member:
            takes(bodies, kind, name, member["minimum"])
            assert refuses(bodies, kind, name, member["minimum"] - 1) == "greater_than_equal"
        if "exclusive_minimum" in member:
            takes(bodies, kind, name, 5e-324)
            assert refuses(bodies, kind, name, member["exclusive_minimum"]) == "greater_than"
        if "maximum" in member and member["type"] != "email":
            takes(bodies, kind, name, member["maximum"])
            assert refuses(bodies, kind, name, more_than(member["maximum"])) == "less_than_equal"


def test_lengths(bodies, unchanged):
    assert refuses(bodies, "user", "password", "é" * 7) == "string_too_short"
    assert refuses(bodies, "user", "password", "x" * 1025) == "string_too_long"
    assert refuses(bodies, "user", "email", "x@" + "y" * 253) == "string_too_long"


@pytest.mark.parametrize("value", [0, 0.0, 8, 8.0, 8e0, 80e-1])
def test_integers_in_any_spelling(bodies, value):
    takes(bodies, "run", "cpu_count", value)


def test_all_faults_in_one_answer(bodies, unchanged):
    response = bodies.send("emission", duration=0, run_id="x", timestamp=..., cpu_power="1", gpu_power=-1, wue=True)
    assert response.status_code == 422
    assert {fault["loc"][1]: fault["type"] for fault in response.json()["detail"]} == {
        "duration": "greater_than", "run_id": "uuid_parsing", "timestamp": "missing", "cpu_power": "number_type",
        "gpu_power": "greater_than_equal", "wue": "number_type"}


def test_one_of_two(bodies, unchanged):
    assert refuses(bodies, "project", "organization_id", ...) == "missing"


def test_strings_of_all_kinds_come_back(bodies):
    for text in ("", " ", "'; drop table runs; --", "\"\\/\b\f\n\r\t", "ÿ € 𝄞 \u202e", "x" * 20000, "%s%n", "\x7f"):
        assert bodies.send("organization", name=text).json()["name"] == text


def nested(depth):
    return b'{"x": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b', "name": "n", "description": "d"}'


FINE = b'{"name": "n", "description": "d"'
BROKEN = {
    "empty": b"", "blank": b"  ", "truncated": FINE, "two": FINE + b"}{}", "trailing": FINE + b"} x",
    "NaN": FINE + b', "x": NaN}', "Infinity": FINE + b', "x": -Infinity}', "huge": FINE + b', "x": 1e999}',
    "NUL escape": b'{"name": "a\\u0000b", "description": "d"}', "NUL": b'{"name": "a\0b", "description": "d"}',
    "bad UTF-8": b'{"name": "\xff\xfe", "description": "d"}', "overlong": b'{"name": "\xc0\xaf", "description": "d"}',
    "lone surrogate": b'{"name": "\\ud800", "description": "d"}', "single quotes": b"{'name': 'n'}",
    "33 levels": nested(33), "3000 levels": nested(3000), "array": b"[]", "string": b'"x"', "number": b"7",
    "null": b"null", "unclosed": b"[" * 30000, "comment": b'{"name": "n", /* */ "description": "d"}',
    "byte order mark": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_json_object(name, tree, unchanged):
    response = tree.client.request("POST", "/organizations", 422, data=BROKEN[name],
                                   headers={"Content-Type": "application/json"})
    (fault,) = response.json()["detail"]
    assert fault["loc"] == ["body"] and fault["type"] in ("json_invalid", "json_type", "value_error")


def test_json_that_is_unusual_but_right(tree):
    for body, name in ((nested(32), "n"), (b'{"name": "a", "name": "b", "description": ""}', "b"),
                       (b'{"x": ' + b"9" * 300 + b', "name": "big", "description": ""}', "big"),
                       (b'\r\n\t {"na\\u006de":"\\u00e9\\ud834\\udd1e","description":""} ', "é𝄞"),
                       (b'{"x": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{{{", "name": "q", "description": ""}', "q")):
        response = tree.client.request("POST", "/organizations", 201, data=body,
                                       headers={"Content-Type": "application/json"})
        assert response.json()["name"] == name


def test_size_of_bodies(tree, unchanged):
    for size in (64 * 1024 + 1, 1024 * 1024, 10 * 1024 * 1024):
        tree.client.request("POST", "/organizations", 413, data=b" " * size)
        tree.client.request("POST", "/organizations", 413, data=iter([b" " * 1024] * (size // 1024 + 1)))
    largest = b"{" + b" " * (64 * 1024 - 2) + b"}"
    tree.client.request("POST", "/organizations", 422, data=largest)


def test_media_types(tree):
    body = b'{"name": "n", "description": "d"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/x-ndjson"):
        tree.client.request("POST", "/organizations", 415, data=body, headers={"Content-Type": kind})
    for coding in ("gzip", "br"):
        tree.client.request("POST", "/organizations", 415, data=body, headers={"Content-Encoding": coding})
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/json;x=y", ""):
        tree.client.request("POST", "/organizations", 201, data=body, headers={"Content-Type": kind})


# -- the query --------------------------------------------------------------------------------------------------------

BAD_QUERIES = [
    ("emissions", query) for query in (
        "page=0", "page=-1", "page=abc", "page=1.5", "page=99999999999", "size=0", "size=10001", "size=-5", "size=1e3",
        "cursor=x", "cursor=_", "cursor=2026-01-01", f"cursor=2026-01-01_{harness.UNKNOWN_ID}x", "cursor=2026-01-01_x",
        f"cursor={harness.UNKNOWN_ID}", f"cursor=yesterday_{harness.UNKNOWN_ID}", "cursor=" + "9" * 1000)
] + [
    ("sums", query) for query in (
        "start_date=yesterday", "end_date=0000-01-01", "start_date=99999-01-01", "start_date=2026-13-01",
        "start_date=2026-02-02&end_date=2026-02-01", "end_date=2026-01-01T00:00:00%2B25:00",
        "start_date=2026-01-01T00:00:01Z&end_date=2026-01-01T00:00:00Z", "start_date=" + "9" * 1000)
]


@pytest.mark.parametrize("kind, query", BAD_QUERIES)
def test_bad_queries(kind, query, tree):
    path = {"emissions": f"/runs/{tree.run['id']}/emissions", "sums": f"/projects/{tree.project['id']}/sums"}[kind]
    response = tree.client.get(f"{path}?{query}", 422)
    names = set(re.findall(r"(\w+)=", query))
    assert all(fault["loc"][0] == "query" and fault["loc"][1] in names for fault in response.json()["detail"])


@pytest.mark.parametrize("query", [
    "", "start_date=&end_date=", "start_date=2026-01-01", "start_date=2026-01-01T00:00:00", "end_date=9999-12-31",
    "start_date=0001-01-01", "start_date=2026-01-01T00:00:00.123456789Z", "start_date=2026-01-01%2000:00:00",
    "unknown=x", "start_date=nonsense&start_date=2026-01-01"])
def test_good_queries(query, tree):
    tree.client.get(f"/projects/{tree.project['id']}/sums?{query}")


def test_projects_need_their_organization(tree):
    (fault,) = tree.client.get("/projects", 422).json()["detail"]
    assert (fault["loc"], fault["type"]) == (["query", "organization"], "missing")


def test_order_of_refusals(tree, world, unchanged):
    """404 route, 405, 413 and 415, 401, 422 for the path, 422 for the body, 404 for the id, 403."""
    big, path = b" " * 100000, f"/projects/{harness.UNKNOWN_ID}/api-tokens"
    nobody = world.nobody
    nobody.request("POST", "/nowhere", 404, data=big)
    nobody.request("PATCH", "/runs", 405, data=big)
    nobody.request("POST", "/runs", 413, data=big)
    nobody.request("POST", "/runs", 415, data=b"x", headers={"Content-Type": "text/plain"})
    nobody.request("POST", "/projects/x/api-tokens", 401, data=b"{")
    response = tree.client.request("POST", "/projects/x/api-tokens", 422, data=b"{")
    assert response.json()["detail"][0]["loc"] == ["path", "project_id"]
    tree.client.request("POST", path, 422, data=b"{")
    tree.client.request("POST", path, 404, data=b"{}")
