"""Emissions lie in a partition for each month, which the server makes ahead of need and in nobody's way; what has expired
goes by itself."""

import concurrent.futures
import contextlib
import datetime
import random
import re
import threading
import time

import pytest

import harness

LONGEST = 300  # s, that a file of tests takes
PARTITIONS = "select name from emission_partitions order by 1"


def month(offset, start=None):
    """The beginning of the month that is so many after this one."""
    start = start or harness.now()
    months = start.year * 12 + start.month - 1 + offset
    return datetime.datetime(months // 12, months % 12 + 1, 1, tzinfo=harness.UTC)


@pytest.fixture(scope="module", autouse=True)
def within_a_month():
    """The tests reckon from the month in which they run: if it is about to end, they wait for the next."""
    harness.until(lambda: (month(1) - harness.now()).total_seconds() > harness.patience(LONGEST), LONGEST + 10, "the next month")


def partition(moment):
    return f"emissions_{moment.year:04}_{moment.month:02}"


def expected(first, last):
    return [partition(month(offset)) for offset in range(first, last + 1)]


def partitions(database):
    return [name for name, in database.query(PARTITIONS)]


def insert(database, moment, count=1):
    """Emissions of nobody's run, behind the server's back."""
    database.query("""insert into emissions (run_id, timestamp, id, duration)
                      select gen_random_uuid(), %s, gen_random_uuid(), 1 from generate_series(1, %s)""", moment, count)


def where(database, identity):
    return database.value("select tableoid::regclass::text from emissions where id = %s", identity)


def attempt(database, moment):
    try:
        database.query("select make_emission_partition(%s)", moment)
        return True
    except harness.psycopg2.errors.LockNotAvailable:
        return False


def figures(server):
    text = harness.requests.get(server.monitor_url + "/metrics", timeout=20).text
    return {name: int(value) for name, value in re.findall(r"(?m)^carbond_emission_(\w+) (\d+)$", text)}


@pytest.fixture
def own(new_database, carbond_binary, jwt_key_file):
    """A world on a database of its own, whose partitions are there."""
    database = new_database()
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", jwt_key_file) as server:
        harness.until(lambda: partitions(database) == expected(-1, 2))
        yield harness.World(server)


# -- which months ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options, ahead", [((), 2), (("--partitions-ahead", "0"), 0), (("--partitions-ahead", "14"), 14)])
def test_months_are_there_before_they_come(carbond_binary, new_database, options, ahead):
    database = new_database()
    with harness.Server(carbond_binary, database, *options):
        harness.until(lambda: partitions(database) == expected(-1, ahead))


def test_rows_move_to_their_months(carbond_binary, new_database):
    database = new_database()
    edges = [month(0), month(1) - datetime.timedelta(microseconds=1), month(-1), month(-1) - datetime.timedelta(microseconds=1)]
    for moment in edges:
        insert(database, moment)
    with harness.Server(carbond_binary, database) as server:
        harness.until(lambda: partitions(database) == expected(-1, 2))
        assert database.query("select timestamp, tableoid::regclass::text from emissions order by 1") == sorted(zip(
            edges, [partition(month(0))] * 2 + [partition(month(-1)), "emissions_default"]))
        assert f'month="{month(0):%Y-%m-%d} 00:00:00+00" emissions_moved=2' in server.log()
        harness.until(lambda: figures(server) == {"partitions": 4, "default_rows": 1})


def test_many_strays_get_a_partition(carbond_binary, new_database):
    database = new_database()
    past = month(-60)
    insert(database, past, 10000)
    insert(database, month(-61), 9999)
    with harness.Server(carbond_binary, database):
        harness.until(lambda: partitions(database) == [partition(past), *expected(-1, 2)])
    assert database.value("select count(*) from emissions_default") == 9999
    assert database.value(f"select count(*) from {partition(past)}") == 10000


def test_strays_cannot_make_partitions_without_end(new_database):
    database = new_database()
    database.query("select make_emission_partition(month_of(now() - i * interval '1 month')) from generate_series(1, 119) i")
    insert(database, month(-200), 10000)
    insert(database, month(-201), 10000)
    missing = "select * from missing_emission_partitions(0) order by 1"
    assert database.query(missing) == [(month(-201),), (month(-200),), (month(0),)]
    database.query("select make_emission_partition(%s)", month(0))
    assert database.query(missing) == []


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_bounds_in_any_year_and_zone(new_database, zone):
    database = new_database()
    for year, number in ((1, 1), (1969, 12), (2024, 2), (9999, 12)):
        first = datetime.datetime(year, number, 1, tzinfo=harness.UTC)
        last = datetime.datetime(year, number, 29 if number == 2 else 31, 23, 59, 59, 999999, tzinfo=harness.UTC)
        insert(database, first)
        database.query(f"set timezone = '{zone}'")
        database.query("select make_emission_partition(%s)", first)
        database.query("set timezone = 'UTC'")
        insert(database, last)
        assert database.value(f"select count(*) from {partition(first)}") == 2
    assert database.value("select count(*) from emissions_default") == 0


def test_indexes_are_adopted(own):
    """A partition has those of emissions, and none besides."""
    wanted = own.database.value("select count(*) from pg_index where indrelid = 'emissions'::regclass")
    counts = own.database.query("""select p.name, count(*), count(i.inhparent)
                                     from emission_partitions p
                                     join pg_index x on x.indrelid = p.oid
                                     left join pg_inherits i on i.inhrelid = x.indexrelid
                                    group by 1""")
    assert counts and all((count, adopted) == (wanted, wanted) for _, count, adopted in counts)


# -- what a move leaves as it is ------------------------------------------------------------------------------------------

def test_move_changes_no_answer(own):
    tree, past = harness.Tree(own), month(-24)
    sent = [own.emission(tree.admin, tree.run, timestamp=(past + datetime.timedelta(days=day)).isoformat())
            for day in (-2, -1, 0, 1, 10, 27, 35)]
    range_ = {"start_date": month(-30).isoformat(), "end_date": month(1).isoformat()}
    paths = [(f"/projects/{tree.project['id']}/sums", range_), (f"/experiments/{tree.experiment['id']}/runs/sums", range_),
             (f"/runs/{tree.run['id']}/emissions", {}), *((f"/emissions/{identity}", {}) for identity in sent)]

    def answers():
        return [tree.client.get(path, params=params).json() for path, params in paths]

    def sums():
        contents = own.database.contents()
        return contents["run_sums"], contents["emission_hours"]

    before, sums_before = answers(), sums()
    assert {where(own.database, identity) for identity in sent} == {"emissions_default"}
    assert own.database.value("select make_emission_partition(%s)", past) == 4
    assert answers() == before and sums() == sums_before
    assert own.database.value("select count(*) from emissions_default") == len(sent) - 4
    # What is sent again is recognised where it is now; what is sent for the first time finds the new partition.
    body = harness.emission_body(tree.run["id"], id=sent[3], timestamp=(past + datetime.timedelta(days=1)).isoformat())
    assert tree.client.post("/emissions", body).json() == sent[3] and sums() == sums_before
    fresh = own.emission(tree.admin, tree.run, timestamp=past.isoformat())
    assert where(own.database, fresh) == partition(past)


def test_what_breaks_off_leaves_no_trace(own):
    database, past = own.database, month(-24)
    insert(database, past, 5)
    before = database.contents()
    connection = database.cluster.connect(database.name)
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("select make_emission_partition(%s)", (past,))
        assert cursor.fetchone() == (5,)
        database.query("select pg_terminate_backend(%s)", connection.info.backend_pid)
    harness.until(lambda: database.contents() == before)
    assert database.value("select make_emission_partition(%s)", past) == 5


def test_two_servers_make_each_once(carbond_binary, new_database):
    database = new_database()
    other = database.cluster.connect(database.name)
    other.autocommit = False
    other.cursor().execute("select pg_advisory_xact_lock(hashtext('carbond partitions'))")
    with harness.Server(carbond_binary, database, "--partitions-ahead", "24") as one, \
            harness.Server(carbond_binary, database, "--partitions-ahead", "24") as two:
        assert partitions(database) == []
        other.close()
        # Who has made one says so afterwards.
        harness.until(lambda: (one.log() + two.log()).count("made a partition") >= 26, 20)
        log = one.log() + two.log()
        assert log.count("made a partition") == 26 and not re.search("already exists|duplicate key", log)
        assert partitions(database) == expected(-1, 24)


@pytest.mark.parametrize("lock", ["emissions", "only emissions", "emissions_default"],
                         ids=["its-reader", "who-makes-out-its-partitions", "vacuum"])
@pytest.mark.parametrize("rows", [0, 3])
def test_attached_only_while_nobody_is_there(own, rows, lock):
    """PostgreSQL does without. But a session that is just finding out which partitions there are misses the new one, goes on
    so, and stores its emissions in the default partition, where readers of that month do not look."""
    database, past = own.database, month(-24)
    if rows:
        insert(database, past, rows)
    before = database.contents(), partitions(database)
    other = database.cluster.connect(database.name)
    other.autocommit = False
    other.cursor().execute(f"lock table {lock} in access share mode")
    assert not attempt(database, past)
    assert (database.contents(), partitions(database)) == before
    other.close()
    harness.until(lambda: attempt(database, past))
    assert database.value(f"select count(*) from {partition(past)}") == rows


@contextlib.contextmanager
def others_ask(database, sql, sessions):
    """Again and again, until the block ends; it begins once one of them is on the table."""
    end = threading.Event()

    def ask():
        other = harness.Database(database.cluster, database.name)
        while not end.is_set():
            other.query(sql)
        other.close()

    with concurrent.futures.ThreadPoolExecutor(sessions) as pool:
        asking = [pool.submit(ask) for _ in range(sessions)]
        try:
            harness.until(lambda: database.value("select cardinality(emission_holders())") > 0)
            yield
        finally:
            end.set()
        for one in asking:
            one.result()


def test_who_comes_and_goes_is_not_given_way_to(own):
    """All that is there at any moment is there for short: that is how a busy server looks."""
    with others_ask(own.database, "select count(*), pg_sleep(0.03) from emissions", 3):
        harness.until(lambda: attempt(own.database, month(-24)), 30)


def test_who_counts_the_default_partition_is_waited_for(own):
    """Each server does, now and then, and is not on emissions meanwhile. Only who takes half a second is not waited for, as may
    happen on a busy machine."""
    with others_ask(own.database, "select count_strays(), pg_sleep(0.02)", 1):
        assert sum(attempt(own.database, month(offset)) for offset in range(-24, -12)) > 6


@pytest.mark.parametrize("rows", [0, 3])
def test_who_waits_finds_the_partition(own, rows):
    """A writer and a reader that came while it was being made."""
    database, tree, past = own.database, harness.Tree(own), month(-24)
    for _ in range(rows):
        own.emission(tree.admin, tree.run, timestamp=past.isoformat())
    maker = database.cluster.connect(database.name)
    maker.autocommit = False
    with maker.cursor() as cursor, concurrent.futures.ThreadPoolExecutor(2) as pool:
        cursor.execute("select make_emission_partition(%s)", (past,))
        read = pool.submit(own.client(bearer=harness.make_jwt(tree.admin.id)).get, f"/runs/{tree.run['id']}/emissions")
        harness.until(lambda: waiting(database) >= 1)
        written = pool.submit(own.client(bearer=harness.make_jwt(tree.admin.id)).post, "/emissions",
                              harness.emission_body(tree.run["id"], timestamp=past.isoformat()))
        harness.until(lambda: waiting(database) >= 2)
        maker.commit()
        page, emission = read.result().json(), written.result().json()
    maker.close()
    seen = {item["id"] for item in page["items"]}
    assert len(seen - {emission}) == rows
    assert where(database, emission) == partition(past)


def test_who_waits_finds_a_partition_that_is_attached_by_hand(own):
    """The writer set out to store into the default partition: PostgreSQL refuses that, and the server tries again."""
    database, tree, past = own.database, harness.Tree(own), month(-24)
    by_hand = database.cluster.connect(database.name)
    by_hand.autocommit = False
    with by_hand.cursor() as cursor, concurrent.futures.ThreadPoolExecutor(1) as pool:
        cursor.execute(f"create table {partition(past)} (like emissions including all)")
        cursor.execute(f"alter table emissions attach partition {partition(past)} for values from (%s) to (%s)",
                       (past, month(-23)))
        written = pool.submit(tree.client.post, "/emissions", harness.emission_body(tree.run["id"], timestamp=past.isoformat()))
        harness.until(lambda: waiting(database) >= 1)
        by_hand.commit()
        assert where(database, written.result().json()) == partition(past)
    by_hand.close()


def waiting(database):
    return database.value("""select count(*) from pg_stat_activity
                              where datname = current_database() and wait_event_type = 'Lock'""")


def test_traffic_while_partitions_are_made(own):
    """Emissions of the very months meanwhile: each is stored once, and no reader misses one that was acknowledged."""
    tree, start = harness.Tree(own), month(-36)
    token = own.project_token(tree.admin, tree.project)["token"]
    acknowledged, failures, end = [], [], threading.Event()
    path = f"/runs/{tree.run['id']}/emissions"

    def guarded(work):
        client = own.client(token=token)
        try:
            while not end.is_set():
                work(client)
        except BaseException as failure:
            failures.append(failure)
            raise

    def write(client):
        moment = start + datetime.timedelta(days=random.randrange(360), seconds=random.randrange(86400))
        body = harness.emission_body(tree.run["id"], timestamp=moment.isoformat())
        acknowledged.append(client.post("/emissions", body).json())

    def read(client):
        known = len(acknowledged)
        page = client.get(path, params={"size": 10000}).json()
        assert len(page["items"]) >= known and page["total"] >= known

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (write, write, write, write, read, read)]
    for thread in threads:
        thread.start()
    try:
        for offset in range(12):
            harness.until(lambda: attempt(own.database, month(offset, start)), 20)
            time.sleep(0.1)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert len(set(acknowledged)) == len(acknowledged) > 100
    stored = [identity for identity, in own.database.query("select id::text from emissions where run_id = %s", tree.run["id"])]
    assert sorted(stored) == sorted(acknowledged)
    assert own.database.value("select count(*) from emissions_default") == 0
    for table in ("run_sums", "emission_hours"):
        assert own.database.value(f"select sum(emissions_count) from {table}") == len(stored)


# -- in nobody's way ------------------------------------------------------------------------------------------------------

def nobody_waits(database):
    assert waiting(database) == 0


class SlowReader:
    """Has read all emissions, and holds on to them."""

    def __init__(self, database):
        self.connection = database.cluster.connect(database.name)
        self.connection.autocommit = False
        self.connection.cursor().execute("select count(*) from emissions")

    def leave(self):
        self.connection.close()


def longest_wait(client, bodies, meanwhile, look=lambda: None):
    """Of an emission sent while that is going on, with a look now and then."""
    waits = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        other = pool.submit(meanwhile)
        while not other.done():
            begun = time.monotonic()
            client.post("/emissions", next(bodies))
            waits.append(time.monotonic() - begun)
            look()
        other.result()
    return max(waits)


@pytest.mark.parametrize("moves", [False, True], ids=["nothing-to-move", "rows-to-move"])
def test_slow_reader_holds_up_no_emission(own, carbond_binary, moves):
    database, tree = own.database, harness.Tree(own)
    if moves:
        own.emission(tree.admin, tree.run, timestamp=month(3).isoformat())
    reader = SlowReader(database)

    def bodies():
        while True:
            yield harness.emission_body(tree.run["id"])
            yield harness.emission_body(tree.run["id"], timestamp="1999-12-31T00:00:00Z")

    def attempts():
        other = harness.Database(database.cluster, database.name)
        for _ in range(5):  # a server may be at it for a moment
            harness.until(lambda: other.value("select outcome from make_missing_emission_partition(3, null)") == "held")
        other.close()

    def naive():
        other = harness.Database(database.cluster, database.name)
        other.query("set lock_timeout = '4s'")
        with pytest.raises(harness.psycopg2.errors.LockNotAvailable):
            other.query("create table naive partition of emissions for values from ('2001-01-01') to ('2001-02-01')")
        other.close()

    # As long as the reader stays, were it not bounded: until the statement's timeout, 30 s.
    assert longest_wait(tree.client, bodies(), attempts, lambda: nobody_waits(database)) < harness.patience(10)
    assert longest_wait(tree.client, bodies(), naive) > 1

    with harness.Server(carbond_binary, database, "--partitions-ahead", "3") as server:
        harness.until(lambda: "a month has no partition yet" in server.log())
        time.sleep(2)
        assert server.log().count("a month has no partition yet") == 1
        reader.leave()
        harness.until(lambda: partitions(database) == expected(-1, 3), 30)
        harness.until(lambda: "no month lacks its partition any more" in server.log())
    assert database.value(f"select count(*) from {partition(month(3))}") == moves


def test_without_the_privilege(carbond_binary, new_database, jwt_key_file):
    """What cannot be made is told once; emissions are stored all the same."""
    database = new_database()
    database.query("""create role clerk login; grant all on all tables in schema public to clerk;
                      revoke all on emissions_default from clerk""")
    as_clerk = harness.Database(database.cluster, database.name)
    as_clerk.url = as_clerk.url.replace("carbond@", "clerk@")
    with harness.Server(carbond_binary, as_clerk, "--jwt-hs256-key-file", jwt_key_file) as server:
        tree = harness.Tree(harness.World(server))
        emission = tree.world.emission(tree.admin, tree.run)
        assert where(database, emission) == "emissions_default"
        harness.until(lambda: "a month has no partition yet" in server.log())
        time.sleep(1.5)  # another round
        assert server.log().count("a month has no partition yet") == 1 and "level=error" not in server.log()
        assert figures(server) == {"partitions": 0}
        database.query("drop owned by clerk; alter role clerk superuser")
        harness.until(lambda: partitions(database) == expected(-1, 2), 30)
        assert where(database, emission) == partition(month(0))
    database.query("drop owned by clerk; drop role clerk")


# -- what has expired -----------------------------------------------------------------------------------------------------

def test_what_has_expired_goes(carbond_binary, own):
    database, user = own.database, own.user()
    tokens = {name: own.user_token(user)["id"] for name in ("never", "just", "long")}
    for name, ago in (("just", "29 days"), ("long", "32 days")):
        database.query("update user_tokens set expires_at = now() - %s::interval where id = %s", ago, tokens[name])
    database.query("""insert into user_tokens (user_id, name, token_hash, expires_at)
                      select %s, 'old', decode(md5(i::text), 'hex'), now() - interval '1 year' from generate_series(1, 2500) i""",
                   user.id)
    for name, end in (("live", "1 minute"), ("dead", "-1 second")):
        database.query("insert into sessions (token_hash, user_id, expires_at) values (%s, %s, now() + %s::interval)",
                       name.encode(), user.id, end)
    with harness.Server(carbond_binary, database):
        harness.until(lambda: database.value("select count(*) from user_tokens") == 2)
        harness.until(lambda: database.value("select count(*) from sessions") == 1)
    assert {token for token, in database.query("select id::text from user_tokens")} == {tokens["never"], tokens["just"]}
    assert bytes(database.value("select token_hash from sessions")) == b"live"
