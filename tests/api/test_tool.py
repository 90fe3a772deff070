"""The tool that looks on (script/test --on) does look, and nothing that it finds is lost."""

import subprocess

import pytest

import harness
import tool

FOUND = {"asan": ["leak", "overrun"], "tsan": ["race"], "valgrind": ["leak", "overrun"]}


@pytest.mark.skipif(tool.IS_PLAIN, reason="no tool looks on")
def test_it_finds_what_it_is_for():
    for fault in FOUND[tool.BUILD.name]:
        subprocess.run([tool.BINARY.with_name("faulty"), fault], timeout=harness.patience(10), env=harness.clean_environment())
        assert fault in tool.new_findings(), "tests/unit/faulty.c"
    assert not tool.new_findings()
