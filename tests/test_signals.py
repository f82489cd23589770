"""What is told of an event, when, and how often: real Redis, virtual time."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
import redis
import virtual
from virtual import EVENT, Clock, Hire, Worker

from admitgate import counter
from admitgate.memory import EventMemory
from admitgate.signals import KINDS, Occurrence, Signals, fields_of, listener_of

clock, hire = virtual.clock, virtual.hire


class Ears:
    """A listener, and the signals of one worker."""

    def __init__(self, worker: Worker, **options: Any) -> None:
        self.heard: list[Occurrence] = []
        self.signals = Signals(self.heard.append, **options)
        worker.memories.clear()
        worker.memories.watch = self.signals.see

    @property
    def kinds(self) -> list[str]:
        return [occurrence.kind for occurrence in self.heard]


def fill(worker: Worker) -> int:
    """The one slot is taken; the deadline."""
    reply = worker.join("inside-0")
    assert reply.verdict == "ADMIT"
    return reply.value


def line_up(worker: Worker) -> None:
    """The slot is taken, and two more come: the first of them is called at once, the second waits."""
    fill(worker)
    for nth in range(2):
        assert worker.join(f"visitor-{nth}").verdict == "TICKET"


def test_the_first_who_waits_starts_the_queueing(hire: Hire) -> None:
    """Once, however many follow; with the figures of that moment."""
    worker = hire()
    ears = Ears(worker)
    fill(worker)
    assert ears.heard == []
    for nth in range(5):
        worker.join(f"visitor-{nth}")
    assert ears.kinds == ["queueing_started"]
    assert ears.heard[0].event == EVENT
    assert ears.heard[0].at_ms == worker.clock.redis_ms
    assert ears.heard[0].details == {"waiting": 1, "in_use": 1, "capacity": 1}


def test_a_line_is_over_once_nobody_has_waited_for_a_while(hire: Hire, clock: Clock) -> None:
    """Who has just been called is not counted, and comes in a moment: so it isn't told at once."""
    worker = hire()
    ears = Ears(worker)
    line_up(worker)
    worker.release("inside-0")
    for sid in ("visitor-0", "visitor-1"):
        worker.release(sid)
    clock.advance(virtual.grace + 1)
    assert worker.look().snapshot.waiting == 0
    assert ears.kinds == ["queueing_started"]
    clock.advance(10)
    worker.look()
    assert ears.kinds == ["queueing_started", "queueing_stopped"]
    assert ears.heard[1].details["waiting"] == 0


def test_a_line_that_comes_and_goes_is_one_line(hire: Hire, clock: Clock) -> None:
    """An event just at its capacity has a line of one or two every few seconds; nobody wants to hear each."""
    worker = hire(lease_seconds=3600)
    ears = Ears(worker)
    fill(worker)
    for nth in range(20):
        sid = f"visitor-{nth}"
        worker.check_in(sid, worker.join(sid).value)
        worker.release(sid)
        clock.advance(virtual.grace + 1)
        assert worker.look().snapshot.waiting == 0
    assert ears.kinds == ["queueing_started"]


def test_every_worker_tells_what_it_sees(hire: Hire) -> None:
    """Workers know nothing of each other: each tells, once."""
    one, other = hire(), hire()
    ears = [Ears(one), Ears(other)]
    line_up(one)
    other.look()
    other.look()
    assert [each.kinds for each in ears] == [["queueing_started"]] * 2


def test_what_was_so_before_a_worker_came_is_told_where_it_is_not_as_usual(
    hire: Hire, redis_client: redis.Redis
) -> None:
    """A new worker tells of a line that it finds, and of no settings: they are as they are."""
    one, late = hire(), hire()
    line_up(one)
    redis_client.hset(one.keys["settings"], "message", "Sold out")
    ears = Ears(late)
    late.look()
    assert ears.kinds == ["queueing_started"]


@pytest.mark.parametrize(
    ("field", "value", "name", "after"),
    [
        pytest.param("capacity", 5, "capacity", 5, id="the capacity"),
        pytest.param("state", "paused", "state", "paused", id="a pause"),
        pytest.param("state", "closed", "state", "closed", id="the end"),
        pytest.param("message", "Sold out", "message", "Sold out", id="what is said to those who wait"),
    ],
)
def test_what_an_operator_changes_is_told(
    hire: Hire, redis_client: redis.Redis, field: str, value: Any, name: str, after: Any
) -> None:
    """By its name, with what it was; once, at the next answer."""
    worker = hire()
    ears = Ears(worker)
    fill(worker)
    redis_client.hset(worker.keys["settings"], field, value)
    worker.look()
    worker.look()
    (told,) = ears.heard
    assert (told.kind, list(told.details)) == ("settings_changed", [name])
    assert told.details[name][1] == after


def test_a_capacity_that_moves_by_itself_is_no_setting(hire: Hire, redis_client: redis.Redis) -> None:
    """A ramp moves it every few seconds: that is for the metrics, and not for the log."""
    worker = hire()
    ears = Ears(worker, moves_by_itself=lambda event: True)
    fill(worker)
    redis_client.hset(worker.keys["settings"], mapping={"capacity": 5, "message": "soon"})
    worker.look()
    assert [told.details for told in ears.heard] == [{"message": ("", "soon")}]


def test_a_hold_begins_and_ends(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """State was lost: nobody goes in for a while, and somebody should know."""
    worker = hire()
    ears = Ears(worker)
    line_up(worker)
    redis_client.delete(worker.keys["leases"])
    worker.look()
    assert ears.kinds == ["queueing_started", "hold_began"]
    assert ears.heard[1].details == {"seconds": virtual.lease}
    clock.advance(virtual.lease + 1)
    worker.look()
    assert ears.kinds[2:] == ["hold_ended"]


def test_a_renewal_tells_nothing_and_asks_nobody(hire: Hire) -> None:
    """Its answer says nothing of the line, so there is nothing to compare."""
    worker = hire()
    ears = Ears(worker)
    deadline = fill(worker)
    told = worker.memory.told
    worker.renew("inside-0", deadline)
    assert worker.memory.told is told
    assert ears.heard == []


def test_threads_that_see_it_together_tell_it_once(hire: Hire) -> None:
    """Many threads hold the same answer in their hands."""
    worker = hire()
    ears = Ears(worker)
    line_up(worker)
    snapshot = worker.look().snapshot
    memory = EventMemory()
    ears.heard.clear()
    threads = [threading.Thread(target=ears.signals.see, args=(EVENT, memory, snapshot)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ears.kinds == ["queueing_started"]


def test_a_listener_that_raises_costs_nobody_their_answer(
    hire: Hire, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next one is told all the same."""
    worker = hire()
    ears = Ears(worker)

    def broken(occurrence: Occurrence) -> None:
        raise ZeroDivisionError("the pager is down")

    ears.signals._listeners.insert(0, broken)
    line_up(worker)
    assert ears.kinds == ["queueing_started"]
    assert "a listener failed, told of queueing_started" in caplog.text
    assert "the pager is down" in caplog.text


def test_log_lines_have_fields(hire: Hire, caplog: pytest.LogCaptureFixture) -> None:
    """What a log collector counts and filters by."""
    caplog.set_level(logging.INFO, "admitgate")
    worker = hire()
    Ears(worker)
    line_up(worker)
    (record,) = caplog.records
    assert record.getMessage() == "event 'gala': a line has formed (waiting: 1, in_use: 1, capacity: 1)"
    assert (record.admitgate_kind, record.admitgate_event) == ("queueing_started", EVENT)  # type: ignore[attr-defined]
    assert record.admitgate_details == {"waiting": 1, "in_use": 1, "capacity": 1}  # type: ignore[attr-defined]


def test_a_log_line_cannot_be_broken_by_a_message(
    hire: Hire, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Names and messages come from outside: one line stays one line."""
    caplog.set_level(logging.INFO, "admitgate")
    worker = hire()
    Ears(worker)
    fill(worker)
    redis_client.hset(worker.keys["settings"], "message", "soon\nERROR all is lost")
    worker.look()
    assert "\n" not in caplog.records[-1].getMessage()


def test_every_kind_can_be_told(caplog: pytest.LogCaptureFixture) -> None:
    """An outage is a worker's and no event's, and the breaker logs it; all others have a sentence here."""
    caplog.set_level(logging.INFO, "admitgate")
    heard: list[Occurrence] = []
    signals = Signals(heard.append)
    signals.away()
    signals.back()
    for kind in KINDS:
        if not kind.startswith("outage"):
            signals.tell(Occurrence(kind, EVENT))
    assert sorted(told.kind for told in heard) == sorted(KINDS)
    assert len(caplog.records) == len(KINDS) - 2
    assert all(fields_of(told)["admitgate_kind"] == told.kind for told in heard)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        pytest.param(5, "on_event is 5", id="a number"),
        pytest.param("nowhere.at.all", "can't be imported", id="a place that isn't there"),
        pytest.param("tell", "can't be imported", id="a name alone"),
        pytest.param("admitgate.signals.KINDS", "give a callable", id="a place of something else"),
    ],
)
def test_what_is_no_listener_is_refused(given: Any, fault: str) -> None:
    """At start, with a sentence."""
    with pytest.raises(ValueError, match=fault):
        listener_of(given)


@pytest.mark.parametrize("place", ["logging.getLogger", "logging:getLogger"])
def test_a_listener_may_be_named(place: str) -> None:
    """Django's settings are read before its apps can be imported from."""
    assert listener_of(place) is logging.getLogger


def test_a_look_of_a_worker_without_signals_tells_nobody(hire: Hire) -> None:
    """The publisher, the simulation: they have nobody to tell."""
    worker = hire()
    fill(worker)
    assert worker.memory.watch is None
    assert worker.call(counter.look(worker.rule, EVENT)).snapshot is not None
