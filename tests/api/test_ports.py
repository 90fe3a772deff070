"""The ports of ports.py are what they are said to be: a wrong one would be met once in some hundred runs, by any test."""

import pathlib
import socket
import subprocess
import sys

import ports


def of_another_process():
    program = "import ports; print(*(ports.free_port() for _ in range(3)), flush=True); input()"
    return subprocess.Popen([sys.executable, "-B", "-c", program], cwd=pathlib.Path(ports.__file__).parent, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_no_connection_goes_out_from_them():
    first_outgoing = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(3 * ports.SIZE):
        assert 1024 <= ports.free_port() < first_outgoing - 1000  # script/server's figures have theirs a thousand above


def test_each_process_has_its_own():
    others = [of_another_process() for _ in range(30)]
    try:
        hundreds = [{int(port) // ports.SIZE for port in other.stdout.readline().split()} for other in others]
        hundreds.append({ports.free_port() // ports.SIZE})
    finally:
        for other in others:
            other.communicate("\n", timeout=60)
    assert all(len(hundred) == 1 for hundred in hundreds)
    assert len(set.union(*hundreds)) == len(hundreds)


def test_a_taken_one_is_passed_over():
    taken = ports.free_port()
    with socket.create_server(("127.0.0.1", taken)):
        assert taken not in {ports.free_port() for _ in range(ports.SIZE)}
