"""What is in the packages, and what they say of themselves."""

import gzip
import re
import subprocess

import machine as machines
import pytest
from conftest import ROOT

EXPOSURE = 15  # tenths; systemd-analyze security knows 0 (none) to 100
MANUAL = (ROOT / "docs" / "operations.md").read_text()
VERSION = re.search(r"^project\(carbond VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)[1]
READER = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MANWIDTH": "80"}
EXPORTS = (ROOT / "client-lib" / "exports.txt").read_text().split()
run = machines.run


def page_files(unpacked):
    return sorted(path for directory in unpacked.values() for path in directory.glob("usr/share/man/man?/*.gz"))


def text_of(page):
    """As a reader sees it, on one line."""
    return re.sub(r"\s+", " ", run("man", "--local-file", page, env={**READER, "MANWIDTH": "1000"}))


def field(package, name):
    return run("dpkg-deb", "--field", package, name).strip()


def program(unpacked, name):
    return next(directory / "usr" / "bin" / name for directory in unpacked.values()
                if (directory / "usr" / "bin" / name).exists())


def command_help(unpacked, name, *words):
    # The tools find the library where it is unpacked.
    library = next(unpacked["libcarbond1"].glob("usr/lib/*/libcarbond.so.1")).parent
    return run(program(unpacked, name), *words, "--help", env={"LD_LIBRARY_PATH": str(library)})


def commands_of(unpacked, name):
    return [match.split() for match in re.findall(r"^  (\S+(?: \S+)?) {2,}", command_help(unpacked, name), re.MULTILINE)]


# -- the packages -------------------------------------------------------------------------------------------------------

def test_names(packages):
    assert set(packages) == {"carbond", "carbond-tools", "libcarbond1", "libcarbond-dev"}
    assert {field(file, "Version") for file in packages.values()} == {f"{VERSION}-1"}


def test_lintian_says_nothing(packages):
    run("lintian", "--fail-on", "error,warning", "--allow-root", *packages.values())


def test_dependencies_are_those_of_the_programs(packages):
    assert {"libpq5", "libmicrohttpd12", "libc6"} <= set(re.findall(r"(\S+) \(", field(packages["carbond"], "Depends")))
    for name in ("carbond-tools", "libcarbond-dev"):
        assert f"libcarbond1 (= {VERSION}-1)" in field(packages[name], "Depends")
    for name in ("carbond-tools", "libcarbond1"):
        assert "libpq" not in field(packages[name], "Depends")


def test_the_library_tells_its_symbols(packages):
    """And since which version there is each; the linker's cache is renewed."""
    symbols = run("dpkg-deb", "--info", packages["libcarbond1"], "symbols").splitlines()
    assert symbols[0] == "libcarbond.so.1 libcarbond1 #MINVER#"
    assert [line.split("@")[0].strip() for line in symbols[1:]] == EXPORTS
    assert run("dpkg-deb", "--info", packages["libcarbond1"], "shlibs").strip() == f"libcarbond 1 libcarbond1 (>= {VERSION}-1)"
    assert "activate-noawait ldconfig" in run("dpkg-deb", "--info", packages["libcarbond1"], "triggers")


def test_nothing_tells_where_it_was_built(unpacked):
    for path in (path for directory in unpacked.values() for path in directory.rglob("*") if path.is_file()):
        assert str(ROOT).encode() not in path.read_bytes(), path


# -- manual pages -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, section", [("carbond", 8), ("carbond-send", 1), ("carbond-spool", 1)])
def test_each_command_and_each_option_has_its_place(unpacked, name, section):
    pages = {path.name: path for path in page_files(unpacked)}
    commands = commands_of(unpacked, name)
    assert commands
    for words in commands:
        text = text_of(pages[f"{'-'.join([name, *words])}.{section}.gz"])
        options = re.findall(r"^  (--\S+)", command_help(unpacked, name, *words), re.MULTILINE)
        assert "--help" in options and [option for option in options if f" {option} " not in text] == []
        assert f" {' '.join(words)} " in text_of(pages[f"{name}.{section}.gz"])


def test_each_function_has_its_page(unpacked):
    pages = {path.name: path for path in page_files(unpacked)}
    text = text_of(pages["carbond.3.gz"])
    for name in EXPORTS:
        assert f"{name}(" in text and gzip.decompress(pages[f"{name}.3.gz"].read_bytes()) == b".so man3/carbond.3\n"


def test_pages_render_without_a_warning(unpacked):
    """To a formatter that finds the pages which they include."""
    for path in page_files(unpacked):
        done = subprocess.run(["man", "--warnings", "--local-file", path], capture_output=True, text=True,
                                       env=READER, cwd=path.parents[1])
        assert done.returncode == 0 and done.stderr == "" and done.stdout, f"{path}: {done.stderr}"


def test_pages_are_good_mdoc(unpacked):
    texts = [gzip.decompress(path.read_bytes()).decode() for path in page_files(unpacked)]
    for text in texts:
        if not text.startswith(".so "):
            run("mandoc", "-T", "lint", "-W", "error", input=text)


# -- the service --------------------------------------------------------------------------------------------------------

def test_the_configuration_has_every_option_with_its_default(unpacked):
    text = (unpacked["carbond"] / "etc" / "carbond" / "carbond.conf").read_text()
    told = dict(re.findall(r"^#?(CARBOND_\w+)=(.*)$", text, re.MULTILINE))
    options = re.split(r"\n(?=  --)", command_help(unpacked, "carbond", "serve"))[1:]
    wanted = {}
    for option in options:
        name = re.match(r"  --([\w-]+)", option)[1]
        default = re.search(r"\[default: ([^]]*)\]\n?", option)
        wanted[f"CARBOND_{name.upper().replace('-', '_')}"] = default[1] if default else ""
    del wanted["CARBOND_HELP"]
    assert told == {**wanted, "CARBOND_DATABASE_URL": "postgresql:///carbond"}
    assert re.findall(r"^[^#\n].*$", text, re.MULTILINE) == ["CARBOND_DATABASE_URL=postgresql:///carbond"]


def test_the_unit_is_well_formed_and_its_sandbox_tight(unpacked, tmp_path):
    """With the program where it is unpacked."""
    unit = unpacked["carbond"] / "usr" / "lib" / "systemd" / "system" / "carbond.service"
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/usr/bin/carbond", str(program(unpacked, "carbond"))))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    said = run("systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", "--no-pager", unit)
    level = re.search(r"Overall exposure level for carbond.service: (\S+) ", said)[1]
    for document in (MANUAL, (ROOT / "SECURITY.md").read_text()):
        assert re.search(rf"`systemd-analyze security carbond`[:( ]+{level} of 10", document)


def test_it_has_the_time_that_a_migration_and_the_server_may_take(unpacked):
    unit = (unpacked["carbond"] / "usr" / "lib" / "systemd" / "system" / "carbond.service").read_text()
    configuration = (unpacked["carbond"] / "etc" / "carbond" / "carbond.conf").read_text()
    needed = sum(int(re.search(rf"^#{name}=(\d+)", configuration, re.MULTILINE)[1])
                 for name in ("CARBOND_DRAIN_DELAY", "CARBOND_GRACE"))
    assert int(re.search(r"^TimeoutStopSec=(\d+)", unit, re.MULTILINE)[1]) > needed
    assert re.search(r"^TimeoutStartSec=infinity$", unit, re.MULTILINE), "of ExecStartPre, too"


def test_the_readme_says_what_the_manual_says(unpacked):
    """Whose commands are run by test_machine.py."""
    readme = (unpacked["carbond"] / "usr" / "share" / "doc" / "carbond" / "README.Debian").read_text()
    commands = re.findall(r"^    (\S.*)$", readme, re.MULTILINE)
    assert len(commands) == 6 and [command for command in commands if f"\n$ {command}\n" not in MANUAL] == []
