"""Fewer go in while the application is slow: the script under virtual time, and what the edges tell it."""

from __future__ import annotations

import pytest
import redis
import sites
import virtual
from sites import CHECKOUT, Opener, Said, Seen
from virtual import EVENT, Clock, Hire, Worker

from admitgate import counter, health
from admitgate.errors import Outage
from admitgate.health import Health
from admitgate.rules import Rule

hire, clock = virtual.hire, virtual.clock
open_site, sites_clock = sites.open_site, sites.clock


def ramping(hire: Hire, capacity: int = 100, **options: float) -> Worker:
    """A worker of a rule that ramps."""
    return hire(capacity=capacity, ramp_seconds=0.5, lease_seconds=3600, **options)


def go_in(worker: Worker, count: int, *, first: int = 0) -> None:
    """So many visitors go in."""
    for nth in range(first, first + count):
        assert worker.join(f"inside-{nth:09}").verdict == "ADMIT"


def leave(worker: Worker, count: int, *, first: int = 0) -> None:
    """So many leave."""
    for nth in range(first, first + count):
        worker.release(f"inside-{nth:09}")


def tell(worker: Worker, clock: Clock, answers: int, slow: int, *, seconds: float = 5) -> int:
    """A while later a worker tells what it has seen; the ceiling then."""
    clock.advance(seconds)
    reply = worker.call(counter.ramp(worker.rule, EVENT, answers, slow))
    assert reply.verdict == "RAMPED"
    assert reply.snapshot is not None
    assert reply.snapshot.capacity == reply.value
    return reply.value


def ceiling_in_redis(worker: Worker, client: redis.Redis) -> float | None:
    """What stands in the settings."""
    found = client.hget(worker.keys["settings"], "ramp")
    return None if found is None else float(found)


def test_while_all_is_well_there_is_no_ceiling(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """And nothing is written."""
    worker = ramping(hire)
    go_in(worker, 50)
    assert [tell(worker, clock, 1000, 0) for _ in range(5)] == [100] * 5
    assert ceiling_in_redis(worker, redis_client) is None


def test_slow_answers_leave_room_for_fewer_than_are_inside(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """For nineteen in twenty of them; what a capacity that nobody uses leaves doesn't matter."""
    worker = ramping(hire)
    go_in(worker, 50)
    tell(worker, clock, 10, 0)
    assert tell(worker, clock, 1000, 900) == 47
    assert ceiling_in_redis(worker, redis_client) == 47
    assert worker.join().verdict == "TICKET"


def test_it_does_not_go_down_again_before_it_shows(hire: Hire, clock: Clock) -> None:
    """Nobody is thrown out: until enough have left, one that is lower still would only be too low after."""
    worker = ramping(hire)
    go_in(worker, 50)
    tell(worker, clock, 10, 0)
    assert [tell(worker, clock, 1000, 900) for _ in range(10)] == [47] * 10
    leave(worker, 1)
    assert tell(worker, clock, 1000, 900) == 47
    leave(worker, 4, first=1)
    assert tell(worker, clock, 1000, 900) == 42


def test_it_goes_up_by_small_steps_and_then_by_larger_ones(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """A two-hundredth of the capacity until past where it was slow, so that it comes to rest there."""
    worker = ramping(hire, capacity=60)
    go_in(worker, 30)
    tell(worker, clock, 10, 0)
    assert tell(worker, clock, 1000, 900) == 28
    ceilings = []
    for nth in range(20):
        ceilings.append(tell(worker, clock, 1000, 0))
        redis_client.zadd(worker.keys["leases"], {f"more-{nth}-{m}": 9e15 for m in range(2)})
    assert ceilings == [*range(29, 49)]
    worker.rule = hire(capacity=500, ramp_seconds=0.5).rule
    redis_client.zadd(worker.keys["leases"], {f"many-{m}": 9e15 for m in range(200)})
    assert [tell(worker, clock, 1000, 0) for _ in range(2)] == [58, 68]


def test_the_small_steps_end_a_tenth_above_where_it_was_slow(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """From there on it may have been something else."""
    worker = ramping(hire, capacity=1000, ramp_floor=1)
    redis_client.zadd(worker.keys["leases"], {f"inside-{nth}": 9e15 for nth in range(100)})
    worker.join()
    tell(worker, clock, 10, 0)
    assert tell(worker, clock, 1000, 900) == 95
    redis_client.zadd(worker.keys["leases"], {f"more-{nth}": 9e15 for nth in range(100)})
    assert [tell(worker, clock, 1000, 0) for _ in range(5)] == [100, 105, 110, 115, 135]


def test_at_the_capacity_the_ceiling_is_gone(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """Nothing is left in the settings."""
    worker = ramping(hire, capacity=10)
    go_in(worker, 10)
    tell(worker, clock, 10, 0)
    assert tell(worker, clock, 1000, 900) == 9
    assert ceiling_in_redis(worker, redis_client) == 9
    assert tell(worker, clock, 1000, 0) == 10
    assert ceiling_in_redis(worker, redis_client) is None


def test_it_does_not_rise_while_nobody_comes(hire: Hire, clock: Clock) -> None:
    """That an empty shop is quick says nothing of a full one."""
    worker = ramping(hire)
    go_in(worker, 100)
    tell(worker, clock, 10, 0)
    assert tell(worker, clock, 1000, 900) == 95
    leave(worker, 50)
    assert [tell(worker, clock, 1000, 0) for _ in range(3)] == [95] * 3


def test_between_well_and_slow_it_stays(hire: Hire, clock: Clock) -> None:
    """One in twenty is well, one in ten too many; between them nothing moves, so that it comes to rest."""
    worker = ramping(hire)
    go_in(worker, 50)
    tell(worker, clock, 10, 0)
    assert tell(worker, clock, 1000, 900) == 47
    leave(worker, 5)
    assert [tell(worker, clock, 1000, 70) for _ in range(5)] == [47] * 5
    assert tell(worker, clock, 1000, 40) == 48


@pytest.mark.parametrize(
    ("options", "least"),
    [
        pytest.param({}, 10, id="a tenth of the capacity"),
        pytest.param({"ramp_floor": 30}, 30, id="what the rule says"),
    ],
)
def test_it_has_a_floor(hire: Hire, clock: Clock, options: dict[str, float], least: int) -> None:
    """Somebody always goes in, or nobody would ever see it well again."""
    worker = ramping(hire, **options)
    go_in(worker, 40)
    tell(worker, clock, 10, 0)
    assert tell(worker, clock, 1000, 1000) == 38
    for left in range(0, 40, 4):
        leave(worker, 4, first=left)
        ceiling = tell(worker, clock, 1000, 1000)
    assert ceiling == least


def test_all_workers_together_decide_once(hire: Hire, clock: Clock) -> None:
    """What they tell within five seconds is added up; a second one within them moves nothing."""
    one, other = ramping(hire), ramping(hire)
    go_in(one, 50)
    tell(one, clock, 10, 0)
    assert tell(one, clock, 100, 100) == 47
    leave(one, 5)
    assert tell(other, clock, 100, 100, seconds=1) == 47
    assert tell(one, clock, 900, 0, seconds=1) == 47
    assert tell(other, clock, 0, 0, seconds=3.5) == 47  # of 1000 answers 100 were slow
    assert tell(one, clock, 15, 15, seconds=1) == 47
    assert tell(other, clock, 15, 15, seconds=4.5) == 42  # either alone has seen too few


def test_few_answers_are_waited_for(hire: Hire, clock: Clock) -> None:
    """Three answers in five seconds tell little; after twenty seconds they have to do."""
    worker = ramping(hire)
    go_in(worker, 50)
    tell(worker, clock, 0, 0)
    assert [tell(worker, clock, 1, 1) for _ in range(4)] == [100, 100, 100, 47]


@pytest.mark.parametrize(
    ("answers", "slow", "is_slow"), [(20, 3, False), (20, 4, True), (1000, 109, False), (1000, 110, True)]
)
def test_bad_luck_is_no_trouble(hire: Hire, clock: Clock, answers: int, slow: int, is_slow: bool) -> None:
    """Of few answers more than one in ten may be slow by chance."""
    worker = ramping(hire)
    go_in(worker, 50)
    tell(worker, clock, 0, 0)
    assert (tell(worker, clock, answers, slow) < 100) is is_slow


def test_never_above_the_capacity_that_an_operator_sets(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """Nor below the floor because of it."""
    worker = ramping(hire)
    redis_client.hset(worker.keys["settings"], "capacity", 20)
    go_in(worker, 20)
    tell(worker, clock, 0, 0)
    assert tell(worker, clock, 1000, 900) == 19
    redis_client.hset(worker.keys["settings"], "capacity", 5)
    assert tell(worker, clock, 1000, 0) == 5


def test_a_ceiling_of_which_nobody_tells_any_more_is_lifted(hire: Hire, clock: Clock) -> None:
    """The option was taken out, or nobody has come for ten minutes: it doesn't bind the next sale."""
    worker = ramping(hire)
    go_in(worker, 50)
    tell(worker, clock, 0, 0)
    assert tell(worker, clock, 1000, 900) == 47
    clock.advance(601)
    assert worker.look().snapshot.capacity == 100


def test_an_event_that_nobody_has_come_to_is_not_made_by_it(hire: Hire, redis_client: redis.Redis) -> None:
    """A worker may tell of an event whose keys have just ended."""
    worker = ramping(hire)
    assert worker.call(counter.ramp(worker.rule, EVENT, 5, 5)).verdict == "UNKNOWN"
    assert list(redis_client.scan_iter("admitgate:*")) == []


RULE = Rule("/checkout", capacity=10, ramp_seconds=0.5)


def test_a_worker_counts_for_two_seconds_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow is what takes longer than ``ramp_seconds``, and every error of the server."""
    now = 100.0
    monkeypatch.setattr(health, "monotonic", lambda: now)
    seen = Health()
    assert [seen.take("gala", RULE, 0.1, 200) for _ in range(5)] == [None] * 5
    assert seen.take("gala", RULE, 0.6, 200) is None
    assert seen.take("gala", RULE, 0.1, 404) is None
    assert seen.take("other", RULE, 0.1, 200) is None
    now += 2
    assert seen.take("gala", RULE, 0.1, 500) == (8, 2)
    assert seen.take("gala", RULE, 0.1, 200) is None
    now += 2
    assert seen.take("gala", RULE, 0.1, 200) == (2, 0)


def test_what_a_worker_remembers_is_bounded() -> None:
    """However many events there are."""
    seen = Health()
    for nth in range(3000):
        seen.take(f"event-{nth}", RULE, 0.1, 200)
    assert len(seen._seen) <= 1000


class TestOnEveryEdge:
    """Requests that were let in are timed from the decision to the beginning of their answer."""

    @pytest.fixture
    def clock(self, sites_clock: sites.Clock) -> sites.Clock:
        return sites_clock

    def test_an_application_that_is_slow_lets_fewer_in(self, open_site: Opener, clock: sites.Clock) -> None:
        """Ten are inside, each answer takes a second: there is room for nine."""
        site = open_site(capacity=20, ramp_seconds=0.5, lease_seconds=600)
        inside = [site.fill() for _ in range(10)]

        def slow(seen: Seen) -> Said:
            clock.forward(1)
            return Said()

        site.shop.view = slow
        for _ in range(4):
            assert all(site.is_in(browser) for browser in inside)
        status = site.browser().get("/_admitgate/status/gala").json
        assert status["capacity"] == 9

    def test_a_rule_without_it_is_not_timed(self, open_site: Opener, clock: sites.Clock) -> None:
        """No clock is read for its visitors, and Redis is asked for nothing."""
        site = open_site(capacity=20, lease_seconds=600)
        site.fill()
        assert site.shop.seen[-1].admission is not None
        assert site.shop.seen[-1].admission.began_at == 0

    def test_errors_count_as_slow(self, open_site: Opener, clock: sites.Clock) -> None:
        """An application in trouble may be quick at saying so."""
        site = open_site(capacity=20, ramp_seconds=5, lease_seconds=600)
        inside = [site.fill() for _ in range(10)]
        site.shop.view = lambda seen: Said(status=500)
        for _ in range(12):
            clock.forward(1)
            for browser in inside:
                assert browser.get(CHECKOUT).status_code == 500
        assert site.browser().get("/_admitgate/status/gala").json["capacity"] == 9


def test_an_outage_while_telling_costs_no_answer(hire: Hire) -> None:
    """What was counted is lost; there will be more."""
    from admitgate.admission import Admission
    from admitgate.config import Config
    from admitgate.gate import Gate
    from admitgate.memory import Memories

    config = Config.from_options({"rules": [RULE], "secret_key": sites.KEY, "redis_url": "redis://h"})
    gate = Gate(config, Memories())
    match = gate.find("/checkout")
    assert match is not None
    admission = Admission(match, None)
    gate.leaving._health.take(match.event, RULE, 0, 200)
    gate.leaving._health._seen[match.event] = (-1e9, 1, 0)
    steps = gate.leaving.conclude(admission, 200, is_release_wanted=False)
    assert steps is not None
    assert next(steps).args == (2, 0, 1)
    with pytest.raises(StopIteration):
        steps.throw(Outage("gone"))
