"""Each check of each statement is needed: without it, the requests of two tenants (swaps.py) go wrong.

A mutant is a statement, or one of the guards and views that statements read through, that lacks one of its checks: a
condition on whose something is, or a guard that asks who is calling. The server is the usual one; a proxy before PostgreSQL
puts the mutant in the statement's place, with a function for each guard, which can be weakened. Some of them are tried by
default; all of them with MUTANTS=all in the environment."""

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
    **dict.fromkeys(("citus_exists", "citus_steps", "schema_exists", "schema_record", "schema_state", "schema_turn"), "of migrations"),
    **dict.fromkeys(("audit_list", "sums_rebuild", "sums_verify", "token_revoke", "user_by_email", "user_set_password"),
                    "at the command line, for nobody"),
    **dict.fromkeys(("partition_count", "partition_make", "purge_project", "purge_runs", "purge_rest", "purge_end",
                     "expired_remove", "project_totals"), "of upkeep, for nobody"),
    **dict.fromkeys(("first_admin", "users_missing"), "before there is anybody"),
    **dict.fromkeys(("retention_step", "retention_survey"), "of upkeep and at the command line, for nobody"),
    **dict.fromkeys(("user_create", "user_signup"), "signing up is closed here; they read what they have just made"),
    **dict.fromkeys(("project_token_used", "user_token_used"), "of the token that was found a moment ago"),
    **dict.fromkeys(("replica_lacks", "replica_position"), "of a replica, which there is none of here"),
    "local_admin": "with --auth none everybody is everywhere",
    "schema_version": "asks for a number",
}


# Mutants that no request of a tenant tells from the statement, by the reason: a statement, and what it lacks.
EQUIVALENT = {
    # What is read hangs on something that another guard has let through (an experiment's runs, of a visible experiment).
    # Without any guard they are noticed.
    "a second guard": {
        "experiment_runs": ["anything_runs for visible_runs (2)"],
        "experiment_runs_sums": ["anything_runs for visible_runs (2)", "anything_run_sums for visible_run_sums (3)"],
        "organization_audit": ["anything_audit_records for administered_audit_records (2)",
                               "anything_audit_records for administered_audit_records (3)"],
        "organization_projects": ["visible_projects for reachable_projects (2)", "anything_projects for reachable_projects (2)",
                                  "anything_experiments for visible_experiments (3)"],
        "organization_sums": ["anything_run_sums for visible_run_sums (2)"],
        "organization_teams": ["anything_teams for reachable_teams (2)"],
        "organization_users": ["anything_users for visible_users (1)"],
        "project_create": ["anything_experiments for visible_experiments (1)", "anything_teams for reachable_teams (3)"],
        "project_delete": ["visible_projects for reachable_projects (1)", "anything_projects for reachable_projects (1)"],
        "project_experiments": ["anything_experiments for visible_experiments (2)"],
        "project_experiments_sums": ["anything_experiments for visible_experiments (2)",
                                     "anything_run_sums for visible_run_sums (3)",
                                     "anything_experiments for visible_experiments (4)"],
        "project_get": ["anything_experiments for visible_experiments (2)"],
        "project_last_run": ["anything_experiments for visible_experiments (2)", "anything_runs for visible_runs (3)"],
        "project_patch": ["anything_experiments for visible_experiments (1)"],
        "project_sums": ["anything_run_sums for visible_run_sums (2)"],
        "project_token_create": ["visible_projects for reachable_projects (2)", "anything_projects for reachable_projects (2)"],
        "run_emissions": ["anything_run_sums for visible_run_sums (2)"],
        "run_list": ["visible_runs for reachable_runs (1)", "anything_runs for reachable_runs (1)",
                     "visible_projects for reachable_projects (2)", "anything_projects for reachable_projects (2)",
                     "without r.project_id = ANY(ARRAY(SELECT id FROM reachable_projects($1) AS p))"],
        "team_projects": ["visible_projects for reachable_projects (2)", "anything_projects for reachable_projects (2)",
                          "anything_experiments for visible_experiments (3)"],
        "user_me": ["anything_users for visible_users (1)", "anything_organizations for reachable_organizations (2)",
                    "without o.id IN (SELECT id FROM reachable_organizations($1) AS mine)",
                    "without any guard"],  # it asks for the caller themselves
        "user_token_create": ["anything_users for visible_users (1)"],
        **{guard: ["without who.everywhere", "without own.user_id = who.user_id",
                   "without x.organization_id IN (SELECT own.organization_id FROM memberships AS own "
                   f"WHERE own.user_id = who.user_id{conditions})", *others]
           for guard, conditions, others in (
               ("administered_audit_records", " AND own.is_admin", ["without own.is_admin"]),
               ("reachable_runs", "", ["without x.project_id = who.project_id"]),
               ("visible_run_sums", "", ["without x.project_id = who.project_id", "without x.public"]))},
    },
    "one of two conditions that say the same": {
        "experiment_runs_sums": ["without run.experiment_id = e.id", "without s.experiment_id = $4"],
        "project_experiments_sums": ["without e.project_id = p.id", "without e.project_id = $4", "without s.project_id = $4"],
        "member_add": ["without known.id = s.user_id"],
        "project_patch": ["without before.id = p.id"],
        "project_token_revoke": ["without p.id = k.project_id"],
        "project_delete": ["without deleted_at IS NULL"],  # for two deletions at once
        "member_patch": ["without is_admin"],  # wherever there is an admin
    },
    "which of one's own is told, or locked: test_audit.py, test_batch.py, test_pages.py, test_reports.py": {
        "experiment_runs_sums": ["without r.run_id = run.id"],
        **dict.fromkeys(("emission_store", "emission_append"), [
            "without (SELECT emissions FROM counted) < (SELECT sent FROM allowed)",
            "without (SELECT pairs FROM allowed)[s.pair]",
            "without NOT(s.run_id, s.timestamp, s.id) IN (SELECT run_id, timestamp, id FROM stored)"]),
        "member_add": ["without m.user_id = known.id", "without m.user_id = known.id (2)",
                       "without m.organization_id IN (SELECT id FROM administered_organizations($1) AS mine)",
                       "reachable_organizations for administered_organizations (2)",
                       "anything_organizations for administered_organizations (2)"],
        "member_patch": ["without a.is_admin", "without a.user_id = $3", "without before.user_id = s.user_id",
                         "without before.is_admin <> s.is_admin", "without s.is_admin"],
        "organization_audit": ["without (a.timestamp, a.id) < (COALESCE(CAST($3 AS timestamptz), 'infinity'), "
                               "COALESCE(CAST($4 AS uuid), '00000000-0000-0000-0000-000000000000'))"],
        "project_patch": ["without before.public <> p.public", "without p.public"],
        "run_emissions": ["without (m.timestamp, m.id) < (p.timestamp, p.id)", "without reached > w.skipped",
                          "without reached > w.skipped (2)"],
    },
    "of runs that began before the watermark, and there is none here: test_retention.py": {
        "run_emissions": ["without h.run_id = $2"],
    },
}


class Watched:
    """A server behind a rewriter, two tenants on it, and which requests run each statement."""

    def __init__(self, world, proxy, tables):
        self.world, self.database, self.proxy, self.tables = world, world.database, proxy, tables
        self.sent = {name: statements.compiled(name)[0] for name in statements.NAMES}
        self.statements = {name: statements.guarded(name)[0] for name in statements.NAMES}
        self._make_functions()
        self._let_sign_in()
        world.save()
        self.checks = {}
        for check in [*map(self._of_route, tables["routes"]), lambda few=False: signing_in(world),
                      lambda few=False: last_admins(world)]:
            proxy.seen.clear()
            assert check(few=True) == []
            for name, text in self.sent.items():
                if text in proxy.seen:
                    self.checks.setdefault(name, []).append(check)

    def _of_route(self, route):
        return lambda few=False: swaps.faults_of_route(self.world, route, self.tables, few)

    def _make_functions(self):
        """Of the names of the guards, in the place of those that the schema has for earlier servers; anything_* answer what
        these answer, whoever asks."""
        tables = {name for name, in self.database.query("""select relname from pg_class where relkind in ('r', 'p', 'v')
                                                            and relnamespace = 'public'::regnamespace""")}
        self.functions = {}
        for name in statements.GUARDS:
            things = statements.GUARD.fullmatch(name).group(2)
            rows = next(rows for rows in (f"live_{things}", things) if rows in tables)
            self.functions[name] = (rows, statements.guard_query(name))
            self.database.query(f"drop function if exists {name}(caller)")
            self._define(name, *self.functions[name])
            self._define(f"anything_{things}", rows, f"select * from {rows}")

    def _define(self, name, rows, body):
        self.database.query(f"""create or replace function {name}(caller) returns setof {rows} language sql stable
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
            text = self.statements[name]
            for what, mutant in [*statements.mutants(text, known), *statements.without_guards(text)]:
                yield name, what, mutant
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
            return lambda: self.proxy.replace.update({self.sent[name]: text}), self.proxy.replace.clear
        if name in self.functions:
            return lambda: self._weaken(name, text), lambda: self._strengthen(name)
        view = dict(self.views())[name]
        return [lambda body=body: self.database.query(f"create or replace view {name} as {body}") for body in (text, view)]

    def _weaken(self, guard, text):
        self._define(guard, self.functions[guard][0], text)
        self.proxy.replace.update({self.sent[name]: self.statements[name] for name in self._readers({guard})})

    def _strengthen(self, guard):
        self.proxy.replace.clear()
        self._define(guard, *self.functions[guard])

    def _readers(self, names):
        """The statements that read through any of these."""
        read = re.compile(rf"\b({'|'.join(names)})\b")
        return [name for name, text in self.statements.items() if read.search(text)]

    def _checks_of(self, name):
        if name in self.statements:
            return self.checks[name]
        names = {name} | {guard for guard, (_, body) in self.functions.items() if re.search(rf"\b{name}\b", body)}
        return {id(check): check for reader in self._readers(names) for check in self.checks.get(reader, ())}.values()


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
    mine = world.mine.admin
    before = world.rows()
    for path in ("/authenticate", "/auth/login"):
        for user, password, status in ((mine, "my password", 200), (mine, "their password", 401),
                                       (world.left, "my password", 401), (None, "my password", 401)):
            address = user.email if user else "nobody@nowhere.example"
            answer = world.world.nobody.request("POST", path, json={"email": address, "password": password},
                                                headers={"Origin": harness.DASHBOARD})
            request = types.SimpleNamespace(route={"method": "POST", "status": 200}, subjects=[user.id] if user else [harness.UNKNOWN_ID], told={address})
            changed = world.judge_change("admin", request, before, world.rows())
            world.restore()
            if answer.status_code != status or changed:
                return [f"{path} for {address} with {password!r} answers {answer.status_code}, changes {changed}"]
    return []


def last_admins(world):
    """What goes wrong where the last admin of an organisation wants to go."""
    before = world.rows()
    for tenant in (world.mine, world.theirs):
        path = f"/organizations/{tenant.first['organization']['id']}/users/{tenant.admin.id}"
        answers = tenant.admin.client.patch(path, {"is_admin": False}, None), tenant.admin.client.delete(path, None)
        changed = before ^ world.rows()
        world.restore()
        if changed or any(answer.status_code != 409 for answer in answers):
            return [f"{path}: {[answer.status_code for answer in answers]}, changes {changed}"]
    return []


@pytest.fixture(scope="module")
def watched(carbond_binary, cluster, new_database, jwt_key_file, tables):
    database = new_database()
    with rewriter.Rewriter(cluster, database.name) as proxy:
        through = types.SimpleNamespace(url=proxy.url, OPTIONS=())
        with harness.Server(carbond_binary, through, "--jwt-hs256-key-file", jwt_key_file, "--cors-origin", harness.DASHBOARD,
                            *swaps.UNHURRIED, "--prepared-statements", "false") as server:
            server.database = database
            yield Watched(tenants.Tenants(harness.World(server)), proxy, tables)


def test_every_statement_is_asked(watched):
    assert set(statements.NAMES) == watched.checks.keys() | NOT_ASKED.keys()


def test_mutants_are_caught(watched):
    everything = list(watched.mutants())
    equivalent = {(name, what) for names in EQUIVALENT.values() for name, lacks in names.items() for what in lacks}
    assert not equivalent - {(name, what) for name, what, _ in everything}, "there is no such mutant"
    hard = [mutant for mutant in everything if mutant[:2] not in equivalent]
    tried = hard if os.environ.get("MUTANTS") == "all" else random.Random(5).sample(hard, 8)
    survivors = []
    for name, what, text in tried:
        faults = watched.faults(name, text)
        print(f"{name}, {what}: {faults[0][:200] if faults else 'SURVIVES'}", flush=True)
        if not faults:
            survivors.append((name, what))
    assert survivors == []
