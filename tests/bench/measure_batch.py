"""Batches: the server against its own statement, run by pgbench."""

import re
import sys
import tempfile

import loads
import rounds
from stand import harness

sys.path.insert(0, str(harness.ROOT / "server"))
import embed  # noqa: E402

ROWS = 1000  # of a call
CALLS = 200  # of a round
CLIENTS = 4
AS_THE_SERVER = {"PGOPTIONS": "-c plan_cache_mode=force_generic_plan -c jit=off -c timezone=UTC"}
REFERENCE = 9_500  # one-row commits a second: the target in rows is for a machine that makes so many

# The statement's parameters, as bench_batch_load sends them: all of one run, 15 seconds apart, with ids that ascend.
# What is not here is an array of numbers.
PARAMETERS = {
    "pair_runs": "array[run]", "pair_users": "array[null::uuid]", "pair_projects": "array['{project}'::uuid]",
    "pair_everywhere": "array[false]", "pair_emissions": "array[{rows}]",
    "pairs": "array_agg(1)", "run_ids": "array_agg(run order by i)",
    "timestamps": "array_agg(now() + (call / {runs} * {rows} + i) * interval '15 seconds')",
    "ids": "array_agg((lpad(to_hex({began} + call), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid)",
}
NUMBERS = "array_agg(random())"

TABLE = "create unlogged table calls (call integer primary key, {columns}); alter table calls {plain}"
FUNCTION = """
    create function store_call({types}) returns void language plpgsql as $$
    declare
        answer record;
    begin
        {statement} into answer;
        if answer is distinct from (null::bigint[], null::bigint[], null::bigint[], {batch}::bigint, null::bigint[]) then
            raise 'not all of a call was stored: %', answer;
        end if;
    end $$"""
FILL = """
    truncate calls;
    insert into calls
    select call, made.*
      from generate_series(0, {calls} - 1) call
     cross join lateral (select ('{prefix}' || lpad(to_hex(call % {runs}), 12, '0'))::uuid as run) r
     cross join lateral (select {arrays} from generate_series(0, {rows} - 1) i) made"""
SCRIPT = """
\\set call :n * :clients + :client_id
\\set n :n + 1
select store_call({names}) from calls where call = :call;
"""


def statement():
    """The text of server/sql/emission_store.sql as the server sends it, and its parameters: [(name, type)]."""
    sql = harness.ROOT / "server" / "sql"
    text, names = embed.compile_statement(sql / "emission_store.sql", embed.read_shapes(sql))
    types = dict(re.findall(r"\$(\d+)::(\w+\[\])", text))
    return text, [(name, types[str(number)]) for number, name in enumerate(names, start=1)]


class Calls:
    """Calls of the statement, ready-made, since pgbench cannot make arrays: its script names one by number. Beyond the
    statement a call costs PostgreSQL to find its parameters (170 KB), and a function in PL/pgSQL, which keeps the plan
    of the statement as a connection keeps that of a prepared one."""

    def __init__(self, bench):
        text, parameters = statement()
        self.bench, self.names = bench, [name for name, _ in parameters]
        self.began = int(harness.now().timestamp() * 1000)
        bench.database.query(TABLE.format(columns=", ".join(" ".join(parameter) for parameter in parameters),
                                          plain=", ".join(f"alter {name} set storage external" for name in self.names)))
        bench.database.query(FUNCTION.format(types=", ".join(kind for _, kind in parameters), statement=text, batch=ROWS))

    def make(self, runs):
        """Makes those of one round; the ids are new each time."""
        arrays = ", ".join(PARAMETERS.get(name, NUMBERS) for name in self.names)
        fill = FILL.replace("{arrays}", arrays)
        self.bench.database.query(fill.format(calls=CALLS, rows=ROWS, runs=runs.COUNT, prefix=runs.prefix, began=self.began,
                                              project=self.bench.tree.project["id"]))
        self.began += CALLS

    def run(self, clients):
        """Runs each of them once."""
        with tempfile.NamedTemporaryFile("w", suffix=".pgbench") as script:
            script.write(SCRIPT.format(names=", ".join(self.names)))
            script.flush()
            done = loads.with_cost(self.bench, None, lambda: loads.pgbench(
                self.bench, script.name, clients, "-t", CALLS // clients, "-D", "n=0", "-D", f"clients={clients}",
                environment=AS_THE_SERVER), "transactions")
        assert done["transactions"] == CALLS, done
        return {"rows/s": done["rate"] * ROWS, "cost": done["cost"] / ROWS}


def measure(bench, report):
    token, calls = bench.token(), Calls(bench)
    posted, by_many, by_one, single = (loads.Runs(name) for name in ("01900000", "01910000", "01920000", "01930000"))
    for runs in (posted, by_many, by_one, single):
        bench.make_runs(runs)

    def stored(runs, load):
        rows = runs.stored(bench.database)
        bench.checkpoint()
        figures = load()
        rows = runs.stored(bench.database) - rows
        assert rows == CALLS * ROWS, f"{rows:,} rows were stored, not {CALLS * ROWS:,}"
        return figures

    def post():
        return stored(posted, lambda: loads.post_batches(bench, token, posted, CLIENTS, CALLS // CLIENTS))

    def call(runs, clients):
        calls.make(runs)
        return stored(runs, lambda: calls.run(clients))

    def commit():
        bench.checkpoint()
        return loads.insert_singles(bench, single)

    taken = rounds.alternate({"carbond": post, "pgbench, 4 clients": lambda: call(by_many, CLIENTS),
                              "pgbench, 1 client": lambda: call(by_one, 1), "pgbench, one row a commit": commit})
    carbond, many, one = (taken[side]["rows/s"] for side in ("carbond", "pgbench, 4 clients", "pgbench, 1 client"))
    commits = taken["pgbench, one row a commit"]["commits/s"]
    report("POST /emissions/batch, 1,000 a body, NDJSON, 4 connections", {
        "rows/s": carbond,
        "the same statement by pgbench, 4 clients: rows/s": many,
        "ratio (target >= 0.9)": carbond / many,
        "the same statement by pgbench, 1 client: rows/s": one,
        "ratio to that": carbond / one,
        "us of CPU a row, load generator and all": taken["carbond"]["cost"],
        "us of CPU a row of pgbench, 4 clients": taken["pgbench, 4 clients"]["cost"],
        "ratio of these": taken["pgbench, 4 clients"]["cost"] / taken["carbond"]["cost"],
        "pgbench, 64 clients, a row and a commit each: rows/s": commits,
        f"rows/s, were those {REFERENCE:,} (target >= 60,000)": carbond * REFERENCE / commits})
