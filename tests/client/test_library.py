"""What is built and installed: symbols, the header, the packages, what it pulls in, and its size."""

import os
import re
import shutil
import subprocess

import pytest

import harness
import tool

CLIENT = harness.ROOT / "client-lib"
HEADER = CLIENT / "include" / "carbond.h"
EXPORTS = (CLIENT / "exports.txt").read_text().split()
OWN_CHOICE = {"libcurl.so.4", "libjansson.so.4", "libuuid.so.1", "libz.so.1", "libc.so.6", "libm.so.6"}
MOST = 160 * 1024

PROGRAM = """
#include <carbond.h>
#include <stdio.h>
int main(void) {
    carbond_emission emission;
    carbond_emission_init(&emission, sizeof emission);
    puts(carbond_version());
    return carbond_emit(NULL, &emission) == CARBOND_INVALID ? 0 : 1;
}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(consumer C CXX)
find_package(carbond 0.1 REQUIRED)
add_executable(shared main.c)
target_link_libraries(shared PRIVATE carbond::carbond)
add_executable(shared_cpp main.cpp)
target_link_libraries(shared_cpp PRIVATE carbond::carbond)
add_executable(static main.c)
target_link_libraries(static PRIVATE carbond::carbond-static)
"""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def release():
    if not tool.IS_PLAIN:
        pytest.skip("what is built for a tool is never installed")
    return tool.BUILD


@pytest.fixture(scope="session")
def prefix(release, tmp_path_factory):
    """Where it is installed; not where the build was told."""
    prefix = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", release, "--component", "client-lib", "--prefix", prefix)
    return prefix


# -- symbols ------------------------------------------------------------------------------------------------------------

def defined(*arguments):
    return sorted(line.split()[-1] for line in run("nm", "--defined-only", "--extern-only", *arguments).splitlines()
                  if re.match(r"[0-9a-f]{16} ", line))


def test_it_exports_what_the_list_says(release):
    assert defined("--dynamic", release / "lib" / "libcarbond.so") == sorted(EXPORTS)


def test_the_static_library_too(release):
    assert defined(release / "lib" / "libcarbond.a") == sorted(EXPORTS)


def test_the_header_declares_what_the_list_says():
    declared = re.findall(r"^CARBOND_API [^;]*?\b(carbond_\w+)\(", HEADER.read_text(), re.MULTILINE)
    assert sorted(declared) == sorted(EXPORTS) == EXPORTS


def test_foreign_languages_need_no_macro_no_varargs_and_no_struct_by_value():
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", HEADER.read_text(), flags=re.DOTALL)
    assert "..." not in code
    for name in ("carbond_options", "carbond_run_info", "carbond_emission", "carbond_stats"):
        assert re.search(rf"typedef struct {name} {{\s*size_t size;", code), name
        assert not re.search(rf"[(,]\s*(const )?{name} \w", code), f"{name} is passed by value"


def test_its_name_is_versioned(release):
    assert "libcarbond.so.1" in run("objdump", "-p", release / "lib" / "libcarbond.so").split("SONAME")[1].splitlines()[0]


# -- the header ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("compiler", ["gcc -x c -std=c11", "clang -x c -std=c11", "clang-14 -x c -std=c11",
                                      "gcc -x c -std=c2x", "g++ -x c++ -std=c++11", "g++ -x c++ -std=c++17", "g++ -x c++ -std=c++20",
                                      "clang++-14 -x c++ -std=c++17"])
def test_the_header_compiles_alone(compiler):
    words = compiler.split()
    if not shutil.which(words[0]):
        pytest.skip(f"there is no {words[0]}")
    run(*words, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-Wshadow", "-fsyntax-only", "-include", HEADER,
        "/dev/null")


# -- what is installed --------------------------------------------------------------------------------------------------

def test_what_is_installed(prefix):
    files = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if not path.is_dir()}
    assert {"include/carbond.h", "lib/libcarbond.so", "lib/libcarbond.so.1", "lib/libcarbond.a", "lib/pkgconfig/carbond.pc",
            "lib/cmake/carbond/carbond-config.cmake"} <= files, files
    for path in files:
        if path.endswith((".pc", ".cmake")):
            text = (prefix / path).read_text()
            assert str(harness.ROOT) not in text and "/usr/local" not in text, path


def test_pkg_config(prefix, tmp_path):
    (tmp_path / "main.c").write_text(PROGRAM)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "carbond", env=environment).split()
    assert run("pkg-config", "--modversion", "carbond", env=environment).strip() == version(prefix)
    run("gcc", tmp_path / "main.c", "-o", tmp_path / "main", *flags)
    assert run(tmp_path / "main", env={"LD_LIBRARY_PATH": str(prefix / "lib")}).strip() == version(prefix)


def test_pkg_config_tells_what_the_static_library_needs(prefix, tmp_path):
    (tmp_path / "main.c").write_text(PROGRAM)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = run("pkg-config", "--static", "--cflags", "--libs", "carbond", env=environment).split()
    flags = [prefix / "lib" / "libcarbond.a" if flag == "-lcarbond" else flag for flag in flags]
    run("gcc", tmp_path / "main.c", "-o", tmp_path / "main", *flags)
    assert run(tmp_path / "main").strip() == version(prefix)


def test_the_cmake_package(prefix, tmp_path):
    (tmp_path / "main.c").write_text(PROGRAM)
    (tmp_path / "main.cpp").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "build")
    for program in ("shared", "shared_cpp", "static"):
        assert run(tmp_path / "build" / program).strip() == version(prefix)


def version(prefix):
    text = (prefix / "lib" / "cmake" / "carbond" / "carbond-config-version.cmake").read_text()
    return re.search(r'set\(PACKAGE_VERSION "(.*)"\)', text)[1]


# -- what it costs ------------------------------------------------------------------------------------------------------

def test_it_needs_little(prefix):
    """Directly; what these pull in is theirs."""
    needed = set(re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", prefix / "lib" / "libcarbond.so")))
    assert needed <= OWN_CHOICE, needed
    loaded = re.findall(r"^\s*(\S+) =>", run("ldd", prefix / "lib" / "libcarbond.so"), re.MULTILINE)
    assert needed <= set(loaded) and "not found" not in loaded
    for library in ("pq", "microhttpd", "sodium", "jose"):
        assert not any(library in name for name in needed)


def test_it_is_small(prefix, tmp_path):
    run("strip", "-o", tmp_path / "stripped.so", prefix / "lib" / "libcarbond.so")
    assert (tmp_path / "stripped.so").stat().st_size <= MOST
