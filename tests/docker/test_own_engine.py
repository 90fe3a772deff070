"""How own_engine ends: with programs that only tell what becomes of them in the places of the engine and its network."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from engine import ROOT

# NAME: writes down that it runs, and when it is asked to end.
PROGRAM = """#!/bin/bash
trap 'echo "{name} ends" >>"$TOLD"; kill $!; exit' TERM
sleep 600 &
echo "{name} runs" >>"$TOLD"
wait
"""
INSTANT = "#!/bin/sh\necho default\n"  # as ip, docker


@pytest.fixture
def programs(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may start an engine")
    if subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "true"]).returncode:
        pytest.skip("it may have no namespaces here")
    for name, text in (("dockerd", PROGRAM), ("slirp4netns", PROGRAM), ("command", PROGRAM), ("docker", INSTANT), ("ip", INSTANT)):
        (tmp_path / name).write_text(text.format(name=name))
        (tmp_path / name).chmod(0o755)
    return tmp_path


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def left_behind(told):
    """The processes that have been started with it, and run on."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"TOLD={told}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            pass  # it has ended
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_asked_to_end_puts_all_away(programs, number):
    """First the command, which needs the engine for that, and then the network."""
    told = programs / "told"
    told.touch()
    process = subprocess.Popen(
        [ROOT / "tests" / "docker" / "own_engine", programs, programs / "data", programs / "command"],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TOLD": str(told)}, start_new_session=True)
    try:
        until(lambda: {"command runs", "dockerd runs", "slirp4netns runs"} <= set(told.read_text().splitlines()))
        process.send_signal(number)
        assert process.wait(60) == 143
        until(lambda: not left_behind(told))
    finally:
        for one in left_behind(told):
            os.kill(one, signal.SIGKILL)
    ends = [line.split()[0] for line in told.read_text().splitlines() if line.endswith("ends")]
    assert ends == ["command", "dockerd", "slirp4netns"]
