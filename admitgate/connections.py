"""The connections that scripts are asked over: few, shared by threads, and good after a restart or a fork."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as TimeRanOut

from .hurry import exchange
from .memory import monotonic

connections_most = 64

Command = bytes | Sequence[Any]  # a script's call, packed by us; or words, packed and understood by redis-py


class Connections:
    """Connections to one Redis, lent for a call each; whichever came back last goes out first.

    Bounded: many threads (or greenlets) queue for one instead of failing. A forked process starts with none,
    as two that share a socket get each other's answers. A call has ``seconds`` for everything: its turn, a
    connection, the answer, and asking again. ``make`` is what ``hurried`` returns.
    """

    def __init__(self, make: Callable[[], Any], *, seconds: float, most: int = connections_most) -> None:
        self._make, self._seconds, self._most = make, seconds, most
        self._start_over()

    def ask(self, command: Command, *, is_redirected: bool = False) -> Any:
        """One command and its answer. A cluster's node takes a redirected one only if told so before."""
        until = monotonic() + self._seconds
        connection = self.lend(until)
        try:
            return _ask(connection, command, until, is_redirected)
        except (ConnectionLost, TimeRanOut):
            self._close_idle()
            raise
        finally:
            self.give_back(connection)

    def lend(self, until: float) -> Any:
        """A connection, open or not. Raises ConnectionLost if none comes free in time."""
        if self._pid != os.getpid():
            self._start_over()
        return self._take() or self._make_or_wait(until)

    def give_back(self, connection: Any) -> None:
        """Let the next one have it."""
        self._idle.append(connection)
        if self._waiting:
            with self._change:
                self._change.notify()

    def _close_idle(self) -> None:
        """They lead to the same Redis: if it hangs, or was a master before, each would cost a time-out."""
        for _ in range(len(self._idle)):
            with suppress(IndexError):  # another thread has taken the last
                connection = self._idle.popleft()
                connection.disconnect()
                self.give_back(connection)

    def _start_over(self) -> None:
        self._idle: deque[Any] = deque()
        self._made = self._waiting = 0
        self._change = threading.Condition()
        self._pid = os.getpid()

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _make_or_wait(self, until: float) -> Any:
        with self._change:
            if self._made < self._most:
                self._made += 1
                return self._make()
            self._waiting += 1  # before we look: whoever gives one back from now on tells us
            try:
                connection = self._change.wait_for(self._take, max(0.0, until - monotonic()))
            finally:
                self._waiting -= 1
        if connection is None:
            raise ConnectionLost(f"all {self._most} connections are in use")
        return connection


def _ask(connection: Any, command: Command, until: float, is_redirected: bool) -> Any:
    """The answer to one command, asked again where an old connection turns out to be closed or astray.

    That is what a restarted Redis, a proxy's patience and a fail-over leave behind, and a script of ours may
    run twice. A call that has run out of time is not asked again.
    """
    is_old = connection._sock is not None
    try:
        return _answer(connection, command, until, is_redirected)
    except ConnectionLost:
        if not is_old:
            raise
    except ResponseError as error:
        if not is_astray(error):
            raise
        connection.disconnect()
        if not is_old:
            raise
    return _answer(connection, command, until, is_redirected)


def is_astray(error: ResponseError) -> bool:
    """True for the answer of a master of before: a new connection is led to today's."""
    return isinstance(error, ReadOnlyError) or "READONLY" in str(error)


def _answer(connection: Any, command: Command, until: float, is_redirected: bool) -> Any:
    """redis-py's Sentinel connection looks for the master in ``connect`` only, not when it is first sent to;
    and unless told to disconnect, it leaves an answer that came too late to the next caller.
    """
    connection.until = until
    if connection._sock is None:
        connection.connect()
    connection._sock.until = until
    if is_redirected:
        connection.send_command("ASKING", check_health=False)
        connection.read_response(disconnect_on_error=True)
    if isinstance(command, bytes):
        return exchange(connection, command)
    connection.send_command(*command, check_health=False)
    return connection.read_response(disconnect_on_error=True)
