"""script/server as a person meets it: a copy of the clone, without what was built or kept there before. It builds the
release binary by itself, so it is tested with that one alone."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest
import requests

import harness
import ports

SCRIPTS = sorted(path.name for path in (harness.ROOT / "script").iterdir() if os.access(path, os.X_OK))
RELEASE = harness.ROOT / "build" / "bin" / "carbond"
TOLD = {
    "url": r"carbond serves on (http://127\.0\.0\.1:\d+) ",
    "metrics": r"Figures for Prometheus: (http://127\.0\.0\.1:\d+/metrics)\n",
    "email": r"Sign in as (\S+@\S+) with the password",
    "password": r"with the password (\S+)",
    "token": r"Project token: +(cpt_\S+)",
    "project": r"Project: +([0-9a-f-]{36})",
    "experiment": r"Experiment: +([0-9a-f-]{36})",
}
END_OF_TELLING = "codecarbon 2 sends no token"


def script(name, *arguments, root=harness.ROOT):
    return subprocess.run([root / "script" / name, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=300, env=harness.clean_environment())


def processes_of(directory):
    """The processes that run a program of the directory, or work in it."""
    found = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        for link in ("exe", "cwd"):
            try:
                # " (deleted)" may follow the path.
                if f"{os.readlink(process / link)}/".startswith((f"{directory}/", f"{directory} (deleted)/")):
                    found.add(int(process.name))
            except OSError:
                pass  # It has ended, or is somebody else's.
    return found


@pytest.fixture
def clone():
    """Where the user postgres may go, too, whatever the umask."""
    if pathlib.Path(os.environ.get("CARBOND_BINARY", RELEASE)).resolve() != RELEASE:
        pytest.skip("script/server builds and runs the release binary alone")
    above = pathlib.Path(tempfile.mkdtemp(prefix="carbond-clone-", dir="/tmp"))
    clone = above / "clone"
    clone.mkdir()
    for directory in (above, clone):
        directory.chmod(0o755)
    listed = subprocess.run(["bash", "-c", "source script/lib.sh; files '*'"], cwd=harness.ROOT, check=True,
                            capture_output=True, text=True).stdout.splitlines()
    try:
        for name in listed:
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(harness.ROOT / name, clone / name)
        yield clone
    finally:
        for process in processes_of(clone):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(above)


class Start:
    """One start of script/server, until it has told all that it tells."""

    def __init__(self, clone):
        self.clone = clone
        self.port = ports.free_port()
        self.output_path = clone.parent / f"output-{self.port}"
        with open(self.output_path, "wb") as output:
            self.process = subprocess.Popen([clone / "script" / "server", "--port", str(self.port)],
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            start_new_session=True, env=harness.clean_environment())
        harness.until(self._has_told, 300, "what script/server tells")
        self.told = {name: re.search(pattern, self.output()).group(1) for name, pattern in TOLD.items()}

    def output(self):
        return self.output_path.read_text()

    def _has_told(self):
        assert self.process.poll() is None, self.output()
        return END_OF_TELLING in self.output()

    def request(self, method, path, status, body=None, token=True):
        headers = {"x-api-token": self.told["token"]} if token else {}
        answer = requests.request(method, self.told["url"] + path, json=body, headers=headers, timeout=20)
        assert answer.status_code == status, answer.text
        return answer.json()

    def sums(self):
        return self.request("GET", f"/projects/{self.told['project']}/sums", 200)

    def end(self):
        """Ends it as Ctrl-C does, and looks for what it may have left behind."""
        assert len(processes_of(self.clone)) > 2, "script/server, carbond and PostgreSQL"
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) in (0, 128 + signal.SIGTERM), self.output()
        assert not processes_of(self.clone)
        assert not (self.clone / "var/postgres/data/postmaster.pid").exists()


def test_a_clean_clone_serves_and_keeps_its_data(clone):
    first = Start(clone)
    assert first.told["url"] == f"http://127.0.0.1:{first.port}"
    assert 'carbond_build_info{version="' in requests.get(first.told["metrics"], timeout=20).text
    credentials = {"email": first.told["email"], "password": first.told["password"]}
    assert first.request("POST", "/authenticate", 200, credentials, token=False)["access_token"]

    run = first.request("POST", "/run", 201, harness.run_body(first.told["experiment"]))
    parts = [0.1, 0.2, 0.7]
    for part in parts:
        first.request("POST", "/emission", 201,
                      harness.emission_body(run["id"], emissions_sum=part, energy_consumed=2 * part, duration=3))
    sums = first.sums()
    assert sums["emissions"] == pytest.approx(sum(parts), rel=1e-15)
    assert sums["energy_consumed"] == pytest.approx(2 * sum(parts), rel=1e-15)
    assert (sums["duration"], sums["emissions_count"]) == (9, 3)
    first.end()

    began = time.monotonic()
    second = Start(clone)
    assert time.monotonic() - began < 20, "the second start builds and makes nothing"
    same = TOLD.keys() - {"url", "metrics"}  # The ports are others.
    assert {name: second.told[name] for name in same} == {name: first.told[name] for name in same}
    assert second.sums() == sums
    # A tracker that can send no header: the token is in the address.
    second.request("POST", f"/t/{second.told['token']}/run", 201, harness.run_body(second.told["experiment"]),
                   token=False)
    second.end()


def test_a_taken_port_is_refused_at_once(clone):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = script("server", "--port", str(port), root=clone)
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stderr
    assert not (clone / "var").exists() and not (clone / "build").exists()


def test_bootstrap_sees_what_a_bare_machine_lacks(tmp_path):
    """dpkg without a single package, as far as it knows: all that are wanted are missing, but PostgreSQL, which may be
    there without a package."""
    (tmp_path / "status").touch()
    done = subprocess.run([harness.ROOT / "script" / "bootstrap", "--missing", "build"], capture_output=True, text=True,
                          timeout=60, env=harness.clean_environment(DPKG_ADMINDIR=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert {"libmicrohttpd-dev", "cmake", "libjose-dev"} <= set(done.stdout.split())


@pytest.mark.parametrize("name", SCRIPTS)
def test_help(name):
    done = script(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: script/{name}")


def test_bench_tells_each_measure():
    told = re.findall(r"^  ([a-z]+)  +\S", script("bench", "--help").stdout, re.MULTILINE)
    table = (harness.ROOT / "tests" / "bench" / "bench.py").read_text()
    assert told == re.findall(r'^    "([a-z]+)": measure_\1', table, re.MULTILINE)


@pytest.mark.parametrize("name", SCRIPTS)
def test_wrong_usage(name):
    done = script(name, "--no-such-option")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"script/{name}: ")
