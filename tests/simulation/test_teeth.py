"""The oracle has teeth: whatever rule is taken out of the scripts, somebody notices."""

from __future__ import annotations

import pytest
import redis
from mutants import FORGETFUL
from mutants import MUTANTS as OF_THE_LINE
from mutants_operated import OPERATED
from mutants_ramp import RAMP
from play import Theatre
from teeth import Forgetful, Mutant, passes

from admitgate import counter

MUTANTS = (*OF_THE_LINE, *OPERATED, *RAMP)


@pytest.mark.parametrize("mutant", [pytest.param(mutant, id=mutant.rule) for mutant in MUTANTS])
def test_a_rule_less_is_noticed(redis_client: redis.Redis, redis_url: str, mutant: Mutant) -> None:
    """A rule that nobody misses is a rule to remove, or a promise to watch."""
    assert not mutant.survives(Theatre(redis_client, redis_url), redis_client)


@pytest.mark.parametrize(
    "mutant", [pytest.param(mutant, id=mutant.rule) for mutant in MUTANTS if mutant.scene]
)
def test_a_scene_is_content_with_the_rules_as_they_are(redis_client: redis.Redis, mutant: Mutant) -> None:
    """Else it would fail with any rule, and its mutant would seem to be noticed."""
    assert passes(mutant.scene, mutant.given, counter.load_scripts(), redis_client)


@pytest.mark.parametrize("worker", [pytest.param(worker, id=worker.rule) for worker in FORGETFUL])
def test_a_worker_that_forgets_is_noticed(
    redis_client: redis.Redis, redis_url: str, worker: Forgetful
) -> None:
    """What workers remember matters as much as what Redis does."""
    assert not worker.survives(Theatre(redis_client, redis_url))


def test_every_rule_has_a_name_of_its_own() -> None:
    """Else one of two is never heard of."""
    names = [mutant.rule for mutant in (*MUTANTS, *FORGETFUL)]
    assert len(names) == len(set(names))
