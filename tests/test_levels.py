"""How an event stands, read without a touch: as a look says it, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest
import redis
import sites
import virtual
from sites import Opener
from virtual import EVENT, Clock, Hire, Worker

from admitgate import Config
from admitgate.control import Control
from admitgate.errors import Outage
from admitgate.levels import Levels, levels_of
from admitgate.rules import Rule

hire, clock = virtual.hire, virtual.clock


def read(worker: Worker) -> Levels:
    """What the script says."""
    source = worker._scripts["levels"]
    keys = worker.counter.keys(EVENT)
    return levels_of(worker._client.execute_command("EVAL", source, len(keys), *keys), worker.rule)


def fill(worker: Worker, waiting: int) -> list[int]:
    """Every slot is taken, and so many wait; their numbers."""
    for nth in range(worker.rule.capacity_now()):
        assert worker.join(f"inside-{nth:09}").verdict == "ADMIT"
    return [worker.join(f"visitor-{nth}").value for nth in range(waiting)]


def is_as_seen(worker: Worker) -> bool:
    """A look moves the line on; after it both say the same."""
    snapshot, levels = worker.look().snapshot, read(worker)
    names = ("capacity", "in_use", "waiting", "present")
    return [getattr(levels, name) for name in names] == [getattr(snapshot, name) for name in names]


def test_it_says_what_a_look_says(hire: Hire, clock: Clock) -> None:
    """At every moment of a line's life."""
    worker = hire(capacity=3)
    assert read(worker)[1:7] == ("open", 3, 0, 0, 0, 0)
    numbers = fill(worker, 60)
    for _ in range(12):
        levels = read(worker)
        assert levels.state == ("waiting" if levels.waiting else "open")
        assert is_as_seen(worker)
        for nth in range(0, 60, 7):
            worker.check_in(f"visitor-{nth}", numbers[nth])
        clock.advance(9)
    assert read(worker).totals.joined == 60


def test_it_counts_nobody_whose_time_is_over(hire: Hire, clock: Clock) -> None:
    """Though nobody has come by who would have dropped them."""
    worker = hire(capacity=3)
    fill(worker, 0)
    clock.advance(virtual.lease + 1)
    levels = read(worker)
    assert (levels.in_use, levels.free) == (0, 3)


def test_it_writes_nothing(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """No key, no expiry: an event that nobody comes to ends in its time, however often this is asked."""
    worker = hire(capacity=3)
    read(worker)
    assert list(redis_client.scan_iter("admitgate:*")) == []
    fill(worker, 5)
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter("admitgate:*")}
    clock.advance(3600 * 2)
    redis_client.pexpire(worker.keys["line"], 50_000)
    read(worker)
    assert {key: redis_client.dump(key) for key in redis_client.scan_iter("admitgate:*")} == before
    assert redis_client.pttl(worker.keys["line"]) <= 50_000


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        pytest.param({"state": "paused"}, "paused", id="paused"),
        pytest.param({"state": "closed"}, "closed", id="closed"),
        pytest.param({"state": "draining"}, "draining", id="draining"),
        pytest.param({"state": "queueing"}, "queueing", id="everybody queues"),
        pytest.param({"opens_at": 9e15}, "opens", id="not open yet"),
        pytest.param({"waiting_from": 9e15}, "early", id="no numbers yet"),
        pytest.param({"closes_at": 1}, "closed", id="over"),
        pytest.param(
            {"state": "nonsense", "capacity": "lots"}, "waiting", id="what Lua can't read isn't there"
        ),
    ],
)
def test_what_an_operator_has_set_shows(
    hire: Hire, redis_client: redis.Redis, settings: dict[str, Any], state: str
) -> None:
    """As the scripts read it."""
    worker = hire(capacity=1)
    fill(worker, 3)
    mapping = {
        name: f"{value:.0f}" if isinstance(value, float) else value for name, value in settings.items()
    }
    redis_client.hset(worker.keys["settings"], mapping=mapping)
    assert read(worker).state == state


def test_a_hold_shows_with_what_is_left_of_it(hire: Hire, redis_client: redis.Redis) -> None:
    """In ms."""
    worker = hire(capacity=1)
    fill(worker, 3)
    redis_client.delete(worker.keys["leases"])
    worker.look()
    levels = read(worker)
    assert (levels.state, levels.hold_left_ms) == ("hold", virtual.lease * 1000)
    assert is_as_seen(worker)


def test_a_gap_is_left_out(hire: Hire, redis_client: redis.Redis) -> None:
    """Numbers that nobody has wait for nothing."""
    worker = hire(capacity=1)
    fill(worker, 50)
    redis_client.delete(worker.keys["leases"])
    worker.look()
    assert int(redis_client.hget(worker.keys["line"], "gap_to")) > 0
    assert is_as_seen(worker)
    assert read(worker).waiting < 60


@pytest.mark.parametrize("answer", [[], None, ["now", 1, 2, ""], [1, 2, 3], [b"1", 1, 1, b"x", b"1"], "OK"])
def test_what_is_no_answer_of_ours_is_an_outage(answer: Any) -> None:
    """A server that isn't a Redis, or a Redis that is somebody else's."""
    with pytest.raises(Outage, match="something that isn't ours"):
        levels_of(answer, Rule("/", capacity=1))


def test_the_levers_have_it(redis_url: str) -> None:
    """``gate.event("gala").levels()``."""
    opener = Opener(sites.PlainAdapter, redis_url)
    site = opener(capacity=2)
    site.fill()
    config = Config.from_options(
        {"rules": [sites.CHECKOUT_RULE], "secret_key": sites.KEY, "redis_url": redis_url}
    )
    levels = Control.of(config).event("gala").levels()
    assert (levels.in_use, levels.totals.admitted) == (1, 1)
