"""A TCP proxy that stands between the workers and their Redis, and can be a bad one.

``proxy.fault = Drips()`` changes what it does from the next bytes on, on connections that are open as well.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_abort_at_once = struct.pack("ii", 1, 0)
_chunk = 65536


class Well:
    """What Redis and its clients say to each other goes through as it is."""

    async def request(self, chunk: bytes, way: Way) -> None:
        """Bytes of the client have come."""
        way.server.write(chunk)

    async def reply(self, chunk: bytes, way: Way) -> None:
        """Bytes of Redis have come."""
        way.client.write(chunk)


@dataclass(frozen=True)
class Slow(Well):
    """Every reply comes so much later."""

    seconds: float

    async def reply(self, chunk: bytes, way: Way) -> None:
        await asyncio.sleep(self.seconds)
        way.client.write(chunk)


class Drops(Well):
    """The second half of every reply gets lost."""

    async def reply(self, chunk: bytes, way: Way) -> None:
        way.client.write(chunk[: len(chunk) // 2])


@dataclass(frozen=True)
class Drips(Well):
    """A byte at a time: each comes well within any time-out, all of them never do."""

    pause_seconds: float = 0.05

    async def reply(self, chunk: bytes, way: Way) -> None:
        for at in range(len(chunk)):
            if way.client.transport.is_closing():
                return
            way.client.write(chunk[at : at + 1])
            await asyncio.sleep(self.pause_seconds)


class HalfCloses(Well):
    """It takes the question and says that there will be no answer."""

    async def request(self, chunk: bytes, way: Way) -> None:
        if way.client.can_write_eof() and not way.client.transport.is_closing():
            way.client.write_eof()


class Resets(Well):
    """The connection breaks as soon as something is asked."""

    async def request(self, chunk: bytes, way: Way) -> None:
        way.reset()


class BlackHole(Well):
    """It takes everything and says nothing."""

    async def request(self, chunk: bytes, way: Way) -> None:
        pass


@dataclass(frozen=True)
class Way:
    """One client's connection and the one to Redis that belongs to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter

    def reset(self) -> None:
        """End both without a farewell: the peer gets a RST, not an end."""
        for writer in (self.client, self.server):
            connection = writer.get_extra_info("socket")
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _abort_at_once)
            writer.transport.abort()


class Proxy:
    """Listens on a loopback port, and counts connections (``opened``) and pieces of questions (``heard``)."""

    def __init__(self, target: Path) -> None:
        self.fault = Well()
        self.opened = self.heard = 0
        self._target = target
        self._ways: set[Way] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def close_all(self) -> None:
        """End every connection that is open now, as a proxy does that was restarted or lost its patience."""
        self._loop.call_soon_threadsafe(lambda: [way.client.close() for way in self._ways])

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """It runs in a thread of its own until the end of the block."""
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, sock=self._listener)
        await self._stop.wait()
        server.close()
        for way in list(self._ways):
            way.reset()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _accept(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            from_server, server = await asyncio.open_unix_connection(str(self._target))
        except OSError:
            client.transport.abort()
            return
        way = Way(client, server)
        self._ways.add(way)
        try:
            carried = self._carry_requests(from_client, way), self._carry_replies(from_server, way)
            await asyncio.wait([asyncio.ensure_future(one) for one in carried])
        finally:
            self._ways.discard(way)

    async def _carry_requests(self, reader: asyncio.StreamReader, way: Way) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_chunk):
                self.heard += 1
                await self.fault.request(chunk, way)
        way.server.close()

    async def _carry_replies(self, reader: asyncio.StreamReader, way: Way) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_chunk):
                await self.fault.reply(chunk, way)
        way.client.close()
