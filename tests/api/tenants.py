"""Two tenants who must not see each other, and a judge: of any answer it tells whether its caller may know all that is
in it, and of any change to the database whether it is theirs to make.

What belongs together is read from the database itself: every id and every name that occurs in a row is of that row. A
thing's `line` is the thing, all above it and all below it. An answer about a thing may speak of its line alone, and only of
what its caller can reach; and so may a change."""

import hashlib
import json
import re

import harness

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# What harness.unique() leaves in names and addresses.
MARK = re.compile(r"(?<![0-9a-f-])[0-9a-f]{16}(?![0-9a-f-])")

# Callers with the credentials of a user who is not active any more.
LEFT = ("token of who left", "JWT of who left", "session of who left")

# When each run emitted. A report from MIDDLE on adds up whole hours of it, and a part of one.
MOMENTS = [(harness.now() - harness.datetime.timedelta(days=1)).replace(hour=hour, minute=minute)
           for hour, minute in ((13, 10), (11, 40), (10, 10), (9, 10), (8, 10))]
MIDDLE = MOMENTS[1].replace(minute=30)
SUMS, PLACES = ("duration", "energy_consumed", "cpu_energy"), 40

# The tree: of each kind its table and the columns that lead up. An emission's way up is its run.
TREE = {
    "organization": ("organizations", ()),
    "team": ("teams", ("organization_id",)),
    "project": ("projects", ("organization_id", "team_id")),
    "experiment": ("experiments", ("project_id",)),
    "run": ("runs", ("experiment_id",)),
    "emission": ("emissions", ("run_id",)),
    "token": ("project_tokens", ("project_id",)),
    "user_token": ("user_tokens", ("user_id",)),
    "user": ("users", ()),
}


def texts_of(text):
    """The ids and the marks in a text."""
    return set(ID.findall(text)) | set(MARK.findall(text))


class Tenant:
    """An organisation with two projects and a deleted one, a second organisation, and its people: an admin of both, and two
    members of the first."""

    def __init__(self, world):
        self.admin = admin = world.user()
        self.first = self._place(world, world.organization(admin))
        self.second = self._place(world, world.organization(admin))
        self.member = world.member(admin, self.first["organization"])
        extra = world.member(admin, self.first["organization"])
        other = world.member(admin, self.second["organization"])
        self.first["user"], self.second["user"] = {"id": extra.id, "email": extra.email}, {"id": other.id, "email": other.email}
        # Beside the first project of the first organisation.
        self.beside = self._branch(world, self.first["organization"])
        self.deleted = self._branch(world, self.first["organization"])
        admin.client.delete(f"/projects/{self.deleted['project']['id']}")
        # More of everything in one place; and who is no admin here is one elsewhere.
        world.run(admin, self.first["experiment"])
        world.run(admin, world.experiment(admin, self.first["project"]))
        world.organization(self.member)

    def _place(self, world, organization):
        team = world.team(self.admin, organization)
        return {"organization": organization, "team": team, **self._branch(world, organization, team_id=team["id"])}

    def _branch(self, world, organization, **more):
        admin = self.admin
        project = world.project(admin, organization, **more)
        experiment = world.experiment(admin, project)
        run = world.run(admin, experiment)
        return {"organization": organization, "project": project, "experiment": experiment, "run": run,
                "emission": {"id": world.emission(admin, run)}, "token": world.project_token(admin, project),
                "user_token": world.user_token(admin)}


class Tenants:
    """Mine, theirs, and one with a project that is public. `callers` are clients for all who may ask; `reach` tells what each
    can reach: a set of ids and marks."""

    def __init__(self, world):
        self.world, self.database = world, world.database
        self.mine, self.theirs, self.open = Tenant(world), Tenant(world), Tenant(world)
        # One person is of both tenants.
        self.theirs.admin.client.post(f"/organizations/{self.theirs.second['organization']['id']}/add-user",
                                      {"email": self.mine.first["user"]["email"]}, 200)
        self.open.admin.client.patch(f"/projects/{self.open.first['project']['id']}", {"public": True})
        self._number_emissions()
        self.left = self._who_left()
        self.callers = self._callers()
        self._learn()

    # -- who asks

    def _secret(self, table, prefix, **columns):
        """A token or session, past the API, which makes none that has expired, and none for who left."""
        secret = prefix + harness.unique("x").split()[1] * 3
        names = ", ".join(columns)
        self.database.query(f"insert into {table} (token_hash, {names}) values (%s, {', '.join(['%s'] * len(columns))})",
                            hashlib.sha256(secret.encode()).digest(), *columns.values())
        return secret

    def _who_left(self):
        """A member who is not active any more."""
        left = self.world.user()
        self.database.query("insert into memberships (organization_id, user_id) values (%s, %s)",
                            self.mine.first["organization"]["id"], left.id)
        self.database.query("update users set is_active = false where id = %s", left.id)
        return left

    def _callers(self):
        world, mine, left, project = self.world, self.mine, self.left, self.mine.first["project"]
        day = harness.datetime.timedelta(days=1)
        soon, past = harness.now() + day, harness.now() - day

        def session(user, end):
            return world.client(cookie=self._secret("sessions", "ses_", user_id=user.id, expires_at=end),
                                headers={"Origin": harness.DASHBOARD})

        def user_token(user, **more):
            return world.client(bearer=self._secret("user_tokens", "cut_", user_id=user.id, name="", **more))

        def project_token(**more):
            return world.client(token=self._secret("project_tokens", "cpt_", project_id=project["id"], name="", **more))

        return {
            "admin": mine.admin.client, "member": mine.member.client, "stranger": self.theirs.admin.client,
            "session": session(mine.admin, soon), "user token": user_token(mine.admin),
            "read token": project_token(access=1), "write token": project_token(access=2), "nobody": world.nobody,
            "revoked token": project_token(access=3, revoked_at=past),
            "token of a deleted project": world.client(token=mine.deleted["token"]["token"]),
            "expired user token": user_token(mine.admin, expires_at=past),
            "revoked user token": user_token(mine.admin, revoked_at=past),
            "expired session": session(mine.admin, past),
            **dict(zip(LEFT, (user_token(left), left.client, session(left, soon))))}

    def user_of(self, caller):
        """The id of the user that a caller is, if any."""
        users = {"member": self.mine.member, "stranger": self.theirs.admin,
                 **dict.fromkeys(("admin", "session", "user token"), self.mine.admin),
                 **dict.fromkeys(LEFT, self.left)}
        return {users[caller].id} if caller in users else set()

    # -- what belongs together

    def _number_emissions(self):
        """Five emissions for each run, some before and some after MIDDLE. Each has another power of two as one of
        SUMS, so that a report tells whose emissions are in it."""
        query = self.database.query
        query("update emissions set timestamp = %s", MOMENTS[0])
        for moment in MOMENTS[1:]:
            query("""insert into emissions (run_id, timestamp, id, duration)
                     select id, %s, gen_random_uuid(), 0 from runs""", moment)
        emissions = [emission for emission, in query("select id from emissions order by id")]
        self.parts = {emission: (SUMS[n // PLACES], 2 ** (n % PLACES)) for n, emission in enumerate(emissions)}
        for emission, (column, part) in self.parts.items():
            query("update emissions set duration = 0, energy_consumed = 0, cpu_energy = 0 where id = %s", emission)
            query(f"update emissions set {column} = %s where id = %s", part, emission)
        query("select rebuild_sums(id) from runs")
        self.pages = dict(query("select run_id, array_agg(id::text order by timestamp desc, id desc) from emissions group by 1"))

    def _learn(self):
        """Reads the tree and the names of everything from the database."""
        self.above, self.below, self.marks, self.kind = {}, {}, {}, {}
        for kind, (table, ways) in TREE.items():
            for identity, row in self.database.query(f"select id, to_jsonb(t) from {table} t"):
                self.kind[identity] = kind
                self.marks[identity] = set(MARK.findall(json.dumps(row)))
                for way in ways:
                    if row[way]:
                        self.above.setdefault(identity, set()).add(row[way])
                        self.below.setdefault(row[way], set()).add(identity)
        self.members = self.database.query("select organization_id, user_id from memberships")
        self.dead = {i for i, in self.database.query("select id from projects where deleted_at is not null")}
        self.dead |= {i for project in self.dead for i in self._walk(project, self.below)}
        self.revoked = {}
        for kind in ("token", "user_token"):
            self.revoked[kind] = {"id": self.database.value(f"select id from {TREE[kind][0]} where revoked_at is not null")}
        self.dead |= {i for table in ("project_tokens", "user_tokens")
                      for i, in self.database.query(f"select id from {table} where revoked_at is not null")}
        self.dead |= {i for i, in self.database.query("select id from user_tokens where expires_at < now()")}
        self.everything = self.named(self.kind)
        self.public = self.line(self.open.first["project"]["id"])
        self.recorded = dict(self.database.query("""select organization_id, string_agg(to_jsonb(a)::text, ' ')
                                                      from audit_records a where organization_id is not null group by 1"""))

        self.record_counts = dict(self.database.query("select organization_id, count(*) from audit_records group by 1"))

    def _walk(self, identity, way):
        found, waiting = set(), {identity}
        while waiting:
            found |= waiting
            waiting = {next_one for one in waiting for next_one in way.get(one, ())} - found
        return found

    def line(self, identity):
        """The ids of a thing, of all above it and of all below it; an organisation's with its members, a user's and their
        tokens' with their organisations."""
        above = self._walk(identity, self.above)
        people = {user for organization, user in self.members if organization == identity}
        places = {organization for organization, user in self.members if user in above}
        return above | self._walk(identity, self.below) | people | places

    def named(self, identities):
        """The ids, and the marks of what they are of."""
        return set(identities) | {mark for identity in identities for mark in self.marks.get(identity, ())}

    def reach(self, caller):
        """The ids of what a caller may see of the tenants, apart from what is public."""
        if caller in LEFT:
            return set()
        if caller in ("read token", "write token"):
            return self.line(self.mine.first["project"]["id"])
        user = self.user_of(caller)
        own = [organization for organization, person in self.members if {person} == user]
        return {identity for top in user.union(own) for identity in self.line(top)} - self.dead

    # -- the database

    def save(self):
        """Keeps a copy of all rows, for restore(). From here on nobody uses a token for the first time."""
        for client in self.callers.values():
            client.request("GET", "/auth/check")
        self.tables = [table for table, in self.database.query(harness.Database.TABLES) if table != "schema_migrations"]
        self.database.query("create schema saved")
        for table in self.tables:
            self.database.query(f"create table saved.{table} as table {table}")

    def restore(self):
        lines = "".join(f"insert into {table} select * from saved.{table};" for table in self.tables)
        self.database.query(f"begin; set local session_replication_role = replica;"
                            f"{''.join(f'delete from {table};' for table in self.tables)} {lines} commit")

    def rows(self):
        """All rows, as (table, text). That a token was used for the first time can be seen; when it was used last can't."""
        used = "case when to_jsonb(t) ->> 'last_used' is not null then 'last_used' else '' end"
        # A session that has expired may go at any time.
        return set(self.database.query(" union all ".join(
            f"select '{table}', (to_jsonb(t) - {used})::text from {table} t"
            f"{' where expires_at > now()' if table == 'sessions' else ''}" for table in self.tables)))

    # -- the judge

    def judge_answer(self, caller, request, answer):
        """What an answer holds that its caller may not know, or that is not what was asked for: a list of faults."""
        known = self.reach(caller) | self.public
        if request.subjects:
            known &= set().union(*(self.line(subject) for subject in request.subjects)) | self.user_of(caller)
        allowed = self.named(known) | request.told
        if "audit" in request.route["path"]:
            allowed |= set().union(*(texts_of(self.recorded.get(subject, "")) for subject in request.subjects
                                     if subject in self.reach(caller)))
        foreign = [text for text in texts_of(answer.text) - allowed if text in self.everything]
        return foreign + self._judge_content(caller, known, request, answer)

    def _judge_content(self, caller, known, request, answer):
        if not answer.headers.get("Content-Type", "").startswith("application/json") or not answer.content:
            return []
        faults, document = [], answer.json()
        things = document if isinstance(document, list) else [document]
        for thing in [*things, document["user"]] if request.path == "/auth/check" else things:
            if isinstance(thing, dict) and "emissions_count" in thing:
                faults += self._judge_report(known, thing)
            if isinstance(thing, dict) and "organizations" in thing:
                places = thing["organizations"]
                faults += [f"a membership of {place}" for place in places if (place, thing["id"]) not in self.members]
                faults += ["a membership told twice"] * (len(places) != len(set(places)))
        if "audit" in request.path and answer.status_code == 200 and document["total"] != self.record_counts[request.subjects[0]]:
            faults.append("a count of others' records")
        if request.path == "/auth/check":
            person = {document["user"]["id"]} if document["user"] else set()
            faults += ["somebody else"] * (person != (set() if caller in LEFT else self.user_of(caller)))
        run = next((subject for subject in request.subjects if subject in self.pages), None)
        if run and "page" in request.query and answer.status_code == 200:
            start = (request.query["page"] - 1) * request.query["size"]
            expected = self.pages[run][start:start + request.query["size"]]
            if [item["id"] for item in document["items"]] != expected or document["total"] != len(self.pages[run]):
                faults.append("another page")
        return faults

    def _judge_report(self, known, report):
        own = report.get("run_id") or report.get("experiment_id")
        known = known & self.line(own) if own else known
        summed = {emission for emission, (column, part) in self.parts.items() if round(report[column]) & part}
        faults = [f"a sum over {emission}" for emission in summed - known]
        return faults + [f"a count of {report['emissions_count']}"] * (report["emissions_count"] != len(summed))

    def judge_change(self, caller, request, before, after):
        """The rows that a request may not have changed."""
        known = self.reach(caller) & (set().union(*(self.line(subject) for subject in request.subjects))
                                      if request.subjects else self.kind.keys())
        allowed = self.named(known.union(*map(self.line, self.user_of(caller)))) | request.told
        wrong = [row for row in before ^ after if [text for text in texts_of(row[1]) - allowed if text in self.everything]]
        if request.route["method"] == "POST" and request.route["status"] == 201:
            # What is created changes nothing that was there, but sums, and what is sent once more.
            wrong += [row for row in before - after if row[0] not in ("run_sums", "emission_hours")
                      and not texts_of(row[1]) & set(request.chosen)]
        return wrong
