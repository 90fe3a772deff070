"""Ports that are chosen before somebody listens on them, or that somebody comes back to. Where nobody listens, the kernel may
give the port to a connection that goes out, so these lie below the ports that it gives. Each process has a hundred of its own,
until it ends: tests in other processes see that by a socket in the abstract namespace, which is gone with its process."""

import functools
import itertools
import pathlib
import random
import socket

SIZE = 100


def _hundreds():
    """Where they begin: in the even thousands alone, since script/server has its figures a thousand above its own port."""
    first_outgoing = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    starts = [start for start in range(10000, first_outgoing - 1000, SIZE) if start // 1000 % 2 == 0]
    return random.sample(starts, len(starts))


@functools.cache
def _own():
    """The mark that holds this process's hundred, and its ports over and over."""
    for start in _hundreds():
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0carbond-test-ports-{start}")
        except OSError:  # another's
            mark.close()
            continue
        return mark, itertools.cycle(range(start, start + SIZE))
    raise AssertionError("there are no ports below those of the connections that go out, or other tests have them all")


def _is_free(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def free_port():
    _, ports = _own()
    found = next(filter(_is_free, itertools.islice(ports, SIZE)), None)
    assert found, "all ports of this process are taken"
    return found


def free_address():
    return f"127.0.0.1:{free_port()}"
