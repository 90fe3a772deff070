"""Emissions while the database is away: each waits for it, 1.5 s at most, and what is acknowledged is stored once."""

import concurrent.futures
import random
import time

import pytest

import harness
import senders

PATIENCE = 1.5


@pytest.fixture(scope="module")
def own_server(carbond_binary, own_database, jwt_key_file):
    with harness.Server(carbond_binary, own_database, "--jwt-hs256-key-file", jwt_key_file, "--statement-timeout",
                        "3") as server:
        yield server


def test_a_restart_in_time_refuses_nothing(own_server, own_cluster):
    with senders.Sending(own_server) as sending:
        for _ in range(3):
            refused = sending.account.refused
            begun = time.monotonic()
            own_cluster.restart()
            sending.some_more()
            # What waited already when it began counts too; and all may take longer where much else goes on.
            in_time = time.monotonic() - begun < PATIENCE - harness.patience(0.5)
            assert not in_time or sending.account.refused == refused


def test_each_waits_as_long_as_its_own_patience_lasts(own_server, own_cluster):
    """Those that came last are not given up with those that came first."""
    sending = senders.Sending(own_server)
    senders.Connection(own_server, sending.headers).single(senders.emissions(sending.runs, 1)[0])

    def post(delay):
        time.sleep(delay)
        connection = senders.Connection(own_server, sending.headers)
        body = senders.emissions(sending.runs, 1)[0]
        sent = time.monotonic()
        status, _, headers = connection.single(body)
        connection.close()
        if status == 201:
            sending.account.acknowledge([body])
        return sent, time.monotonic() - sent, status, headers

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        own_cluster.stop()
        # The cache of tokens has nothing fresh any more, and sooner or later all who are first have no patience.
        posts = [pool.submit(post, number * 0.06) for number in range(50)]
        time.sleep(2.4)
        own_cluster.start()
        back = time.monotonic()
        answers = [future.result() for future in posts]
    assert {status for _, _, status, _ in answers} == {201, 503}
    for sent, waited, status, headers in answers:
        if status == 503:
            assert waited > PATIENCE - 0.1 and int(headers["Retry-After"]) >= 0
            assert sent < back - PATIENCE + harness.patience(1.2), f"{back - sent} s before the database was back it gave up after {waited} s"
    own_server.database.close()
    sending.account.assert_all_stored(own_server.database)


def test_a_statement_that_takes_too_long(own_server, own_database):
    with senders.Sending(own_server) as sending:
        connection = own_database.cluster.connect(own_database.name)
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute("lock table emissions in exclusive mode")
            harness.until(lambda: sending.account.refused >= sending.count, 30)
        connection.close()
        sending.some_more()


@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
def test_connections_and_statements_that_are_ended(own_server, own_database, function):
    source = random.Random(3)
    with senders.Sending(own_server) as sending:
        for _ in range(25):
            time.sleep(source.uniform(0, 0.15))
            own_database.query(f"""select {function}(pid) from pg_stat_activity
                                    where pid <> pg_backend_pid() and application_name = 'carbond'""")
        sending.some_more()
        assert sending.account.refused <= 2 * sending.count  # a sender or two are behind once or twice; not each time


def test_a_read_only_database(own_server, own_database):
    """A session stays read-only when the database is so no more: the server makes a new one."""

    def read_only(value):
        own_database.query(f"alter database {own_database.name} set default_transaction_read_only = {value}")

    with senders.Sending(own_server) as sending:
        read_only("on")
        try:
            own_database.query("""select pg_terminate_backend(pid) from pg_stat_activity
                                  where pid <> pg_backend_pid() and application_name = 'carbond'""")
            harness.until(lambda: sending.account.refused >= sending.count, 30)
        finally:
            own_database.close()
            own_database.query("set default_transaction_read_only = off")
            read_only("off")
        sending.some_more()
