"""Times that can be compared: both ends on one core, everything interleaved, every figure a ratio.

A time in microseconds says little on a small virtual machine: the same PING takes 40 of them or 120, by
where the scheduler puts the two ends. So each round times one batch of every contender, a figure is
formed inside its round, and what is reported is the median of the rounds.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

agreement = 0.05  # how far a round's two PINGs may differ
pieces = 5  # of a batch, whose median counts: an interruption spoils one of them
piece_seconds = 0.001
Loop = Callable[[Iterable[Any]], None]
Round = dict[str, float]
Figure = Callable[[Round], float]


@dataclass
class Contender:
    """Something to be timed: ``loop`` does it once for each item of a batch.

    Before the clock starts ``batch`` makes the items and ``before`` does what the timed part shall find done.
    The loop is the contender's own, so that a call in between doesn't hide what a call of 100 ns costs.
    """

    name: str
    loop: Loop
    batch: Callable[[int], Iterable[Any]] = range
    before: Callable[[], Any] = lambda: None
    size: int = 0

    def time(self) -> float:
        """Microseconds per item, in the median piece of one batch."""
        items, loop, taken = list(self.batch(self.size * pieces)), self.loop, []
        self.before()
        for start in range(0, len(items), self.size):
            piece = items[start : start + self.size]
            started = time.perf_counter_ns()
            loop(piece)
            taken.append(time.perf_counter_ns() - started)
        return statistics.median(taken) / self.size / 1000

    def warm_up(self) -> None:
        """Fill every memory on the way, then choose a piece's size by what an item takes."""
        self.size = 10
        self.size = max(10, min(500, int(piece_seconds * 1e6 / self.time())))
        self.time()


def nothing(items: Iterable[Any]) -> None:
    """What the loop itself costs."""
    for _ in items:
        pass


def each(call: Callable[[Any], Any]) -> Loop:
    """A loop that calls ``call`` with each item."""

    def loop(items: Iterable[Any]) -> None:
        for item in items:
            call(item)

    return loop


def pin(core: int | None = None) -> int | None:
    """Keep this process, and every server it starts from now on, on one core."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    chosen = min(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {chosen})
    return chosen


@contextmanager
def no_collections() -> Iterator[None]:
    """No garbage collection while the clock runs; it would hit whichever contender is next."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class TooNoisy(Exception):
    """The machine did something else meanwhile, so there is nothing to report."""


@dataclass(frozen=True)
class Run:
    """Microseconds per item for every contender, a mapping for each round that counts."""

    rounds: list[Round]
    thrown_away: int

    def median(self, figure: Figure) -> float:
        """The median over the rounds of a figure that is formed within each."""
        return statistics.median(map(figure, self.rounds))

    def middle_half(self, figure: Figure) -> tuple[float, float]:
        """Between which values half of the rounds lie."""
        quarters = statistics.quantiles(map(figure, self.rounds), n=4)
        return quarters[0], quarters[2]


def interleave(contenders: Sequence[Contender], ping: Contender, *, seconds: float, least: int = 15) -> Run:
    """Rounds of one batch of everybody, for ``seconds``. A round whose two PINGs disagree is thrown away."""
    everybody = [ping, *contenders]
    gc.freeze()  # what is there by now is nobody's to collect
    for contender in everybody:
        contender.warm_up()
    rounds, thrown_away, ends_at = [], 0, time.monotonic() + seconds
    while time.monotonic() < ends_at:
        with no_collections():
            taken = {contender.name: contender.time() for contender in everybody}
            again = ping.time()
        if abs(again / taken[ping.name] - 1) <= agreement:
            rounds.append({**taken, ping.name: (taken[ping.name] + again) / 2})
        else:
            thrown_away += 1
    if len(rounds) < least:
        raise TooNoisy(
            f"Only {len(rounds)} of {len(rounds) + thrown_away} rounds had two PINGs within {agreement:.0%}: "
            "this machine is busy with something else. Try again, with more --seconds, or on another --core."
        )
    return Run(rounds, thrown_away)


def as_json(result: dict[str, Any]) -> str:
    """The result with the digits that mean something."""
    return json.dumps(_rounded(result), indent=2)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
