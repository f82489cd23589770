"""HTTP over loopback, as fast as one core of Python can: a burst, and single requests for asyncio.

A connection for each request, as a crowd brings them, and read to its end.
"""

from __future__ import annotations

import asyncio
import re
import select
import socket
import statistics
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from visitors import request

_set_cookie = re.compile(rb"^set-cookie: ([^;\r\n]*)", re.IGNORECASE | re.MULTILINE).search
_piece = 262_144


class Answer(NamedTuple):
    """What came back, and after how long. Status 0: nothing did, in time or at all."""

    status: int
    seconds: float
    raw: bytes = b""

    @property
    def cookie(self) -> str:
        """``name=value`` of the cookie that came with it, or ''."""
        match = _set_cookie(self.raw.partition(b"\r\n\r\n")[0])
        return match[1].decode() if match else ""

    def header(self, name: str) -> str:
        """The value of a header, or ''."""
        head = self.raw.partition(b"\r\n\r\n")[0]
        found = re.search(rb"^%s: *([^\r\n]*)" % name.encode(), head, re.IGNORECASE | re.MULTILINE)
        return found[1].decode() if found else ""

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]


def message(path: str, cookie: str = "", *, method: str = "GET", accept: str = "") -> bytes:
    """A browser's request on a connection of its own."""
    variables = {**request(path, cookie), "HTTP_CONNECTION": "close", "HTTP_HOST": "127.0.0.1"}
    if accept:
        variables["HTTP_ACCEPT"] = accept
    names = (name for name in variables if name.startswith("HTTP_"))
    headers = {name[5:].replace("_", "-").title(): variables[name] for name in names}
    if method == "POST":
        headers["Content-Length"] = "0"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


class Burst(NamedTuple):
    """Everybody's answer, and how long it took to give them all."""

    answers: list[Answer]
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.answers) / self.seconds

    def percentile(self, percent: int) -> float:
        """Seconds within which so many of a hundred had their answer."""
        return percentile([answer.seconds for answer in self.answers], percent)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that ``percent`` of a hundred stay below; 0 of none."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def burst(port: int, messages: Iterable[bytes], *, at_once: int, timeout: float = 60) -> Burst:
    """Send all of them, ``at_once`` at a time and no pause in between."""
    waiting, answers, open_ones = iter(messages), [], {}
    poll, ends_at = select.epoll(), time.perf_counter() + timeout

    def send_next() -> None:
        text = next(waiting, None)
        if text is not None:
            started, connection = time.perf_counter(), _sent(port, text)
            poll.register(connection, select.EPOLLIN)
            open_ones[connection.fileno()] = (connection, started, bytearray())

    began = time.perf_counter()
    for _ in range(at_once):
        send_next()
    while open_ones and time.perf_counter() < ends_at:
        for number, _ in poll.poll(1):
            connection, started, received = open_ones[number]
            piece = _received(connection)
            received += piece
            if not piece:
                answers.append(_answer(bytes(received), time.perf_counter() - started))
                del open_ones[number]
                connection.close()  # which also ends its being polled
                send_next()
    took = time.perf_counter() - began
    answers += [Answer(0, time.perf_counter() - started) for _, started, _ in open_ones.values()]
    for connection, _, _ in open_ones.values():
        connection.close()
    poll.close()
    return Burst(answers, took)


def _sent(port: int, text: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(text)
    connection.setblocking(False)
    return connection


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_piece)
    except ConnectionError:
        return b""


def _answer(raw: bytes, seconds: float) -> Answer:
    """The answer if it came whole: a connection that broke in the middle of one is a failure."""
    head, _, body = raw.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: (\d+)", head, re.IGNORECASE | re.MULTILINE)
    is_whole = length is None or len(body) == int(length[1])
    return Answer(int(head[9:12]) if is_whole and head[:5] == b"HTTP/" else 0, seconds, raw)


async def ask(port: int, text: bytes, *, patience: float) -> Answer:
    """One request by somebody who gives up after ``patience`` seconds, and hangs up then."""
    started = time.perf_counter()
    try:
        raw = await asyncio.wait_for(_exchange(port, text), patience)
    except (OSError, asyncio.TimeoutError):
        return Answer(0, time.perf_counter() - started)
    return _answer(raw, time.perf_counter() - started)


async def _exchange(port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text)
        return await reader.read()
    finally:
        writer.close()
