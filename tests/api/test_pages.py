"""Pages of a run's emissions: by number and by cursor, newest first."""

import datetime
import random
import sys
import uuid

import pytest

import harness

sys.path.append(str(harness.ROOT / "tests" / "bench"))
import data  # noqa: E402

START = datetime.datetime(2026, 10, 1, tzinfo=harness.UTC)
HOUR, MICROSECOND = datetime.timedelta(hours=1), datetime.timedelta(microseconds=1)


def fill(tree, run, moments):
    """Emissions with ids in no order. Returns the ids as the pages should have them."""
    emissions = [(moment, str(uuid.uuid4())) for moment in moments]
    for moment, identity in emissions:
        tree.client.post("/emissions", harness.emission_body(run["id"], id=identity, timestamp=moment.isoformat()))
    return [identity for _, identity in sorted(emissions, reverse=True)]


def page_of(tree, run, **query):
    page = tree.client.get(f"/runs/{run['id']}/emissions", params=query).json()
    return page, [item["id"] for item in page["items"]]


@pytest.fixture(scope="module")
def crowded(world):
    """Seventy emissions: hours with many and with none, several at one moment, some at the edges of hours."""
    tree = harness.Tree(world)
    chance = random.Random(5)
    moments = [START + chance.choice([0, 1, 2, 9]) * HOUR + chance.choice([0, 0, 1, -1, 7]) * MICROSECOND
               + chance.choice([0, 0.5, chance.random()]) * HOUR for _ in range(70)]
    return tree, fill(tree, tree.run, moments)


@pytest.mark.parametrize("size", [1, 2, 7, 34, 35, 36, 69, 70, 71, 10000])
def test_every_page(crowded, size):
    tree, ids = crowded
    last = -(-len(ids) // size)
    for number in range(1, last + 3):
        page, got = page_of(tree, tree.run, page=number, size=size)
        assert got == ids[(number - 1) * size:number * size]
        assert (page["total"], page["page"], page["size"], page["pages"]) == (len(ids), number, size, last)
        assert (page["cursor"] is not None) == (number < last)


@pytest.mark.parametrize("size", [1, 3, 35, 70])
def test_cursors_lead_through_all(crowded, size):
    tree, ids = crowded
    page, got = page_of(tree, tree.run, size=size)
    while page["cursor"]:
        page, more = page_of(tree, tree.run, size=size, cursor=page["cursor"])
        assert (page["total"], page["page"], page["size"]) == (len(ids), None, size)
        assert len(more) == min(size, len(ids) - len(got))
        got += more
    assert got == ids


def test_a_page_by_number_leads_to_the_next(crowded):
    tree, ids = crowded
    for number in (1, 4, 6):
        page, _ = page_of(tree, tree.run, size=10, page=number)
        assert page_of(tree, tree.run, size=10, cursor=page["cursor"])[1] == ids[number * 10:number * 10 + 10]


def test_a_cursor_counts_more_than_a_page(crowded):
    tree, ids = crowded
    page, _ = page_of(tree, tree.run, size=10)
    page, got = page_of(tree, tree.run, size=10, page=5, cursor=page["cursor"])
    assert (page["page"], got) == (None, ids[10:20])


def test_what_comes_in_meanwhile_shifts_no_cursor(tree):
    ids = fill(tree, tree.run, [START + i * HOUR for i in range(9)])
    page, _ = page_of(tree, tree.run, size=3)
    fill(tree, tree.run, [START + 10 * HOUR, START + 11 * HOUR])
    page, got = page_of(tree, tree.run, size=3, cursor=page["cursor"])
    assert (got, page["total"]) == (ids[3:6], 11)


def test_a_cursor_of_another_run_is_but_a_place(tree, world):
    """It names a moment, and tells nothing of the run it is from."""
    fill(tree, tree.run, [START + i * HOUR for i in range(4)])
    other = world.run(tree.admin, tree.experiment)
    ids = fill(tree, other, [START + (i + 0.5) * HOUR for i in range(4)])
    page, _ = page_of(tree, tree.run, size=2)
    assert page_of(tree, other, cursor=page["cursor"])[1] == ids[2:]


def test_cursors_reach_to_the_ends_of_time(tree):
    moments = [datetime.datetime(1, 1, 1, tzinfo=harness.UTC), datetime.datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=harness.UTC),
               datetime.datetime(9999, 12, 31, 23, 59, 59, 999998, tzinfo=harness.UTC),
               datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=harness.UTC)]
    ids = fill(tree, tree.run, moments)
    page, got = page_of(tree, tree.run, size=1)
    while page["cursor"]:
        page, more = page_of(tree, tree.run, size=1, cursor=page["cursor"])
        got += more
    assert got == ids
    assert [page_of(tree, tree.run, size=1, page=number)[1] for number in (1, 2, 3, 4)] == [[identity] for identity in ids]


def test_skipped_emissions_are_not_read(carbond_binary, cluster, new_database, jwt_key_file):
    """A page of twenty thousand emissions costs an hour of them at most, as PostgreSQL counts what it fetches."""
    database = harness.Database(cluster, new_database().name)  # never through a pooler, whose sessions stay

    def sessions():
        return database.value("select count(*) from pg_stat_activity where datname = current_database()") - 1

    def fetched():
        return database.value("""select sum(idx_tup_fetch + seq_tup_read)::bigint from pg_stat_user_tables
                                  where relname like 'emissions%'""")

    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file) as server:
        tree = harness.Tree(harness.World(server))
    run, = data.load(database, tree.organization["id"], projects=1, experiments=1, runs=1, emissions=20_000,
                     start=START, period=HOUR, step=datetime.timedelta(seconds=6))
    # A session tells what it did when it ends.
    harness.until(lambda: not sessions(), what="the end of all sessions")
    before = fetched()
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file) as server:
        client = harness.Client(server, bearer=harness.make_jwt(tree.admin.id))
        for number in (2, 60, 101, 150, 199):
            assert len(client.get(f"/runs/{run}/emissions", params={"page": number}).json()["items"]) == 100
    harness.until(lambda: not sessions(), what="the end of all sessions")
    assert 0 < fetched() - before < 5 * (600 + 101)
