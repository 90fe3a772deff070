"""A proxy on a thread of its own, for what tests do to the bytes between two programs."""

import asyncio
import threading


class Proxy:
    """A context manager. Whoever derives from it says how to listen, how to reach the other side, and how bytes go through:
    `_listen(serve)`, `_connect()` and `_carry_both(reader, writer, there, other)`, all of them coroutines. When the last has
    ended, so have both connections."""

    def __init__(self):
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

    def _call(self, coroutine):
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _start(self):
        self._listener = await self._listen(self._serve)

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
            there, other = await self._connect()
            await self._carry_both(reader, writer, there, other)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in filter(None, (writer, other)):
                self._end(end)

    @staticmethod
    def _end(writer):
        writer.transport.abort()
