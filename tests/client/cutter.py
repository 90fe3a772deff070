"""A TCP proxy that cuts connections, at any byte, in either direction."""

import asyncio
import random
import socket

import proxy
from faulty import RST


class Cutter(proxy.Proxy):
    """A context manager. Each connection may carry a random number of bytes; `patience` is how many at most, and grows with
    each cut, so that in the end all gets through."""

    def __init__(self, host, port, patience=200, growth=1.2, seed=0):
        super().__init__()
        self.target, self.patience, self.growth = (host, port), patience, growth
        self.cuts, self.port = 0, 0
        self._random = random.Random(seed)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def _listen(self, serve):
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        return listener

    async def _connect(self):
        return await asyncio.open_connection(*self.target)

    async def _carry_both(self, reader, writer, there, other):
        """Either way has bytes of its own: a request may arrive whole, and its answer be cut."""
        await asyncio.gather(self._carry(reader, other), self._carry(there, writer))

    @staticmethod
    def _end(writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        proxy.Proxy._end(writer)

    async def _carry(self, reader, writer):
        left = int(self._random.random() * self.patience)
        while data := await reader.read(65536):
            writer.write(data[:left])
            await writer.drain()
            left -= len(data)
            if left < 0:
                self.cuts += 1
                self.patience *= self.growth
                await asyncio.sleep(0.01)  # what was passed on arrives before the reset
                raise ConnectionResetError
        raise ConnectionResetError
