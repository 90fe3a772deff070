"""The tools that look over what is tested (script/test --on): which one it is, how much slower it makes a program, and
what it has found."""

import os
import pathlib
import re
import tempfile
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("CARBOND_BINARY", ROOT / "build" / "bin" / "carbond")).absolute()
BUILD = BINARY.parents[1]


class Tool(typing.NamedTuple):
    slowness: float = 1  # what a program takes at most, in times of what it takes without
    environment: dict = {}  # of the program; {} is the directory that the findings go into


NONE = Tool()
# By the name of the build. Each brings a malloc of its own, which no test can replace, and which keeps what was freed.
TOOLS = {
    "asan": Tool(2, {"ASAN_OPTIONS": "log_path={}/asan:verify_asan_link_order=0",  # layer.c comes before it
                     "UBSAN_OPTIONS": "log_path={}/ubsan:print_stacktrace=1:halt_on_error=1"}),
    "tsan": Tool(4, {"TSAN_OPTIONS": "log_path={}/tsan"}),
    "valgrind": Tool(20, {"VALGRIND_OPTS": "--log-file={}/valgrind.%p"}),
}
TOOL = TOOLS.get(BUILD.name, NONE)
IS_PLAIN = TOOL is NONE  # how long carbond takes, and how much memory, can be judged

# Of LeakSanitizer, about a thread that was just about to end; a leak that it finds all the same is a finding.
REMARK = re.compile(r"^==\d+==Running thread \d+ was not suspended\. False leaks are possible\.\n", re.MULTILINE)

_directory = tempfile.TemporaryDirectory(prefix="carbond-findings-", ignore_cleanup_errors=True)
_read = {}  # the length of each file when it was last looked at

ENVIRONMENT = {name: value.format(_directory.name) for name, value in TOOL.environment.items()}


def patience(seconds):
    """How long to wait for what takes so many seconds at most without a tool."""
    return seconds * TOOL.slowness


def new_findings():
    """What has been found since the last call, in whatever process, however it ended."""
    found = []
    for path in sorted(pathlib.Path(_directory.name).iterdir()):
        text = path.read_text(errors="replace")
        found.append(text[_read.get(path, 0):])
        _read[path] = len(text)
    return REMARK.sub("", "".join(found))
