"""First come, first served among those who are present, and a crowd that never returns. Virtual time."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import redis
import virtual
from virtual import Clock, Pauses, Stage, Visitor, Worker

from admitgate.rules import Rule

grace = 6.0
# How much later than a later number somebody may go in: the slots are theirs by rank, and they learn of it at
# their next poll, which is due within the grace.
stated_grace = grace


clock = virtual.clock


def hire(client: redis.Redis, clock: Clock, capacity: int, count: int = 3) -> list[Worker]:
    rule = Rule("/events/<event>/checkout", capacity=capacity, lease_seconds=120, grace_seconds=grace)
    return [Worker(client, clock, rule) for _ in range(count)]


def visitors(fleet: list[Worker], dice: random.Random, count: int, **options: Any) -> list[Visitor]:
    return [Visitor(f"visitor-{nth}", fleet, dice, **options) for nth in range(count)]


def overtaken(present: list[Visitor]) -> list[tuple[int, int, float]]:
    """Who was there before and went in after a later number: (number, later number, seconds)."""
    found: list[tuple[int, int, float]] = []
    for first, later in itertools.combinations(sorted(present, key=lambda visitor: visitor.number), 2):
        assert first.admitted_at
        assert later.admitted_at
        late = first.admitted_at - later.admitted_at
        if late > 0 and first.present_at is not None and first.present_at <= later.admitted_at:
            found.append((first.number, later.number, late))
    return found


def left_without_a_word(visitor: Visitor) -> Pauses:
    """Takes a number and is never heard of again."""
    yield from itertools.islice(visitor.visit(), 1)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("gone", ["here and there", "all in front"])
def test_among_those_who_keep_polling_nobody_goes_in_before_an_earlier_number(
    redis_client: redis.Redis, clock: Clock, gone: str, seed: int
) -> None:
    """300 with numbers, a third leave without a word; the others go in, 20 at a time, in order."""
    dice, stage = random.Random(seed), Stage(clock)
    fleet = hire(redis_client, clock, capacity=20)
    crowd = visitors(fleet, dice, 320, session_seconds=20)
    absent = set(dice.sample(range(20, 320), 100) if gone == "here and there" else range(20, 120))
    for nth, visitor in enumerate(crowd):
        visit = left_without_a_word(visitor) if nth in absent else visitor.visit()
        stage.enter(visit, after=nth / 1000)
    patient = [visitor for nth, visitor in enumerate(crowd) if nth >= 20 and nth not in absent]
    stage.run(1200, until=lambda: all(visitor.left_at for visitor in patient))
    assert all(visitor.admitted_at for visitor in patient)
    late = [case[2] for case in overtaken(patient)]
    print(
        f"a third gone {gone}: {len(late)} times in after a later number, by {max(late, default=0):.1f} s "
        f"at most; the last after {clock.seconds:.0f} s"
    )
    assert max(late, default=0) <= stated_grace


def test_nobody_is_admitted_at_the_cost_of_an_earlier_number(redis_client: redis.Redis, clock: Clock) -> None:
    """One slot at a time: there the order of going in is the order of the numbers, exactly."""
    dice, stage = random.Random(4), Stage(clock)
    fleet = hire(redis_client, clock, capacity=1)
    insider, *crowd = visitors(fleet, dice, 41, session_seconds=5)
    for nth, visitor in enumerate([insider, *crowd]):
        stage.enter(visitor.visit(), after=nth / 1000)
    stage.run(3000, until=lambda: all(visitor.left_at for visitor in crowd))
    order = sorted(crowd, key=lambda visitor: visitor.admitted_at or 0)
    assert [visitor.number for visitor in order] == sorted(visitor.number for visitor in crowd)


@pytest.mark.parametrize(
    ("is_patient", "most"),
    [
        pytest.param(True, 60, id="asking every two seconds"),
        pytest.param(False, 90, id="asking as the page does"),
    ],
)
def test_an_abandoned_line_is_crossed_within_a_minute(
    redis_client: redis.Redis, clock: Clock, is_patient: bool, most: float
) -> None:
    """50 slots, and 5,000 tickets of people who left stand ahead of 50 visitors who are there."""
    dice, stage = random.Random(5), Stage(clock)
    fleet = hire(redis_client, clock, capacity=50)
    insiders = [fleet[0].join(f"inside-{nth}") for nth in range(50)]
    assert {fleet[0].join().verdict for _ in range(5000)} == {"TICKET"}
    crowd = visitors(fleet, dice, 50, is_patient=is_patient)
    for visitor in crowd:
        stage.enter(visitor.visit())
    for nth, reply in enumerate(insiders):
        fleet[0].release(f"inside-{nth}", reply.value)
    stage.run(600, until=lambda: all(visitor.admitted_at for visitor in crowd))
    first, *_, last = sorted(visitor.admitted_at or 600 for visitor in crowd)
    print(f"first admitted after {first:.0f} s, all 50 after {last:.0f} s")
    assert first < most
    assert last < first + 15
