"""What the gate can say to a visit, and what a waiting visitor is told."""

from __future__ import annotations

from dataclasses import dataclass

STEP_MOST = 5000  # as in flow.lua: the line moves on by this many at most, at most once in a grace,
STEP_GROWTH = 4  # and by this much more than the last time
_late_seconds = 2.0  # a shared answer may be this old when it is read
_jitter = 1.2


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How often a waiting page asks: ``clamp(floor, ceiling, expected wait / divisor)``, in seconds.

    But never so seldom that somebody could be called and miss the grace. ``waiting.js`` reckons the same.
    """

    floor: float = 2.0
    ceiling: float = 30.0
    divisor: float = 10.0

    def seconds(self, expected_wait: float, *, ahead: int, step: int, grace: float) -> float:
        """The time until the next poll of somebody who is called once ``ahead`` more numbers were.

        ``step`` is the most that the next move of the line may call, ``grace`` the seconds between moves.
        """
        latest = (moves_to(ahead, step) * grace - _late_seconds) / _jitter
        return max(self.floor, min(self.ceiling, expected_wait / self.divisor, latest))


def moves_to(ahead: int, step: int) -> int:
    """How many moves of the line, each as large as it may be, call a number so far ahead (up to 200)."""
    moves = reach = 0
    while reach < ahead and step < STEP_MOST:
        reach += step
        step = max(1, min(STEP_MOST, step * STEP_GROWTH))
        moves += 1
    return min(200, moves + max(0, -(-(ahead - reach) // STEP_MOST)))


@dataclass(frozen=True, slots=True)
class Place:
    """What a visitor who is not let in is told. Facts only; the words belong to ``page.py``.

    ``state`` is one of
      ``waiting``   has a ticket above the numbers being served
      ``ready``     is invited and present; goes in when a slot comes free
      ``hold``      admissions pause while leases come back after a loss
      ``full``      the line itself is full; no number was given
      ``outage``    Redis can't be asked; nothing is known but that the page should ask again
      ``prefetch``  a speculative request, which is never given a place

    ``position`` is 1 for whoever is next, None where unknown. ``is_about`` is true while people ahead
    may have left. ``wait_seconds`` is a range (low, high), None while nothing can be said.
    """

    event: str
    state: str
    number: int | None = None
    position: int | None = None
    is_about: bool = True
    wait_seconds: tuple[int, int] | None = None
    serving: int = 0
    issued: int = 0
    message: str = ""
    poll_seconds: float = 5.0
    was_post: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: the waiting page, with the ticket's cookie where one was given out."""

    place: Place
    set_cookie: str | None = None
