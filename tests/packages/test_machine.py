"""The packages on a Debian that has just been made: installed, serving, upgraded, removed. The tests stand in the order in
which they happen to it."""

import json
import re

import pytest
from conftest import ROOT

UNIT = "carbond.service"
MANUAL = (ROOT / "docs" / "operations.md").read_text()
PASSWORD = "a password of some length"

# Where others write down what happened, or keep what is theirs.
OTHERS = ("/var/log/", "/var/cache/", "/var/lib/dpkg/", "/var/lib/apt/", "/var/lib/postgresql/", "/root/")

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(consumer C)
find_package(carbond 0.1 REQUIRED)
add_executable(shared tracker.c)
target_link_libraries(shared PRIVATE carbond::carbond)
add_executable(static tracker.c)
target_link_libraries(static PRIVATE carbond::carbond-static)
"""


def manual_commands():
    """Of the manual's section, block by block."""
    section = re.search(r"^## Debian packages\n(.*?)(?=^## )", MANUAL, re.MULTILINE | re.DOTALL)[1]
    blocks = re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return ["\n".join(re.findall(r"^\$ (.*)$", block, re.MULTILINE)) for block in blocks]


def state(machine, name):
    return machine.run("systemctl", "show", "--value", f"--property={name}", UNIT).strip()


def is_ready(machine):
    return machine.ask("curl", "--fail", "--silent", "http://127.0.0.1:8008/readyz").returncode == 0


def until_ready(machine):
    machine.until(lambda: is_ready(machine), what="it does not become ready")


def carbond(machine, *words, **options):
    return machine.run("runuser", "-u", "carbond", "--", "env", "DATABASE_URL=postgresql:///carbond", "carbond", *words,
                       **options).strip()


def emissions_of(machine, tree):
    return json.loads(machine.run("curl", "--fail", "--silent", "--header", f"x-api-token: {tree['token']}",
                                  f"http://127.0.0.1:8008/projects/{tree['project']}/sums"))["emissions_count"]


@pytest.fixture(scope="module")
def before(machine):
    """The files of a machine that never had our packages."""
    return machine.files()


@pytest.fixture(scope="module")
def installed(machine, before, packages):
    """Without a network: all that they depend on is there already."""
    machine.bring(*packages.values())
    first, _ = manual_commands()
    (machine.root / "root" / "password").write_text(f"{PASSWORD}\n")
    install, *rest = first.splitlines()
    machine.shell(install)
    assert (state(machine, "UnitFileState"), state(machine, "ActiveState")) == ("disabled", "inactive")
    machine.shell("\n".join(rest))
    until_ready(machine)
    return machine


@pytest.fixture(scope="module")
def tree(installed):
    """A project and what it takes to emit to it."""
    _, second = manual_commands()
    _, organization = installed.shell(second).split()
    project = carbond(installed, "project", "add", "--organization", organization, "--name", "Models")
    experiment = carbond(installed, "experiment", "add", "--project", project, "--name", "First")
    token = carbond(installed, "token", "add", "--project", project, "--access", "read-write")
    return {"project": project, "experiment": experiment, "token": token}


@pytest.fixture(scope="module")
def tracker(tree):
    """The environment of a tracker."""
    return ["env", "CARBOND_URL=http://127.0.0.1:8008", f"CARBOND_TOKEN={tree['token']}",
            f"CARBOND_EXPERIMENT_ID={tree['experiment']}"]


# -- serving ------------------------------------------------------------------------------------------------------------

def test_it_runs_as_its_own_user_in_its_sandbox(installed):
    status = installed.run("cat", f"/proc/{state(installed, 'MainPID')}/status")
    told = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    uid = installed.run("id", "-u", "carbond").strip()
    assert set(told["Uid"].split()) == {uid} and int(uid) != 0
    assert (told["NoNewPrivs"], told["Seccomp"], int(told["CapEff"], 16), int(told["CapBnd"], 16)) == ("1", "2", 0, 0)
    assert re.search(r":/usr/sbin/nologin$", installed.run("getent", "passwd", "carbond"))


def test_only_root_and_the_service_read_its_configuration(installed):
    assert installed.run("stat", "--format=%a %U:%G", "/etc/carbond/carbond.conf").split() == ["640", "root:carbond"]


def test_it_serves_its_figures_and_its_log_goes_to_the_journal(installed):
    figures = installed.run("curl", "--fail", "--silent", "http://127.0.0.1:8009/metrics")
    assert re.search(r"^process_start_time_seconds \d", figures, re.MULTILINE)
    assert int(re.search(r"^process_max_fds (\d+)", figures, re.MULTILINE)[1]) >= 4096 + 1024
    assert "listening" in installed.run("journalctl", f"--unit={UNIT}", "--no-pager")


def test_somebody_signs_in(installed, tree):
    """Passwords are compared within the limits of the sandbox."""
    body = json.dumps({"email": "ada@example.org", "password": PASSWORD})
    said = installed.run("curl", "--fail", "--silent", "--header", "Content-Type: application/json", "--data", body,
                         "http://127.0.0.1:8008/authenticate")
    assert "access_token" in json.loads(said)


def test_an_emission_of_the_tool_arrives(installed, tracker, tree):
    before = emissions_of(installed, tree)
    run = installed.run(*tracker, "carbond-send", "run").strip()
    installed.run(*tracker, "carbond-send", "emission", "--run", run, "--duration", "15", "--emissions-sum", "1.9e-06")
    assert emissions_of(installed, tree) == before + 1
    installed.run("carbond-spool", "verify", "/root/.local/state/carbond")


def test_a_reload_reads_files_anew_and_disturbs_nobody(installed):
    process = state(installed, "MainPID")
    installed.run("systemctl", "reload", UNIT)
    installed.until(lambda: "reloaded" in installed.run("journalctl", f"--unit={UNIT}", "--no-pager"))
    assert is_ready(installed) and state(installed, "MainPID") == process


def test_it_comes_back_when_it_is_killed(installed):
    process = state(installed, "MainPID")
    installed.run("kill", "-9", process)
    installed.until(lambda: state(installed, "MainPID") not in ("0", process))
    until_ready(installed)


def test_a_mistake_in_its_configuration_is_told_and_not_tried_again(installed):
    installed.shell("cp -a /etc/carbond/carbond.conf . && echo CARBOND_WORKERS=many >>/etc/carbond/carbond.conf")
    assert installed.ask("systemctl", "restart", UNIT).returncode != 0
    assert (state(installed, "ExecMainStatus"), state(installed, "SubState")) == ("2", "failed")
    assert "--workers takes a number" in installed.run("journalctl", f"--unit={UNIT}", "--no-pager")
    installed.shell("cp -a carbond.conf /etc/carbond/ && systemctl start carbond")
    assert is_ready(installed)


def test_it_waits_for_a_database_that_is_away(installed):
    """However long: the limit of systemd's tries is off."""
    cluster = installed.shell("systemctl list-units --plain --no-legend 'postgresql@*'").split()[0]
    installed.run("systemctl", "stop", cluster)
    installed.ask("systemctl", "restart", UNIT)
    installed.until(lambda: int(state(installed, "NRestarts")) >= 2)
    installed.run("systemctl", "start", cluster)
    until_ready(installed)


# -- what the manual tells besides ---------------------------------------------------------------------------------------

@pytest.fixture
def settings(installed):
    """Adds lines to the configuration, which are gone with the test."""
    installed.shell("cp -a /etc/carbond/carbond.conf before.conf")

    def add(*lines):
        with (installed.root / "etc" / "carbond" / "carbond.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        installed.run("systemctl", "restart", UNIT)

    yield add
    installed.shell("cp -a before.conf /etc/carbond/carbond.conf; systemctl daemon-reload; systemctl restart carbond")
    until_ready(installed)


def new_certificate(machine, days):
    machine.shell(f"""
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days {days} -subj /CN=localhost \
            -addext subjectAltName=IP:127.0.0.1 -keyout privkey.pem -out fullchain.pem 2>/dev/null
        install -o root -g carbond -m 640 privkey.pem fullchain.pem /etc/carbond/""")


def expiry(machine):
    figures = machine.run("curl", "--fail", "--silent", "http://127.0.0.1:8009/metrics")
    return float(re.search(r"^carbond_tls_certificate_expiry_seconds (\S+)", figures, re.MULTILINE)[1])


def test_certificates_are_renewed_by_a_reload(installed, settings):
    def serves():
        return installed.ask("curl", "--fail", "--silent", "--cacert", "fullchain.pem",
                             "https://127.0.0.1:8443/readyz").returncode == 0

    assert "`install -o root -g carbond -m 640 privkey.pem /etc/carbond/`" in MANUAL
    new_certificate(installed, 10)
    settings("CARBOND_LISTEN=127.0.0.1:8443", "CARBOND_TLS_CERT=/etc/carbond/fullchain.pem",
             "CARBOND_TLS_KEY=/etc/carbond/privkey.pem")
    installed.until(serves)
    first = expiry(installed)
    new_certificate(installed, 20)
    installed.run("systemctl", "reload", UNIT)
    installed.until(serves)
    assert expiry(installed) > first
    installed.shell("rm /etc/carbond/*.pem")


def test_a_port_below_1024(installed, settings):
    words = ("PrivateUsers=no", "AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE")
    assert all(f"`{word}`" in MANUAL for word in words)
    # As `systemctl edit` does.
    installed.shell("mkdir /etc/systemd/system/carbond.service.d; cat >/etc/systemd/system/carbond.service.d/override.conf; "
                    "systemctl daemon-reload", input="\n".join(["[Service]", *words, ""]))
    settings("CARBOND_LISTEN=127.0.0.1:80")
    installed.until(lambda: installed.ask("curl", "--fail", "--silent", "http://127.0.0.1/readyz").returncode == 0)
    installed.shell("rm -r /etc/systemd/system/carbond.service.d")


# -- compiling ----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def example(installed, packages):
    """What it takes to compile it, without the tree that the library was built in."""
    installed.run("apt-get", "install", "--yes", "--no-install-recommends", f"/root/{packages['libcarbond-dev'].name}")
    installed.bring(ROOT / "client-lib" / "examples" / "tracker.c")


def assert_it_emits(machine, tracker, tree, program):
    before = emissions_of(machine, tree)
    machine.run(*tracker, program)
    machine.until(lambda: emissions_of(machine, tree) > before)


def test_an_example_is_compiled_by_pkg_config(installed, example, tracker, tree):
    installed.shell("cc tracker.c $(pkg-config --cflags --libs carbond) -o tracker")
    assert_it_emits(installed, tracker, tree, "./tracker")


def test_an_example_is_compiled_by_cmake(installed, example, tracker, tree):
    (installed.root / "root" / "CMakeLists.txt").write_text(PROJECT)
    installed.shell("cmake -S . -B consumer && cmake --build consumer")
    for program in ("consumer/shared", "consumer/static"):
        assert_it_emits(installed, tracker, tree, program)


# -- upgrades, and the end ----------------------------------------------------------------------------------------------

def install_again(machine, packages, *options):
    machine.bring(*packages.values())
    machine.run("apt-get", "install", "--yes", "--no-install-recommends", *options,
                *(f"/root/{file.name}" for file in packages.values()))


def assert_it_went_on(machine, tree, before, process):
    until_ready(machine)
    assert state(machine, "MainPID") != process and state(machine, "UnitFileState") == "enabled"
    assert emissions_of(machine, tree) == before
    assert "# mine" in machine.run("cat", "/etc/carbond/carbond.conf")


def test_an_upgrade_restarts_it_and_keeps_what_is_the_owners(installed, tree, newer_packages, packages):
    """Over itself, then by a newer version."""
    installed.shell("echo '# mine' >>/etc/carbond/carbond.conf")
    before = emissions_of(installed, tree)
    for files, options in ((packages, ["--reinstall"]), (newer_packages, [])):
        process = state(installed, "MainPID")
        install_again(installed, files, *options)
        assert_it_went_on(installed, tree, before, process)
    assert installed.run("dpkg-query", "--show", "--showformat=${Version}", "carbond").endswith("-2")


def test_a_removal_stops_it_and_keeps_its_configuration(installed, newer_packages):
    installed.run("apt-get", "remove", "--yes", "carbond")
    assert not is_ready(installed)
    assert "# mine" in installed.run("cat", "/etc/carbond/carbond.conf")
    install_again(installed, newer_packages)
    assert state(installed, "UnitFileState") == "enabled"


def test_a_purge_leaves_nothing_behind(installed, before):
    """But the user, as Debian's packages do, and the database, which is another package's."""
    installed.run("systemctl", "start", UNIT)
    until_ready(installed)
    installed.shell("apt-get purge --yes carbond carbond-tools 'libcarbond*'")
    left = {path for path in installed.files() - before if not path.startswith(OTHERS)}
    assert left == set()
    assert installed.ask("systemctl", "cat", UNIT).returncode != 0
    assert installed.ask("getent", "passwd", "carbond").returncode == 0
