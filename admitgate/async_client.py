"""From a URL to a client that tasks ask: ``connect`` for event loops, of which a process may have several.

What belongs to a loop can't be used in another, nor after it has ended. So each has a connection of its own,
which is closed when the loop ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any
from weakref import finalize

from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from .async_connection import AsyncConnection, Make
from .connection import patience
from .connections import Command

Sending = tuple[asyncio.AbstractEventLoop, str]  # a script's source

_senders_most = 3


def connect_async(url: str, timeout_seconds: float) -> AsyncClient:
    """A client for ``url``. It connects when it is first used, in whatever loop that is.

    Its calls are bounded like those of ``connect``'s client. Names are looked up in a thread.
    """
    if "+" in url.partition(":")[0]:
        from .async_topology import connect_many_async  # who has one Redis needs none of it

        return connect_many_async(url, timeout_seconds)
    kind, options = options_of(url)

    async def make() -> Any:
        return kind(**options)

    return AsyncClient(make, timeout_seconds)


def options_of(url: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The kind of connection that a URL of one Redis asks for, and its options."""
    given = parse_url(url.replace("valkey", "redis", 1) if url.startswith("valkey") else url)
    options: dict[str, Any] = {**given, **_patience()}
    return options.pop("connection_class", Connection), options


def _patience() -> dict[str, Any]:
    """It tries once. The deadline is kept by ``AsyncConnection``, which knows when a loop has been busy."""
    endless = {"socket_connect_timeout": None, "socket_timeout": None}
    return {**patience(0), **endless, "retry": Retry(NoBackoff(), 0)}


def options_with_tls(options: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The same of the options of a pool for threads."""
    options = {**options, **_patience()}
    return SSLConnection if options.pop("ssl", False) else Connection, options


class AsyncClient:
    """Asks one Redis from every loop of the process. Safe in threads and after a fork."""

    def __init__(self, make: Make, seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._by_loop: dict[asyncio.AbstractEventLoop, _OfOneLoop] = {}
        self._sending: dict[Sending, asyncio.Task[Any]] = {}

    async def ask(self, command: Command, key: str = "", *, is_redirected: bool = False) -> Any:
        """One command and its answer. A cluster's node takes a redirected one only if told so before."""
        loop = asyncio.get_running_loop()
        of_loop = self._by_loop.get(loop) or await self._begin(loop)
        return await of_loop.connection.ask(command, is_redirected=is_redirected)

    async def evaluate(self, packed: bytes, key: str, with_source: Callable[[], list[Any]]) -> Any:
        """A script's answer; a Redis that doesn't have it (restarted, flushed) is sent the source.

        One of a crowd sends it, and the others ask again: a source is a hundred times as long as a call.
        """
        loop = asyncio.get_running_loop()
        for _ in range(_senders_most):
            try:
                return await self.ask(packed, key)
            except NoScriptError:
                call = with_source()
                sending = self._sending.get((loop, call[1]))
                if sending is None:
                    break
                await asyncio.wait([sending])
        return await self._send(call, key, (loop, call[1]))

    async def _send(self, call: list[Any], key: str, sending: Sending) -> Any:
        """It never arrives where its sender leaves, or a cluster's node is another: then others send it."""
        task = self._sending[sending] = sending[0].create_task(self.ask(call, key))
        try:
            return await task
        finally:
            if self._sending.get(sending) is task:
                del self._sending[sending]

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> _OfOneLoop:
        for other in list(self._by_loop):
            if other.is_closed() and (ended := self._by_loop.pop(other, None)):
                ended.forget()
        of_loop = self._by_loop[loop] = _OfOneLoop(AsyncConnection(self._make, seconds=self._seconds))
        await of_loop.watch(self, loop)
        return of_loop


class _OfOneLoop:
    """A connection, and what closes it when its loop ends, or when nobody has its client any more.

    asyncio has no other word for the one moment than to end the asynchronous generators that are still open:
    ``asyncio.run``, asgiref, anyio and the servers all do.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def watch(self, client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        """From now on."""
        until_it_ends = _until_it_ends(self.connection)
        await until_it_ends.__anext__()
        self._end = finalize(client, _close_soon, loop, self.connection, until_it_ends)
        self._end.atexit = False

    def forget(self) -> None:
        """The loop has ended."""
        self._end.detach()


async def _until_it_ends(connection: AsyncConnection) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        connection.close()
        await asyncio.sleep(0)  # what is cut is closed by the loop's next turn


def _close_soon(loop: asyncio.AbstractEventLoop, connection: AsyncConnection, _: object) -> None:
    with suppress(RuntimeError):  # the loop has ended, and it too
        loop.call_soon_threadsafe(connection.close)
