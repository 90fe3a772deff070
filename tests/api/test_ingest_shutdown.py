"""SIGTERM while emissions are on their way: all that has begun is answered, all that is acknowledged is stored, and the
end comes in time and in order, whatever the database does."""

import concurrent.futures
import contextlib
import random
import time

import pytest

import harness
import senders
import tool

GRACE = 1
# What may come on top of the grace time: nobody may wait for a statement's timeout of 30 s.
SOON = 8


@contextlib.contextmanager
def started(binary, database, key_file, *options):
    """A server, a tree, and the headers of one who may write."""
    with harness.Server(binary, database, "--jwt-hs256-key-file", key_file, *options) as server:
        tree = harness.Tree(harness.World(server))
        token = tree.world.project_token(tree.admin, tree.project)["token"]
        yield server, tree, {"x-api-token": token}


def ends_in_time(server):
    begun = time.monotonic()
    assert server.process.wait(GRACE + harness.patience(SOON)) == 0
    return time.monotonic() - begun


def test_under_load(carbond_binary, own_database, jwt_key_file):
    account = senders.Account()
    with started(carbond_binary, own_database, jwt_key_file) as (server, tree, headers):
        busy = [senders.Sender(server, headers, [tree.run["id"]], account, random.random()) for _ in range(8)]
        harness.until(lambda: len(account.acknowledged) > 2000, 30)
        server.terminate()
        assert server.process.wait(harness.patience(20)) == 0
        senders.stop(busy)
        assert "cut off" not in server.log()
    assert account.refused == 0 or not tool.IS_PLAIN  # under a tool some may have waited for all the time that they have
    account.assert_all_stored(own_database)


def answer_after_signal(binary, database, key_file):
    """Of a connection that is kept, when nothing else is at work: the status (or None), and how long after the signal."""
    with started(binary, database, key_file) as (server, tree, headers):
        connection = senders.Connection(server, headers)
        assert connection.single(harness.emission_body(tree.run["id"]))[0] == 201
        begun = time.monotonic()
        server.terminate()
        harness.until(lambda: "msg=ending" in server.log())
        time.sleep(0.02)
        try:
            status, _, answer = connection.single(harness.emission_body(tree.run["id"]))
            assert answer["Connection"] == "close"
        except senders.FAILURES:
            status = None
        took = time.monotonic() - begun
        assert ends_in_time(server) < SOON
    return status, took


def test_who_is_between_two_requests_is_waited_for(carbond_binary, own_database, jwt_key_file):
    """For a quarter of a second: a machine that was too busy to send by then proves nothing."""
    for _ in range(10):
        status, took = answer_after_signal(carbond_binary, own_database, jwt_key_file)
        if status == 201:
            return
        assert took > 0.2
    pytest.fail("this machine is too busy")


@pytest.mark.parametrize("hindrance", ["a lock", "a lock on tokens", "a freeze"])
def test_a_database_that_hangs(carbond_binary, own_cluster, own_database, jwt_key_file, hindrance):
    """Requests of all kinds are stuck when the grace time ends, more than fit in one statement."""
    with started(carbond_binary, own_database, jwt_key_file, "--grace", GRACE, "--workers", "2") as (server, tree, headers):
        account = senders.Account()

        def post(number):
            bodies = senders.emissions([tree.run["id"]], 3000 if number % 4 == 0 else 1)
            connection = senders.Connection(server, headers if number % 3 else {
                "Authorization": tree.client.session.headers["Authorization"]})
            try:
                status, _, _ = connection.batch(bodies) if len(bodies) > 1 else connection.single(bodies[0])
            except senders.FAILURES:
                return None
            if status in (200, 201):
                account.acknowledge(bodies)
            return status

        hold = {"a lock": lambda: harness.locked(own_database, "emissions"),
                "a lock on tokens": lambda: harness.locked(own_database, "project_tokens", "users"),
                "a freeze": own_cluster.frozen}[hindrance]
        with hold(), concurrent.futures.ThreadPoolExecutor(40) as pool:
            answers = [pool.submit(post, number) for number in range(40)]
            time.sleep(1)
            server.terminate()
            ends_in_time(server)
            statuses = [answer.result() for answer in answers]
        # None: cut off at the end of the grace time.
        assert set(statuses) <= {None, 503}
    # What was cut off may be stored or not, but does not hold PostgreSQL up any more.
    harness.until(lambda: not own_database.value("""select count(*) from pg_stat_activity
                                                    where application_name = 'carbond' and state = 'active'"""), 5)
    account.assert_all_stored(own_database)


def test_requests_that_come_when_all_has_ended(carbond_binary, own_database, jwt_key_file):
    """One lane still has work when the others are gone: who comes then is refused, and finds nothing freed."""
    with started(carbond_binary, own_database, jwt_key_file, "--grace", "0") as (server, tree, headers):
        users = [tree.world.user(password="a password of the tests") for _ in range(2)]
        token = headers["x-api-token"]
        late = []
        for _ in range(20):
            connection = harness.RawConnection(server)
            connection.send(f"POST /runs HTTP/1.1\r\nHost: x\r\nx-api-token: {token}\r\n"
                            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{".encode())
            late.append(connection)
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            signing_in = [pool.submit(harness.requests.post, server.url + "/authenticate", timeout=20, json={
                "email": users[i % 2].email, "password": users[i % 2].password}) for i in range(30)]
            time.sleep(0.2)
            server.terminate()
            for connection in late:
                time.sleep(0.02)
                connection.send(b"}")
            ends_in_time(server)
            for connection in late:
                answer = connection.answer()
                assert answer is None or answer.status in (422, 503), answer.body
                connection.socket.close()
            for future in signing_in:
                with contextlib.suppress(harness.requests.RequestException):
                    assert future.result().status_code in (200, 503)
