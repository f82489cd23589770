"""Edges that await: the shop's own callables never keep the event loop waiting, nor does Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import sites
from sites import CHECKOUT, STATUS, ASGIAdapter, AsyncDjangoAdapter, Clock, Opener

from admitgate.embedded import EmbeddedRedis

clock = sites.clock


@pytest.fixture(
    params=[pytest.param(adapter, id=adapter.name) for adapter in (AsyncDjangoAdapter, ASGIAdapter)]
)
def open_site(request: pytest.FixtureRequest, redis_url: str, clock: Clock) -> Iterator[Opener]:
    """Opens sites on each edge that awaits."""
    opener = Opener(request.param, redis_url)
    yield opener
    opener.close()


class Called:
    """One of the shop's own, which notes whether a loop had to wait for it."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.was_in_a_loop: list[bool] = []
        self.was_called = threading.Event()

    def __call__(self, *given: Any) -> Any:
        try:
            asyncio.get_running_loop()
            self.was_in_a_loop.append(True)
        except RuntimeError:
            self.was_in_a_loop.append(False)
        self.was_called.set()
        return self._answer


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        pytest.param("exempt", False, id="who is exempt"),
        pytest.param("identity", "account 7", id="whose request it is"),
        pytest.param("events", ["gala"], id="which events there are"),
        pytest.param("capacity", 1, id="how many slots there are"),
        pytest.param("on_event", None, id="who hears of what happens"),
    ],
)
def test_a_callable_of_the_shops_is_called_in_a_thread(open_site: Opener, option: str, answer: Any) -> None:
    """It may ask a database, and Django forbids that in a loop."""
    called = Called(answer)
    site = open_site(**{option: [called] if option == "exempt" else called})
    site.browser().get(CHECKOUT)
    for _ in range(2):
        site.browser().get(STATUS)
        site.browser().get(CHECKOUT)
    assert called.was_called.wait(10)
    assert set(called.was_in_a_loop) == {False}


def test_while_a_callable_takes_its_time_others_are_answered(open_site: Opener, clock: Clock) -> None:
    """They go by what it said before."""
    go_on, entered = threading.Event(), threading.Event()
    is_slow: list[bool] = []

    def events() -> list[str]:
        if is_slow:
            entered.set()
            assert go_on.wait(20)
        return ["gala"]

    site = open_site(events=events, events_seconds=60, capacity=2)
    inside = site.fill()
    is_slow.append(True)
    clock.forward(61)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(site.is_in)
        assert entered.wait(20)
        try:
            assert site.is_in(inside)
            assert site.browser().get("/").data == b"a page"
        finally:
            go_on.set()
        assert slow.result(20)


def test_while_redis_hangs_others_are_answered(open_site: Opener, clock: Clock) -> None:
    """Who asks it waits; who doesn't, doesn't. (Where it hangs for longer, that is an outage.)"""
    with (
        EmbeddedRedis() as server,
        redis.Redis.from_url(server.url) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        client.set("clock:us", clock.now_ms * 1000)
        site = open_site(redis_url=server.url, capacity=2)
        inside = site.fill()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            newcomer = threads.submit(site.is_in)
            for _ in range(3):
                assert site.browser().get("/").data == b"a page"
                assert site.is_in(inside)
            assert not newcomer.done()
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert newcomer.result(20)
