"""What a migration may do, as migrations/README.md tells it: PostgreSQL's own parser reads each file."""

import re

import pglast
import pytest
from pglast import ast
from pglast.enums import AlterTableType, ConstrType, ObjectType
from pglast.visitors import Visitor

import harness

MIGRATIONS = sorted((harness.ROOT / "migrations").glob("*.sql"))
README = (harness.ROOT / "migrations" / "README.md").read_text()
LARGE = {"runs", "emissions", "emission_hours", "run_sums"}
PARDONED = {
    "0003_sums": {"locks emissions"},  # before anybody had such tables to wait for
    # No server calls rebuild_sums, only `carbond verify-sums --repair` does, by hand.
    "0009_retention": {"drops OBJECT_FUNCTION, and names no oldest server"},
    # No server calls try_to_lock_emissions.
    "0010_attach": {"drops OBJECT_FUNCTION, and names no oldest server"},
}

CONTRACTING = {AlterTableType.AT_DropColumn: "drops a column of", AlterTableType.AT_AlterColumnType: "changes a type of",
               AlterTableType.AT_DropConstraint: "drops a constraint of"}
# A default that is computed for each row rewrites the table.
CONSTANT = (ast.A_Const, ast.TypeCast)


class Faults(Visitor):
    """Of one migration, in words: what needs an `oldest server`, and what nobody may do."""

    def __init__(self):
        self.contracting, self.forbidden, self._made = set(), set(), set()

    def visit_CreateStmt(self, ancestors, node):
        self._made.add(node.relation.relname)

    def visit_DropStmt(self, ancestors, node):
        self.contracting.add("drops " + ObjectType(node.removeType).name)

    def visit_RenameStmt(self, ancestors, node):
        self.contracting.add("renames " + ObjectType(node.renameType).name)

    def visit_LockStmt(self, ancestors, node):
        self.forbidden.update(f"locks {table.relname}" for table in node.relations if table.relname not in self._made)

    def visit_IndexStmt(self, ancestors, node):
        if node.relation.relname in LARGE - self._made and not node.if_not_exists:
            self.forbidden.add(f"makes an index of {node.relation.relname}")

    def visit_UpdateStmt(self, ancestors, node):
        if node.relation.relname in LARGE - self._made:
            self.forbidden.add(f"rewrites {node.relation.relname}")

    visit_DeleteStmt = visit_UpdateStmt

    def visit_AlterTableStmt(self, ancestors, node):
        if node.relation.relname in self._made:
            return
        for command in node.cmds:
            kind = AlterTableType(command.subtype)
            if kind in CONTRACTING:
                self.contracting.add(f"{CONTRACTING[kind]} {node.relation.relname}")
            elif kind == AlterTableType.AT_SetNotNull:
                self.forbidden.add(f"reads all of {node.relation.relname} for its nulls")
            elif kind == AlterTableType.AT_AddConstraint and not command.def_.skip_validation:
                self.forbidden.add(f"reads all of {node.relation.relname} for a constraint")
            elif kind == AlterTableType.AT_AddColumn:
                self._add_column(node.relation.relname, command.def_)

    def _add_column(self, table, column):
        constraints = {ConstrType(constraint.contype): constraint for constraint in column.constraints or ()}
        default = constraints.get(ConstrType.CONSTR_DEFAULT)
        if ConstrType.CONSTR_NOTNULL in constraints and not default:
            self.forbidden.add(f"adds a column to {table} that old servers leave empty")
        if default and not isinstance(default.raw_expr, CONSTANT):
            self.forbidden.add(f"rewrites {table}")
        if set(constraints) - {ConstrType.CONSTR_NOTNULL, ConstrType.CONSTR_NULL, ConstrType.CONSTR_DEFAULT}:
            self.forbidden.add(f"reads all of {table} for a constraint")


def faults(text, version):
    """Sentences; none: it may be released as the migration of that version."""
    found = Faults()
    for statement in pglast.parse_sql(text):  # in their order: what is made here may be done anything to
        found(statement)
    oldest = [int(number) for number in re.findall(r"^-- oldest server: (\d+)$", text, re.MULTILINE)]
    wrong = set(found.forbidden)
    if not oldest:
        wrong |= {f"{fault}, and names no oldest server" for fault in found.contracting}
    wrong |= {f"names {number} as oldest server, which is to come" for number in oldest if number > version}
    # The parser skips comments, and what is misspelt would count for nothing.
    mentioned = len(re.findall(r"oldest.server", text, re.IGNORECASE))
    return wrong | ({"mentions an oldest server in another form"} if mentioned != len(oldest) else set())


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.stem)
def test_migrations_keep_the_rules(path):
    assert faults(path.read_text(), int(path.name[:4])) == PARDONED.get(path.stem, set())


@pytest.mark.parametrize("text, fault", [
    ("alter table runs drop column os", "drops a column of runs, and names no oldest server"),
    ("alter table runs rename column os to system", "renames OBJECT_COLUMN, and names no oldest server"),
    ("alter table runs alter column os type varchar", "changes a type of runs, and names no oldest server"),
    ("drop function hour_of(timestamptz)", "drops OBJECT_FUNCTION, and names no oldest server"),
    ("-- Oldest server: 7\ndrop view live_runs", "mentions an oldest server in another form"),
    ("-- oldest server: 9\ndrop view live_runs", "names 9 as oldest server, which is to come"),
    ("alter table runs add column x text not null", "adds a column to runs that old servers leave empty"),
    ("alter table runs add column x uuid default gen_random_uuid()", "rewrites runs"),
    ("alter table runs add column x uuid references runs (id)", "reads all of runs for a constraint"),
    ("alter table runs add check (cpu_count > 0)", "reads all of runs for a constraint"),
    ("alter table runs alter column os set not null", "reads all of runs for its nulls"),
    ("create index on emissions (wue)", "makes an index of emissions"),
    ("lock table teams", "locks teams"), ("update runs set os = ''", "rewrites runs")])
def test_what_a_migration_may_not_do(text, fault):
    assert fault in faults(text, 8)


@pytest.mark.parametrize("text", [
    "-- oldest server: 7\nalter table runs drop column os", "-- oldest server: 8\ndrop view live_runs",
    "alter table runs add column x text, add column y integer not null default 7",
    "create table x (id uuid); create unique index on x (id); lock table x; alter table x add unique (id)",
    "create index on teams (name)", "create index if not exists emissions_wue on emissions (wue)",
    "alter table runs add check (cpu_count > 0) not valid", "alter table runs validate constraint x"])
def test_what_a_migration_may_do(text):
    assert not faults(text, 8)


def test_the_large_tables_are_those_of_the_manual():
    row = next(line for line in README.splitlines() if line.startswith("| an index of `runs`"))
    assert set(re.findall(r"`(\w+)`", row.split("|")[1])) == LARGE
