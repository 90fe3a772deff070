"""usage: slow_clients.py HOST PORT CONNECTIONS LIST_PATH BEARER

Clients that are slow on purpose: a third of them send their headers, a third their body, and a third read a list, each
byte by byte. They come from many addresses of 127.0.0.0/8, and a connection that the server closes is opened again at
once. Says "ready" when all are open, goes on until its standard input ends, and then prints, as JSON, how often the
server has answered or closed."""

import collections
import json
import random
import resource
import selectors
import socket
import sys
import time

PACE = 2  # seconds between two bytes of a connection
ADDRESSES = 100
PIECE = 1024  # what a slow reader reads at once, and the size of its receive buffer


class Kind:
    def __init__(self, name, greeting, reads):
        self.name, self.greeting, self.reads = name, greeting.encode(), reads


def kinds(path, bearer):
    head = "{} HTTP/1.1\r\nHost: slow\r\nAuthorization: Bearer " + bearer + "\r\n"
    return [Kind("headers", head.format("POST /emissions") + "X-Slow: ", False),
            Kind("body", head.format("POST /emissions") + "Content-Length: 60000\r\n\r\n", False),
            Kind("reader", head.format("GET " + path) + "\r\n", True)]


class Crowd:
    def __init__(self, address, count, all_kinds):
        self.address, self.count, self.kinds = address, count, all_kinds
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        self.turns = collections.deque()  # (when, socket, kind), soonest first
        self.tally = collections.Counter()
        self.opened = 0

    def open(self):
        kind = self.kinds[self.opened % len(self.kinds)]
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        client.bind((f"127.0.1.{self.opened % ADDRESSES + 1}", 0))
        self.opened += 1
        client.settimeout(5)
        client.connect(self.address)
        client.sendall(kind.greeting)
        client.setblocking(False)
        if not kind.reads:
            self.selector.register(client, selectors.EVENT_READ, kind)
        self.turns.append((time.monotonic() + PACE * random.uniform(0.9, 1.1), client, kind))

    def open_all(self):
        while len(self.turns) < self.count:
            try:
                self.open()
            except OSError:
                self.tally["not let in"] += 1
                return

    def close(self, client, kind, why):
        if not kind.reads:
            self.selector.unregister(client)
        client.close()
        self.tally[f"{kind.name}: {why}"] += 1

    def answered(self, client):
        """What the server says to one who has not finished speaking, in a word; None if nothing."""
        try:
            data = client.recv(PIECE)
        except BlockingIOError:
            return None
        except OSError:
            return "cut"
        return data[9:12].decode("latin-1") if data.startswith(b"HTTP") else "read" if data else "closed"

    def take_turn(self, client, kind):
        """False when it is over with this connection."""
        said = self.answered(client) if kind.reads else None
        try:
            if not kind.reads:
                client.send(b"x")
        except OSError:
            said = "cut"
        if said in (None, "read", "200"):
            return True
        self.close(client, kind, said)
        return False

    def run(self):
        self.open_all()
        print("ready", flush=True)
        closed = set()
        while True:
            pause = max(0, self.turns[0][0] - time.monotonic()) if self.turns else PACE
            for key, _ in self.selector.select(min(pause, 0.1)):
                if key.fileobj is sys.stdin:
                    return
                said = self.answered(key.fileobj)
                if said:
                    self.close(key.fileobj, key.data, said)
                    closed.add(key.fileobj)
            now = time.monotonic()
            while self.turns and self.turns[0][0] <= now:
                _, client, kind = self.turns.popleft()
                if client in closed:
                    closed.remove(client)
                elif self.take_turn(client, kind):
                    self.turns.append((now + PACE, client, kind))
            self.open_all()


def main():
    host, port, count, path, bearer = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd((host, int(port)), int(count), kinds(path, bearer))
    crowd.run()
    print(json.dumps(crowd.tally))


main()
