"""POST /emissions/batch: an exact account of every emission, in each of its forms."""

import concurrent.futures
import datetime
import gzip
import json
import uuid

import pytest

import harness

PATH = "/emissions/batch"
NDJSON = {"Content-Type": "application/x-ndjson"}


def emissions(run, count, **changes):
    start = harness.now()
    return [harness.emission_body(run["id"], id=str(uuid.uuid4()), **{
        "timestamp": (start + datetime.timedelta(seconds=i)).isoformat(), **changes}) for i in range(count)]


def lines(bodies):
    return "".join(json.dumps(body) + "\n" for body in bodies)


def send(client, bodies, form="json", expect=200):
    """In one of the four forms."""
    text = json.dumps({"emissions": bodies}) if "ndjson" not in form else lines(bodies)
    headers = dict(NDJSON) if "ndjson" in form else {"Content-Type": "application/json"}
    data = text.encode()
    if "gzip" in form:
        headers["Content-Encoding"] = "gzip"
        data = gzip.compress(data)
    return client.request("POST", PATH, expect, data=data, headers=headers)


def account(answer):
    return answer["accepted"], answer["duplicates"], len(answer["rejected"]) + answer["rejected_count"]


def stored(tree, run=None):
    return tree.client.get(f"/runs/{(run or tree.run)['id']}/emissions").json()["total"]


@pytest.mark.parametrize("form", ["json", "ndjson", "json gzip", "ndjson gzip"])
def test_forms(tree, form):
    bodies = emissions(tree.run, 50)
    answer = send(tree.client, bodies, form).json()
    assert answer == {"accepted": 50, "duplicates": 0, "rejected": [], "rejected_count": 0}
    assert account(send(tree.client, bodies, form).json()) == (0, 50, 0)
    page = tree.client.get(f"/runs/{tree.run['id']}/emissions").json()
    assert [item["id"] for item in page["items"]] == [body["id"] for body in reversed(bodies)]
    for item, body in zip(page["items"], reversed(bodies)):
        assert {**item, "timestamp": 0} == {**body, "timestamp": 0}


def test_repeats_within_a_batch(tree):
    bodies = emissions(tree.run, 10)
    later = dict(bodies[3], timestamp=(harness.now() + datetime.timedelta(hours=1)).isoformat())
    answer = send(tree.client, [*bodies, *bodies[:4], bodies[0], later], "ndjson").json()
    assert account(answer) == (11, 5, 0)
    assert stored(tree) == 11
    sums = tree.client.get(f"/projects/{tree.project['id']}/sums").json()
    assert sums["emissions_count"] == 11
    assert sums["emissions"] == pytest.approx(11 * bodies[0]["emissions_sum"])


def test_each_faulty_emission_fails_alone(tree, world):
    stranger = harness.Tree(world)
    good = emissions(tree.run, 6)
    elsewhere, nowhere, wrong, nameless = emissions(stranger.run, 1) + emissions(tree.run, 3)
    nowhere["run_id"] = harness.UNKNOWN_ID
    wrong.update(duration=0, cpu_power=-1)
    del nameless["id"]
    batch = [good[0], elsewhere, good[1], nowhere, good[2], wrong, good[3], nameless, good[4], 7, good[5]]
    answer = send(tree.client, batch).json()
    assert account(answer) == (6, 0, 5)
    rejected = {entry["index"]: entry for entry in answer["rejected"]}
    assert list(rejected) == [1, 3, 5, 7, 9]
    assert [entry["status"] for entry in rejected.values()] == [403, 404, 422, 422, 422]
    assert [entry["id"] for entry in rejected.values()] == [elsewhere["id"], nowhere["id"], wrong["id"], None, None]
    assert send(tree.client, batch).json() == {**answer, "accepted": 0, "duplicates": 6}
    # What each would have been told alone.
    for index, body in ((1, elsewhere), (3, nowhere), (5, wrong), (9, 7)):
        alone = tree.client.post("/emissions", body, rejected[index]["status"]).json()
        assert rejected[index]["detail"] == alone["detail"]
    assert rejected[7]["detail"][0]["loc"] == ["body", "id"]
    assert stored(tree) == 6 and stored(stranger) == 0


def test_a_line_that_is_no_json_costs_no_neighbour(tree):
    good = emissions(tree.run, 3)
    text = "\n\n".join([json.dumps(good[0]), '{"id": ', json.dumps(good[1]), "\xff\xfe", "}", "  \r",
                        json.dumps(good[2]) + "\r"])
    answer = tree.client.request("POST", PATH, 200, data=text.encode("latin-1"), headers=NDJSON).json()
    assert account(answer) == (3, 0, 3)
    assert [(entry["index"], entry["status"]) for entry in answer["rejected"]] == [(1, 422), (3, 422), (4, 422)]
    assert stored(tree) == 3


@pytest.mark.parametrize("form", ["json", "ndjson"])
@pytest.mark.parametrize("old, new, told", [('"duration": 2', '"duration": 1e999, "x": 2', "number is too large"),
                                            ('"id": "', '"x": "a\\u0000b", "id": "', "U+0000"),
                                            ('"id": "', '"a\\u0000b": 1, "id": "', "U+0000")])
def test_json_that_can_be_no_value_costs_no_neighbour(tree, form, old, new, told):
    texts = [json.dumps(body) for body in emissions(tree.run, 3)]
    assert old in texts[1]
    texts[1] = texts[1].replace(old, new, 1)
    data = "\n".join(texts) if form == "ndjson" else '{"emissions": [%s]}' % ",".join(texts)
    headers = NDJSON if form == "ndjson" else {"Content-Type": "application/json"}
    answer = tree.client.request("POST", PATH, 200, data=data, headers=headers).json()
    assert account(answer) == (2, 0, 1) and stored(tree) == 2
    assert answer["rejected"][0]["index"] == 1 and told in answer["rejected"][0]["detail"][0]["msg"]


def test_byte_order_mark(tree):
    """Some programs begin every text with it."""
    data = b"\xef\xbb\xbf" + lines(emissions(tree.run, 2)).encode()
    assert account(tree.client.request("POST", PATH, 200, data=data, headers=NDJSON).json()) == (2, 0, 0)


def test_what_the_quick_reader_leaves_to_the_library(tree):
    """Escapes, members that nobody knows, other spellings of numbers: stored as what they mean."""
    body = emissions(tree.run, 1)[0]
    texts = [json.dumps(body).replace('"duration"', '"\\u0064uration"'),
             json.dumps({**body, "more": {"deep": [1, {"er": "}"}]}, "note": "\u00e9\\\"}"}),
             json.dumps(body).replace('"gpu_power": 0.0', '"gpu_power": -0.0'),
             json.dumps(body)[:-1] + ', "duration": "x", "duration": 2}',
             json.dumps(body).replace(body["id"], body["id"].upper())]
    answer = tree.client.request("POST", PATH, 200, data="\n".join(texts).encode(), headers=NDJSON).json()
    assert account(answer) == (1, 4, 0)
    answer = tree.client.request("POST", PATH, 200, data='{"other": {"emissions": []}, "\\u0065missions": [%s]}'
                                 % ",".join(texts), headers={"Content-Type": "application/json"}).json()
    assert account(answer) == (0, 5, 0)


def test_at_most_a_hundred_rejections_are_listed(tree):
    bodies = emissions(tree.run, 250)
    for body in bodies[:240]:
        body["run_id"] = harness.UNKNOWN_ID
    for body in bodies[:240:2]:
        body["duration"] = -1
    answer = send(tree.client, bodies, "ndjson").json()
    assert (answer["accepted"], len(answer["rejected"]), answer["rejected_count"]) == (10, 100, 140)
    assert [entry["index"] for entry in answer["rejected"]] == list(range(100))
    assert {entry["status"] for entry in answer["rejected"]} == {404, 422}


def test_empty_batches(tree):
    for form in ("json", "ndjson", "ndjson gzip"):
        assert account(send(tree.client, [], form).json()) == (0, 0, 0)


@pytest.mark.parametrize("text", [
    "", "7", "[]", "{", '{"emissions": [}', '{"emissions": []', '{"emissions": [], }', '{"emissions": [] "x": 1}',
    '{"emissions": []} x', '{"emissions": [1 2]}', '{"emissions": [nul]}', '{"emissions": {}}', '{"emissions": null}',
    '{"emission": []}', "{}", '{emissions: []}', '{"x": [1}, "emissions": []}', '{"emissions": [{}}}', '{"emissions": [1,]}',
    '{"emissions": [],,}', '{"emissions": ["\\x"]}', '{"emissions": "[]"}', '{"x": 01, "emissions": []}'])
def test_documents_that_are_no_batch(tree, text):
    faults = tree.client.request("POST", PATH, 422, data=text, headers={"Content-Type": "application/json"}).json()
    assert faults["detail"][0]["loc"] == ["body"]


def test_nothing_of_a_malformed_document_is_stored(tree):
    text = json.dumps({"emissions": emissions(tree.run, 3)})[:-1]
    tree.client.request("POST", PATH, 422, data=text, headers={"Content-Type": "application/json"})
    assert stored(tree) == 0


def test_last_list_counts(tree):
    first, second = emissions(tree.run, 2)
    text = '{"emissions": [%s], "emissions": [%s]}' % (json.dumps(first), json.dumps(second))
    tree.client.request("POST", PATH, 200, data=text, headers={"Content-Type": "application/json"})
    assert [item["id"] for item in tree.client.get(f"/runs/{tree.run['id']}/emissions").json()["items"]] == [second["id"]]


@pytest.mark.parametrize("form", ["json", "ndjson gzip"])
def test_size_of_a_batch(tree, form):
    bodies = emissions(tree.run, 10_001)
    assert "10000" in send(tree.client, bodies, form, 413).json()["detail"]
    assert stored(tree) == 0
    assert account(send(tree.client, bodies[:10_000], form).json()) == (10_000, 0, 0)
    assert stored(tree) == 10_000


def test_a_large_element_is_too_large_alone(tree):
    good, large = emissions(tree.run, 2)
    large["note"] = "x" * 70_000
    answer = send(tree.client, [large, good]).json()
    assert account(answer) == (1, 0, 1) and answer["rejected"][0]["status"] == 413


def test_gzip_that_is_none(tree):
    headers = {**NDJSON, "Content-Encoding": "gzip"}
    whole = gzip.compress(lines(emissions(tree.run, 100)).encode())
    damaged = whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:]
    for data in (b"", b"plain", whole[:-1], whole[:100], damaged, whole + b"more"):
        tree.client.request("POST", PATH, 400, data=data, headers=headers)
    assert stored(tree) == 0
    # Two members in a row are one text.
    first, second = emissions(tree.run, 2)
    data = gzip.compress(lines([first]).encode()) + gzip.compress(lines([second]).encode())
    assert account(tree.client.request("POST", PATH, 200, data=data, headers=headers).json()) == (2, 0, 0)


def test_decompression_bomb(tree, server):
    def resident():
        return int(open(f"/proc/{server.process.pid}/statm").read().split()[1]) * 4096

    before = resident()
    bomb = gzip.compress(b"\n" * (1 << 30), 9)
    assert len(bomb) < 2_000_000
    tree.client.request("POST", PATH, 413, data=bomb, headers={**NDJSON, "Content-Encoding": "gzip"})
    assert resident() - before < 100 << 20  # not a GiB; tools keep what was freed
    tree.client.request("POST", PATH, 413, data=b" " * ((16 << 20) + 1), headers=NDJSON)


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Content-Encoding": "br", **NDJSON},
                                     {"Content-Type": "application/x-www-form-urlencoded"}])
def test_other_types_and_encodings(tree, headers):
    tree.client.request("POST", PATH, 415, data="{}", headers=headers)


def test_gzip_is_for_batches_alone(tree):
    data = gzip.compress(json.dumps(emissions(tree.run, 1)[0]).encode())
    tree.client.request("POST", "/emissions", 415, data=data,
                        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})


def test_order_of_refusals(tree, world):
    read = world.client(token=world.project_token(tree.admin, tree.project, "read")["token"])
    world.nobody.request("POST", PATH, 401, data="{", headers=NDJSON)
    read.request("POST", PATH, 403, data=lines(emissions(tree.run, 1)), headers=NDJSON)


@pytest.mark.parametrize("access", ["token", "url_token", "bearer"])
def test_credentials(tree, world, access):
    secret = (world.user_token(tree.admin) if access == "bearer"
              else world.project_token(tree.admin, tree.project, "write"))["token"]
    assert account(send(world.client(**{access: secret}), emissions(tree.run, 2)).json()) == (2, 0, 0)


def test_a_value_that_the_database_refuses_costs_no_neighbour(tree, database):
    """Whatever the reason: here a constraint that the server knows nothing of."""
    bodies = emissions(tree.run, 40)
    for i in (0, 17, 18, 39):
        bodies[i]["duration"] = 13.5
    database.query("alter table emissions add constraint unlucky check (duration <> 13.5) not valid")
    try:
        answer = send(tree.client, bodies, "ndjson").json()
        alone = tree.client.post("/emissions", bodies[0], 422).json()
    finally:
        database.query("alter table emissions drop constraint unlucky")
    assert account(answer) == (36, 0, 4)
    assert [(entry["index"], entry["status"]) for entry in answer["rejected"]] == \
        [(0, 422), (17, 422), (18, 422), (39, 422)]
    assert answer["rejected"][0]["detail"] == alone["detail"]
    assert stored(tree) == 36


def test_many_batches_at_once(tree):
    """The same emissions from many clients: accepted by one of them each, and counted as often as they were sent."""
    bodies = emissions(tree.run, 300)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def post(number):
            headers = {**tree.client.session.headers, **NDJSON}
            mine = bodies[number * 20:] + bodies[:number * 20]
            return harness.requests.post(tree.world.server.url + PATH, data=lines(mine), headers=headers, timeout=60)
        answers = [response.json() for response in pool.map(post, range(8))]
    assert sum(answer["accepted"] for answer in answers) == 300
    assert all(sum(account(answer)) == 300 for answer in answers)
    assert stored(tree) == 300
