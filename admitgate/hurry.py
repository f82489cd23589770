"""One deadline for a whole call: redis-py's connections on a socket that knows when it has to be done.

redis-py bounds each wait, and a call has many: for a connection, its greeting, each piece of the answer. A
proxy that lets one byte through at a time would keep a visitor for as long as it likes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as TimeRanOut

from .memory import monotonic

_piece = 65536
_slack_seconds = 0.01


def hurried(kind: type, options: dict[str, Any]) -> partial[Any]:
    """What makes connections of redis-py's ``kind`` that end their waits at their ``until``."""

    def _connect(self: Any) -> HurriedSocket:
        # here and not before: Sentinels may have been asked in the meantime
        self.socket_connect_timeout = self.socket_timeout = _left(self.until)
        return HurriedSocket(kind._connect(self), self.until)  # type: ignore[attr-defined]

    return partial(type(f"Hurried{kind.__name__}", (kind,), {"_connect": _connect, "until": 0.0}), **options)


class HurriedSocket:
    """A socket whose every wait ends at ``until``; for redis-py's parser it is like any other."""

    def __init__(self, plain: Any, until: float) -> None:
        self._plain, self.until = plain, until
        self._patience = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def sendall(self, data: Any) -> None:
        self._hurry()
        self._plain.sendall(data)

    def recv(self, *size: int) -> Any:
        self._hurry()
        return self._plain.recv(*size)

    def recv_into(self, *buffer: Any) -> Any:
        self._hurry()
        return self._plain.recv_into(*buffer)

    def exchange(self, packed: bytes) -> bytes:
        """Send one command of ours and read its answer, a text, a number or an error in Redis' wire format.

        redis-py's parser, which also reads lists and pushed messages, takes several times as long.
        """
        self._hurry()
        self._plain.sendall(packed)
        answer: bytes = self._plain.recv(_piece)
        while _is_cut_short(answer):
            self._hurry()
            piece = self._plain.recv(_piece)
            if not piece:
                raise OSError("Redis closed the connection")
            answer += piece
        return answer

    def _hurry(self) -> None:
        left = _left(self.until)
        if not left <= self._patience <= left + _slack_seconds:  # each time would be a system call too many
            self._patience = left + _slack_seconds / 2
            self._plain.settimeout(self._patience)


def exchange(connection: Any, packed: bytes) -> Any:
    """The answer to one command on an open connection. It is closed where an answer could still come.

    Raises what redis-py would: an error of Redis', TimeRanOut, ConnectionLost, or InvalidResponse.
    """
    try:
        answer = connection._sock.exchange(packed)
        if answer[:1] not in (b"$", b":", b"-"):
            raise InvalidResponse(f"no answer to a script: {answer!r:.80}")
    except TimeoutError as error:
        connection.disconnect()
        raise TimeRanOut("no answer in time") from error
    except OSError as error:
        connection.disconnect()
        raise ConnectionLost(str(error)) from error
    except BaseException:  # or whoever comes next would read it
        connection.disconnect()
        raise
    return understood(answer, connection._parser)


def understood(answer: bytes, parser: Any) -> Any:
    """What a whole answer says. An error of Redis' is raised as redis-py has it."""
    kind = answer[:1]
    if kind == b"$":
        return answer[answer.index(b"\r\n") + 2 : -2]
    if kind == b"+":  # to a sign of life
        return answer[1:-2]
    text = answer[1:-2].decode("utf-8", "replace")
    if kind == b":":
        return int(text)
    raise parser.parse_error(text)


def _left(until: float) -> float:
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError("no time left")
    return left


def _is_cut_short(answer: bytes) -> bool:
    if answer[:1] != b"$":
        return answer[-2:] != b"\r\n"
    head = answer.find(b"\r\n")
    return head < 0 or len(answer) < head + 4 + _size(answer[1:head])


def _size(digits: bytes) -> int:
    if not digits.isdigit():
        raise InvalidResponse(f"no size of a text: {digits!r:.40}")
    return int(digits)
