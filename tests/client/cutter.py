"""A TCP proxy that cuts connections, at any byte, in either direction."""

import asyncio
import random
import socket
import threading

from faulty import RST


class Cutter:
    """A context manager. Each connection may carry a random number of bytes; `patience` is how many at most, and grows with
    each cut, so that in the end all gets through."""

    def __init__(self, host, port, patience=200, growth=1.2, seed=0):
        self.target, self.patience, self.growth = (host, port), patience, growth
        self.cuts, self.port = 0, 0
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks = set()

    def __enter__(self):
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_):
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _call(self, coroutine):
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _start(self):
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _stop(self):
        self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        other = None
        try:
            there, other = await asyncio.open_connection(*self.target)
            # Either way has bytes of its own: a request may arrive whole, and its answer be cut.
            await asyncio.gather(self._carry(reader, other), self._carry(there, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in filter(None, (writer, other)):
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
                end.transport.abort()

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
