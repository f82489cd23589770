"""Nothing idle: while somebody present waits, slots are in use. Virtual time; the figures are printed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import redis
import virtual
from virtual import Clock, Pauses, Stage, Visitor, Worker

from admitgate.rules import Rule

_second = 1.0


clock = virtual.clock


@dataclass
class Sale:
    """A shop with more visitors than slots; somebody new joins for everybody who leaves the line."""

    client: redis.Redis
    clock: Clock
    capacity: int
    session_seconds: float
    waiting: int
    no_shows: float = 0.0
    seed: int = 1
    crowd: list[Visitor] = field(default_factory=list)
    in_use: list[int] = field(default_factory=list)
    check_ins: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice, self.stage = random.Random(self.seed), Stage(self.clock)
        rule = Rule("/events/<event>/checkout", capacity=self.capacity, lease_seconds=600)
        self.fleet = [Worker(self.client, self.clock, rule) for _ in range(3)]
        self.stage.enter(self._watch())

    def open(self) -> None:
        """As many as there are slots come first, so that they don't all leave in the same second."""
        for nth in range(self.capacity):
            visitor = self._newcomer()
            visitor.session_seconds *= (nth + 1) / self.capacity
            self.stage.enter(visitor.visit(), after=nth / 10_000)
        for nth in range(self.waiting):
            self.stage.enter(self._arrival(), after=_second + nth / 1000)

    def run(self, seconds: float) -> None:
        self.stage.run(seconds)

    def used(self, warm_up: int) -> float:
        """The mean share of the slots in use after the first seconds."""
        return sum(self.in_use[warm_up:]) / len(self.in_use[warm_up:]) / self.capacity

    def check_ins_a_second(self, warm_up: int) -> float:
        return (self.check_ins[-1] - self.check_ins[warm_up]) / (len(self.check_ins) - 1 - warm_up)

    def _newcomer(self) -> Visitor:
        session = self.session_seconds
        visitor = Visitor(f"v{len(self.crowd)}", self.fleet, self.dice, session, is_patient=True)
        self.crowd.append(visitor)
        return visitor

    def _arrival(self) -> Pauses:
        visitor = self._newcomer()
        visit = visitor.visit()
        if self.dice.random() < self.no_shows:
            next(visit)  # takes a number and is not seen again
            self.stage.enter(self._arrival(), after=self.dice.uniform(0, 2 * _second))
            return
        for pause in visit:
            yield pause
            if visitor.admitted_at is not None:
                self.stage.enter(self._arrival())
                break
        yield from visit

    def _watch(self) -> Iterator[float]:
        while True:
            leases = self.fleet[0].keys["leases"]
            self.in_use.append(int(self.client.zcount(leases, self.clock.redis_ms, "(+inf")))
            self.check_ins.append(sum(visitor.check_ins for visitor in self.crowd))
            yield _second


@pytest.mark.parametrize(
    ("capacity", "session_seconds", "waiting", "no_shows", "least"),
    [
        pytest.param(50, 60.0, 200, 0.0, 0.97, id="50 slots, sessions of 60 s"),
        pytest.param(50, 60.0, 200, 0.25, 0.97, id="50 slots, sessions of 60 s, a quarter never come back"),
        pytest.param(1000, 240.0, 500, 0.0, 0.97, id="1,000 slots, sessions of 240 s"),
        pytest.param(10, 10.0, 100, 0.25, 0.80, id="10 slots, sessions of 10 s, where one poll is a tenth"),
    ],
)
def test_slots_are_in_use_while_somebody_present_waits(
    redis_client: redis.Redis,
    clock: Clock,
    capacity: int,
    session_seconds: float,
    waiting: int,
    no_shows: float,
    least: float,
) -> None:
    """Sessions end by release, pages poll every 2 s: the mean of the slots in use, sampled each second."""
    sale = Sale(redis_client, clock, capacity, session_seconds, waiting, no_shows)
    sale.open()
    sale.run(600 if capacity <= 50 else 300)
    used, polls = sale.used(60), sale.check_ins_a_second(60)
    print(
        f"{capacity} slots, {session_seconds:.0f} s sessions, {no_shows:.0%} no-shows: "
        f"{used:.1%} in use, {polls:.1f} check-ins/s, at most {max(sale.in_use)}"
    )
    assert max(sale.in_use) <= capacity
    assert used >= least
    assert polls <= 200


def test_a_capacity_raised_live_is_soon_in_use(redis_client: redis.Redis, clock: Clock) -> None:
    """From 50 to 1,000 slots while 3,000 wait: nobody restarts anything."""
    sale = Sale(redis_client, clock, 50, 600.0, 3000)
    sale.open()
    sale.run(60)
    redis_client.hset(sale.fleet[0].keys["settings"], "capacity", 1000)
    start, busiest = clock.seconds, 0.0
    while sale.in_use[-1] < 1000 and clock.seconds < start + 300:
        before = sale.check_ins[-1]
        sale.run(_second)
        busiest = max(busiest, sale.check_ins[-1] - before)
    print(
        f"50 to 1,000 slots with 3,000 waiting: full after {clock.seconds - start:.0f} s, "
        f"at most {busiest:.0f} check-ins/s"
    )
    assert max(sale.in_use) <= 1000
    assert clock.seconds - start <= 90
