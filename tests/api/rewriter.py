"""A proxy before PostgreSQL that puts other statements in the place of some, so that a server can be watched with a
statement that it does not have."""

import asyncio
import pathlib
import shutil
import struct
import tempfile

import proxy


class Rewriter(proxy.Proxy):
    """A context manager. `url` is what a server connects to, `replace` the statements to be replaced (text for text), and
    `seen` the texts that came by. The server must send each statement anew: --prepared-statements false."""

    def __init__(self, cluster, database):
        super().__init__()
        self.replace, self.seen = {}, set()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="carbond-test-", dir="/tmp"))
        self.url = f"postgresql://carbond@/{database}?host={self.directory}"
        self._target = cluster.directory / ".s.PGSQL.5432"

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.directory)

    async def _listen(self, serve):
        return await asyncio.start_unix_server(serve, self.directory / ".s.PGSQL.5432")

    async def _connect(self):
        return await asyncio.open_unix_connection(self._target)

    async def _carry_both(self, reader, writer, there, other):
        """Until either way has ended."""
        ways = [asyncio.ensure_future(way) for way in (self._to_database(reader, other), self._to_server(there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    @staticmethod
    async def _to_server(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def _to_database(self, reader, writer):
        """The first message has no type; all later ones have: a byte, the length with itself, what it says."""
        size = await reader.readexactly(4)
        writer.write(size + await reader.readexactly(struct.unpack("!i", size)[0] - 4))
        while True:
            kind, size = struct.unpack("!ci", await reader.readexactly(5))
            message = await reader.readexactly(size - 4)
            if kind == b"P":
                message = self._rewritten(message)
            writer.write(struct.pack("!ci", kind, len(message) + 4) + message)
            await writer.drain()

    def _rewritten(self, message):
        """Parse: the statement's name, its text, the types of its parameters."""
        name, text, types = message.split(b"\0", 2)
        self.seen.add(text.decode())
        text = self.replace.get(text.decode(), text.decode()).encode()
        return b"\0".join((name, text, types))
