"""Virtual time for the tests of the line: an hour passes at once, and clocks step when they are told to.

The scripts run in a real Redis. Only what they read the clock from is replaced: ``redis.call('TIME')``, which
stands in one place, by the two last arguments, which the client here adds to every call. So no key holds the
time, and a wiped Redis still knows it.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import ModuleType
from typing import Any

import pytest
import redis

from admitgate import counter
from admitgate.counter import Call, Counter, Reply
from admitgate.decision import PollPolicy
from admitgate.memory import EventMemory, Memories, Snapshot
from admitgate.rules import Rule
from admitgate.tokens import Lease, Ticket, new_sid

EVENT = "gala"

_opening_us = 1_800_000_000_123_456
_clock_call = "redis.call('TIME')"
_virtual_clock = "{table.remove(ARGV, #ARGV - 1), table.remove(ARGV)}"
_look_seconds = 1.0
_usual_poll = PollPolicy()


def virtual_scripts(scripts: Mapping[str, str] | None = None) -> dict[str, str]:
    """The scripts, or changed copies of them, with virtual time for Redis' own."""
    scripts = counter.load_scripts() if scripts is None else scripts
    assert all(source.count(_clock_call) == 1 for source in scripts.values())
    return {verb: source.replace(_clock_call, _virtual_clock) for verb, source in scripts.items()}


class Clock:
    """Redis' clock and the workers' monotonic one. They run together; only Redis' ever steps."""

    def __init__(self) -> None:
        self._us = 0
        self._redis_ahead_us = _opening_us

    @property
    def seconds(self) -> float:
        """How long the test has been going on."""
        return self._us / 1e6

    @property
    def redis_us(self) -> int:
        return self._us + self._redis_ahead_us

    @property
    def redis_ms(self) -> int:
        return self.redis_us // 1000

    def monotonic(self) -> float:
        return 1000 + self._us / 1e6

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._us += round(seconds * 1e6)

    def advance_to(self, seconds: float) -> None:
        self._us = max(self._us, round(seconds * 1e6))

    def step(self, seconds: float) -> None:
        """Somebody sets the clock of Redis' machine."""
        self._redis_ahead_us += round(seconds * 1e6)

    def run_workers(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        """Every module of ours that took ``monotonic`` by its name reads this clock."""
        for module in list(sys.modules.values()):
            if _is_ours(module) and hasattr(module, "monotonic"):
                monkeypatch.setattr(module, "monotonic", self.monotonic)
        return self


def at(clock: Clock, seconds: float) -> datetime:
    """So many seconds from now, by Redis' clock."""
    return datetime.fromtimestamp(clock.redis_ms / 1000, timezone.utc) + timedelta(seconds=seconds)


def _is_ours(module: ModuleType) -> bool:
    return getattr(module, "__name__", "").split(".")[0] == "admitgate"


class _Client:
    """A redis-py client whose scripts are told the time."""

    def __init__(self, client: Any, clock: Clock) -> None:
        self._client, self._clock = client, clock

    def execute_command(self, *args: Any) -> Any:
        return self._client.execute_command(*args, *divmod(self._clock.redis_us, 1_000_000))

    def ping(self) -> Any:
        return self._client.ping()


class Worker:
    """One process of a fleet: memories and a counter of its own, on the Redis that all share."""

    def __init__(
        self,
        client: redis.Redis,
        clock: Clock,
        rule: Rule,
        *,
        event: str = EVENT,
        scripts: Mapping[str, str] | None = None,
    ) -> None:
        self.rule, self.event, self.clock = rule, event, clock
        self._client, self._scripts = _Client(client, clock), scripts or virtual_scripts()
        self.looks = 0
        self.restart()

    @property
    def keys(self) -> dict[str, str]:
        """The event's keys, by their short names."""
        return {key.partition("}:")[2]: key for key in self.counter.keys(self.event)}

    @property
    def memory(self) -> EventMemory:
        return self.memories.of(self.event)

    def restart(self) -> None:
        """The process ends and another takes its place: nothing is remembered."""
        self.memories = Memories()
        self.counter = Counter(self._client, self.memories, scripts=self._scripts)
        self._looked_at = -_look_seconds

    def call(self, call: Call) -> Reply:
        return self.counter.call(call)

    def join(self, sid: str | None = None, *, is_brief: bool = False) -> Reply:
        return self.call(counter.join(self.rule, self.event, sid or new_sid(), is_brief=is_brief))

    def check_in(self, sid: str, number: int, *, joined_ms: int = 0, is_claim: bool = True) -> Reply:
        ticket = Ticket(sid, number, joined_ms or self.clock.redis_ms)
        return self.call(counter.check_in(self.rule, self.event, ticket, is_claim=is_claim))

    def renew(self, sid: str, deadline_ms: int, *, seconds: float = 0) -> Reply:
        lease = Lease(sid, deadline_ms, 0)
        return self.call(counter.renew(self.rule, self.event, lease, seconds=seconds))

    def release(self, sid: str, deadline_ms: int = 0, *, forget: bool = False) -> Reply:
        return self.call(counter.release(self.rule, self.event, sid, deadline_ms, forget=forget))

    def look(self) -> Reply:
        return self.call(counter.look(self.rule, self.event))

    def status(self) -> Snapshot | None:
        """What the shared status says: at most a second old, and then refreshed by who asks."""
        if self.clock.seconds - self._looked_at >= _look_seconds:
            self._looked_at = self.clock.seconds
            self.looks += 1
            self.look()
        return self.memory.snapshot


Hire = Callable[..., Worker]

lease, claim, grace = 60.0, 20.0, 6.0


def hire_on(client: redis.Redis, clock: Clock) -> Hire:
    """Takes on a worker whose rule has the options given; several work on one event."""

    def hire(*, event: str = EVENT, scripts: Mapping[str, str] | None = None, **options: Any) -> Worker:
        usual = {"lease_seconds": lease, "claim_seconds": claim, "grace_seconds": grace, "capacity": 1}
        rule = Rule("/events/<event>/checkout", **{**usual, **options})
        return Worker(client, clock, rule, event=event, scripts=scripts)

    return hire


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time, for Redis and all workers of a test."""
    return Clock().run_workers(monkeypatch)


@pytest.fixture
def hire(redis_client: redis.Redis, clock: Clock) -> Hire:
    """Take on a worker."""
    return hire_on(redis_client, clock)


Pauses = Iterator[float]


class Stage:
    """Lets visitors take their turns in the order of virtual time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns: list[tuple[float, int, Pauses]] = []
        self._order = itertools.count()

    def enter(self, visit: Pauses, *, after: float = 0.0) -> None:
        heapq.heappush(self._turns, (self._clock.seconds + after, next(self._order), visit))

    def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> None:
        """Everybody's turns of the next ``seconds``, or until something is true."""
        end = self._clock.seconds + seconds
        while self._turns and self._turns[0][0] <= end and not until():
            at, _, visit = heapq.heappop(self._turns)
            self._clock.advance_to(at)
            pause = next(visit, None)
            if pause is not None:
                self.enter(visit, after=pause)
        if not until():
            self._clock.advance_to(end)


@dataclass
class Visitor:
    """Does what the waiting page does: asks the shared status, checks in when invited, goes in, pays.

    The times are in seconds of the test; None for what hasn't happened.
    """

    name: str
    workers: list[Worker]
    dice: random.Random
    session_seconds: float = 60.0
    poll: PollPolicy = _usual_poll
    is_patient: bool = False  # polls at the floor, whatever the page would do
    sid: str = ""
    number: int = 0
    joined_ms: int = 0
    joined_at: float | None = None
    present_at: float | None = None  # since when check-ins have been answered READY
    admitted_at: float | None = None
    left_at: float | None = None
    check_ins: int = 0

    @property
    def worker(self) -> Worker:
        return self.dice.choice(self.workers)

    def visit(self) -> Pauses:
        """Join, wait, go in, pay."""
        self.sid = f"{self.name:_<16.16}"
        reply = self.worker.join(self.sid)
        self.joined_at = self.worker.clock.seconds
        if reply.verdict == "TICKET":
            self.take_ticket(reply.value, reply.now_ms)
            reply = yield from self.wait()
        yield from self.stay(reply.value)

    def take_ticket(self, number: int, joined_ms: int) -> None:
        self.number, self.joined_ms = number, joined_ms

    def wait(self) -> Any:
        """Until admitted; the reply that says so."""
        while True:
            snapshot = self.worker.status()
            if snapshot is None or self.number > snapshot.serving:
                yield self.jittered(self.pause(snapshot))
                continue
            reply = self.check_in()
            if reply.verdict == "ADMIT":
                return reply
            assert reply.verdict in ("READY", "WAIT")
            yield self.jittered(self.poll.floor if reply.verdict == "WAIT" else _poll_seconds(reply))

    def check_in(self) -> Reply:
        self.check_ins += 1
        worker = self.worker
        reply = worker.check_in(self.sid, self.number, joined_ms=self.joined_ms)
        if reply.verdict == "READY" and self.present_at is None:
            self.present_at = worker.clock.seconds
        return reply

    def stay(self, deadline_ms: int) -> Pauses:
        """From the first request inside, which makes the lease a full one, to the thank-you page."""
        clock = self.worker.clock
        self.admitted_at = clock.seconds
        yield self.dice.uniform(0.1, 0.3)
        reply = self.worker.renew(self.sid, deadline_ms)
        assert reply.verdict == "ADMIT"
        yield max(0.0, self.session_seconds - (clock.seconds - self.admitted_at))
        self.worker.release(self.sid, reply.value)
        self.left_at = clock.seconds

    def jittered(self, seconds: float) -> float:
        return seconds * self.dice.uniform(0.8, 1.2)

    def pause(self, line: Snapshot | None) -> float:
        """How long the page waits before it asks the shared status again."""
        if line is None or self.is_patient:
            return self.poll.floor
        gap = line.gap_to - line.gap_from if line.serving <= line.gap_from < self.number else 0
        ahead = self.number - line.serving - gap
        expected_wait = (ahead + line.present) / (line.admitted_per_minute / 60 or 1)
        grace_seconds = self.worker.rule.grace_seconds
        return self.poll.seconds(expected_wait, ahead=ahead, step=line.step, grace=grace_seconds)


def _poll_seconds(reply: Reply) -> float:
    assert reply.snapshot
    return reply.snapshot.poll_ms / 1000
