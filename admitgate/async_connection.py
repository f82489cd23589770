"""The connection that an event loop asks Redis over. All of its tasks share it, one behind the other.

Redis answers in the order it is asked, so nobody needs to wait for a connection of their own; a crowd that
comes in one moment is asked for in one moment. A call has one deadline for everything: a connection, the
answer, asking again. It is Redis' time and not the loop's: where a thousand visitors keep the loop busy, an
answer that has come counts, however late the loop gets to it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import InvalidResponse, RedisError, ResponseError
from redis.exceptions import TimeoutError as TimeRanOut

from .connections import Command, is_astray
from .hurry import understood

Make = Callable[[], Awaitable[Any]]  # a connection of redis.asyncio's that has not connected yet

_asking = b"*1\r\n$6\r\nASKING\r\n"
_end_of_line = b"\r\n"
_busy_seconds = 0.01  # a loop that comes so much too late to an alarm has been busy
_rounds_most = 5


class AsyncConnection:
    """One Redis for one loop. It connects when it is first asked, and again when that has ended."""

    def __init__(self, make: Make, *, seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._loop = asyncio.get_running_loop()
        self._pipe: _Pipe | None = None
        self._opening: asyncio.Task[_Pipe] | None = None

    async def ask(self, command: Command, *, is_redirected: bool = False) -> Any:
        """One command and its answer, asked for again where an old connection turns out closed or astray.

        A cluster's node takes a redirected one only if told so before. Raises what redis-py would.
        """
        until = self._loop.time() + self._seconds
        is_old = self._is_open()
        pipe = await self._opened(until)
        try:
            return await pipe.ask(command, until, is_redirected)
        except ConnectionLost:
            if not is_old:
                raise
        except ResponseError as error:
            if not is_astray(error):
                raise
            pipe.cut(ConnectionLost("this one is master no more"))
            if not is_old:
                raise
        return await (await self._opened(until)).ask(command, until, is_redirected)

    def close(self) -> None:
        """Nobody will ask any more."""
        if self._opening is not None:
            self._opening.cancel()
        if self._pipe is not None:
            self._pipe.cut(ConnectionLost("the event loop has ended"))

    def _is_open(self) -> bool:
        return self._pipe is not None and not self._pipe.is_closed

    async def _opened(self, until: float) -> _Pipe:
        """The first who finds it closed opens it, for everybody who comes meanwhile."""
        if self._pipe is not None and not self._pipe.is_closed:
            return self._pipe
        opening = self._opening
        if opening is None or opening.done():
            opening = self._opening = self._loop.create_task(self._open())
            opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        await self._wait_for(opening, until)
        if not opening.done() or opening.cancelled():
            opening.cancel()
            raise TimeRanOut("no connection in time")
        return opening.result()

    async def _wait_for(self, opening: asyncio.Task[_Pipe], until: float) -> None:
        """Connecting takes the loop some rounds; one that is busy has been late, and not Redis."""
        for _ in range(_rounds_most):
            await asyncio.wait([opening], timeout=max(0.0, until - self._loop.time()))
            late = self._loop.time() - until
            if opening.done() or late < _busy_seconds:
                return
            until += 2 * late

    async def _open(self) -> _Pipe:
        """It is made anew each time: behind Sentinels another master may answer by now."""
        plain = await self._make()
        try:
            await plain.connect()
        except BaseException as error:
            if plain._writer is not None:
                plain._writer.transport.abort()
                plain._writer = plain._reader = None
            if isinstance(error, OSError):
                raise ConnectionLost(str(error)) from error
            raise
        self._pipe = _Pipe(plain, self._loop)
        return self._pipe


class _Pipe(asyncio.Protocol):
    """What comes after redis.asyncio has connected and logged in: calls, and their answers in order."""

    def __init__(self, plain: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._parser, self._pack, self._loop = plain._parser, plain.pack_command, loop
        self._writer, self._transport = (
            plain._writer,
            plain._writer.transport,
        )  # (a writer that is dropped closes it)
        plain._writer = plain._reader = None  # it has nothing more to say
        self._transport.set_protocol(self)
        self._asked: deque[asyncio.Future[bytes] | None] = deque()
        self._heard = bytearray()
        self.is_closed = self._transport.is_closing()

    async def ask(self, command: Command, until: float, is_redirected: bool) -> Any:
        """One command and its answer; TimeRanOut and ConnectionLost as redis-py would."""
        packed = command if isinstance(command, bytes) else b"".join(self._pack(*command))
        answer: asyncio.Future[bytes] = self._loop.create_future()
        if is_redirected:
            packed = _asking + packed
            self._asked.append(None)
        self._asked.append(answer)
        self._transport.write(packed)
        alarm = self._loop.call_at(until, self._late, answer, until)
        try:
            return understood(await answer, self._parser)
        finally:
            alarm.cancel()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        at = 0
        try:
            while self._asked and (end := _end(self._heard, at)):
                answer = self._asked.popleft()
                if answer is not None and not answer.done():
                    answer.set_result(bytes(self._heard[at:end]))
                at = end
        except InvalidResponse as error:
            self.cut(error)
        del self._heard[:at]

    def connection_lost(self, error: Exception | None) -> None:
        """By whichever end."""
        self.cut(ConnectionLost(str(error or "Redis closed the connection")))

    def cut(self, error: RedisError) -> None:
        """Close it at once; ``error`` is what those are told who wait for an answer."""
        self.is_closed = True
        self._transport.abort()
        while self._asked:
            answer = self._asked.popleft()
            if answer is not None and not answer.done():
                answer.set_exception(error)

    def _late(self, answer: asyncio.Future[bytes], until: float) -> None:
        """It may hang, or lead to nobody: what was asked behind this is asked again over another.

        A loop that is late itself gets another round, as the answer may be waiting to be read.
        """
        late = self._loop.time() - until
        if answer.done():
            return
        if late >= _busy_seconds:
            self._loop.call_later(late, self._late, answer, math.inf)
        else:
            answer.set_exception(TimeRanOut("no answer in time"))
            self.cut(ConnectionLost("an answer before this one is missing"))


def _end(heard: bytearray, at: int) -> int:
    """Where the answer ends that begins there; 0 while more of it has to come."""
    line = heard.find(_end_of_line, at)
    if line < 0:
        if len(heard) > at and bytes(heard[at : at + 1]) not in (b"$", b":", b"+", b"-"):
            raise InvalidResponse(f"no answer to a script: {bytes(heard[at : at + 80])!r}")
        return 0
    kind, rest = bytes(heard[at : at + 1]), bytes(heard[at + 1 : line])
    if kind == b"$" and rest.isdigit():
        end = line + int(rest) + 2 * len(_end_of_line)
        return end if end <= len(heard) else 0
    if kind in (b":", b"+", b"-"):
        return line + len(_end_of_line)
    raise InvalidResponse(f"no answer to a script: {bytes(heard[at : at + 80])!r}")
