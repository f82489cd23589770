"""Everybody in line asks "is it my turn?": how often, and who hears that it is.

Who waits far from being called asks every ``ceiling`` seconds and hears that nothing has changed. Those polls
are counted, and only those. Whoever could ask sooner, or be called before asking again, is followed poll by
poll, and so is everybody else's first poll from there on.
"""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable

from .decision import PollPolicy
from .memory import Snapshot

MOMENT = 0.2  # nobody's next step comes sooner, so what falls into one moment can be done together
MOMENTS_PER_SECOND = 5

_settled_periods = 10
_SILENT, _FAR_NEW, _FAR, _NEAR = range(4)


class Asking:
    """The waiting pages of a simulation. ``call`` is told who is invited, and when they learn of it."""

    def __init__(
        self,
        policy: PollPolicy,
        *,
        budget: float,
        grace: float,
        visitors: int,
        dice: random.Random,
        call: Callable[[int, float], None],
    ) -> None:
        self.polls = 0
        self._policy, self._grace, self._dice, self._call = policy, grace, dice, call
        self._budget, self._ceiling = budget, policy.ceiling
        self._visitors = visitors
        self._state = bytearray(visitors)
        self._number, self._due = array("q", [0]) * visitors, array("d", [0.0]) * visitors
        self._near: dict[int, list[int]] = {}  # by the moment of the next poll
        self._far: deque[int] = deque()  # by number
        self._far_new: deque[int] = deque()  # those whose first poll is still to come
        self._far_count = 0
        self._far_polls_due = 0.0
        self._far_from = 2**62
        self._judged_at = -1.0

    def begin(self, who: int, number: int, pause: float, now: float) -> None:
        """A page that has just been given its number."""
        self._number[who] = number
        due = now + self.jittered(pause)
        if pause >= self._ceiling and number > self._far_from:
            self._state[who], self._due[who] = _FAR_NEW, due
            self._far.append(who)
            self._far_new.append(who)
        else:
            self.again(who, due)

    def again(self, who: int, due: float) -> None:
        """A page that asks next at ``due``."""
        self._state[who], self._due[who] = _NEAR, due
        moment = int(due * MOMENTS_PER_SECOND)
        near = self._near.get(moment)
        if near is None:
            self._near[moment] = [who]
        else:
            near.append(who)

    def stop(self, who: int) -> None:
        """A page that is closed, or invited."""
        self._far_count -= self._state[who] == _FAR
        self._state[who] = _SILENT

    def jittered(self, seconds: float) -> float:
        """As pages do it, so that they don't ask in step."""
        return seconds * (0.8 + 0.4 * self._dice.random())

    def count(self, moment: int) -> int:
        """How many ask in this moment; those far away are counted here and now."""
        self._far_polls_due += self._far_count * MOMENT / self._ceiling
        far = int(self._far_polls_due)
        self._far_polls_due -= far
        self.polls += far
        return far + len(self._near.get(moment, ()))

    def see(self, line: Snapshot, now: float) -> None:
        """The line has moved: who comes near?"""
        if now >= self._judged_at + 1:
            self._judged_at, self._ceiling = now, self.policy(line).ceiling
            self._far_from = line.serving + self.far_ahead(line)
        while self._far and self._number[self._far[0]] <= self._far_from:
            who = self._far.popleft()
            if self._state[who] != _SILENT:
                self._far_count -= self._state[who] == _FAR
                self.again(who, self._next_poll(self._due[who], now))
        self._count_first_polls(now)

    def _count_first_polls(self, now: float) -> None:
        while self._far_new:
            who = self._far_new[0]
            if self._state[who] == _FAR_NEW:
                if self._due[who] > now:
                    break
                self._state[who] = _FAR
                self._far_count += 1
            self._far_new.popleft()

    def far_ahead(self, line: Snapshot) -> int:
        """With how many people ahead, or more, a page asks as seldom as it ever does."""
        return bisect_left(range(self._visitors), self.policy(line).ceiling, key=self.pause(line))

    def _next_poll(self, first: float, now: float) -> float:
        """When somebody asks next who has asked every ``ceiling`` seconds or so since ``first``."""
        ceiling = self._ceiling
        if now - first > _settled_periods * ceiling:
            interval = math.sqrt(0.64 + 0.8 * self._dice.random())  # a long one is met more often
            return now + ceiling * interval * self._dice.random()
        while first < now:
            first += self.jittered(ceiling)
        return first

    def ask(self, moment: int, lines: list[Snapshot]) -> None:
        """The polls of a moment, spread over what the workers say; nothing has been heard where none does."""
        askers = [who for who in self._near.pop(moment, ()) if self._state[who] == _NEAR]
        self.polls += len(askers)
        for nth, line in enumerate(lines):
            self._read(line, askers[nth :: len(lines)])
        if not lines:
            for who in askers:
                self.again(who, self._due[who] + self.jittered(self._policy.floor))

    def _read(self, line: Snapshot, askers: list[int]) -> None:
        """Much the most frequent step of all."""
        serving, pause, roll = line.serving, self.pause(line), self._dice.random
        for who in askers:
            ahead = self._number[who] - serving
            if ahead > 0:
                self.again(who, self._due[who] + pause(ahead) * (0.8 + 0.4 * roll()))
            else:
                self._state[who] = _SILENT
                self._call(who, self._due[who])

    def policy(self, line: Snapshot) -> PollPolicy:
        """What the pages are told: the ceiling rises where a long line would ask too much."""
        return self._policy.for_crowd(line.waiting, self._budget)

    def pause(self, line: Snapshot) -> Callable[[int], float]:
        """How long a page waits that has so many ahead of it. As in waiting.js."""
        seconds, grace = self.policy(line).seconds, self._grace
        present, step, per_second = line.present, line.step, line.admitted_per_minute / 60 or 1
        return lambda ahead: seconds((ahead + present) / per_second, ahead=ahead, step=step, grace=grace)
