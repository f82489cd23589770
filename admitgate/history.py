"""What happened at an event, minute by minute, as the scripts wrote it down.

The scripts keep *running totals* in the line, and once a minute leave a copy of them in the event's
``history``; a minute's own figures are the difference of two. So no figure is lost with a minute that nobody
wrote, and reading needs no lock. Pure functions over what Redis gave: nothing here asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .wire import as_text

MOST = 1440
"""How many entries Redis keeps: a day of minutes in which anything happened."""

WAIT_BOUNDS = (0.0, *(5.0 * (1 << power) for power in range(12)))
"""The longest wait of each count in ``waits``, in seconds; the last count, beyond these, has no end."""

_nobody = (0,) * (len(WAIT_BOUNDS) + 1)


class Totals(NamedTuple):
    """How many since the line was born; ``waits`` are the admitted by how long they had waited."""

    joined: int = 0
    admitted: int = 0
    released: int = 0
    expired: int = 0
    absent: int = 0
    waits: tuple[int, ...] = _nobody

    def since(self, before: Totals) -> Totals:
        """What was added. Where a total fell the line was born anew, and its totals began at 0."""
        grown = self._join(before, -1)
        return self if min(*grown[:5], *grown.waits) < 0 else grown

    def plus(self, other: Totals) -> Totals:
        """Both together: of two lines, two events, or two minutes."""
        return self._join(other, 1)

    def _join(self, other: Totals, sign: int) -> Totals:
        return Totals(
            self.joined + sign * other.joined,
            self.admitted + sign * other.admitted,
            self.released + sign * other.released,
            self.expired + sign * other.expired,
            self.absent + sign * other.absent,
            tuple(mine + sign * theirs for mine, theirs in zip(self.waits, other.waits, strict=True)),
        )


class Minute(NamedTuple):
    """One minute of an event: what happened in it, and how things stood at its end.

    ``minute`` counts from the epoch, in the event's time. ``p50`` and ``p95`` are seconds that the admitted
    of this minute had waited, as near as the counts of ``waits`` tell; None where nobody was admitted.
    """

    minute: int
    joined: int
    admitted: int
    released: int
    expired: int
    absent: int
    in_use: int
    waiting: int
    capacity: int
    waits: tuple[int, ...]
    p50: float | None
    p95: float | None

    @property
    def happened(self) -> Totals:
        """What was counted in this minute."""
        return Totals(self.joined, self.admitted, self.released, self.expired, self.absent, self.waits)


class _Entry(NamedTuple):
    minute: int
    totals: Totals
    in_use: int
    waiting: int
    capacity: int


def totals_of(fields: Mapping[Any, Any]) -> Totals:
    """The totals up to now, of the line's hash (or of the part of it that has them)."""
    known = {as_text(name): as_text(value) for name, value in fields.items() if value is not None}
    joined, admitted, released, expired, absent = (
        _number(known.get(name, "")) for name in Totals._fields[:5]
    )
    return Totals(joined, admitted, released, expired, absent, _waits(known.get("waits", ""), admitted))


def minutes_of(entries: Iterable[Any], most: int = MOST - 1) -> list[Minute]:
    """The minutes in which anything happened, oldest first, of the newest ``most`` + 1 entries or fewer.

    An entry beyond ``most`` is only what the next one is compared with. What isn't an entry is left out.
    """
    read = [entry for entry in map(_entry, entries) if entry is not None][-(most + 1) :]
    before = read[0].totals if len(read) > most else Totals()
    found: dict[int, Minute] = {}
    for entry in read[1:] if len(read) > most else read:
        happened = entry.totals.since(before)
        if entry.minute in found:  # of a line that was born anew within the minute
            happened = happened.plus(found[entry.minute].happened)
        found[entry.minute] = _minute(entry.minute, happened, *entry[2:])
        before = entry.totals
    return [found[minute] for minute in sorted(found)]


def filled(minutes: Sequence[Minute], until: int, count: int) -> list[Minute]:
    """``count`` minutes without a gap, the last being ``until``: in those left out nothing happened.

    Levels stay what they were; before the first minute that is known nobody was there.
    """
    known = {minute.minute: minute for minute in minutes}
    first = until - count + 1
    earlier = [minute for minute in minutes if minute.minute < first]
    last = earlier[-1] if earlier else _minute(first, Totals(), 0, 0, _first_capacity(minutes))
    found = []
    for number in range(first, until + 1):
        last = known.get(number) or _minute(number, Totals(), last.in_use, last.waiting, last.capacity)
        found.append(last)
    return found


def wait_seconds(waits: Sequence[int], share: float) -> float | None:
    """The wait that ``share`` of those counted didn't exceed; None if nobody was.

    Within a count its people are taken to be spread evenly; beyond the last bound it is that bound.
    """
    left: float = share * sum(waits)
    if left <= 0:
        return None
    low = 0.0
    for count, bound in zip(waits, WAIT_BOUNDS, strict=False):
        if count and left <= count:
            return low + (bound - low) * left / count
        left, low = left - count, bound
    return low


def _minute(minute: int, happened: Totals, in_use: int, waiting: int, capacity: int) -> Minute:
    p50, p95 = wait_seconds(happened.waits, 0.5), wait_seconds(happened.waits, 0.95)
    return Minute(minute, *happened[:5], in_use, waiting, capacity, happened.waits, p50, p95)


def _first_capacity(minutes: Sequence[Minute]) -> int:
    return minutes[0].capacity if minutes else 0


def _entry(raw: Any) -> _Entry | None:
    words = as_text(raw).split(" ")
    try:
        minute, *totals, in_use, waiting, capacity = map(int, words[:9])
        joined, admitted, released, expired, absent = totals
    except ValueError:
        return None
    waits = _waits(words[9] if len(words) > 9 else "", admitted)
    return _Entry(
        minute, Totals(joined, admitted, released, expired, absent, waits), in_use, waiting, capacity
    )


def _waits(text: str, admitted: int) -> tuple[int, ...]:
    """The counts; the scripts leave the first one out, as those admitted at once are the rest of all."""
    counts = [_number(word) for word in text.split(",") if word][: len(_nobody)]
    at_once, *waited = (*counts, *_nobody[len(counts) :])
    return (max(at_once, admitted - sum(waited)), *waited)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0
