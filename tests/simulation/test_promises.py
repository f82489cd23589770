"""The table of losses and promises, by seeded crowds on the real scripts; ``ADMITGATE_SEEDS`` for more."""

from __future__ import annotations

import os

import pytest
import redis
from play import Theatre, everything

_seeds = int(os.environ.get("ADMITGATE_SEEDS", "320"))


@pytest.mark.parametrize(("mode", "seed"), everything(_seeds))
def test_whatever_happens_the_promises_hold(
    redis_client: redis.Redis, redis_url: str, mode: str, seed: int
) -> None:
    """Never one too many, nobody present passed over, nobody stuck or thrown out, no slot lost; as stated."""
    Theatre(redis_client, redis_url).play(mode, seed)
