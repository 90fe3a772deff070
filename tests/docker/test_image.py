"""The image: what is in it, what is not, and how soon it is ready."""

import datetime
import re
import time

import requests

import engine
from engine import docker

LARGEST = 120_000_000  # bytes
SLOWEST = 1.0  # seconds
TRIES = 3  # of which the best counts: others use this machine too


def in_image(stack, script, *options):
    return docker("run", "--rm", "--network", "none", "--entrypoint", "sh", *options, stack.image, "-c", script)


def test_size(image, tell):
    tell("the image's size", f"{image['Size'] / 1e6:.1f} MB")
    assert image["Size"] <= LARGEST


def test_nothing_but_what_runs(stack):
    assert in_image(stack, "for name in cc gcc cmake ninja python3 curl wget; do command -v $name; done; true") == ""
    assert in_image(stack, "ls /usr/include /source /build /var/lib/apt/lists 2>/dev/null; true").split() in (
        [], ["/usr/include:", "/var/lib/apt/lists:"], ["/usr/include:", "/var/lib/apt/lists:", "partial"])
    assert "not found" not in in_image(stack, "ldd /usr/local/bin/carbond")


def test_nobody_in_particular(stack, image):
    assert image["Config"]["User"] == "10001:10001"
    assert in_image(stack, "id -u; id -g; id -un").split() == ["10001", "10001", "carbond"]
    assert in_image(stack, "find / -xdev -user carbond 2>/dev/null; true") == ""


def test_labels(stack, image):
    labels = {name.rpartition(".")[2]: value for name, value in image["Config"]["Labels"].items()}
    assert labels["title"] == "carbond" and labels["licenses"] == "MIT"
    assert docker("run", "--rm", stack.image, "version").split() == ["carbond", labels["version"]]


def test_a_command_of_its_own(stack):
    assert "usage: carbond COMMAND" in docker("run", "--rm", "--read-only", stack.image, "--help")
    done = engine.run("docker", "run", "--rm", stack.image, "health", check=False)
    assert done.returncode == 1 and "no answer" in done.stderr


def test_the_environment_is_made_of_options(stack, image):
    options = docker("run", "--rm", stack.image, "serve", "--help")
    given = [*image["Config"]["Env"], *stack.state("carbond")["Config"]["Env"]]
    for name in {word.partition("=")[0] for word in given if word.startswith("CARBOND_")}:
        assert f"  --{name.removeprefix('CARBOND_').lower().replace('_', '-')} " in options, name


def test_it_writes_nothing(stack):
    container = stack.state("carbond")
    assert container["HostConfig"]["ReadonlyRootfs"] and container["HostConfig"]["CapDrop"] == ["ALL"]
    changed = {line.split(maxsplit=1)[1] for line in docker("diff", container["Id"]).splitlines()}
    assert changed <= {"/run", "/run/secrets", "/run/secrets/database_password"}, "the engine's own places for mounts"
    assert engine.run("docker", "exec", container["Id"], "touch", "/tmp/x", check=False).returncode != 0


def started_at(container):
    """The engine tells nanoseconds."""
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", container["State"]["StartedAt"])).timestamp()


def is_ready(stack):
    try:
        return requests.get(stack.url + "/readyz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def time_to_ready(stack):
    docker("stop", stack.container("carbond"))
    docker("start", stack.container("carbond"))
    while not is_ready(stack):
        time.sleep(0.01)
    ready = time.time()
    return ready - started_at(stack.state("carbond"))


def test_start_to_ready(stack, tell):
    times = [time_to_ready(stack) for _ in range(TRIES)]
    tell("from the start of the process to ready", f"{min(times):.2f} to {max(times):.2f} s")
    assert min(times) <= SLOWEST, times
