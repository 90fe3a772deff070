"""What the tests of docker/ share: an engine, images, and a stack of containers that is started as README.md says."""

import os
import pathlib
import signal
import sys

import pytest

import engine

sys.path.insert(0, str(engine.ROOT / "tests" / "api"))  # the requests of trackers, and how they are replayed; ports
from stack import Stack  # noqa: E402


def pytest_configure():
    # A run that is asked to end still takes down what it has put up.
    def interrupted(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)


def pytest_terminal_summary(terminalreporter, config):
    """What was tried with images that are not the real ones, and the figures that were measured."""
    for line in config.images.made if hasattr(config, "images") else []:
        terminalreporter.write_line(line, yellow=True)
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties if report.when == "call" else []:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_unconfigure(config):
    """The last line: how many passed, failed and were skipped."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    passed, skipped = (len(reporter.stats.get(kind, [])) for kind in ("passed", "skipped"))
    failed = sum(len(reporter.stats.get(kind, [])) for kind in ("failed", "error"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)


@pytest.fixture
def tell(request):
    """Tells a figure, at the end of all tests."""
    return lambda name, value: request.node.user_properties.append((name, value))


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    return pathlib.Path(os.environ.get("CARBOND_WORK") or tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="session")
def images(work, request):
    without = os.environ.get("CARBOND_NO_ENGINE")
    if without:
        pytest.skip(f"NO ENGINE: {without}")
    images = request.config.images = engine.Images(work)
    return images


@pytest.fixture(scope="session")
def stack(images, work):
    """carbond and PostgreSQL, built and started by the commands of README.md, from nothing but the clone."""
    stack = Stack(images, work)
    try:
        stack.start()
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="session")
def image(stack):
    """What is known of the image that was built."""
    return engine.inspect("image", stack.image)
