"""When an event opens: the times that a rule gives, and what is wrong with them.

A time is a ``datetime`` with a zone, or ISO 8601 text with one (``"2026-05-01T10:00:00+02:00"``): half a
million people stand before a door that must not open an hour late because a server's zone is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

Moment = datetime | str

NAMES = ("waiting_from", "opens_at", "closes_at")
_a_time = "a datetime with a zone, or text such as '2026-05-01T10:00:00+02:00'"


class Schedule(NamedTuple):
    """The same times in ms since 1970; 0 for none."""

    waiting_from: int = 0
    opens_at: int = 0
    closes_at: int = 0


def in_ms(moment: Moment | None) -> int:
    """A moment in ms since 1970, 0 for None. Raises ValueError for one without a zone, or none at all."""
    if moment is None:
        return 0
    when = datetime.fromisoformat(moment.replace("Z", "+00:00")) if isinstance(moment, str) else moment
    if not isinstance(when, datetime) or when.utcoffset() is None:
        raise ValueError(f"{moment!r} has no zone")
    return int(when.timestamp() * 1000)


def schedule_faults(moments: dict[str, Moment | None], *, shuffle: object) -> Iterator[str]:
    """One sentence for each time that can't be used. ``moments`` are those of NAMES, in that order."""
    times = {}
    for name, moment in moments.items():
        try:
            times[name] = in_ms(moment)
        except (ValueError, TypeError, AttributeError, OverflowError):
            yield f"{name} is {moment!r}: give {_a_time}, or leave it out."
    if not isinstance(shuffle, bool):
        yield f"shuffle is {shuffle!r}: give True or False."
    elif shuffle and times.get("opens_at") == 0:
        yield "shuffle is True, but there is no opens_at: give the time at which the order is drawn."
    known = [(name, ms) for name, ms in times.items() if ms]
    for (earlier, first), (later, second) in pairwise(known):
        if first >= second:
            yield f"{later} is {moments[later]!r}, which is not after {earlier} ({moments[earlier]!r})."
