"""What one worker remembers of each event: marks, Redis' time, the latest snapshot.

Workers are free replicas. The marks go along with every call, so that a Redis that has lost its last second
(or everything) is noticed and put right by the first worker that asks. Everything here is bounded, per
process, safe to lose, and shared by the process's threads: each update is one assignment or a maximum, and
a race costs a call too many, never a wrong answer.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

from .draw import Draw, drawn_number
from .tokens import Lease

_events_most = 4096
_released_most = 10_000
_half_a_key_expiry = 12 * 3600.0
_snapshot_seconds = 1.0
_look_seconds = 1.0
_told_seconds = 10.0

# Counts the time a suspended machine slept, where the system has such a clock.
_clock_id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Seconds on a clock that never steps."""
    return time.clock_gettime(_clock_id)


class Snapshot(NamedTuple):
    """An event as a verb's reply described it."""

    serving: int
    issued: int
    present: int
    in_use: int
    capacity: int
    waiting: int
    admitted_per_minute: float
    gap_from: int
    gap_to: int
    hold_left_ms: int
    step: int
    poll_ms: int
    message: str
    at_ms: int
    shut: str = ""  # "paused", "closed", "opens", "early": why nobody goes in; early: nobody gets a number
    opens_at: int = 0  # for "early": the time from which numbers are given
    draw_text: str = ""  # as prelude.lua has it
    clock_ms: int = 0  # what the clocks on the wall say; ``at_ms`` is behind by what outages took

    def brought_up_to(self, heard: Marks) -> Snapshot:
        """With the numbers of a later answer that told no more than these. A loss may lie between the two."""
        _, issued, serving, gap_from, gap_to = heard
        waiting = called_later(issued, serving, gap_from, gap_to) + self.present
        return self._replace(
            serving=serving, issued=issued, gap_from=gap_from, gap_to=gap_to, waiting=waiting
        )

    @property
    def seed(self) -> str:
        """The seed of the draw; nobody outside may know it before the opening. Empty without a shuffle."""
        return self.draw_text.rpartition(":")[2]

    @property
    def draw(self) -> Draw | None:
        """Who took part in the draw, once it is done."""
        return _draw_of(self.draw_text)

    def drawn(self, number: int) -> int:
        """The number that counts in ``number``'s stead; 0 before a draw, or without one."""
        return drawn_number(self.draw, self.seed, number) if self.draw else 0


@lru_cache(1024)
def _draw_of(text: str) -> Draw | None:
    """``opens at:first:last:hole from:hole to:seed``; first is 0 until the opening."""
    _, first, *rest = text.split(":")[:5] if text else ("", "0")
    return Draw(int(first), *map(int, rest)) if first != "0" else None


def called_later(issued: int, serving: int, gap_from: int, gap_to: int) -> int:
    """How many have a number and haven't been called: nobody has those in the gap that a loss left."""
    gap_ahead = gap_to - max(serving, gap_from) if gap_to > serving else 0
    return max(0, issued - serving - gap_ahead)


@dataclass(slots=True)
class Tally:
    """Counts what a log should hear of every few seconds, and not for each request."""

    count: int = 0
    told_at: float = 0.0

    def one_more(self) -> int:
        """How many there are since the log heard of them, if it is time that it does; else 0."""
        self.count += 1
        now = monotonic()
        if now - self.told_at <= _told_seconds:
            return 0
        count, self.count, self.told_at = self.count, 0, now
        return count


class Marks(NamedTuple):
    """What a script takes the maximum with; all 0 for an event nothing certain is known of."""

    last_ms: int
    issued: int
    serving: int
    gap_from: int
    gap_to: int


_no_marks = Marks(0, 0, 0, 0, 0)


@dataclass(slots=True)
class EventMemory:
    """One event, as this worker knows it."""

    marks: Marks = _no_marks
    is_firm: bool = False  # a 404's visit must not look like a loss later
    is_doubtful: bool = True  # visitors may have been unable to show presence through us
    away_since: float = 0.0  # when Redis was first asked for it in vain
    away_until: float = 0.0  # and when for the last time
    snapshot: Snapshot | None = None
    snapshot_at: float = 0.0
    copies: Tally = field(default_factory=Tally)  # tokens shown that newer ones have replaced
    would_wait: Tally = field(default_factory=Tally)
    watch: Callable[[EventMemory, Snapshot], None] | None = None
    told: Any = None  # what ``watch`` last told of the event
    _heard_ms: int = 0
    _heard_at: float = 0.0
    _looked_at: float = 0.0
    _released: set[str] = field(default_factory=set)

    def now_ms(self) -> int:
        """Redis' time now, as far as this worker can tell; 0 if it never asked, or not for half a day.

        Counted from the moment the call was *sent*: so it errs towards late, and a token is refused a
        little early rather than accepted after its slot went to somebody else.
        """
        if not self._heard_ms:
            return 0
        elapsed = monotonic() - self._heard_at
        if elapsed > _half_a_key_expiry:
            self._start_over()
            return 0
        return self._heard_ms + int(elapsed * 1000)

    def trusts(self, lease: Lease) -> bool:
        """True while the lease can be trusted unasked. A worker that never asked doesn't know the time."""
        return 0 < self.now_ms() < lease.renew_at_ms and lease.sid not in self._released

    def hear(self, heard: Marks, sent_at: float) -> None:
        """Take in the head of a reply to a call that was sent at ``sent_at``."""
        if heard.last_ms >= self._heard_ms:
            self._heard_ms, self._heard_at = heard.last_ms, sent_at
            self.marks = heard._replace(issued=max(self.marks.issued, heard.issued))
        self.is_doubtful, self.away_since, self.away_until = False, 0.0, 0.0

    def doubt(self, since: float) -> None:
        """Redis couldn't be asked, by a call that was sent at ``since``."""
        self.is_doubtful = True
        self.away_since = min(since, self.away_since or since)
        self.away_until = monotonic()

    def away_ms(self) -> int:
        """For how long Redis couldn't be asked; 0 if this worker is new, -1 if it could.

        Until it was last asked in vain: a quiet time after an outage is none.
        """
        return int((self.away_until - self.away_since) * 1000) if self.is_doubtful else -1

    def see(self, snapshot: Snapshot, at: float) -> None:
        """Keep ``snapshot`` unless a later call has already brought another."""
        if at >= self.snapshot_at:
            self.snapshot, self.snapshot_at = snapshot, at
            if self.watch is not None:
                self.watch(self, snapshot)

    def see_the_end(self, heard: Marks) -> None:
        """Bring the snapshot up to an answer that told no more than the numbers. It gets no younger."""
        snapshot = self.snapshot
        if snapshot is not None and heard.last_ms >= snapshot.at_ms:
            self.snapshot = snapshot.brought_up_to(heard)

    def fresh_snapshot(self) -> Snapshot | None:
        """The snapshot, if it is at most a second old."""
        return self.snapshot if monotonic() - self.snapshot_at <= _snapshot_seconds else None

    def takes_the_look(self) -> bool:
        """True for one caller at a time: it refreshes the snapshot, the others go on with the old one."""
        now = monotonic()
        if now - self._looked_at < _look_seconds:
            return False
        self._looked_at = now
        return True

    def marks_to_send(self) -> Marks:
        """The marks, once it is certain that the event exists."""
        return self.marks if self.is_firm else _no_marks

    def draw_to_send(self) -> str:
        """The draw as scripts have it, once it is done: a Redis that lost it must not draw again."""
        snapshot = self.snapshot
        if not self.is_firm or snapshot is None or not snapshot.draw_text:
            return ""
        return snapshot.draw_text if snapshot.draw else ""

    def _start_over(self) -> None:
        """A quiet event's keys expire: what is remembered of it would look like a loss."""
        self.marks, self.is_firm, self.snapshot = _no_marks, False, None
        self._heard_ms = 0
        self._released.clear()

    def forget_lease(self, sid: str) -> None:
        """From now on this worker doesn't take the sid's lease on its signature alone."""
        if len(self._released) >= _released_most:
            self._released.clear()
            self._heard_ms = 0  # ask Redis about every lease again, which remembers the released ones
        self._released.add(sid)

    def is_released(self, sid: str) -> bool:
        """True if the lease was given back through this worker."""
        return sid in self._released


class Memories:
    """The events this worker has met lately. ``of`` never fails and never grows without bound."""

    def __init__(self) -> None:
        self._events: OrderedDict[str, EventMemory] = OrderedDict()
        self.watch: Callable[[str, EventMemory, Snapshot], None] | None = None

    def of(self, event: str) -> EventMemory:
        """The memory of ``event``; a blank one if it isn't known."""
        memory = self._events.get(event)
        if memory is None:
            watch = partial(self.watch, event) if self.watch is not None else None
            memory = self._events[event] = EventMemory(watch=watch)
            while len(self._events) > _events_most:
                self._drop_oldest()
        elif len(self._events) > _events_most // 2:
            self._keep(event)
        return memory

    def forget(self, event: str) -> None:
        """Drop what is known of an event that left no keys."""
        self._events.pop(event, None)

    def clear(self) -> None:
        """Drop everything: the next call goes to another Redis."""
        self._events.clear()

    def doubt(self) -> None:
        """Redis couldn't be asked: nobody could show presence through this worker."""
        for memory in list(self._events.values()):
            memory.doubt(monotonic())

    def _keep(self, event: str) -> None:
        """Last in, last out: a flood of invented events must not push out the one on sale."""
        with suppress(KeyError):  # another thread has just dropped it
            self._events.move_to_end(event)

    def _drop_oldest(self) -> None:
        with suppress(KeyError):  # another thread was faster
            self._events.popitem(last=False)
