"""A Debian of its own, booted beside this one: debootstrap makes it out of what apt is configured for here, systemd-nspawn
boots it, without a network. It is gone with its directory."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

BOOT = 120  # s, at most
SETTLED = "running", "degraded"  # a container has not all that a machine has
ENVIRONMENT = ("env", "-i", "--chdir=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
               "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")

# With this machine's configuration of apt and certificates, which it has in its /run, another one of which it is booted with;
# and without the services of what is installed.
INSTALL = r"""
set -e
root=$1
shift
mount --make-rprivate /
mount -t proc proc "$root/proc"
mkdir "$root/run/apt"
mount --bind -o ro /etc/apt "$root/run/apt"
certificates=/etc/ssl/certs/ca-certificates.crt
[ ! -e "$certificates" ] || cp "$certificates" "$root/run"
printf 'Dir::Etc "/run/apt"; Acquire::https::CAInfo "/run/ca-certificates.crt";\n' >"$root/run/apt.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
apt="env APT_CONFIG=/run/apt.conf DEBIAN_FRONTEND=noninteractive chroot $root apt-get -q -y"
$apt update
$apt install --no-install-recommends "$@"
rm "$root/usr/sbin/policy-rc.d"
"""


class Unfit(Exception):
    """Why this machine cannot have another one on it."""


def run(*command, timeout=600, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


def codename():
    return re.search(r"^VERSION_CODENAME=(.*)$", pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)[1]


def mirror(release):
    """Where apt has the release's main packages from."""
    targets = run("apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages")
    found = [line.split()[2] for line in targets.splitlines() if line.split()[:2] == [release, "main"]]
    if not found:
        raise Unfit(f"apt knows no mirror of {release}: apt-get update")
    return found[0]


def why_not():
    if os.geteuid() != 0:
        return "only root can boot a container"
    lacking = [name for name in ("debootstrap", "systemd-nspawn", "unshare", "nsenter") if not shutil.which(name)]
    return f"there is no {' and no '.join(lacking)} (script/bootstrap test-packages)" if lacking else None


def cgroup_roots():
    """Of this machine's own processes: where cgroups of systemd's are made when there is no systemd to ask."""
    mounts = [line.split()[1:4] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    return [pathlib.Path(path) for path, kind, options in mounts
            if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(","))]


class Machine:
    def __init__(self, directory):
        self.root = directory / "root"
        self.console = directory / "console.log"
        self.name = f"carbond-{os.getpid()}"
        self.cgroups = []
        self.process = None

    # ---- making, booting, ending

    def make(self, packages):
        release = codename()
        try:
            run("debootstrap", "--variant=minbase", release, self.root, mirror(release), timeout=1200)
        except AssertionError as failure:
            raise Unfit(f"debootstrap makes no Debian here: {str(failure).splitlines()[-1]}") from None
        run("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSTALL, "sh", self.root, *packages,
            timeout=1200)

    def own_cgroups(self):
        """Without a systemd, nspawn stays in the cgroup it was started in, which is the root of them all here."""
        for root in cgroup_roots():
            path = root / self.name
            path.mkdir()
            self.cgroups.append(path)

    def boot(self):
        unit = []
        if not pathlib.Path("/run/systemd/system").exists():
            self.own_cgroups()
            unit = ["--keep-unit"]
        entering = "".join(f"echo $$ >{path}/cgroup.procs; " for path in self.cgroups)
        self.process = subprocess.Popen(
            ["sh", "-c", f'{entering}exec "$@"', "sh", "systemd-nspawn", "--quiet", "--register=no", *unit, "--private-network",
             f"--machine={self.name}", "--console=pipe", f"--directory={self.root}", "--kill-signal=SIGRTMIN+4",
             "/lib/systemd/systemd"],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, stdin=subprocess.DEVNULL,
            stdout=self.console.open("w"), stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self.until(self.has_booted, BOOT)
        except TimeoutError:
            raise Unfit(f"systemd does not boot in {BOOT} s: {self.console.read_text().strip()}") from None

    def has_booted(self):
        if self.process.poll() is not None:
            raise Unfit(f"systemd-nspawn ends: {self.console.read_text().strip()}")
        if not self.leader():
            return False
        asked = self.ask("systemctl", "is-system-running")
        return asked.stdout.strip() in SETTLED

    def leader(self):
        """Its first process, once that is systemd."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        names = [(child, pathlib.Path(f"/proc/{child}/comm").read_text().strip()) for child in children]
        return next((child for child, name in names if name == "systemd"), None)

    def end(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for cgroup in self.cgroups:
            for path, *_ in os.walk(cgroup, topdown=False):
                os.rmdir(path)
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- what is done in it

    def ask(self, *command, input=None, timeout=300):
        return subprocess.run(["nsenter", "--target", self.leader(), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                               "--root", *ENVIRONMENT, *command], input=input, capture_output=True, text=True,
                              stdin=None if input is not None else subprocess.DEVNULL, timeout=timeout)

    def run(self, *command, **options):
        done = self.ask(*command, **options)
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def shell(self, script, **options):
        return self.run("sh", "-e", "-c", script, **options)

    def bring(self, *files):
        """To its /root."""
        for file in files:
            shutil.copy(file, self.root / "root")

    def until(self, good, seconds=60, what="it does not come"):
        deadline = time.monotonic() + seconds
        while not good():
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(0.1)

    def files(self):
        """All on its disk."""
        return set(self.run("find", "/", "-xdev").splitlines())
