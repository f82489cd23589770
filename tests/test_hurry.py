"""One deadline for a whole call, however slowly and in whatever pieces the answer comes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import InvalidResponse, NoScriptError, ResponseError
from redis.exceptions import TimeoutError as TimeRanOut

from admitgate import hurry
from admitgate.connection import connect
from admitgate.connections import Connections
from admitgate.hurry import HurriedSocket, hurried
from admitgate.wire import evalsha

Pieces = list[bytes]


class Clock:
    """Goes on by a quarter of the deadline whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


class Pair:
    """A connection as far as a call needs one, with its other end in the test's hands."""

    class _Parser:
        parse_error = redis.connection.DefaultParser.parse_error

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self._sock: Any = HurriedSocket(ours, hurry.monotonic() + 5)
        self._parser = self._Parser()

    def disconnect(self) -> None:
        if self._sock:
            self._sock.close()
        self._sock = None

    def close(self) -> None:
        self.disconnect()
        self.theirs.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with closing(Pair()) as pair:
        yield pair


def answer(pair: Pair, *pieces: bytes) -> Any:
    """What a call gets whose answer comes in these pieces."""

    def write() -> None:
        with suppress(OSError):  # who has heard enough closes
            for piece in pieces:
                pair.theirs.sendall(piece)
                time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return hurry.exchange(pair, b"*1\r\n$4\r\nTEST\r\n")
    finally:
        writer.join(5)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([b"$5\r\nADMIT\r\n"], b"ADMIT", id="a text at once"),
        pytest.param([b"$", b"5", b"\r", b"\nAD", b"MIT\r", b"\n"], b"ADMIT", id="a text in pieces"),
        pytest.param([b"$6\r\n\r\n", b"\r\n\r\n\r\n"], b"\r\n\r\n\r\n", id="a text of line ends in pieces"),
        pytest.param([b"$0\r\n\r\n"], b"", id="an empty text"),
        pytest.param([b"$200000\r\n" + b"x" * 200_000 + b"\r\n"], b"x" * 200_000, id="a long text"),
        pytest.param([b":4", b"2\r\n"], 42, id="a number in pieces"),
    ],
)
def test_an_answer_is_read_whole(pair: Pair, pieces: Pieces, expected: object) -> None:
    """Whatever the network makes of it."""
    assert answer(pair, *pieces) == expected


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        pytest.param([b"-NOSCRIPT No matching", b" script.\r\n"], NoScriptError, id="an error in pieces"),
        pytest.param([b"-ERR user_script:1: x\r\n"], ResponseError, id="an error of a script"),
        pytest.param([b"*1\r\n:1\r\n"], InvalidResponse, id="a list"),
        pytest.param([b"$-1\r\n"], InvalidResponse, id="nothing"),
        pytest.param([b"$x\r\n"], InvalidResponse, id="no size"),
        pytest.param([b">2\r\n+message\r\n"], InvalidResponse, id="a pushed message"),
        pytest.param([b"HTTP/1.1 400 Bad Request\r\n"], InvalidResponse, id="another kind of server"),
    ],
)
def test_what_is_no_answer_is_an_error_of_redis(pair: Pair, pieces: Pieces, error: type[Exception]) -> None:
    """Which the breaker knows, so that it becomes an outage and not a traceback."""
    with pytest.raises(error):
        answer(pair, *pieces)


def test_a_connection_that_closes_in_the_middle_of_an_answer_is_lost(pair: Pair) -> None:
    """As one that closes before it."""
    pair.theirs.sendall(b"$5\r\nAD")
    pair.theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionLost):
        hurry.exchange(pair, b"PING")
    assert pair._sock is None


def test_an_answer_byte_by_byte_ends_with_the_deadline(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them comes in time, and yet it isn't the time of each that counts."""
    clock = Clock()
    monkeypatch.setattr(hurry, "monotonic", clock)
    pair._sock.until = clock.now + 1
    with pytest.raises(TimeRanOut):
        answer(pair, *[bytes([byte]) for byte in b"$5\r\nADMIT\r\n"])
    assert clock.now <= 101.5


def test_a_greeting_byte_by_byte_ends_with_the_deadline(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What redis-py says to Redis before our call is part of it."""
    client: Any = connect(redis_url, 1)
    clock = Clock()
    monkeypatch.setattr(hurry, "monotonic", clock)
    connection = client._connections.lend(0)
    connection.until = clock.now + 0.6

    def greet() -> None:
        connection.connect()
        connection.send_command("PING")
        connection.read_response()

    with pytest.raises(TimeRanOut):
        greet()


def test_whoever_is_interrupted_leaves_no_answer_behind(
    redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's time-out or a greenlet's end comes while Redis is about to answer."""
    client: Any = connect(redis_url, 5)
    digest = redis_client.script_load("return ARGV[1]")
    assert client.execute_command("EVALSHA", digest, 0, "before") == b"before"

    def interrupt(_: bytes) -> bool:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(hurry, "_is_cut_short", interrupt)
        with pytest.raises(SystemExit):
            client.ask_packed(evalsha(digest, [], [], "", 0) % (*range(7), 1, b"x", 0, b""), "")
    assert client.execute_command("EVALSHA", digest, 0, "after") == b"after"


def test_the_time_left_counts_and_not_that_of_each_try(redis_url: str) -> None:
    """A call that waited for its turn has the less for its answer."""
    waits: list[float] = []

    class Watched(redis.UnixDomainSocketConnection):
        def _connect(self) -> Any:
            waits.append(self.socket_connect_timeout)
            return super()._connect()

    options = connect(redis_url, 1).connection_pool.connection_kwargs
    connections: Callable[..., Any] = Connections(hurried(Watched, options), seconds=5).lend
    connection = connections(0)
    connection.until = hurry.monotonic() + 0.5
    connection.connect()
    connection.disconnect()
    assert 0 < waits[0] <= 0.5
