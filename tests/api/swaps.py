"""Requests made from the server's own tables of routes and members, with ids in every place where an id can stand: those
of the caller's own things, and of others'. A new route is asked by itself."""

import re
import uuid

import harness
import tenants
from test_matrix import BATCH, CALLERS, EXPECTED, OWN_TOKEN, READ_EMISSION, READ_PROJECT

# How the callers of the matrix are called who may do the same.
LIKE = {"admin": "admin", "session": "admin", "user token": "admin", "member": "member", "stranger": "admin",
        "read token": "read token", "write token": "write token"}
# Passwords decide there, and no id stands in them.
OF_PASSWORDS = {"credentials", "user"}
# Options of a server that is asked so often, and of which nothing that is deleted goes before the end.
UNHURRIED = ("--statement-timeout", "3600", "--rate-address", "none", "--rate-token", "none", "--rate-sign-in", "none",
             "--rate-password", "none", "--rate-account", "none", "--rate-credential", "none")


class Slot:
    """A place where an id, or the address of a user, can stand."""

    def __init__(self, where, name, kind, optional=False, free=False):
        self.where, self.name, self.kind = where, name, kind
        self.optional = optional
        self.free = free  # the client chooses it: it names nothing that must be there


class Request:
    """A route with something in each of its slots: (kind, id or None, the text that stands there)."""

    def __init__(self, route, slots, values, members, query=()):
        self.route, self.values = route, dict(zip(slots, values))
        things = [(slot, value["id"]) for slot, value in self.values.items() if value]
        self.subjects = [identity for slot, identity in things if not slot.free]
        self.chosen = [identity for slot, identity in things if slot.free]
        text = {where: {slot.name: value["email"] if slot.kind == "email" else value["id"]
                        for slot, value in self.values.items() if value and slot.where == where}
                for where in ("path", "query", "body")}
        self.path = route["path"].format(**text["path"])
        self.query = {**text["query"], **dict(query)}
        self.body = members and {**{member["name"]: filler(member) for member in members
                                    if member["required"] or member["type"] not in ("uuid", "email")}, **text["body"]}
        if route["body"] == "batch_emission":
            self.body = {"emissions": [self.body]}
        # What the caller knows already, since it stands in the request.
        self.told = tenants.texts_of(f"{self.path} {self.query} {self.body} {self.chosen}")
        self.told |= {value["id"] for slot, value in self.values.items() if value and slot.kind == "email"}

    def __str__(self):
        return f"{self.route['method']} {self.path} {self.query or ''} {self.body or ''}"

    def send(self, client):
        return client.request(self.route["method"], self.path, params=self.query, json=self.body)


def filler(member):
    """A value that a member takes."""
    kind = member["type"]
    if kind == "timestamp":
        return harness.now().isoformat()
    if kind in ("number", "integer"):
        return max(1, member.get("minimum", 1))
    return {"boolean": True, "uuid": str(uuid.uuid4())}.get(kind, "new")


def kind_of(route, name, body=None):
    """Which kind of thing an id is of: "run_id" is of a run."""
    if name == "id":
        return {"batch_emission": "emission"}.get(body, body)
    kind = name.removesuffix("_id")
    return "user_token" if kind == "token" and route["path"].startswith("/user/") else kind


def slots_of(route, tables):
    kinds = {member["name"]: member["type"] for member in tables["query"]}
    slots = [Slot("path", name, kind_of(route, name)) for name in re.findall(r"\{(\w+)\}", route["path"])]
    slots += [Slot("query", name, kind_of(route, name)) for name in route["query"] if kinds[name] == "uuid"]
    for member in tables["bodies"].get(route["body"], ()):
        if member["type"] == "email":
            slots.append(Slot("body", member["name"], "email"))
        if member["type"] == "uuid":
            name = member["name"]
            slots.append(Slot("body", name, kind_of(route, name, route["body"]), not member["required"], name == "id"))
    return slots


def thing(place, slot):
    """What of a place stands in a slot; None if the place has nothing of that kind."""
    return place.get("user" if slot.kind == "email" else slot.kind)


def requests_of(route, tables, world):
    """The route with one's own ids, with another's in each slot by itself, and with another's in all of them."""
    slots = slots_of(route, tables)
    members = tables["bodies"].get(route["body"])
    own = [None if slot.free else thing(world.mine.first, slot) for slot in slots]
    nothing = {kind: {"id": harness.UNKNOWN_ID, "email": "nobody@nowhere.example"} for kind in tenants.TREE}
    places = [world.theirs.first, world.theirs.second, world.mine.second, world.mine.beside, world.mine.deleted,
              world.revoked, world.open.first, nothing]
    made = [own]
    for n, slot in enumerate(slots):
        others = [thing(place, slot) for place in places] + [None] * slot.optional + [thing(world.mine.first, slot)] * slot.free
        others += [{"id": world.left.id, "email": world.left.email}] * (slot.kind == "email")
        made += [own[:n] + [other] + own[n + 1:] for other in others if other or slot.optional]
    if len(slots) > 1:
        made += [[None if slot.free else thing(place, slot) for slot in slots] for place in places
                 if all(slot.free or thing(place, slot) for slot in slots)]
    unique = {str([value and value["id"] for value in values]): values for values in made}
    return [Request(route, slots, values, members, query) for values in unique.values() for query in queries_of(route)]


def queries_of(route):
    """What else a route may be asked: a range that cuts through every run; the pages, from either end."""
    if "start_date" in route["query"]:
        return {}, {"start_date": tenants.MIDDLE.isoformat()}
    if "page" in route["query"]:
        return {}, {"page": 1, "size": 5}, {"page": 2, "size": 1}, {"page": 3, "size": 1}
    return {},


def expected_of(route):
    """What the matrix expects of the callers."""
    name = f"{route['method']} {route['path']}"
    return EXPECTED[name] or (BATCH if "batch" in name else OWN_TOKEN)


def succeeds(world, caller, request):
    """Whether the request should be granted."""
    expected = expected_of(request.route)
    taken = [identity for identity in request.chosen if world.kind.get(identity) == "run"]
    if any(identity not in world.below.get(subject, ()) for identity in taken for subject in request.subjects):
        return False  # a run of another experiment
    subjects = {value["id"] for slot, value in request.values.items() if value and slot.kind != "email" and not slot.free}
    if subjects and subjects <= world.public and expected in (READ_PROJECT, READ_EMISSION):
        return True
    if any(subject not in world.reach(caller) for subject in subjects) or world.left.id in request.subjects:
        return False
    if any(b not in world.line(a) for a in subjects for b in subjects):
        return False
    if harness.UNKNOWN_ID in request.subjects:
        return False
    if expected == OWN_TOKEN:
        return bool(world.user_of(caller)) and all(world.user_of(caller) <= world.line(subject) for subject in subjects)
    return expected[CALLERS.index(LIKE.get(caller, "nobody"))] == 2


def wrong_refusal(world, caller, request, status):
    """Whether a refusal tells the wrong thing: of an id that is nobody's that it is somebody's, or of credentials that are
    none that somebody holds them."""
    missing = set(request.subjects) - world.kind.keys() | set(request.subjects) & world.dead
    if caller not in LIKE:
        told = expected_of(request.route)[CALLERS.index("nobody")]
        return bool(request.subjects) and not missing and status != told
    strange = set(request.subjects) - world.reach(caller)
    return LIKE[caller] == "admin" and strange == {harness.UNKNOWN_ID} and status != 404


def writes(route):
    return route["method"] != "GET" or "logout" in route["path"]


def faults_of(world, caller, request, before):
    """Sends a request. Returns what is wrong with its answer and with what it changed; leaves the database as it was."""
    answer = request.send(world.callers[caller])
    granted = answer.status_code < 400 and not ("batch" in request.path and answer.json()["rejected"])
    faults = [f"leaks {text}" for text in world.judge_answer(caller, request, answer)]
    expected = succeeds(world, caller, request)
    if answer.status_code >= 500 or granted != expected:
        faults.append(f"answers {answer.status_code}")
    elif answer.status_code >= 400 and wrong_refusal(world, caller, request, answer.status_code):
        faults.append(f"is refused with {answer.status_code}")
    after = world.rows() if writes(request.route) else before
    changed = world.judge_change(caller, request, before, after) if granted else before ^ after
    faults += [f"changes {table}: {row}" for table, row in changed]
    if after != before:
        world.restore()
    return [f"{caller}: {request} {fault}" for fault in faults]


def faults_of_route(world, route, tables, few=False):
    """What is wrong with what a route answers and does, whoever asks: the first faults that are found. `few`: only for what
    is one's own, and for what is nobody's."""
    if route["body"] in OF_PASSWORDS:
        return []
    before, requests = world.rows(), requests_of(route, tables, world)
    for caller in world.callers:
        # Whose credentials are none need not ask for everything.
        strangers = caller not in LIKE and caller != "nobody"
        for request in requests[:1] if strangers else [requests[0], requests[-1]] if few else requests:
            faults = faults_of(world, caller, request, before)
            if faults:
                return faults
    if not writes(route) and world.rows() != before:
        world.restore()
        return [f"{route['path']} changes something, though it only reads"]
    return []
