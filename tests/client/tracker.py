"""A tracker on the real library: drives tests/client/driver.c, and looks into its spool."""

import json
import os
import pathlib
import signal
import subprocess

import harness
import tool

# Milliseconds. Retries are quick, so that tests are.
QUICK = {"flush_interval": 50, "retry_min": 20, "retry_max": 200}


class Tracker:
    """A process that has opened the library. A context manager: leaving it closes the client and checks that the process
    ended well, unless it has been killed."""

    def __init__(self, url, spool, *, token=None, experiment=None, environment=None, **options):
        more = {"CARBOND_URL": url, "CARBOND_SPOOL_DIR": str(spool), "HOME": "/nonexistent"}
        if token:
            more["CARBOND_TOKEN"] = token
        if experiment:
            more["CARBOND_EXPERIMENT_ID"] = experiment
        more.update(environment or {})
        self.spool, self.token = pathlib.Path(spool), token
        beside = next(path for path in self.spool.parents if path.is_dir())
        self.log_path = beside / f"tracker-{os.urandom(4).hex()}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([str(tool.BINARY.with_name("client_driver"))], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1,
                                            env=harness.clean_environment(**more))
        words = [f"{name}={value}" for name, value in {**QUICK, **options}.items()]
        assert self.ask("open", *words) == ["0"], self.log()

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")

    def hear(self, name):
        """The words of the next answer, which must be this command's."""
        line = self.process.stdout.readline()
        words = line.split(None, 1)
        assert words and words[0] == name, f"{name}: {line!r}\n{self.log()}"
        return words[1].split() if len(words) > 1 else []

    def ask(self, *words):
        self.tell(*words)
        return self.hear(words[0])

    def run(self, *identity, code=0):
        answer = self.ask("run", *identity)
        assert answer[0] == str(code), (answer, self.log())
        return answer[1]

    def resume(self, run):
        assert self.ask("resume", run) == ["0"]

    def emit(self, count, refused=0):
        assert self.ask("emit", count) == [str(count - refused), str(refused)]

    def sync(self, count=1, code=0):
        """Returns the ids of those that were accepted with this code."""
        self.tell("sync", count)
        answers = [self.hear("sync") for _ in range(count)]
        assert all(answer[0] == str(code) for answer in answers), (answers, self.log())
        return [answer[1] for answer in answers]

    def flush(self, milliseconds=harness.patience(20000), code=0):
        answer = self.ask("flush", milliseconds)
        assert answer == [str(code)], (answer, self.stats(), self.log())

    def stats(self):
        self.tell("stats")
        return json.loads(" ".join(self.hear("stats")))

    def close(self, code=0):
        assert self.ask("close") == [str(code)], self.log()
        self.process.stdin.close()
        assert self.process.wait(timeout=harness.patience(30)) == 0, self.log()
        assert not self.token or self.token not in self.log(), "the token is in the log"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log()[-8000:])
            self.kill()
        elif self.process.poll() is None:
            self.close()


def segments(spool):
    """What is still to be sent."""
    return sorted(path for path in pathlib.Path(spool).glob("*/*.seg") if path.parent.name != "broken")


def rejected(spool):
    """What was set aside as refused by the server."""
    files = pathlib.Path(spool).glob("rejected/*.ndjson")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
