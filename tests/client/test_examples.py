"""The examples of the documentation, against a real server."""

import re
import shutil
import subprocess

import pytest

import harness
import tool
from sites import Site

EXAMPLES = harness.ROOT / "client-lib" / "examples"
MANUAL = harness.ROOT / "docs" / "client.md"


@pytest.fixture(scope="module")
def site(carbond_binary, new_database, jwt_key_file):
    site = Site(carbond_binary, new_database(), "--jwt-hs256-key-file", jwt_key_file)
    yield site
    site.down()


@pytest.fixture
def plain():
    if not tool.IS_PLAIN:
        pytest.skip("the tool does not look over what is compiled here, or over Python")


def environment(site, spool, **more):
    return harness.clean_environment(CARBOND_URL=site.url, CARBOND_TOKEN=site.token, CARBOND_EXPERIMENT_ID=site.experiment,
                                     CARBOND_SPOOL_DIR=str(spool), HOME="/nonexistent", **more)


def emissions_of(site, spool, *command, **more):
    """What the run holds whose id the example prints: how many emissions, and their sum."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=harness.patience(60),
                          env=environment(site, spool, **more))
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.token not in done.stderr
    (row,) = site.database.query("select count(*), sum(emissions_sum) from emissions where run_id = %s", done.stdout.strip())
    assert not list(spool.iterdir())
    return row


def test_c(site, tmp_path):
    count, total = emissions_of(site, tmp_path / "spool", tool.BUILD / "bin" / "client_example_c", 2)
    assert count == 2 and total == pytest.approx(2 * 42.5 / 3.6e6 * 0.056)


def test_cpp(site, plain, tmp_path):
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    done = subprocess.run(["g++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", EXAMPLES / "tracker.cpp", "-I",
                           EXAMPLES.parent / "include", "-L", tool.BUILD / "lib", "-lcarbond", "-o", tmp_path / "tracker"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, total = emissions_of(site, tmp_path / "spool", tmp_path / "tracker", LD_LIBRARY_PATH=str(tool.BUILD / "lib"))
    assert count == 10 and total == pytest.approx(1.9e-05)


def test_python(site, plain, tmp_path):
    count, total = emissions_of(site, tmp_path / "spool", "/usr/bin/python3", "-B", EXAMPLES / "tracker.py",
                                CARBOND_LIBRARY=str(tool.BUILD / "lib" / "libcarbond.so"))
    assert count == 10 and total == pytest.approx(1.9e-05)


def test_what_the_manual_says_to_paste(site, plain, tmp_path):
    """The first screen of docs/client.md: a program that is whole."""
    (tmp_path / "tracker.c").write_text(re.search(r"```c\n(.*?)```", MANUAL.read_text(), re.DOTALL)[1])
    done = subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", tmp_path / "tracker.c", "-I",
                           EXAMPLES.parent / "include", "-L", tool.BUILD / "lib", "-lcarbond", "-o", tmp_path / "tracker"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([tmp_path / "tracker"], env=environment(site, tmp_path / "spool", LD_LIBRARY_PATH=str(tool.BUILD / "lib")))
    assert done.returncode == 0
    assert site.database.value("select count(*) from emissions where emissions_sum = 1.9e-06 and duration = 15") >= 1


def test_the_example_of_the_header(tmp_path):
    """It compiles, and ignores no result that must be looked at."""
    header = EXAMPLES.parent / "include" / "carbond.h"
    example = re.search(r" \*\n((?: \*     .*\n| \*\n)+) \* THE HOUSE", header.read_text())[1]
    (tmp_path / "tracker.c").write_text("#include <carbond.h>\n#include <stdio.h>\n#include <stdlib.h>\nint main(void) {\n" +
                                        re.sub(r"^ \*", "", example, flags=re.MULTILINE) + "return EXIT_SUCCESS;\n}\n")
    done = subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", header.parent,
                           tmp_path / "tracker.c"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_manual_knows_every_option():
    text = MANUAL.read_text()
    table = (EXAMPLES.parent / "src" / "options.c").read_text()
    names = re.findall(r"AT\((\w+)\),\s+(?:TEXT|WORD|INT32|INT64)", table)
    assert len(names) > 15
    missing = [name for name in [*names, *re.findall(r'"(CARBOND_\w+)"', table)] if f"`{name}`" not in text]
    assert not missing


def test_the_example_in_c_is_short():
    """About forty lines, and no more lines than that to paste."""
    lines = (EXAMPLES / "tracker.c").read_text().split("*/", 1)[1].splitlines()
    assert len([line for line in lines if line.strip()]) <= 45
