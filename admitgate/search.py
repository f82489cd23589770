"""The smallest capacity that keeps waits short enough, found by simulating again and again.

The same visitors come in every run, with the same plans. A large sale is searched scaled down: visitors,
capacity and pace by the same factor, which leaves waits as they are but for the grain of single visitors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from .embedded import EmbeddedRedis
from .scenario import Scenario
from .simulate import LATE_SHARE, Simulation

search_visitors = 10_000


@dataclass(frozen=True, slots=True)
class Trial:
    """One capacity: which share of those who stayed waited too long (at least: a hopeless run ends early)."""

    capacity: int
    late_share: float
    is_kept: bool


@dataclass(slots=True)
class Search:
    """How it went. ``capacity`` is None where none keeps the target."""

    target_seconds: float
    scaled_down_by: float
    capacity: int | None = None
    trials: list[Trial] = field(default_factory=list)


def find_capacity(
    scenario: Scenario,
    target_seconds: float,
    redis: EmbeddedRedis,
    *,
    tell: Callable[[Trial], None] = lambda _: None,
) -> Search:
    """Bisection between no slot at all and one for everybody."""
    factor = max(1.0, scenario.visitors / search_visitors)
    search = Search(target_seconds, factor)
    small = _scaled(scenario, factor)

    def keeps(slots: int) -> bool:
        trial = _try(replace(small, capacity=slots), target_seconds, factor, redis)
        search.trials.append(trial)
        tell(trial)
        return trial.is_kept

    too_few, enough = 0, small.visitors
    if not keeps(enough):
        return search
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if keeps(middle):
            enough = middle
        else:
            too_few = middle
    search.capacity = math.ceil(enough * factor)
    return search


def _scaled(scenario: Scenario, factor: float) -> Scenario:
    pace = scenario.admit_per_minute
    return replace(
        scenario, visitors=round(scenario.visitors / factor), admit_per_minute=pace and pace / factor
    )


def _try(scenario: Scenario, target_seconds: float, factor: float, redis: EmbeddedRedis) -> Trial:
    simulation = Simulation(scenario, redis, late_seconds=target_seconds)
    simulation.run()
    share = simulation.late_share()
    return Trial(math.ceil(scenario.capacity * factor), share, share <= LATE_SHARE)
