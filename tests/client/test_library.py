"""What is built and installed: exported names, dependencies, size, and programs that find it by pkg-config and CMake."""

import os
import pathlib
import re
import subprocess

import pytest

import harness

BUILD = pathlib.Path(os.environ.get("CARBOND_BINARY", harness.ROOT / "build" / "bin" / "carbond")).absolute().parents[1]
LIBRARY = BUILD / "lib" / "libcarbond.so"
SANITIZED = "CARBOND_SANITIZE:STRING=\n" not in (BUILD / "CMakeCache.txt").read_text()
EXPORTS = (harness.ROOT / "client-lib" / "exports.txt").read_text().split()
HEADER = (harness.ROOT / "client-lib" / "include" / "carbond.h").read_text()

PROGRAM = """
#include <carbond.h>
#include <stdio.h>
int main(void) {
    carbond_options options;
    carbond_options_init(&options, sizeof options);
    carbond_client *client = NULL;
    options.url = "ftp://wrong";
    if (carbond_open(&options, &client) != CARBOND_CONFIG)
        return 1;
    puts(carbond_version());
    return 0;
}
"""


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_exports():
    """A name that is added here is a promise; one that is missing breaks programs."""
    names = [line.split()[2] for line in run("nm", "-D", "--defined-only", LIBRARY).splitlines()]
    assert sorted(names) == EXPORTS
    assert sorted(re.findall(r"^CARBOND_API[^;]*?(carbond_\w+)\(", HEADER, re.M)) == EXPORTS


@pytest.mark.skipif(SANITIZED, reason="sanitizers bring names, libraries and weight of their own")
def test_what_it_brings_along(tmp_path):
    dynamic = run("readelf", "-d", LIBRARY)
    assert re.search(r"SONAME.*\[libcarbond\.so\.0\]", dynamic)
    needed = set(re.findall(r"NEEDED.*\[(.*?)\.so", dynamic))
    assert needed <= {"libcurl", "libjansson", "libuuid", "libz", "libm", "libc"}, needed
    run("strip", "-o", tmp_path / "stripped.so", LIBRARY)
    assert (tmp_path / "stripped.so").stat().st_size <= 160 * 1024
    static = run("nm", "-g", "--defined-only", BUILD / "lib" / "libcarbond.a")
    assert sorted(re.findall(r" [A-Z] (\w+)$", static, re.M)) == EXPORTS


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", BUILD, "--prefix", prefix, "--component", "client-lib")
    return prefix


def environment(prefix):
    (pkgconfig,) = prefix.rglob("pkgconfig")
    return harness.clean_environment(PKG_CONFIG_PATH=str(pkgconfig), LD_LIBRARY_PATH=str(pkgconfig.parent))


@pytest.mark.skipif(SANITIZED, reason="a program without sanitizers can't link it")
@pytest.mark.parametrize("compiler, suffix, options", [
    ("gcc", "c", ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]),
    ("gcc", "c", ["--static"]),
    ("g++", "cpp", ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]),
])
def test_programs_find_it(installed, tmp_path, compiler, suffix, options):
    source, program = tmp_path / f"program.{suffix}", tmp_path / "program"
    source.write_text(PROGRAM)
    static = options == ["--static"]
    flags = run("pkg-config", "--cflags", "--libs", *(options if static else []), "carbond",
                env=environment(installed)).split()
    if static:  # the library itself: what it stands on is shared
        options = []
        flags = [next(installed.rglob("libcarbond.a")) if flag == "-lcarbond" else flag for flag in flags]
    run(compiler, *options, source, "-o", program, *flags)
    assert run(program, env=environment(installed)) == "0.1.0\n"


@pytest.mark.skipif(SANITIZED, reason="a program without sanitizers can't link it")
def test_cmake_finds_it(installed, tmp_path):
    (tmp_path / "program.c").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text("""
        cmake_minimum_required(VERSION 3.16)
        project(program C)
        find_package(carbond 0.1 REQUIRED)
        foreach(kind carbond carbond-static)
            add_executable(program-${kind} program.c)
            target_link_libraries(program-${kind} PRIVATE carbond::${kind})
        endforeach()
    """)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", tmp_path / "build")
    for kind in ("carbond", "carbond-static"):
        assert run(tmp_path / "build" / f"program-{kind}", env=environment(installed)) == "0.1.0\n"
