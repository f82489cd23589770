"""What the gate can say to a visit, and what a waiting visitor is told."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .draw import Draw, drawn_number

_step_growth = 4  # as in flow.lua: how much more than the last time a move of the line may call
_guarded_in_a_crowd = 3
_late_seconds = 2.0  # a shared answer may be this old when it is read
_jitter = 1.2
_share_of_the_far = 0.4  # of the budget; the others ask more often, for they may be called soon


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How often a waiting page asks: ``clamp(floor, ceiling, expected wait / divisor)``, in seconds.

    But never so seldom that somebody whom one of the line's next ``guarded`` moves may call could miss the
    grace. ``waiting.js`` reckons the same.
    """

    floor: float = 2.0
    ceiling: float = 30.0
    divisor: float = 10.0
    guarded: int = 6

    def for_crowd(self, waiting: int, budget_per_second: float) -> PollPolicy:
        """With a ceiling high enough, and a guard short enough, that so many people stay below the budget."""
        needed = waiting / (_share_of_the_far * budget_per_second)
        return self if needed <= self.ceiling else replace(self, ceiling=needed, guarded=_guarded_in_a_crowd)

    def seconds(self, expected_wait: float, *, ahead: int, step: int, grace: float) -> float:
        """The time until the next poll of somebody who is called once ``ahead`` more numbers were.

        ``step`` is how many the next move of the line will call, ``grace`` the seconds between moves.
        """
        moves = moves_to(ahead, step, self.guarded)
        latest = math.inf if moves is None else (moves * grace - _late_seconds) / _jitter
        return max(self.floor, min(self.ceiling, expected_wait / self.divisor, latest))


def moves_to(ahead: int, step: int, guarded: int) -> int | None:
    """Which of the next ``guarded`` moves can call a number so far ahead at the soonest, if any."""
    reach = 0
    for moves in range(1, guarded + 1):
        reach += max(1, step)
        if ahead <= reach:
            return moves
        step = max(1, step) * _step_growth
    return None


@dataclass(frozen=True, slots=True)
class Place:
    """What a visitor who is not let in is told. Facts only; the words belong to ``page.py``.

    ``state`` is one of
      ``waiting``   has a ticket above the numbers being served
      ``ready``     is invited and present; goes in when a slot comes free
      ``hold``      admissions pause while leases come back after a loss
      ``paused``    an operator lets nobody in for now
      ``opens``     nobody goes in before ``opens_at`` (ms; on the clock that says ``clock_ms`` now)
      ``early``     nobody is given a number before ``opens_at``
      ``shared``    as ``ready``, but others of the same account or address have all the places it may have
      ``closed``    nobody else goes in
      ``full``      the line itself is full; no number was given
      ``outage``    Redis can't be asked; nothing is known but that the page should ask again
      ``prefetch``  a speculative request, which is never given a place

    ``position`` is 1 for whoever is next, None where unknown. ``is_about`` is true while people ahead
    may have left. ``wait_seconds`` is a range (low, high), None while nothing can be said,
    ``waited_seconds`` how long they have been in line, None for who isn't. ``number`` is that of their
    arrival. Where the early are put into a random order there is a ``seed``, and after that a ``draw``.
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
    waited_seconds: int | None = None
    opens_at: int = 0
    clock_ms: int = 0
    seed: str = ""
    draw: Draw | None = None

    @property
    def counting(self) -> int | None:
        """The number that is served: after a draw that which was drawn."""
        if self.draw is None or self.number is None:
            return self.number
        return drawn_number(self.draw, self.seed, self.number)


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such event: 404, and nobody else is asked."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: the waiting page, with the ticket's cookie where one was given out."""

    place: Place
    set_cookie: str | None = None
