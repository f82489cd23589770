"""What a fault has cost, reckoned from what the visitors were told."""

from __future__ import annotations

import time
from itertools import accumulate
from statistics import median

from fleet import Told
from servers import until
from visitors import Crowd, Fault, Stay

NOTICED_SECONDS = 0.7  # by then every thread has met the fault


def first_ms(crowd: Crowd, fault: Fault) -> float:
    """The longest that the gate took over a request while it lasted."""
    return max((told.gate_ms for told in _during(crowd, fault)), default=0.0)


def usual_ms(crowd: Crowd, fault: Fault) -> float:
    """The median of what it took once everybody had noticed."""
    since = fault.began_at + NOTICED_SECONDS
    return median([told.gate_ms for told in _during(crowd, fault) if told.asked_at > since] or [0.0])


def _during(crowd: Crowd, fault: Fault) -> list[Told]:
    return [
        told for told in list(crowd.told) if told.worker and fault.began_at < told.asked_at < fault.ended_at
    ]


def seconds_until_asked(crowd: Crowd, since: float, *, patience: float) -> float:
    """Until every worker that is there has answered a passer-by out of Redis."""

    def is_asked() -> float | None:
        answers = [told for told in list(crowd.passing) if told.asked_at > since and told.worker]
        well: dict[int, float] = {}
        for told in answers:
            if told.state in ("waiting", "ready", "hold"):
                well.setdefault(told.worker, told.came_at)
        alive = {told.worker for told in answers if told.asked_at > time.monotonic() - 1}
        are_all = len(alive) >= crowd.fleet.workers and alive <= well.keys()
        return max(well[worker] for worker in alive) if are_all else None

    at: float = until(is_asked, seconds=patience, what="every worker asks Redis again")
    return at - since


def seconds_until_admitting(crowd: Crowd, since: float, *, patience: float) -> float:
    """Until the first of the line went in."""

    def went_in() -> float | None:
        times = [stay.in_at for stay in list(crowd.stays) if stay.number and stay.in_at]
        return min((at for at in times if at > since), default=None)

    at: float = until(went_in, seconds=patience, what="the line moves again")
    return at - since


def _changes(stays: list[Stay]) -> list[tuple[float, int]]:
    went_in = [(stay.in_at, 1) for stay in stays if stay.in_at]
    went_out = [(stay.out_at, -1) for stay in stays if stay.in_at and stay.out_at]
    return sorted(went_in + went_out)


def most_inside(crowd: Crowd) -> int:
    """The most visitors who were in at the same time."""
    return max(accumulate(change for _, change in _changes(list(crowd.stays))), default=0)


def admitted_beyond(crowd: Crowd, *, apart_from: tuple[float, float]) -> list[float]:
    """When somebody was let in although as many as there are slots were in already."""
    changes = _changes(list(crowd.stays))
    counts = accumulate(change for _, change in changes)
    first, last = apart_from
    return [
        at
        for (at, change), count in zip(changes, counts, strict=True)
        if change > 0 and count > crowd.fleet.capacity and not first <= at <= last
    ]


def lost(crowd: Crowd) -> list[str]:
    """What was taken from somebody who had been told that it was theirs."""
    return [words for stay in list(crowd.stays) for words in stay.lost]


def shut_out(crowd: Crowd) -> int:
    """How many who were in met an outage's page."""
    return sum(stay.shut_out > 0 for stay in list(crowd.stays))


def overtaken(crowd: Crowd, grace_seconds: float) -> list[tuple[int, int]]:
    """Who went in, and who stood in line before them all the time and didn't go in for long after."""
    numbered = [stay for stay in list(crowd.stays) if stay.number]
    now = time.monotonic()
    return [
        (stay.number or 0, other.number or 0)
        for stay in numbered
        for other in numbered
        if stay.in_at
        and (other.number or 0) < (stay.number or 0)
        and other.numbered_at < stay.in_at - 2 * grace_seconds
        and (other.in_at or now) > stay.in_at + grace_seconds
    ]
