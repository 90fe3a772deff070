"""A server that does wrong on purpose: each request meets the next fault of a script, or, when there is none, a decent
server in memory. It runs in a thread of its own, and remembers what it was asked and what it has stored."""

import asyncio
import collections
import contextlib
import gzip
import json
import socket
import struct
import threading
import time
import urllib.parse
import uuid

import ports

REASONS = {200: "OK", 201: "Created"}
RST = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset
RUN_MEMBERS = {"timestamp", "experiment_id"}
EMISSION_MEMBERS = {"timestamp", "run_id", "duration", "emissions_sum", "emissions_rate", "energy_consumed", "cpu_power",
                    "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy"}

# What a server is: its paths, whether it keeps the ids that clients choose, and whether it takes batches.
Dialect = collections.namedtuple("Dialect", "runs emissions keeps_ids")
CARBOND = Dialect("/runs", "/emissions/batch", True)
CODECARBON_1 = Dialect("/run", "/emission", False)
CODECARBON_2 = Dialect("/runs", "/emissions", False)


class Request:
    def __init__(self, path, headers, connection):
        self.path, self.headers, self.connection, self.at = path, headers, connection, time.monotonic()
        self.body = b""

    def text(self):
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body

    def json(self):
        return json.loads(self.text())

    def emissions(self):
        return [json.loads(line) for line in self.text().splitlines()]


class Exchange:
    """One request, and what becomes of it."""

    def __init__(self, server, request, reader, writer):
        self.server, self.request, self.reader, self.writer = server, request, reader, writer

    async def receive(self):
        length = int(self.request.headers.get("content-length", 0))
        self.request.body = await self.reader.readexactly(length)

    def act(self):
        """What a decent server does. Returns the status and the answer."""
        return self.server.act(self.request)

    @staticmethod
    def encode(status, answer, headers=()):
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        head = [f"HTTP/1.1 {status} {REASONS.get(status, 'As told')}", "Content-Type: application/json",
                f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body

    async def send(self, status, answer, headers=()):
        self.writer.write(self.encode(status, answer, headers))
        await self.writer.drain()

    def reset(self):
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        self.writer.transport.abort()


# -- faults -------------------------------------------------------------------------------------------------------------

async def well(exchange):
    await exchange.receive()
    await exchange.send(*exchange.act())


async def reset_before_the_body(exchange):
    exchange.reset()


async def reset_after_the_body(exchange):
    await exchange.receive()
    exchange.reset()


async def lost_after_storing(exchange):
    await exchange.receive()
    exchange.act()
    exchange.reset()


async def stall(exchange):
    await exchange.receive()
    exchange.act()
    await asyncio.sleep(3600)


async def half_an_answer(exchange):
    await exchange.receive()
    answer = exchange.encode(*exchange.act())
    exchange.writer.write(answer[:-len(answer) // 3])
    await exchange.writer.drain()
    exchange.writer.close()


async def half_a_head(exchange):
    await exchange.receive()
    exchange.writer.write(exchange.encode(*exchange.act())[:9])
    await exchange.writer.drain()
    exchange.writer.close()


async def slow_drip(exchange):
    """Slower than anybody's patience: a whole answer would take minutes."""
    await exchange.receive()
    for byte in exchange.encode(*exchange.act()):
        exchange.writer.write(bytes([byte]))
        await exchange.writer.drain()
        await asyncio.sleep(0.5)


async def garbage(exchange):
    await exchange.receive()
    exchange.act()
    exchange.writer.write(b"\0\xff\x16\x03\x01 that is no HTTP\r\n\r\n" * 100)
    await exchange.writer.drain()
    exchange.writer.close()


def status(code, detail="as the script says", **headers):
    """Answers with this status, and does nothing else."""
    async def fault(exchange):
        await exchange.receive()
        await exchange.send(code, {"detail": detail}, [(name.replace("_", "-"), value) for name, value in headers.items()])
    return fault


def says(answer, code=200, stored=True):
    """Acts, and answers something else: bytes as they are, the rest as JSON."""
    async def fault(exchange):
        await exchange.receive()
        if stored:
            exchange.act()
        await exchange.send(code, answer)
    return fault


def rejecting(*statuses):
    """A batch whose first records are refused, with these statuses; the rest is stored."""
    async def fault(exchange):
        await exchange.receive()
        emissions = exchange.request.emissions()
        accepted = [exchange.server.store(emission) for emission in emissions[len(statuses):]].count(True)
        await exchange.send(200, {
            "accepted": accepted, "duplicates": len(emissions) - len(statuses) - accepted, "rejected_count": 0,
            "rejected": [{"index": i, "id": emissions[i]["id"], "status": code, "detail": f"reason {code}"}
                         for i, code in enumerate(statuses)]})
    return fault


# -- the server ---------------------------------------------------------------------------------------------------------

class FaultyServer:
    """A context manager. `script` appends faults for the requests to come; what is to meet what was emitted while the server was
    away has to be there before it is back."""

    def __init__(self, dialect=CARBOND, ssl=None):
        self.dialect, self.ssl = dialect, ssl
        self.requests, self.faults = [], collections.deque()
        self.runs, self.emissions, self.order, self.repeats = {}, {}, [], 0
        self.connections = 0
        self._exchanges = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = ports.free_port()
        self._listener = None

    def __enter__(self):
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *_):
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self):
        return f"{'https' if self.ssl else 'http'}://127.0.0.1:{self.port}"

    def script(self, *faults):
        self.faults.extend(faults)

    def listen(self):
        self._call(self._start())

    def refuse(self):
        """From now on nobody listens, and no connection is left."""
        self._call(self._stop())

    @contextlib.contextmanager
    def away(self):
        self.refuse()
        yield
        self.listen()

    def of(self, path):
        return [request for request in self.requests if request.path == path]

    def ids(self, run):
        return [identity for of, _, identity in self.order if of == run]

    # -- in the thread of the loop

    def _call(self, coroutine):
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _start(self):
        if self._listener:
            return
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.ssl, limit=1 << 20)

    async def _stop(self):
        if self._listener:
            self._listener.close()
            self._listener = None
        for task in list(self._exchanges):
            task.cancel()
        await asyncio.gather(*self._exchanges, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.connections += 1
        number, task = self.connections, asyncio.current_task()
        self._exchanges.add(task)
        try:
            while True:
                await self._answer(number, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._exchanges.discard(task)
            writer.transport.abort()

    async def _answer(self, number, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in head[1:] if line)}
        path = urllib.parse.urlsplit(head[0].split()[1]).path
        request = Request(path, headers, number)
        self.requests.append(request)
        fault = self.faults.popleft() if self.faults else well
        await fault(Exchange(self, request, reader, writer))
        if writer.is_closing():
            raise ConnectionResetError

    # -- a decent server

    def act(self, request):
        if request.path == self.dialect.runs:
            return self._create(request.json())
        if request.path == "/runs":
            return 405, {"detail": "Method Not Allowed"}  # GET /runs, a list, is there in both generations
        if request.path != self.dialect.emissions:
            return 404, {"detail": "Not Found"}
        if self.dialect is not CARBOND:
            return self._add(request.json())
        new = [self.store(emission) for emission in request.emissions()]
        return 200, {"accepted": new.count(True), "duplicates": new.count(False), "rejected_count": 0, "rejected": []}

    def _create(self, run):
        missing = RUN_MEMBERS - run.keys()
        if missing:
            return self._incomplete(missing)
        identity = run["id"] if self.dialect.keeps_ids else str(uuid.uuid4())
        self.runs[identity] = run
        return 201, {**run, "id": identity}

    def _add(self, emission):
        missing = EMISSION_MEMBERS - emission.keys()
        if missing:
            return self._incomplete(missing)
        if emission["run_id"] not in self.runs:
            return 404, {"detail": "Run not found"}
        self.store(emission)
        return 201, str(uuid.uuid4())

    @staticmethod
    def _incomplete(missing):
        return 422, {"detail": [{"loc": ["body", name], "msg": "Field required", "type": "missing"} for name in missing]}

    def store(self, emission):
        """Whether it is new."""
        key = emission["run_id"], emission["timestamp"], emission["id"]
        if key in self.emissions:
            self.repeats += 1
            return False
        self.emissions[key] = emission
        self.order.append(key)
        return True
