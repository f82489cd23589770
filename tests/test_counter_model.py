"""Hypothesis drives the five verbs on a real Redis, with losses and steps of the clock, beside a model.

The model knows what visitors know: which leases they hold and until when, who is there and since when, what
number they have. It never reads Redis. ``ADMITGATE_EXAMPLES=500`` tries harder.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from virtual import Clock, Worker, virtual_scripts

from admitgate.counter import Reply
from admitgate.rules import Rule

lease, claim, grace, poll = 20.0, 6.0, 6.0, 2.0
most_capacity = 4


@dataclass
class Person:
    """One visitor, as they see themselves."""

    sid: str
    number: int = 0  # 0: none, as they never had to wait
    joined_ms: int = 0
    deadline_ms: int = 0
    is_there: bool = True
    there_since: float = 0.0
    poll_at: float = 0.0
    is_done: bool = False
    is_unknown: bool = False  # the fail-over lost their admission: theirs is the stated overshoot

    @property
    def waits(self) -> bool:
        return not self.is_done and not self.deadline_ms


class Line(RuleBasedStateMachine):
    """Visitors come, ask, go in, pay, walk away and come back; Redis loses things; clocks step."""

    client: redis.Redis
    scripts: dict[str, str]
    patch: pytest.MonkeyPatch

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.clock = Clock().run_workers(self.patch)
        self.dice = random.Random(7)
        self.capacity = 2
        self.steady_from = 0.0
        self.people: list[Person] = []
        options = {"capacity": 2, "lease_seconds": lease, "claim_seconds": claim, "grace_seconds": grace}
        self.fleet = [
            Worker(self.client, self.clock, Rule("/<event>", **options), scripts=self.scripts)
            for _ in range(3)
        ]

    # What visitors do

    @rule()
    def somebody_arrives(self) -> None:
        person = Person(f"person-{len(self.people):09}", there_since=self.clock.seconds)
        reply = self.worker().join(person.sid)
        if reply.verdict == "ADMIT":
            self.let_in(person, reply)
        else:
            assert reply.verdict == "TICKET"
            self.take_ticket(person, reply)
        self.people.append(person)

    @rule(count=st.integers(3, 12), stay=st.booleans())
    def a_group_arrives(self, count: int, stay: bool) -> None:
        for _ in range(count):
            self.somebody_arrives()
            if not stay and self.people[-1].waits:
                self.people[-1].is_there = False

    @rule(nth=st.integers(0, 99))
    def somebody_walks_away(self, nth: int) -> None:
        for person in self.pick(nth, self.waiting()):
            person.is_there = False

    @rule(nth=st.integers(0, 99))
    def somebody_comes_back(self, nth: int) -> None:
        for person in self.pick(
            nth, [person for person in self.people if person.waits and not person.is_there]
        ):
            person.is_there, person.there_since = True, self.clock.seconds
            person.poll_at = self.clock.seconds

    @rule(nth=st.integers(0, 99))
    def somebody_pays(self, nth: int) -> None:
        for person in self.pick(nth, self.inside()):
            reply = self.worker().release(person.sid, person.deadline_ms)
            assert reply.verdict == "RELEASED"
            old_deadline_ms, person.deadline_ms, person.is_done = person.deadline_ms, 0, True
            assert self.worker().renew(person.sid, old_deadline_ms).verdict != "ADMIT" or person.is_unknown

    @rule(nth=st.integers(0, 99))
    def somebody_leaves_the_line(self, nth: int) -> None:
        for person in self.pick(nth, self.waiting()):
            self.worker().release(person.sid)
            person.is_done = True

    @rule()
    def everybody_inside_makes_a_request(self) -> None:
        for person in self.inside():
            reply = self.worker().renew(person.sid, person.deadline_ms)
            if reply.verdict == "ADMIT":
                assert reply.value >= person.deadline_ms
                person.deadline_ms, person.is_unknown = reply.value, False
            else:
                assert reply.verdict == "EXPIRED"
                assert person.deadline_ms <= reply.now_ms
                person.is_done = True

    @rule(seconds=st.sampled_from([1, 2, 5, 8, 20]))
    def time_passes(self, seconds: int) -> None:
        """Pages ask in order of when it is their time."""
        end = self.clock.seconds + seconds
        while (turn := min(self.waiting(), key=lambda person: person.poll_at, default=None)) is not None:
            if turn.poll_at > end:
                break
            self.clock.advance_to(turn.poll_at)
            self.ask(turn)
        self.clock.advance_to(end)

    # What operators and misfortunes do

    @rule(capacity=st.integers(0, most_capacity))
    def the_capacity_is_set(self, capacity: int) -> None:
        self.capacity = capacity
        self.client.hset(self.fleet[0].keys["settings"], "capacity", capacity)

    @rule(name=st.sampled_from(["line", "leases", "ready", "ready:seen"]))
    @precondition(lambda self: self.all_remember())
    def a_key_is_lost(self, name: str) -> None:
        self.clock.advance(0.01)
        self.client.delete(self.fleet[0].keys[name])
        self.worker().look()  # two keys lost in one moment: who was ready can't be known to have been

    @rule()
    @precondition(lambda self: self.all_remember())
    def redis_is_wiped(self) -> None:
        self.clock.advance(0.01)  # no server is lost, started and lost again within a millisecond
        kept = self.client.hgetall(self.fleet[0].keys["settings"])
        self.client.flushall()
        if kept:
            self.client.hset(self.fleet[0].keys["settings"], mapping=kept)

    @rule(seconds=st.sampled_from([0.2, 1.0, 2.0]))
    @precondition(lambda self: self.all_remember())
    def a_fail_over_loses_a_moment(self, seconds: float) -> None:
        copy = {key: self.client.dump(key) for key in self.client.scan_iter()}
        inside = {person.sid for person in self.inside()}
        released = {person.sid for person in self.people if person.is_done}
        self.time_passes(seconds)
        self.client.flushall()
        for key, value in copy.items():
            self.client.restore(key, 25 * 3600 * 1000, value)
        for person in self.inside():
            person.is_unknown = person.sid not in inside
        assert released <= {person.sid for person in self.people if person.is_done}

    @rule(seconds=st.sampled_from([1.0, 5.0, 15.0]))
    def redis_is_away(self, seconds: float) -> None:
        """Nobody can be asked, so nobody can show presence; afterwards all ask when they would have."""
        for since in (seconds, 0.0):
            for worker in self.fleet:
                worker.memories.doubt()
            self.clock.advance(since)
        for person in self.waiting():
            person.poll_at = max(person.poll_at, self.clock.seconds + self.dice.uniform(0, poll))

    @rule(seconds=st.sampled_from([-3600, -30, 30, 3600]))
    @precondition(lambda self: self.all_remember())
    def the_clock_steps(self, seconds: int) -> None:
        """Not forward twice within a minute: the second step is believed, lest a wrong hint freezes time."""
        if seconds > 0 and self.clock.seconds < self.steady_from:
            return
        if seconds > 0:
            self.steady_from = self.clock.seconds + 70
        self.clock.advance(0.01)
        self.clock.step(seconds)

    # What must be true

    def let_in(self, person: Person, reply: Reply) -> None:
        """Room for it, and for everybody earlier who is there: else somebody was overtaken."""
        inside = [other for other in self.inside(reply.now_ms) if not other.is_unknown]
        earlier = [other for other in self.waiting() if self.counts(other) and self.is_before(other, person)]
        note(f"{person.sid} goes in, number {person.number}; inside {len(inside)}, earlier {len(earlier)}")
        assert len(inside) + 1 <= self.capacity, "one too many"
        assert len(inside) + len(earlier) + 1 <= self.capacity, "somebody was overtaken"
        assert reply.value > reply.now_ms
        person.deadline_ms = reply.value

    def counts(self, person: Person) -> bool:
        """Has been there for the stated grace, at the least."""
        return self.clock.seconds - person.there_since >= grace

    def is_before(self, one: Person, other: Person) -> bool:
        return one is not other and (other.number == 0 or one.number < other.number)

    @invariant()
    def numbers_are_never_given_twice(self) -> None:
        numbers = [person.number for person in self.people if person.number]
        assert len(numbers) == len(set(numbers))

    def teardown(self) -> None:
        """Nobody is stuck, and every slot comes back."""
        if not self.people:
            return
        self.capacity = 2
        self.client.hset(self.fleet[0].keys["settings"], "capacity", 2)
        for _ in range(60 + 4 * len(self.people)):
            self.time_passes(2)
            if not self.waiting():
                break
            for nth in range(2):
                self.somebody_pays(nth)
        assert self.waiting() == []
        for _ in range(int(lease)):
            self.time_passes(2)
            self.fleet[0].look()
        assert self.fleet[0].look().snapshot.in_use == 0

    # How it is done

    def worker(self) -> Worker:
        self.clock.advance(0.0001)  # no two calls are made in the same microsecond
        return self.dice.choice(self.fleet)

    def all_remember(self) -> bool:
        return all(worker.memory.is_firm for worker in self.fleet)

    def pick(self, nth: int, people: list[Person]) -> Iterator[Person]:
        if people:
            yield people[nth % len(people)]

    def waiting(self) -> list[Person]:
        return [person for person in self.people if person.waits and person.is_there]

    def inside(self, now_ms: int = 0) -> list[Person]:
        """Whose lease is good, by the latest time that anybody has heard from Redis."""
        now_ms = now_ms or max((worker.memory.now_ms() for worker in self.fleet), default=0)
        return [person for person in self.people if not person.is_done and person.deadline_ms > now_ms]

    def take_ticket(self, person: Person, reply: Reply) -> None:
        person.number, person.joined_ms = reply.value, reply.now_ms
        person.poll_at = self.clock.seconds + poll * self.dice.uniform(0.8, 1.2)

    def ask(self, person: Person) -> None:
        """What the page does at its time."""
        pause, worker = poll, self.worker()
        line = worker.status()
        if line is not None and person.number <= line.serving:
            reply = worker.check_in(person.sid, person.number, joined_ms=person.joined_ms)
            assert reply.verdict in ("ADMIT", "READY", "WAIT")
            if reply.verdict == "ADMIT":
                self.let_in(person, reply)
            elif reply.verdict == "READY" and reply.snapshot:
                pause = reply.snapshot.poll_ms / 1000
        person.poll_at = self.clock.seconds + pause * self.dice.uniform(0.8, 1.2)


def test_the_line_keeps_its_promises_whatever_happens(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never one too many, nobody present overtaken, nobody stuck, no slot lost."""
    Line.client, Line.scripts, Line.patch = redis_client, virtual_scripts(), monkeypatch
    run_state_machine_as_test(
        Line,
        settings=settings(
            max_examples=int(os.environ.get("ADMITGATE_EXAMPLES", "60")),
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
