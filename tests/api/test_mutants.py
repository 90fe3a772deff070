"""Each check of each statement is needed: without it, the requests of two tenants (swaps.py) go wrong.

A mutant is a statement, or one of the functions and views that statements read through, that lacks one of its checks: a
condition on whose something is, or a function that asks who is calling. The server is the usual one; a proxy before
PostgreSQL puts the mutant in the statement's place. Some of them are tried by default; all of them with MUTANTS=all in
the environment."""

import os
import random
import re
import types

import pytest
import requests

import harness
import rewriter
import statements
import swaps
import tenants

# Statements that no request to this server runs, and why.
NOT_ASKED = {
    **dict.fromkeys(("schema_differs", "schema_exists", "schema_record", "schema_state"), "of migrations"),
    **dict.fromkeys(("audit_list", "sums_rebuild", "sums_verify", "token_revoke", "user_set_password"), "at the command line, for nobody"),
    **dict.fromkeys(("partition_count", "partition_make", "purge_project", "purge_runs", "purge_rest", "purge_end",
                     "expired_remove"), "of upkeep, for nobody"),
    **dict.fromkeys(("user_create", "user_signup"), "signing up is closed here; they read what they have just made"),
    **dict.fromkeys(("project_token_used", "user_token_used"), "of the token that was found a moment ago"),
    "local_admin": "with --auth none everybody is everywhere",
    "schema_version": "asks for a number",
}


# Mutants that do what the statement does, or what is nobody's secret, and why.
EQUIVALENT = {
}


class Watched:
    """A server behind a rewriter, two tenants on it, and which requests run each statement."""

    def __init__(self, world, proxy, tables):
        self.world, self.database, self.proxy, self.tables = world, world.database, proxy, tables
        self.statements = {name: statements.compiled(name)[0] for name in statements.NAMES}
        self._make_functions()
        self._let_sign_in()
        world.save()
        self.checks = {}
        for check in [*map(self._of_route, tables["routes"]), lambda few=False: signing_in(world)]:
            proxy.seen.clear()
            assert check(few=True) == []
            for name, text in self.statements.items():
                if text in proxy.seen:
                    self.checks.setdefault(name, []).append(check)

    def _of_route(self, route):
        return lambda few=False: swaps.faults_of_route(self.world, route, self.tables, few)

    def _make_functions(self):
        """anything_* answer what the functions that ask for the caller answer, whoever asks."""
        self.functions = {}
        for name, rows, body in self.database.query("""
                select proname, prorettype::regtype::text, prosrc from pg_proc
                 where pronamespace = 'public'::regnamespace and proname ~ '^(visible|reachable|administered)_'"""):
            self.functions[name] = (rows, body)
            self._define("anything_" + name.split("_", 1)[1], rows, f"select * from {rows}")

    def _define(self, name, rows, body):
        self.database.query(f"""create or replace function {name}(who caller) returns setof {rows} language sql stable
                                as $body$ {body} $body$""")

    def _let_sign_in(self):
        """Past the command line, which would end their sessions."""
        mine, theirs, left = self.world.mine.admin, self.world.theirs.admin, self.world.left
        for password, users in (("my password", [mine.id, left.id]), ("their password", [theirs.id])):
            self.database.query("""update users set password_hash = (select password_hash from users where id = %s)
                                    where id = any(%s::uuid[])""", self.world.world.user(password).id, users)

    def mutants(self):
        """(name, what was done, text) of all mutants of what requests run."""
        known = {*self.functions, *(f"anything_{name.split('_', 1)[1]}" for name in self.functions)}
        for name in sorted(self.checks.keys() - NOT_ASKED.keys()):
            for what, text in statements.mutants(self.statements[name], known):
                yield name, what, text
        for name, (_, body) in sorted(self.functions.items()):
            for what, text in statements.mutants(body):
                yield name, what, text
        for name, body in self.views():
            for what, text in statements.mutants(body):
                yield name, what, text

    def views(self):
        return self.database.query("""select viewname, definition from pg_views
                                       where schemaname = 'public' and viewname ~ '^live_' order by 1""")

    def faults(self, name, text):
        """What goes wrong with the mutant in the place of what has that name."""
        self.database.query(f"prepare mutant as {text}" if name in self.statements else "select")
        self.database.query("deallocate all")
        put, put_back = self._places(name, text)
        put()
        try:
            for few in (True, False):  # most are caught by a few requests
                for check in self._checks_of(name):
                    faults = failures(check, few)
                    if faults:
                        return faults
        finally:
            put_back()
            self.world.restore()
        return []

    def _places(self, name, text):
        if name in self.statements:
            return lambda: self.proxy.replace.update({self.statements[name]: text}), self.proxy.replace.clear
        if name in self.functions:
            rows, body = self.functions[name]
            return lambda: self._define(name, rows, text), lambda: self._define(name, rows, body)
        view = dict(self.views())[name]
        return [lambda body=body: self.database.query(f"create or replace view {name} as {body}") for body in (text, view)]

    def _checks_of(self, name):
        if name in self.statements:
            return self.checks[name]
        names = {name} | {function for function, (_, body) in self.functions.items() if re.search(rf"\b{name}\b", body)}
        read = re.compile(rf"\b({'|'.join(names)})\b")
        return {id(check): check for statement in self.checks if read.search(self.statements[statement])
                for check in self.checks[statement]}.values()


def failures(check, few):
    """What a check finds; an answer that breaks the specification is found by whoever asks."""
    try:
        return check(few)
    except requests.RequestException:
        raise  # without a server nothing is found out
    except Exception as problem:
        return [f"{type(problem).__name__}: {str(problem).splitlines()[0]}"]


def signing_in(world):
    """What goes wrong where passwords decide."""
    mine, theirs = world.mine.admin, world.theirs.admin
    before = world.rows()
    for path in ("/authenticate", "/auth/login"):
        for user, password, status in ((mine, "my password", 200), (mine, "their password", 401),
                                       (world.left, "my password", 401), (None, "my password", 401)):
            address = user.email if user else "nobody@nowhere.example"
            answer = world.world.nobody.request("POST", path, json={"email": address, "password": password},
                                                headers={"Origin": harness.DASHBOARD})
            request = types.SimpleNamespace(subjects=[user.id] if user else [harness.UNKNOWN_ID], told={address})
            changed = world.judge_change("admin", request, before, world.rows())
            world.restore()
            if answer.status_code != status or changed:
                return [f"{path} for {address} with {password!r} answers {answer.status_code}, changes {changed}"]
    return []


@pytest.fixture(scope="module")
def watched(carbond_binary, cluster, new_database, jwt_key_file, tables):
    database = new_database()
    with rewriter.Rewriter(cluster, database.name) as proxy:
        through = types.SimpleNamespace(url=proxy.url)
        with harness.Server(carbond_binary, through, "--jwt-hs256-key-file", jwt_key_file, "--cors-origin", harness.DASHBOARD,
                            "--statement-timeout", 3600, "--prepared-statements", "false") as server:
            server.database = database
            yield Watched(tenants.Tenants(harness.World(server)), proxy, tables)


def test_every_statement_is_asked(watched):
    assert set(statements.NAMES) == watched.checks.keys() | NOT_ASKED.keys()


def test_mutants_are_caught(watched):
    everything = list(watched.mutants())
    assert not EQUIVALENT.keys() - {(name, what) for name, what, _ in everything}, "there is no such mutant"
    hard = [mutant for mutant in everything if mutant[:2] not in EQUIVALENT]
    tried = hard if os.environ.get("MUTANTS") == "all" else random.Random(5).sample(hard, 12)
    survivors = []
    for name, what, text in tried:
        faults = watched.faults(name, text)
        print(f"{name}, {what}: {faults[0][:200] if faults else 'SURVIVES'}", flush=True)
        if not faults:
            survivors.append((name, what))
    assert survivors == []
