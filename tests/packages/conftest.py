"""The packages, and a Debian to install them on: made once, removed at the end."""

import os
import pathlib
import signal
import subprocess

import machine as machines
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Beside what our packages depend on: a database, and what it takes to compile against the library.
BASE = ("systemd", "systemd-sysv", "dbus", "postgresql", "curl", "gcc", "libc6-dev", "cmake", "make", "pkg-config")


def pytest_configure():
    # A run that is asked to end still takes down what it has put up.
    def interrupted(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)


def pytest_unconfigure(config):
    """The last line: how many passed, failed and were skipped."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    passed, failed, errors, skipped = (len(reporter.stats.get(kind, ())) for kind in ("passed", "failed", "error", "skipped"))
    print(f"{passed} passed, {failed + errors} failed, {skipped} skipped")


@pytest.fixture(scope="session", autouse=True)
def fit():
    if os.environ.get("CARBOND_UNFIT"):
        pytest.skip(os.environ["CARBOND_UNFIT"])


def make_packages(directory, revision):
    environment = {**os.environ, "DEBFULLNAME": "carbond", "DEBEMAIL": "packages@example.org"}
    done = subprocess.run([ROOT / "script" / "package", "--output", directory, "--revision", str(revision)], env=environment,
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return {pathlib.Path(file).name.split("_")[0]: ROOT / file for file in done.stdout.splitlines()}


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The file of each package, by its name."""
    return make_packages(tmp_path_factory.mktemp("packages"), 1)


@pytest.fixture(scope="session")
def newer_packages(packages, tmp_path_factory):
    return make_packages(tmp_path_factory.mktemp("newer"), 2)


@pytest.fixture(scope="session")
def unpacked(packages, tmp_path_factory):
    """The directory of each package's files, by its name."""
    directories = {name: tmp_path_factory.mktemp(name) for name in packages}
    for name, directory in directories.items():
        machines.run("dpkg-deb", "--extract", packages[name], directory)
    return directories


def foreign_dependencies(packages):
    """What apt is asked for: of others, all that ours depend on; and what the static library is linked with."""
    fields = [machines.run("dpkg-deb", "--field", file, "Depends") for file in packages.values()]
    fields.append(machines.run("dpkg-deb", "--field", packages["libcarbond-dev"], "Recommends"))
    wanted = [word.split("|")[0].split()[0] for field in fields for word in field.strip().split(", ")]
    return sorted(set(wanted) - set(packages))


@pytest.fixture(scope="session")
def machine(packages, tmp_path_factory):
    unfit = machines.why_not()
    if unfit:
        pytest.skip(unfit)
    machine = machines.Machine(tmp_path_factory.mktemp("machine"))
    try:
        machine.make([*BASE, *foreign_dependencies(packages)])
        machine.boot()
        yield machine
    except machines.Unfit as reason:
        pytest.skip(str(reason))
    finally:
        machine.end()
