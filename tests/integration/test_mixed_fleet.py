"""Django under gunicorn and under uvicorn, on one Redis: one exact cap and one line."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import redis
from servers import free_ports, until

from admitgate import supervisor

pytestmark = pytest.mark.slow

CHECKOUT = "/events/gala/checkout"
CAPACITY, VISITORS = 3, 12


@contextmanager
def served(redis_url: str, *command: str) -> Iterator[int]:
    """The shop on a port of its own, by this server."""
    (port,) = free_ports(1)
    with tempfile.TemporaryFile() as log:
        process = supervisor.start(
            [sys.executable, "-m", *(word.format(port=port) for word in command)],
            cwd=Path(__file__).parent,
            env={**os.environ, "MIXED_SHOP_REDIS": redis_url, "MIXED_SHOP_CAPACITY": str(CAPACITY)},
            output=log.fileno(),
        )
        try:
            until(lambda: _is_up(port, process), seconds=30, what=f"{command[0]} is up")
            yield port
        finally:
            supervisor.stop(process)


def _is_up(port: int, process: Any) -> bool:
    assert process.poll() is None
    try:
        return Visitor([port]).ask("/")[0] == 200
    except OSError:
        return False


@pytest.fixture
def ports(redis_url: str) -> Iterator[list[int]]:
    """Two workers for WSGI at one, one for ASGI at the other."""
    with ExitStack() as servers:
        gunicorn = (
            "gunicorn",
            "mixed_shop:wsgi",
            "--workers",
            "2",
            "--threads",
            "4",
            "--bind",
            "127.0.0.1:{port}",
        )
        uvicorn = ("uvicorn", "mixed_shop:asgi", "--port", "{port}", "--lifespan", "off")
        yield [servers.enter_context(served(redis_url, *command)) for command in (gunicorn, uvicorn)]


class Visitor:
    """Asks one server after the other, as a balancer would have it."""

    def __init__(self, ports: list[int]) -> None:
        self._ports, self._cookie = cycle(ports), ""
        self.numbers: set[int] = set()

    def ask(self, path: str = CHECKOUT) -> tuple[int, dict[str, Any]]:
        """The status and what was told."""
        connection = HTTPConnection("127.0.0.1", next(self._ports), timeout=20)
        try:
            connection.request("GET", path, headers={"Accept": "application/json", "Cookie": self._cookie})
            response = connection.getresponse()
            told = json.loads(response.read())
        finally:
            connection.close()
        if cookie := response.getheader("Set-Cookie"):
            self._cookie = cookie.partition(";")[0]
        if told.get("number"):
            self.numbers.add(told["number"])
        return response.status, told

    def is_in(self) -> bool:
        """Do they see the check-out?"""
        return self.ask()[0] == 200

    def buy(self) -> None:
        """Wait, do a few steps at the check-out, pay."""
        pause = Event()
        while not self.is_in():
            pause.wait(0.1)
        assert [self.ask()[0] for _ in range(5)] == [200] * 5
        assert self.ask(f"{CHECKOUT}?pay")[0] == 200


def test_one_cap_for_all_of_them(ports: list[int], redis_client: redis.Redis) -> None:
    """Twelve come at once to three slots: all are served, never more than three at a time."""
    visitors = [Visitor(ports if number % 2 else ports[::-1]) for number in range(VISITORS)]
    with ThreadPoolExecutor(VISITORS) as threads:
        for done in [threads.submit(visitor.buy) for visitor in visitors]:
            done.result(60)
    assert int(redis_client.get("inside:most") or 0) == CAPACITY
    numbers = [number for visitor in visitors for number in visitor.numbers]
    assert len(set(numbers)) == len(numbers) >= VISITORS - CAPACITY


def test_one_line_for_all_of_them(ports: list[int]) -> None:
    """Whichever server gave the number: the lowest goes in first, and whichever is asked says so."""
    inside = [Visitor(ports) for _ in range(CAPACITY)]
    assert all(visitor.is_in() for visitor in inside)
    waiting = [Visitor(ports if number % 2 else ports[::-1]) for number in range(4)]
    numbers = [visitor.ask()[1]["number"] for visitor in waiting]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    until(lambda: [visitor.ask()[1]["state"] for visitor in waiting] == ["ready"] * 4, what="all are ready")
    for visitor, *behind in (waiting[0:], waiting[1:], waiting[2:]):
        assert inside.pop().ask(f"{CHECKOUT}?pay")[0] == 200
        assert [other.is_in() for other in behind] == [False] * len(behind)
        until(visitor.is_in, what="the first in line is in")
