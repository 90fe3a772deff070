"""Runs and emissions: stored once, whatever is sent how often."""

import concurrent.futures
import datetime
import uuid

import pytest

import harness


def count(tree, run=None):
    return tree.client.get(f"/runs/{(run or tree.run)['id']}/emissions").json()["total"]


def test_answers_of_creation(tree, world):
    response = tree.client.post("/runs", harness.run_body(tree.experiment["id"]))
    assert uuid.UUID(response.json()["id"]).version == 4
    response = tree.client.post("/emissions", harness.emission_body(tree.run["id"]))
    assert uuid.UUID(response.json()).version == 7


def test_ids_of_emissions_grow(tree, world):
    ids = [world.emission(tree.admin, tree.run) for _ in range(20)]
    assert ids == sorted(ids)


def test_all_members_come_back(tree, world):
    body = harness.emission_body(tree.run["id"], id=str(uuid.uuid4()), timestamp="2026-11-23T18:40:00.123456+01:00")
    assert tree.client.post("/emissions", body).json() == body["id"]
    answer = tree.client.get(f"/emissions/{body['id']}").json()
    assert harness.moment(answer.pop("timestamp")) == harness.moment(body.pop("timestamp"))
    assert answer == body


def test_the_same_emission_again(tree):
    body = harness.emission_body(tree.run["id"], id=str(uuid.uuid4()))
    assert tree.client.post("/emissions", body).json() == body["id"]
    for again in (body, {**body, "emissions_sum": 7.0}):
        assert tree.client.post("/emissions", again).json() == body["id"]
    page = tree.client.get(f"/runs/{tree.run['id']}/emissions").json()
    assert [item["emissions_sum"] for item in page["items"]] == [body["emissions_sum"]]


def test_the_same_instant_in_other_words_is_the_same(tree):
    identity = str(uuid.uuid4())
    for text in ("2026-11-23T18:00:00.5Z", "2026-11-23T18:00:00.500000+00:00", "2026-11-23T20:00:00.5000001+02:00",
                 "2026-11-23T18:00:00.5"):
        tree.client.post("/emissions", harness.emission_body(tree.run["id"], id=identity, timestamp=text))
    assert count(tree) == 1


def test_another_timestamp_is_another_emission(tree):
    body = harness.emission_body(tree.run["id"], id=str(uuid.uuid4()))
    later = harness.moment(body["timestamp"]) + datetime.timedelta(microseconds=1)
    tree.client.post("/emissions", body)
    tree.client.post("/emissions", {**body, "timestamp": later.isoformat()})
    assert count(tree) == 2


def test_without_id_each_is_its_own(tree):
    body = harness.emission_body(tree.run["id"])
    assert tree.client.post("/emissions", body).json() != tree.client.post("/emissions", body).json()
    assert count(tree) == 2


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59Z"])
def test_stray_times_are_stored(tree, moment):
    tree.client.post("/emissions", harness.emission_body(tree.run["id"], timestamp=moment))
    assert count(tree) == 1


def test_one_emission_sent_at_once_many_times(tree):
    body = harness.emission_body(tree.run["id"], id=str(uuid.uuid4()))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: harness.requests.post(
            tree.world.server.url + "/emissions", json=body, timeout=30,
            headers=dict(tree.client.session.headers)).status_code, range(64)))
    assert set(statuses) == {201}
    assert count(tree) == 1


def test_run_again_is_the_stored_run(tree):
    body = harness.run_body(tree.experiment["id"], id=str(uuid.uuid4()))
    first = tree.client.post("/runs", body).json()
    assert tree.client.post("/runs", {**body, "os": "another"}).json() == first
    assert first["id"] == body["id"]


def test_run_id_of_another_experiment(tree, world):
    other = world.experiment(tree.admin, tree.project)
    tree.client.post("/runs", harness.run_body(other["id"], id=tree.run["id"]), 409)
    assert tree.client.get(f"/runs/{tree.run['id']}").json() == tree.run


def test_one_run_created_at_once_many_times(tree):
    body = harness.run_body(tree.experiment["id"], id=str(uuid.uuid4()))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: harness.requests.post(
            tree.world.server.url + "/runs", json=body, timeout=30,
            headers=dict(tree.client.session.headers)), range(32)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1


def test_pages(tree, world):
    start = harness.now().replace(microsecond=0)
    ids = [world.emission(tree.admin, tree.run, timestamp=(start + datetime.timedelta(seconds=i)).isoformat())
           for i in range(7)]
    path = f"/emissions/run/{tree.run['id']}"
    pages = [tree.client.get(path, params={"size": 3, "page": page}).json() for page in (1, 2, 3, 4)]
    assert [[item["id"] for item in page["items"]] for page in pages] == \
        [ids[6:3:-1], ids[3:0:-1], ids[:1], []]
    assert all((page["total"], page["size"], page["pages"]) == (7, 3, 3) for page in pages)
    whole = tree.client.get(path).json()
    assert (whole["page"], whole["size"], len(whole["items"])) == (1, 100, 7)
    assert tree.client.get(path, params={"page": 2147483647, "size": 10000}).json()["items"] == []


def test_page_of_a_run_without_emissions(tree):
    assert tree.client.get(f"/runs/{tree.run['id']}/emissions").json() == \
        {"items": [], "total": 0, "page": 1, "size": 100, "pages": 0, "cursor": None}
