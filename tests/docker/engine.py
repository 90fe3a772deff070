"""The Docker engine that the tests use, and the images that they need: pulled, or made here where no registry can be reached."""

import json
import os
import pathlib
import shutil
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "docker"
BASE = "debian:bookworm-slim"
PULL_SECONDS = 120

# What the image `debian:bookworm-slim` leaves out of a Debian.
NOT_IN_SLIM = ("var/lib/apt/lists", "var/cache/apt", "var/log", "usr/share/man", "usr/share/info", "usr/share/locale",
               "usr/share/lintian", "usr/share/linda")
SLIM = "".join(f"path-exclude /usr/share/{what}/*\n" for what in ("doc", "info", "lintian", "linda", "locale", "man"))


def told(done):
    return f"{' '.join(map(str, done.args))}: {done.returncode}\n{done.stdout}{done.stderr}"


def run(*command, timeout=900, check=True, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, **more)
    assert not check or done.returncode == 0, told(done)
    return done


def docker(*arguments, **more):
    """The output of a docker command."""
    return run("docker", *arguments, **more).stdout


def inspect(kind, name):
    return json.loads(docker(kind, "inspect", name))[0]


def has_image(name):
    return run("docker", "image", "inspect", name, check=False).returncode == 0


def environment():
    """With `docker compose` on PATH as the manual writes it, whichever is installed."""
    if run("docker", "compose", "version", check=False).returncode == 0:
        return dict(os.environ)
    return {**os.environ, "PATH": f"{HERE / 'bin'}{os.pathsep}{os.environ['PATH']}"}


# -- images -----------------------------------------------------------------------------------------------------------

class Images:
    """Finds or makes images by their names, and tells where each came from."""

    def __init__(self, work):
        self.work = work
        self.registry = None  # nobody knows yet
        self.made = []  # here, and how

    def pull(self, name):
        """Whether it is here now. A registry that did not answer once is not asked again."""
        if has_image(name):
            return True
        if self.registry is False:
            return False
        try:
            done = run("docker", "pull", "--quiet", name, check=False, timeout=PULL_SECONDS)
        except subprocess.TimeoutExpired:
            done = None
        self.registry = done is not None and done.returncode == 0
        return self.registry

    def base(self):
        if not self.pull(BASE):
            self.made.append(f"NO REGISTRY: {BASE} is made by debootstrap")
            self._bootstrap(BASE)
        return BASE

    def stand_in(self, name):
        """The image that compose.yaml names, or one that stands in for it."""
        if self.pull(name):
            return name
        repository = name.rpartition("/")[2].partition(":")[0]
        if not (HERE / "images" / repository).is_dir():
            return None
        self.made.append(f"NO REGISTRY: {name} is made of Debian's packages by tests/docker/images/{repository}")
        self.base()
        tag = f"carbond-test-{repository}"
        docker("build", "--quiet", "--tag", tag, HERE / "images" / repository)
        return tag

    def _bootstrap(self, name):
        system, archive = self.work / "debian", self.work / "debian.tar"
        run("debootstrap", "--variant=minbase", "bookworm", system)
        for place in NOT_IN_SLIM:
            shutil.rmtree(system / place, ignore_errors=True)
            (system / place).mkdir()
        (system / "var/cache/apt/archives/partial").mkdir(parents=True)
        (system / "etc/dpkg/dpkg.cfg.d/slim").write_text(SLIM + "path-include /usr/share/doc/*/copyright\n")
        for file in (system / "usr/share/doc").rglob("*"):
            if not file.is_dir() and file.name != "copyright":
                file.unlink()
        with tarfile.open(archive, "w") as tar:
            tar.add(system, arcname=".")
        shutil.rmtree(system)
        docker("import", "--change", 'CMD ["bash"]', archive, name)
        archive.unlink()
