"""The smallest capacity that keeps waits short enough, found by simulating again and again.

The same visitors come in every run, with the same plans. A large sale is searched scaled down: visitors,
capacity and pace by the same factor. That leaves waits as they are, but for the grain of single visitors and
for how many a second a line can let in, which is no larger for a larger sale: so the answer is tried in full,
and where it fails there the search goes on in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from .embedded import EmbeddedRedis
from .scenario import Scenario
from .simulate import LATE_SHARE, Simulation

search_visitors = 10_000
_coarse_share = 0.02


@dataclass(frozen=True, slots=True)
class Trial:
    """One capacity: which share of those who stayed waited too long (at least: a hopeless run ends early)."""

    capacity: int
    late_share: float
    is_kept: bool
    is_in_full: bool


@dataclass(slots=True)
class Search:
    """How it went. ``capacity`` is None where none keeps the target; it may be ``coarse`` too many."""

    target_seconds: float
    capacity: int | None = None
    coarse: int = 0
    trials: list[Trial] = field(default_factory=list)


def find_capacity(
    scenario: Scenario,
    target_seconds: float,
    redis: EmbeddedRedis,
    *,
    tell: Callable[[Trial], None] = lambda _: None,
) -> Search:
    """Bisection between no slot at all and one for everybody."""
    search = Search(target_seconds)
    factor = max(1.0, scenario.visitors / search_visitors)
    small, is_scaled = _scaled(scenario, factor), factor > 1

    def keeps(slots: int, *, in_full: bool) -> bool:
        run = replace(scenario if in_full else small, capacity=slots)
        capacity = slots if in_full else math.ceil(slots * factor)
        search.trials.append(_try(run, target_seconds, redis, capacity=capacity, in_full=in_full))
        tell(search.trials[-1])
        return search.trials[-1].is_kept

    if not keeps(small.visitors, in_full=not is_scaled):
        return search
    found = _bisect(0, small.visitors, 1, partial(keeps, in_full=not is_scaled))
    search.capacity, search.coarse = math.ceil(found * factor), math.ceil(factor) - 1
    if is_scaled and not keeps(search.capacity, in_full=True):
        search.coarse = math.ceil(scenario.visitors * _coarse_share)
        keeps_it = partial(keeps, in_full=True)
        search.capacity = _bisect(search.capacity, scenario.visitors, search.coarse, keeps_it)
    return search


def _bisect(too_few: int, enough: int, apart: int, keeps: Callable[[int], bool]) -> int:
    """The smallest that keeps it, or one of the ``apart`` above that."""
    while enough - too_few > apart:
        middle = (too_few + enough) // 2
        if keeps(middle):
            enough = middle
        else:
            too_few = middle
    return enough


def _scaled(scenario: Scenario, factor: float) -> Scenario:
    pace = scenario.admit_per_minute
    return replace(
        scenario, visitors=round(scenario.visitors / factor), admit_per_minute=pace and pace / factor
    )


def _try(
    scenario: Scenario, target_seconds: float, redis: EmbeddedRedis, *, capacity: int, in_full: bool
) -> Trial:
    simulation = Simulation(scenario, redis, late_seconds=target_seconds)
    simulation.run()
    share = simulation.late_share()
    return Trial(capacity, share, share <= LATE_SHARE, in_full)
