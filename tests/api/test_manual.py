"""What docs/operations.md names is there: metrics, options, the sentences of refusals, tests. Its commands of backups and its
load balancer are tried by test_backup.py and test_rolling_restart.py."""

import re

import harness

MANUAL = (harness.ROOT / "docs" / "operations.md").read_text()


def section(heading):
    return re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", MANUAL, re.MULTILINE | re.DOTALL)[1]


def first_cells(text):
    """Of the rows of its tables, but for the headings."""
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    return {cell for cell in rows[2:] if cell}


def test_metrics():
    documented = set(re.findall(r"^\| `(\w+)`", (harness.ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    named = {name.removesuffix("_bucket") for name in re.findall(r"\b(?:carbond|process)_\w+", MANUAL)}
    assert named and named <= documented, named - documented


def test_options(carbond_binary):
    known = "".join(harness.command(carbond_binary, *name.split(), "--help").stdout for name in ("serve", "migrate", "verify-sums", "retention", "audit list"))
    text = re.sub(r"^```.*?^```", "", MANUAL, flags=re.MULTILINE | re.DOTALL)  # commands of others
    named = set(re.findall(r"`(--[\w-]+)", text))
    assert named and [option for option in named if f"  {option} " not in known] == []


def test_sentences_of_refusals():
    """Each that begins with 503 in the sources is told, and no other."""
    told = first_cells(section("When it says 503"))
    sources = "".join((harness.ROOT / "server" / "api" / name).read_text() for name in ("refusal.c", "status.c"))
    said = {re.split(r": ", sentence)[0] for sentence in re.findall(r'503, "([^"]+)"', sources)}
    assert said - {"The database is away"} == told


def test_commands_that_print_figures():
    """The tests that they choose exist."""
    chosen = re.findall(r"-k \"?([\w ]+?)\"?`", section("Each figure, and the command that prints it"))
    words = {word for choice in chosen for word in choice.split(" or ")}
    paths = [*(harness.ROOT / "tests").glob("*/test_*.py")]
    names = [path.stem for path in paths] + re.findall(r"^def (test_\w+)", "".join(path.read_text() for path in paths),
                                                       re.MULTILINE)
    assert words and [word for word in words if not any(word in name for name in names)] == []


def test_each_promise_has_its_tests():
    """The files that SECURITY.md names are there."""
    text = (harness.ROOT / "SECURITY.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    there = {path.stem for folder in ("api", "unit") for path in (harness.ROOT / "tests" / folder).glob("test_*.*")}
    assert named and named <= there, named - there
