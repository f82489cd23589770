"""One run: a seed, a mode, and the promises that hold or don't."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pytest
import redis
from modes import CLAIM, GRACE, IDLE, LEASE, MODES
from oracle import Oracle, Terms, Violation
from people import crowd
from virtual import virtual_scripts
from world import World

from admitgate import counter, edge
from admitgate.connection import connect

_patience = 30.0  # of the machine that runs the tests, not of a visitor
_seconds = 60.0  # virtual, in which visitors come
_page = lru_cache(edge.Page)  # a worker's pages are the same as any other's, and making them takes its time


class Theatre:
    """Plays runs on one Redis."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self._client, self._road = client, connect(url, _patience)

    def play(self, mode_name: str, seed: int, scripts: Mapping[str, str] | None = None) -> Oracle:
        """A whole run, on the scripts or changed copies of them. Raises Violation with the story."""
        mode, terms = MODES[mode_name], _terms(seed)
        with _instead_of_the_usual(virtual_scripts(scripts)) as patch:
            world = World(
                self._client,
                self._road,
                patch,
                seed=seed,
                terms=terms,
                bounds=mode.bounds,
                idle_most=IDLE,
                **mode.options,
            )
            crowd(world, 10 + 8 * terms.capacity, _seconds)
            try:
                world.run(mode.story(world))
            except Violation as violation:
                raise Violation(f"{mode_name!r}, seed {seed}, {terms}\n{violation}") from None
            return world.oracle


def _terms(seed: int) -> Terms:
    return Terms(random.Random(seed).randint(2, 6), LEASE, CLAIM, GRACE)


@contextmanager
def _instead_of_the_usual(scripts: Mapping[str, str]) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counter, "load_scripts", lambda: scripts)
        patch.setattr(edge, "Page", _page)
        patch.setattr(logging.getLogger("admitgate"), "disabled", True)
        yield patch


def seeds_of(mode_name: str, total: int) -> range:
    """A mode's share of ``total`` seeds; each mode has its own."""
    names = [*MODES]
    nth, share = names.index(mode_name), -(-total // len(names))
    return range(nth * 100_000, nth * 100_000 + share)


def everything(total: int) -> list[Any]:
    """Each mode with each of its seeds, as pytest's parameters."""
    return [
        pytest.param(name, seed, id=f"{name}, seed {seed}")
        for name in MODES
        for seed in seeds_of(name, total)
    ]
