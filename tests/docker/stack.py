"""docker/compose.yaml, started from a copy of the clone by the commands of the manual."""

import os
import re
import shutil
import subprocess
import time

import requests

import engine
import ports
from engine import ROOT, docker, inspect

# What the image is built from, and what the manual's commands need.
COPIED = (".dockerignore", "CMakeLists.txt", "LICENSE", "client-lib", "migrations", "openapi", "server", "docker")
IMAGES = ("POSTGRES_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE", "HAPROXY_IMAGE")
PORTS = ("CARBOND_PORT", "PROXY_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
# Not that of compose.yaml, which may be in use here.
NETWORK = {"SUBNET": "10.84.9.0/24", "PROXY_ADDRESS": "10.84.9.8"}
PATIENCE = 180  # seconds


def until(condition, what, seconds=PATIENCE):
    """Polls until the condition holds, and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.2)


def commands(document, heading):
    """What stands behind the dollars below a heading, as one script."""
    text = (ROOT / document).read_text()
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)[1]
    return re.findall(r"^\$ (.*)", "\n".join(re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)),
                      re.MULTILINE)


def defaults():
    lines = (ROOT / "docker" / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


class Stack:
    def __init__(self, images, work):
        self.clone = work / "clone"
        self.directory = self.clone / "docker"
        self.project = f"carbond-test-{os.getpid()}"
        self.image = f"{self.project}:old"
        self.missing = []  # images that could neither be pulled nor made
        self.ports = {name: str(ports.free_port()) for name in PORTS}
        self.settings = {"COMPOSE_PROJECT_NAME": self.project, "CARBOND_IMAGE": self.image, **self.ports, **NETWORK}
        for name in IMAGES:
            found = images.stand_in(defaults()[name])
            self.missing += [] if found else [defaults()[name]]
            self.settings[name] = found or defaults()[name]
        images.base()
        self.environment = {**engine.environment(), **self.settings}
        self.url = f"http://127.0.0.1:{self.ports['CARBOND_PORT']}"
        self.proxy = f"http://127.0.0.1:{self.ports['PROXY_PORT']}"
        self.prometheus = f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}"

    # -- start and end

    def start(self):
        shutil.rmtree(self.clone, ignore_errors=True)
        self.clone.mkdir()
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, self.clone / name)
        shutil.rmtree(self.directory / "secrets", ignore_errors=True)
        enter, *rest = commands("README.md", "With Docker")
        assert enter == "cd docker"
        self.told = self.shell(*rest)

    def remove(self):
        if not self.directory.is_dir():
            return
        self.shell("docker compose --profile monitoring --profile replicas down --volumes --timeout 20", check=False)
        for tag in ("old", "new"):
            engine.run("docker", "image", "rm", f"{self.project}:{tag}", check=False)

    # -- commands

    def shell(self, *lines, check=True, **settings):
        """Runs commands as the manual has them, in docker/; returns what they print."""
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], cwd=self.directory, text=True,
                              env={**self.environment, **settings}, capture_output=True, stdin=subprocess.DEVNULL, timeout=1500)
        assert not check or done.returncode == 0, f"{lines}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def carbond(self, *arguments, service="carbond"):
        """A command of carbond's, in its container."""
        return self.shell(f"docker compose exec -T {service} carbond {' '.join(arguments)}")

    def container(self, service):
        (found,) = self.shell(f"docker compose --profile monitoring --profile replicas ps -q {service}").split()
        return found

    def state(self, service):
        return inspect("container", self.container(service))

    def logs(self, service="carbond"):
        return docker("logs", self.container(service))  # its standard output

    def is_healthy(self, service):
        state = self.state(service)["State"]
        return state["Running"] and state.get("Health", {}).get("Status", "healthy") == "healthy"

    def kill(self, service):
        """As the kernel would, and not by the engine, so that its policy of restarts counts. Returns when it is well again."""
        before = self.state(service)
        docker("run", "--rm", "--pid", "host", "--user", "0", "--entrypoint", "sh", self.image, "-c",
               f"kill -9 {before['State']['Pid']}")
        until(lambda: self.state(service)["RestartCount"] > before["RestartCount"], f"the restart of {service}")
        until(lambda: self.is_healthy(service), f"a healthy {service}")

    # -- the API

    def get(self, path, url=None, **headers):
        response = requests.get((url or self.url) + path, headers=headers, timeout=30)
        assert response.status_code == 200, (path, response.status_code, response.text)
        return response.json()

    def query(self, expression):
        """What Prometheus answers: a list of labels and values."""
        response = requests.get(self.prometheus + "/api/v1/query", params={"query": expression}, timeout=30)
        assert response.status_code == 200, (expression, response.text)
        return [(series["metric"], float(series["value"][1])) for series in response.json()["data"]["result"]]
