"""Nothing that was acknowledged is lost, and nothing is counted twice, whoever is killed at whatever moment.

    CRASH_ROUNDS=500 script/test --quick -- -k crash

plays more rounds than a run of all tests has time for; CRASH_SEED repeats one that failed."""

import os
import random
import time

import harness
import plain_sql
import senders
import tool

ROUNDS = int(os.environ.get("CRASH_ROUNDS", 24))
SEED = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
SENDERS = 4  # for each server


class Play:
    """A database, the servers that live on it for a while, and those who send to them."""

    def __init__(self, binary, database, key_file):
        self.binary, self.database, self.key_file = binary, database, key_file
        self.random = random.Random(SEED)
        self.account = senders.Account()
        self.servers = []
        self.start_servers(1)
        world = harness.World(self.servers[0])
        tree = harness.Tree(world)
        self.runs = [tree.run["id"], *(world.run(tree.admin, tree.experiment)["id"] for _ in range(5))]
        self.headers = {"x-api-token": world.project_token(tree.admin, tree.project)["token"]}

    def start_servers(self, count):
        while len(self.servers) < count:
            self.servers.append(harness.Server(self.binary, self.database, "--jwt-hs256-key-file", self.key_file))

    def kill_server(self):
        self.servers.pop(self.random.randrange(len(self.servers))).abandon()

    def kill_database(self):
        self.database.cluster.kill()
        self.database.close()
        time.sleep(self.random.uniform(0, 0.3))
        self.database.cluster.start()

    def round(self, victim, servers):
        self.start_servers(servers)
        before = len(self.account.acknowledged)
        busy = [senders.Sender(server, self.headers, self.runs, self.account, self.random.random())
                for server in self.servers for _ in range(SENDERS)]
        harness.until(lambda: len(self.account.acknowledged) > before, 30, "an acknowledgement")
        time.sleep(self.random.uniform(0, 0.5))
        victim(self)
        acknowledged = len(self.account.acknowledged)
        if self.servers and victim is Play.kill_database:
            harness.until(lambda: len(self.account.acknowledged) > acknowledged, 30, "life after the crash")
        senders.stop(busy)
        self.check()

    def check(self):
        self.account.assert_stored(self.database)
        plain_sql.assert_tables_match(self.database)

    def end(self):
        self.start_servers(1)
        senders.send_what_is_left(self.servers[0], self.headers, self.account)
        self.account.assert_all_stored(self.database)
        plain_sql.assert_tables_match(self.database)
        while self.servers:
            self.servers.pop().stop()


VICTIMS = [Play.kill_server, Play.kill_database]


def test_crashes(carbond_binary, own_database, jwt_key_file):
    """In turn the server and PostgreSQL, with one server and with two."""
    rounds = ROUNDS if tool.IS_PLAIN else min(ROUNDS, 6)
    play = Play(carbond_binary, own_database, jwt_key_file)
    try:
        for number in range(rounds):
            play.round(VICTIMS[number % 2], 1 + number // 2 % 2)
        play.end()
        assert len(play.account.acknowledged) > 100 * rounds
    except BaseException:
        print(f"CRASH_SEED={SEED}, {len(play.account.acknowledged)} acknowledged, {play.account.refused} refused")
        raise
    finally:
        for server in play.servers:
            server.abandon()
