"""SIGHUP: what is read anew, what stays, and when it means the end. (Of certificates, test_tls.py tells.)"""

import os
import signal
import subprocess

import pytest

import harness

OTHER_KEY = "another HS256 key of the tests, as long as the first"


def reload(server, result):
    told = server.log().count(result)
    server.process.send_signal(signal.SIGHUP)
    harness.until(lambda: server.log().count(result) > told, 20, result)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "hs256"
    path.write_text(harness.JWT_KEY)
    return path


@pytest.fixture
def own(carbond_binary, database, key_file):
    with harness.Server(carbond_binary, database, "--jwt-hs256-key-file", key_file) as server:
        yield harness.World(server)


def user_of(world, token):
    user = world.client(bearer=token).get("/auth/check").json()["user"]
    return user and user["id"]


def test_a_new_jwt_key(own, key_file):
    user = own.user().id
    old, new = harness.make_jwt(user), harness.make_jwt(user, key=OTHER_KEY)
    assert (user_of(own, old), user_of(own, new)) == (user, None)
    key_file.write_text(OTHER_KEY)
    reload(own.server, "msg=reloaded")
    assert (user_of(own, old), user_of(own, new)) == (None, user)


@pytest.mark.parametrize("put", [None, os.mkdir, os.mkfifo, lambda path: path.write_text("too short"),
                                 lambda path: path.write_text("x" * 5000)],
                         ids=("nothing", "directory", "pipe", "short", "long"))
def test_a_key_of_no_use_leaves_the_old_one(own, key_file, put):
    """A pipe that nobody writes to is not waited for: the thread that reads the file is the one that heeds SIGTERM."""
    user = own.user().id
    key_file.unlink()
    if put:
        put(key_file)
    reload(own.server, "not all was reloaded")
    assert f"file={key_file}" in own.server.log()
    assert user_of(own, harness.make_jwt(user)) == user
    key_file.rmdir() if key_file.is_dir() else key_file.unlink(missing_ok=True)
    key_file.write_text(harness.JWT_KEY)
    reload(own.server, "msg=reloaded")


def test_without_files(carbond_binary, database):
    with harness.Server(carbond_binary, database) as server:
        for _ in range(3):
            reload(server, "msg=reloaded")
        harness.Client(server).get("/readyz")


def test_the_end_of_its_terminal_is_its_end(carbond_binary, database):
    """The kernel sends SIGHUP then, and nobody would be there to end it."""
    ours, its = os.openpty()
    arguments = [str(carbond_binary), "serve", "--database-url", database.url, "--listen", "127.0.0.1:0",
                 "--metrics-listen", "none", "--drain-delay", "0", *database.OPTIONS]
    process = subprocess.Popen(["setsid", "--ctty", *arguments], stdin=its, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, env=harness.clean_environment())
    os.close(its)
    try:
        assert "msg=listening" in process.stderr.readline()
        os.close(ours)
        assert process.wait(20) == 0
        assert "msg=ended" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
