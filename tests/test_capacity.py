"""A capacity that the shop is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
import sites
from sites import KEY, Clock, Opener

from admitgate import ConfigError
from admitgate.capacity import AskedCapacity, is_capacity
from admitgate.config import Config
from admitgate.counter import event_keys
from admitgate.gating import gated

clock, open_site, open_plain = sites.clock, sites.open_site, sites.open_plain

slots_here = 7  # for the place of a number


class Stock:
    """Says how many there are, and counts how often it was asked."""

    def __init__(self, slots: Any) -> None:
        self.slots, self.asked = slots, 0

    def __call__(self) -> Any:
        self.asked += 1
        if isinstance(self.slots, Exception):
            raise self.slots
        return self.slots


def test_what_the_callable_says_is_the_capacity(open_site: Opener) -> None:
    """On every edge: two go in, the third waits."""
    site = open_site(capacity=Stock(2))
    assert [site.is_in() for _ in range(3)] == [True, True, False]


def test_a_new_answer_counts_within_its_seconds(open_site: Opener, clock: Clock) -> None:
    """It is asked every ``capacity_seconds``, and not for every visitor."""
    stock = Stock(1)
    site = open_site(capacity=stock, capacity_seconds=10)
    site.fill()
    stock.slots = 3
    assert not site.is_in()
    assert stock.asked == 1
    clock.forward(10)
    site.browser().get("/_admitgate/status/gala")
    assert stock.asked == 2
    clock.forward(7)  # and whoever was called has had their grace
    assert site.is_in()


def test_a_lower_answer_throws_nobody_out(open_plain: Opener, clock: Clock) -> None:
    """Those inside stay; nobody else comes until they are fewer."""
    stock = Stock(2)
    site = open_plain(capacity=stock, capacity_seconds=10, lease_seconds=600)
    inside = [site.fill(), site.fill()]
    stock.slots = 1
    clock.forward(10)
    assert not site.is_in()
    assert all(site.is_in(browser) for browser in inside)


def test_an_operator_s_word_wins(open_plain: Opener, clock: Clock, redis_client: redis.Redis) -> None:
    """As over a number in the settings."""
    site = open_plain(capacity=Stock(0))
    assert not site.is_in()
    redis_client.hset(event_keys("admitgate", "gala").settings, "capacity", 5)
    clock.forward(7)
    assert site.browser().get("/_admitgate/status/gala").json["capacity"] == 5


def test_a_client_of_one_s_own_is_told_too(
    redis_client: redis.Redis, clock: Clock, open_plain: Opener
) -> None:
    """Calls that aren't packed ask as well."""
    stock = Stock(1)
    site = open_plain(redis_client=redis_client, redis_url=None, capacity=stock, lease_seconds=600)
    site.fill()
    assert not site.is_in()
    assert stock.asked == 1


def asked(source: Any, seconds: float = 10) -> AskedCapacity:
    return AskedCapacity(source, seconds, "'/checkout'")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ZeroDivisionError("no stock"), id="it raises"),
        pytest.param(None, id="nothing"),
        pytest.param("many", id="a word"),
        pytest.param(-1, id="less than none"),
        pytest.param(1.5, id="a half"),
        pytest.param(True, id="True is no number"),
        pytest.param(10_000_001, id="too many"),
    ],
)
def test_a_failure_leaves_the_last_answer(
    answer: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Told once, however long it lasts; and once when it is over."""
    stock = Stock(5)
    capacity = asked(stock)
    assert capacity.slots() == 5
    stock.slots = answer
    for _ in range(3):
        clock.forward(10)
        assert capacity.slots() == 5
    stock.slots = 6
    clock.forward(10)
    assert capacity.slots() == 6
    assert len(caplog.messages) == 2
    assert "the capacity of the rule for '/checkout' can't be asked for" in caplog.messages[0]
    assert caplog.messages[0].endswith("; the last one stays")
    assert caplog.messages[1] == "the capacity of the rule for '/checkout' is known again"


def test_until_the_first_answer_nobody_goes_in(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """An unknown number of slots is none; it is asked again after five seconds."""
    stock = Stock(OSError("the stock is away"))
    capacity = asked(stock, seconds=60)
    assert [capacity.slots(), capacity.slots(), stock.asked] == [0, 0, 1]
    assert caplog.messages[0].endswith("; until then nobody goes in")
    stock.slots = 4
    clock.forward(5)
    assert capacity.slots() == 4


def test_one_asks_and_the_others_go_by_the_last_answer(clock: Clock) -> None:
    """A slow answer holds up the one request that asks."""
    goes_on, has_begun = threading.Event(), threading.Event()
    answers = iter([3, 8])

    def slow() -> int:
        has_begun.set()
        assert goes_on.wait(10)
        return next(answers)

    goes_on.set()
    capacity = asked(slow)
    assert capacity.slots() == 3
    goes_on.clear()
    has_begun.clear()
    clock.forward(10)
    asking = threading.Thread(target=capacity.slots)
    asking.start()
    assert has_begun.wait(10)
    assert capacity.slots() == 3
    goes_on.set()
    asking.join()
    assert capacity.slots() == 8


@pytest.mark.parametrize("place", ["test_capacity.slots_here", "test_capacity:slots_here"])
def test_a_place_is_looked_up_when_somebody_comes(place: str, clock: Clock) -> None:
    """Django's settings are read before its apps are; it may hold a number as well."""
    assert asked(place).slots() == slots_here


@pytest.mark.parametrize("bad", [-1, 1.5, True, "5", "many", None, [], 10_000_001])
def test_what_can_be_no_capacity_is_refused_at_start(bad: Any) -> None:
    """With the value and the cure."""
    assert not is_capacity(bad)
    rule = {"path": "/checkout", "capacity": bad}
    with pytest.raises(ConfigError, match=r"rule 1: capacity is .*: give a whole number from 0 to 10000000"):
        Config.from_options({"rules": [rule], "secret_key": KEY, "redis_url": "redis://h"})


def test_rules_that_share_an_event_share_the_callable() -> None:
    """Two callables may say different numbers."""
    same: Callable[[], int] = Stock(5)
    options = {"secret_key": KEY, "redis_url": "redis://h"}
    rules = [{"path": path, "event": "gala", "capacity": same} for path in ("/a", "/b")]
    Config.from_options({**options, "rules": rules})
    rules[1]["capacity"] = Stock(5)
    with pytest.raises(ConfigError, match="share the event 'gala', but one has capacity"):
        Config.from_options({**options, "rules": rules})


def test_a_decorated_view_may_have_one() -> None:
    """``@gated(event="gala", capacity=how_many)``."""
    assert callable(gated(event="gala", capacity=Stock(2)))
