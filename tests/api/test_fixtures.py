"""Requests recorded from real trackers, replayed as they are: only ids and tokens are ours."""

import json

import pytest

import harness
from test_reports import assert_report

RECORDINGS = harness.ROOT / "tests" / "data"
RANGE = {"start_date": "2026-11-01", "end_date": "2026-12-01"}


def recording(name):
    return [json.loads(line) for line in (RECORDINGS / name).read_text().splitlines()]


def send(server, request, prefix="", **headers):
    """As the tracker did: its own headers, one connection a request."""
    kept = {name: value for name, value in request["headers"].items()
            if name.lower() not in ("host", "content-length", "x-api-token", "authorization")}
    body = request["body"] if isinstance(request["body"], str) else json.dumps(request["body"])
    return harness.requests.request(request["method"], server.url + prefix + request["path"], data=body,
                                    headers={**kept, **headers}, timeout=2)


@pytest.mark.parametrize("name, in_header", [("codecarbon-3.2.9.jsonl", True), ("codecarbon-2.4.1.jsonl", False)])
def test_tracker_from_run_to_sums(tree, world, name, in_header):
    token = world.project_token(tree.admin, tree.project, "write")["token"]
    prefix, headers = ("", {"x-api-token": token}) if in_header else (f"/t/{token}", {})
    run_id, sent = None, []
    for request in recording(name):
        body = request["body"]
        if "experiment_id" in body:
            body["experiment_id"] = tree.experiment["id"]
        else:
            body["run_id"] = run_id
        response = send(tree.world.server, request, prefix, **headers)
        assert response.status_code == 201, response.text
        if "experiment_id" in body:
            run_id = response.json()["id"]
        else:
            sent.append(body)
    assert len(sent) > 5
    assert_report(tree.client.get(f"/projects/{tree.project['id']}/sums", params=RANGE).json(), sent)
    (report,) = tree.client.get(f"/experiments/{tree.experiment['id']}/runs/sums", params=RANGE).json()
    assert report["run_id"] == run_id
    assert_report(report, sent)


def test_command_line_of_the_tracker(world):
    """Its set-up: from the organisation to the first emission, with ids taken from our answers."""
    user = world.user()
    bearer = user.client.session.headers["Authorization"]
    ids, token, statuses = {}, None, []
    kinds = {"/organizations": "organization_id", "/projects": "project_id", "/experiments": "experiment_id",
             "/runs": "run_id"}
    for request in recording("codecarbon-3.2.9-cli.jsonl"):
        body = request["body"]
        path = request["path"].rstrip("/")
        if request["method"] == "GET":
            kind, *rest = path.strip("/").split("/")
            if rest:  # an id of an answer to the recorded tracker
                request["path"] = "/".join(["", kind, ids[kinds["/" + kind]], *rest[1:]])
            response = send(world.server, request, Authorization=bearer)
            assert response.status_code == 200, (request, response.text)
            assert not rest or rest[1:] or response.json()["id"] == ids[kinds["/" + kind]]
            continue
        if path.endswith("/api-tokens"):
            if len(path.split("/")[2]) != 36:
                continue  # it asked for a project that its stub had given no proper id
            request["path"] = f"/projects/{ids['project_id']}/api-tokens"
        for member in set(body) & set(ids):
            body[member] = ids[member]
        headers = {"x-api-token": token} if path in ("/runs", "/emissions") else {"Authorization": bearer}
        response = send(world.server, request, **headers)
        assert response.status_code == 201, (request, response.text)
        statuses.append(path)
        if path in kinds:
            ids[kinds[path]] = response.json()["id"]
        elif path.endswith("/api-tokens"):
            token = response.json()["token"]
            assert response.json()["access"] == 2
            world.server.secrets.add(token)
    assert "/emissions" in statuses and token
    assert user.client.get(f"/projects/{ids['project_id']}/sums", params=RANGE).json()["emissions_count"] > 0


def test_webhooks_have_no_route(world):
    sent = [request for request in recording("codecarbon-3.2.9-webhook.jsonl") if request["path"].startswith("/hook")]
    assert sent
    for request in sent:
        assert send(world.server, request).status_code == 404
