"""The server's statements as PostgreSQL's own parser sees them: what they read, and what is left of them without one of
their checks."""

import collections
import re
import sys

import pglast
from pglast import ast
from pglast.enums import BoolExprType
from pglast.stream import RawStream
from pglast.visitors import Visitor

import harness

sys.path.insert(0, str(harness.ROOT / "server"))
import embed  # noqa: E402  as the build does

SQL = harness.ROOT / "server" / "sql"
SHAPES = embed.read_shapes(SQL)
GUARD = re.compile(r"(visible|reachable|administered)_(\w+)")
GUARDS = {name: text for name, text in SHAPES.items() if GUARD.fullmatch(name)}


def compiled(name, shapes=SHAPES):
    """A statement as the server sends it, and the names of its parameters."""
    return embed.compile_statement(SQL / f"{name}.sql", shapes)


def guarded(name):
    """The same, with a function of its name in the place of each guard: so they can be told, and weakened."""
    return compiled(name, {**SHAPES, **{guard: f"{guard}(:caller)" for guard in GUARDS}})


def guard_query(guard):
    """What such a function answers. Its argument is who asks."""
    return "select * from " + re.sub(r"(?<!:):caller\b", "$1", expanded(guard)) + " guarded"


def expanded(shape):
    return embed.SHAPE.sub(lambda match: expanded(match.group(1)), SHAPES[shape])


NAMES = sorted(path.stem for path in SQL.glob("*.sql"))


# -- what a statement reads ---------------------------------------------------------------------------------------------

class Reads(Visitor):
    """The tables that a statement reads by their own names, and the functions that it calls. What it writes to is not
    among them."""

    def __init__(self):
        self.tables, self.functions, self.subqueries = set(), [], set()

    def visit_RangeVar(self, ancestors, node):
        if ancestors.member != "relation":
            self.tables.add(node.relname)

    def visit_FuncCall(self, ancestors, node):
        self.functions.append((node.funcname[-1].sval, [RawStream()(argument) for argument in node.args or ()]))

    def visit_CommonTableExpr(self, ancestors, node):
        self.subqueries.add(node.ctename)


def reads(text):
    found = Reads()
    found(pglast.parse_sql(text))
    return found


# -- what is left without a check ---------------------------------------------------------------------------------------

# A condition is a check if it is about whose something is, or whether it counts any more; others are about times and pages.
CHECK = re.compile(r"\b(id|\w+_id|email|token_hash|reached|allowed|pairs|public|everywhere|is_admin|is_active|\w+_at)\b")


class Conditions(Visitor):
    """The places of all conditions that are checks: (node, attribute, position or None)."""

    def __init__(self):
        self.places = []

    def _note(self, node, attribute):
        condition = getattr(node, attribute)
        if condition is None:
            return
        if isinstance(condition, ast.BoolExpr) and condition.boolop != BoolExprType.NOT_EXPR:
            self._note_parts(condition)
        elif CHECK.search(RawStream()(condition)):
            self.places.append((node, attribute, None))

    def _note_parts(self, condition):
        for n, part in enumerate(condition.args):
            if isinstance(part, ast.BoolExpr) and part.boolop != BoolExprType.NOT_EXPR:
                self._note_parts(part)
            elif CHECK.search(RawStream()(part)):
                self.places.append((condition, "args", n))

    def visit_SelectStmt(self, ancestors, node):
        self._note(node, "whereClause")

    visit_UpdateStmt = visit_DeleteStmt = visit_SelectStmt

    def visit_JoinExpr(self, ancestors, node):
        self._note(node, "quals")

    def visit_CaseWhen(self, ancestors, node):
        # Whether there is anything to answer is no check.
        if not isinstance(node.expr, ast.NullTest):
            self._note(node, "expr")


class Guards(Visitor):
    """The functions that a statement reads through."""

    def __init__(self):
        self.calls = []

    def visit_FuncCall(self, ancestors, node):
        if GUARD.fullmatch(node.funcname[-1].sval):
            self.calls.append(node)


def found_by(visitor, tree):
    visitor(tree)
    return visitor


def condition_at(place):
    node, attribute, n = place
    return getattr(node, attribute) if n is None else getattr(node, attribute)[n]


def put_condition(place, condition):
    node, attribute, n = place
    if n is not None:
        parts = list(getattr(node, attribute))
        parts[n] = condition
        condition = tuple(parts)
    setattr(node, attribute, condition)


def always(condition):
    """True whatever the condition says, which is still read, so that the statement keeps its parameters."""
    true = pglast.parse_sql("select true")[0].stmt.targetList[0].val
    return ast.BoolExpr(boolop=BoolExprType.OR_EXPR, args=(condition, true))


def mutants(text, functions=()):
    """The statement without one of its checks, each in turn: (what was done, text). `functions` are those there are."""
    named = collections.Counter()
    for n, place in enumerate(found_by(Conditions(), pglast.parse_sql(text)).places):
        tree = pglast.parse_sql(text)
        place = found_by(Conditions(), tree).places[n]
        condition = condition_at(place)
        what = f"without {RawStream()(condition)}"
        named[what] += 1
        what += f" ({named[what]})" if named[what] > 1 else ""
        put_condition(place, always(condition))
        yield what, RawStream()(tree)
    for n, call in enumerate(found_by(Guards(), pglast.parse_sql(text)).calls):
        for weaker in weaker_names(call.funcname[-1].sval, functions):
            tree = pglast.parse_sql(text)
            call = found_by(Guards(), tree).calls[n]
            what = f"{weaker} for {call.funcname[-1].sval} ({n + 1})"
            call.funcname = (ast.String(sval=weaker),)
            yield what, RawStream()(tree)


def without_guards(text):
    """The statement with nothing in the place of all its guards: (what was done, text), if it has more than one."""
    tree = pglast.parse_sql(text)
    calls = found_by(Guards(), tree).calls
    for call in calls:
        call.funcname = (ast.String(sval=f"anything_{GUARD.fullmatch(call.funcname[-1].sval).group(2)}"),)
    if len(calls) > 1:
        yield "without any guard", RawStream()(tree)


def weaker_names(function, functions):
    """The functions that check less: anything_* nothing at all."""
    way, things = GUARD.fullmatch(function).groups()
    ways = ("administered", "reachable", "visible", "anything")
    return [f"{less}_{things}" for less in ways[ways.index(way) + 1:] if f"{less}_{things}" in functions]
