"""What a simulation counts, without the scripts' help: so that it can find them wrong."""

from __future__ import annotations

import heapq
from array import array
from collections import deque
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What was counted."""

    admitted: int = 0
    admitted_at_once: int = 0
    paid: int = 0
    walked_away: int = 0
    no_shows: int = 0
    gave_up: int = 0
    outlived: int = 0  # sessions that went on when their lease had run out
    refused: int = 0  # answers that no visitor of a healthy event gets
    line_most: int = 0
    numbers_wrong: int = 0
    status_polls: int = 0
    seconds_waited_for: int = 0
    use: float = 0.0
    use_by_the_gone: float = 0.0


def _figures() -> array[float]:
    return array("d")


@dataclass
class Series:
    """One figure for each second."""

    in_line: array[float] = field(default_factory=_figures)
    leases: array[float] = field(default_factory=_figures)
    abandoned: array[float] = field(default_factory=_figures)
    status_polls: array[float] = field(default_factory=_figures)
    calls: dict[str, array[float]] = field(default_factory=dict)


class Leases:
    """Who has a slot, by the deadlines that visitors were told; visitors are known by their index."""

    def __init__(self, visitors: int) -> None:
        self.count = self.most = self.abandoned = 0
        self.deadline_ms = array("q", [0]) * visitors
        self._is_held, self._is_abandoned = bytearray(visitors), bytearray(visitors)
        self._endings: list[tuple[int, int]] = []

    def hold(self, who: int, deadline_ms: int, now_ms: int) -> None:
        """A new lease, or a longer one."""
        self.expire(now_ms)
        self.count += not self._is_held[who]
        self._is_held[who], self.deadline_ms[who] = 1, deadline_ms
        heapq.heappush(self._endings, (deadline_ms, who))
        self.most = max(self.most, self.count)

    def abandon(self, who: int) -> None:
        """Its visitor has walked away; it goes on until its deadline."""
        self.abandoned += self._is_held[who]
        self._is_abandoned[who] = self._is_held[who]

    def expire(self, now_ms: int) -> None:
        """End those whose time is over."""
        while self._endings and self._endings[0][0] <= now_ms:
            deadline_ms, who = heapq.heappop(self._endings)
            if self.deadline_ms[who] == deadline_ms:
                self.drop(who)

    def drop(self, who: int) -> None:
        """End one."""
        self.count -= self._is_held[who]
        self.abandoned -= self._is_abandoned[who]
        self._is_held[who] = self._is_abandoned[who] = 0


class Order:
    """Who went in before whom, as far as it can matter to somebody who is present."""

    def __init__(self, visitors: int, grace_seconds: float) -> None:
        self.overtakings = 0
        self._grace = grace_seconds
        self._present_at = array("d", [-grace_seconds * 2]) * visitors
        self._entered: deque[tuple[float, int]] = deque()  # highest number of each moment and later

    def enters(self, number: int, now: float) -> None:
        """Somebody was admitted; a newcomer has the highest number of all."""
        while self._entered and self._entered[0][0] < now - self._grace:
            self._entered.popleft()
        while self._entered and self._entered[-1][1] <= number:
            self._entered.pop()
        self._entered.append((now, number))

    def waits_on(self, who: int, number: int, now: float) -> None:
        """Overtaken: present within the grace before, told to wait on, and a higher number got in."""
        before, self._present_at[who] = self._present_at[who], now
        if now - before <= self._grace:
            self.overtakings += any(at > before and other > number for at, other in self._entered)
