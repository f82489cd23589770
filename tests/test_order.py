"""First come, first served among those who are present, and a crowd that never returns. Virtual time."""

from __future__ import annotations

import itertools
import random

import pytest
import redis
from virtual import Clock, Stage, Visitor, Worker

from admitgate.rules import Rule

grace = 6.0
# How much later than a later number somebody may go in: the slots are theirs by rank, and they learn of it at
# their next poll, which is due within the grace.
stated_grace = grace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().run_workers(monkeypatch)


def hire(client: redis.Redis, clock: Clock, capacity: int, count: int = 3) -> list[Worker]:
    rule = Rule("/events/<event>/checkout", capacity=capacity, lease_seconds=120, grace_seconds=grace)
    return [Worker(client, clock, rule) for _ in range(count)]


def visitors(fleet: list[Worker], dice: random.Random, count: int, **options: float) -> list[Visitor]:
    return [Visitor(f"v{nth}", fleet, dice, **options) for nth in range(count)]


def overtaken(present: list[Visitor]) -> list[tuple[int, int, float]]:
    """Who went in after a later number though they had been there before: (number, later number, seconds)."""
    found = []
    for first, later in itertools.combinations(sorted(present, key=lambda visitor: visitor.number), 2):
        late = first.admitted_at - later.admitted_at
        if late > 0 and first.present_at is not None and first.present_at <= later.admitted_at:
            found.append((first.number, later.number, late))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_among_those_who_keep_polling_nobody_goes_in_before_an_earlier_number(
    redis_client: redis.Redis, clock: Clock, seed: int
) -> None:
    """300 with numbers, a third leave without a word; at 20 slots and three workers the rest go in in order."""
    dice, stage = random.Random(seed), Stage(clock)
    fleet = hire(redis_client, clock, capacity=20)
    insiders = visitors(fleet, dice, 20, session_seconds=40)
    crowd = visitors(fleet, dice, 300, session_seconds=20)
    gone = set(dice.sample(range(300), 100))
    for nth, visitor in enumerate([*insiders, *crowd]):
        visitor.name = f"{nth}"
        visit = visitor.visit()
        if nth - 20 in gone:
            next(visit)  # takes a number and is never heard of again
        else:
            stage.enter(visit, after=nth / 1000)
    patient = [visitor for nth, visitor in enumerate(crowd) if nth not in gone]
    stage.run(1200, until=lambda: all(visitor.left_at for visitor in patient))
    assert all(visitor.admitted_at for visitor in patient)
    waited = [visitor for visitor in patient if visitor.number]
    assert [case for case in overtaken(waited) if case[2] > stated_grace] == []
    print(f"{len(waited)} waited; went in after a later number: {len(overtaken(waited))}, by at most "
          f"{max((case[2] for case in overtaken(waited)), default=0.0):.1f} s; "
          f"all in after {clock.seconds:.0f} s")


def test_nobody_is_admitted_at_the_cost_of_an_earlier_number(
    redis_client: redis.Redis, clock: Clock
) -> None:
    """One slot at a time: there the order of going in is the order of the numbers, exactly."""
    dice, stage = random.Random(4), Stage(clock)
    fleet = hire(redis_client, clock, capacity=1)
    (insider,) = visitors(fleet, dice, 1, session_seconds=30)
    crowd = visitors(fleet, dice, 40, session_seconds=5)
    for nth, visitor in enumerate([insider, *crowd]):
        visitor.name = f"{nth}"
        stage.enter(visitor.visit(), after=nth / 1000)
    stage.run(3000, until=lambda: all(visitor.left_at for visitor in crowd))
    order = sorted(crowd, key=lambda visitor: visitor.admitted_at or 0)
    assert [visitor.number for visitor in order] == sorted(visitor.number for visitor in crowd)


def test_an_abandoned_line_is_crossed_within_a_minute(redis_client: redis.Redis, clock: Clock) -> None:
    """50 slots, and 5,000 tickets of people who left stand ahead of 50 visitors who are there."""
    dice, stage = random.Random(5), Stage(clock)
    fleet = hire(redis_client, clock, capacity=50)
    insiders = [worker.join(f"inside-{nth}") for nth in range(50) for worker in fleet[:1]]
    for _ in range(5000):
        assert fleet[0].join().verdict == "TICKET"
    crowd = visitors(fleet, dice, 50)
    start = clock.seconds
    for visitor in crowd:
        stage.enter(visitor.visit())
    for nth, reply in enumerate(insiders):
        fleet[0].release(f"inside-{nth}", reply.value)
    stage.run(600, until=lambda: any(visitor.admitted_at for visitor in crowd))
    first = min(visitor.admitted_at for visitor in crowd if visitor.admitted_at) - start
    stage.run(600, until=lambda: all(visitor.admitted_at for visitor in crowd))
    last = max(visitor.admitted_at or 1e9 for visitor in crowd) - start
    print(f"first admitted after {first:.0f} s, all 50 after {last:.0f} s")
    assert first < 60
    assert last < first + 30
