"""The connections that one event loop asks Redis over: ``Connections`` for tasks instead of threads.

Everything is bounded as it is there: many tasks queue for few connections, and a call has one deadline for
its turn, a connection, the answer, and asking again. The deadline cuts the connection and cancels nobody, so
that no task takes the one for the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as TimeRanOut

from .connections import Command, connections_most, is_astray
from .hurry import is_cut_short, known_kind, understood

_piece = 65536

Make = Callable[[], Awaitable[Any]]  # a connection of redis.asyncio's that has not connected yet


class AsyncConnections:
    """Connections to one Redis, lent for a call each; whichever came back last goes out first."""

    def __init__(self, make: Make, *, seconds: float, most: int = connections_most) -> None:
        self._make, self._seconds, self._most = make, seconds, most
        self._loop = asyncio.get_running_loop()
        self._idle: list[_Connection] = []
        self._queue: deque[asyncio.Future[_Connection]] = deque()
        self._made = 0

    async def ask(self, command: Command, *, is_redirected: bool = False) -> Any:
        """One command and its answer. A cluster's node takes a redirected one only if told so before."""
        until = self._loop.time() + self._seconds
        connection = self._idle.pop() if self._idle else await self._make_or_wait(until)
        try:
            return await connection.ask(command, until, is_redirected)
        except (ConnectionLost, TimeRanOut):
            self.close_idle()
            raise
        finally:
            self._give_back(connection)

    def close_idle(self) -> None:
        """They lead to the same Redis: if it hangs, or was a master before, each would cost a time-out."""
        for connection in self._idle:
            connection.cut()

    async def _make_or_wait(self, until: float) -> _Connection:
        if self._made < self._most:
            self._made += 1
            return _Connection(self._make, self._loop)
        turn: asyncio.Future[_Connection] = self._loop.create_future()
        self._queue.append(turn)
        timer = self._loop.call_at(until, self._refuse, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():
                self._give_back(turn.result())  # it came in the very moment that the task was cancelled
            raise
        finally:
            timer.cancel()

    def _refuse(self, turn: asyncio.Future[_Connection]) -> None:
        if not turn.done():
            turn.set_exception(ConnectionLost(f"all {self._most} connections are in use"))

    def _give_back(self, connection: _Connection) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        self._idle.append(connection)


class _Connection:
    """One of redis.asyncio's, asked in Redis' wire format. It is cut where an answer could still come."""

    def __init__(self, make: Make, loop: asyncio.AbstractEventLoop) -> None:
        self._make, self._loop = make, loop
        self._plain: Any = None

    async def ask(self, command: Command, until: float, is_redirected: bool) -> Any:
        """The answer, asked for again where an old connection turns out to be closed or astray.

        Raises what redis-py would. A call that has run out of time is not asked again.
        """
        is_old = self._is_open()
        try:
            return await self._ask(command, until, is_redirected)
        except ConnectionLost:
            if not is_old:
                raise
        except ResponseError as error:
            if not is_astray(error):
                raise
            self.cut()
            if not is_old:
                raise
        return await self._ask(command, until, is_redirected)

    def cut(self) -> None:
        """Close it at once, as nobody waits for what may still come."""
        plain, self._plain = self._plain, None
        if plain is not None and plain._writer is not None:
            plain._writer.transport.abort()
            plain._reader = plain._writer = None

    def _is_open(self) -> bool:
        return self._plain is not None and self._plain._writer is not None

    async def _ask(self, command: Command, until: float, is_redirected: bool) -> Any:
        try:
            if not self._is_open():
                await asyncio.wait_for(self._open(), until - self._loop.time())
            timer = self._loop.call_at(until, self._plain._writer.transport.abort)
            try:
                return await self._answer(command, is_redirected)
            finally:
                timer.cancel()
        except ResponseError:
            raise
        except (OSError, ConnectionLost, TimeRanOut, asyncio.TimeoutError) as error:
            self.cut()
            if isinstance(error, asyncio.TimeoutError) or self._loop.time() >= until:
                raise TimeRanOut("no answer in time") from error
            if isinstance(error, RedisError):
                raise
            raise ConnectionLost(str(error)) from error
        except BaseException:  # or whoever comes next would read it
            self.cut()
            raise

    async def _open(self) -> None:
        """It is made anew each time: behind Sentinels another master may answer by now."""
        self._plain = await self._make()
        await self._plain.connect()

    async def _answer(self, command: Command, is_redirected: bool) -> Any:
        plain = self._plain
        if is_redirected:
            await plain.send_command("ASKING", check_health=False)
            await plain.read_response()
        if isinstance(command, bytes):
            plain._writer.write(command)
            return understood(await _read(plain._reader), plain._parser)
        await plain.send_command(*command, check_health=False)
        return await plain.read_response()


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = await reader.read(_piece)
    while is_cut_short(answer):
        piece = await reader.read(_piece)
        if not piece:
            raise OSError("Redis closed the connection")
        answer += piece
    return known_kind(answer)
