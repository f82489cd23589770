"""A newcomer at the end of a line that the worker has just seen: a brief answer, where it can be the same."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
import redis
import virtual
from virtual import Clock, Hire, at, grace

from admitgate.tokens import seeds_of

clock, hire = virtual.clock, virtual.hire


def test_where_people_wait_a_brief_answer_is_the_next_number(hire: Hire, redis_client: redis.Redis) -> None:
    """Nothing else is told, and everything counts as ever."""
    worker = hire(capacity=0)
    first = [worker.join().value for _ in range(2)][-1]  # the line's first number is called at once
    reply = worker.join(is_brief=True)
    assert (reply.verdict, reply.value, reply.snapshot) == ("TICKET", first + 1, None)
    assert worker.memory.marks.issued == first + 1
    assert worker.join().value == first + 2
    assert redis_client.hget(worker.keys["line"], "joined") == b"4"


def test_where_nobody_waits_any_more_the_answer_is_a_whole_one(hire: Hire) -> None:
    """There may be a slot."""
    worker = hire(capacity=1)
    assert worker.join(is_brief=True).verdict == "ADMIT"
    reply = worker.join(is_brief=True)
    assert (reply.verdict, reply.snapshot is None) == ("TICKET", False)


def test_a_call_that_is_repeated_finds_its_lease(hire: Hire) -> None:
    """Its answer was lost, and a line has formed meanwhile."""
    worker = hire(capacity=1)
    worker.join("visitor")
    for _ in range(2):
        worker.join()
    assert worker.join("visitor", is_brief=True).verdict == "INSIDE"


@pytest.mark.parametrize(
    ("setting", "value", "verdict"),
    [
        ("state", "closed", "CLOSED"),
        ("state", "draining", "FULL"),
        ("max_waiting", "1", "FULL"),
        ("closes_at", "1", "CLOSED"),
        ("waiting_from", "4000000000000", "EARLY"),
    ],
)
def test_what_an_operator_set_is_obeyed(
    setting: str, value: str, verdict: str, hire: Hire, redis_client: redis.Redis
) -> None:
    """However brief the answer was to be."""
    worker = hire(capacity=0)
    worker.join()
    worker.join()
    redis_client.hset(worker.keys["settings"], setting, value)
    assert worker.join(is_brief=True).verdict == verdict


@pytest.mark.parametrize(
    ("options", "verdict"),
    [({"max_waiting": 2}, "FULL"), ({"closes_at": datetime.fromtimestamp(1, timezone.utc)}, "CLOSED")],
    ids=["a line that is full", "a time that is over"],
)
def test_what_the_rule_says_is_obeyed(options: dict[str, Any], verdict: str, hire: Hire) -> None:
    """And what a schedule does."""
    for _ in range(3):
        hire(capacity=0).join()
    assert hire(capacity=0, **options).join(is_brief=True).verdict == verdict


@pytest.mark.parametrize("shuffle", [False, True])
def test_before_the_opening_answers_are_brief(shuffle: bool, hire: Hire, clock: Clock) -> None:
    """It is then that most people come."""
    worker = hire(capacity=9, opens_at=at(clock, 60), closes_at=at(clock, 120), shuffle=shuffle)
    worker.counter._seed = seeds_of(["a key"])
    number = worker.join().value
    reply = worker.join(is_brief=True)
    assert (reply.verdict, reply.value, reply.snapshot) == ("TICKET", number + 1, None)


def test_while_an_operator_lets_nobody_in_answers_are_brief(hire: Hire, redis_client: redis.Redis) -> None:
    """A number is a number."""
    worker = hire(capacity=0)
    redis_client.hset(worker.keys["settings"], "state", "paused")
    worker.join()
    assert worker.join(is_brief=True).snapshot is None


def test_lots_are_drawn_before_anybody_comes_after_the_opening(hire: Hire, clock: Clock) -> None:
    """However brief the answer was to be: who is a moment late takes no part."""
    worker = hire(capacity=9, opens_at=at(clock, 60), shuffle=True)
    worker.counter._seed = seeds_of(["a key"])
    for _ in range(3):
        worker.join()
    clock.advance(60)
    reply = worker.join(is_brief=True)
    assert reply.snapshot
    assert reply.snapshot.draw
    assert (reply.snapshot.draw.people, reply.value) == (3, reply.snapshot.draw.last + 1)


def test_after_a_silence_the_answer_is_a_whole_one(hire: Hire, clock: Clock) -> None:
    """The called start their grace again; whoever asks next won't see that there was a silence."""
    worker = hire(capacity=0)
    for _ in range(3):
        worker.join()
    worker.memory.doubt(clock.monotonic())
    clock.advance(grace)
    worker.memory.doubt(clock.monotonic())
    assert worker.join(is_brief=True).snapshot is not None


def test_after_a_loss_the_answer_is_a_whole_one(hire: Hire, redis_client: redis.Redis) -> None:
    """There is a hold, of which everybody should hear."""
    worker = hire(capacity=0)
    for _ in range(3):
        worker.join()
    redis_client.delete(worker.keys["leases"])
    reply = worker.join(is_brief=True)
    assert reply.snapshot
    assert reply.snapshot.hold_left_ms > 0
