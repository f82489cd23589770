"""A Redis that is slow or gone: visitors are answered at once, the log gets a line for each change."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import sites
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ClusterError,
    MasterDownError,
    MovedError,
    NoScriptError,
    RedisClusterException,
    ResponseError,
    SlotNotCoveredError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.sentinel import MasterNotFoundError
from sites import CHECK_IN, CHECKOUT, STATUS, Clock, Opener

from admitgate import Config, Rule, connection
from admitgate.connection import Breaker, connect
from admitgate.counter import Counter, join
from admitgate.edge import Edge
from admitgate.embedded import EmbeddedRedis
from admitgate.errors import Outage
from admitgate.memory import Memories
from admitgate.tokens import new_sid

clock, open_site, open_plain = sites.clock, sites.open_site, sites.open_plain


# --- the breaker


class Moment:
    """A clock for the breaker."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    """Time that stands still, and jitter that is none."""
    moment = Moment()
    monkeypatch.setattr(connection, "monotonic", moment)
    monkeypatch.setattr(connection.random, "uniform", lambda least, most: 1.0)
    return moment


def ask(breaker: Breaker, error: BaseException | None = None) -> str:
    """One call: what became of it?"""
    asked = False
    try:
        with breaker:
            asked = True
            if error:
                raise error
    except Outage:
        return "failed" if asked else "spared"
    return "answered"


AWAY = RedisConnectionError("gone")


def test_a_closed_breaker_is_not_in_the_way(moment: Moment) -> None:
    """Every call is made."""
    breaker = Breaker()
    assert [ask(breaker) for _ in range(3)] == ["answered"] * 3
    assert not breaker.is_open


def test_one_failure_opens_it(moment: Moment) -> None:
    """A visitor has waited for that one; the next are spared."""
    breaker = Breaker()
    assert ask(breaker, AWAY) == "failed"
    assert breaker.is_open
    assert [ask(breaker) for _ in range(3)] == ["spared"] * 3


def test_after_a_pause_one_caller_probes(moment: Moment) -> None:
    """The others go on without, while it does."""
    breaker = Breaker(pause_least=0.25)
    ask(breaker, AWAY)
    moment.now += 0.26
    with breaker:
        assert [ask(breaker) for _ in range(3)] == ["spared"] * 3
    assert not breaker.is_open
    assert ask(breaker) == "answered"


def test_a_probe_that_never_ends_does_not_keep_it_open(moment: Moment) -> None:
    """Its thread died: another takes its turn after the next pause."""
    breaker = Breaker(pause_least=0.25)
    ask(breaker, AWAY)
    moment.now += 0.26
    breaker._take_the_probe()
    assert ask(breaker) == "spared"
    moment.now += 0.26
    assert ask(breaker) == "answered"


def test_calls_that_fail_together_count_once(moment: Moment) -> None:
    """They set out before anybody knew; the pause is not doubled for each of them."""
    breaker = Breaker(pause_least=0.25)

    def one_of_many() -> None:
        with contextlib.suppress(Outage), breaker:
            together.wait(10)
            raise AWAY

    together = threading.Barrier(8)
    threads = [threading.Thread(target=one_of_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    moment.now += 0.26
    assert ask(breaker) == "answered"


def test_pauses_double_up_to_a_most(moment: Moment) -> None:
    """A Redis that is gone for an hour isn't asked four times a second."""
    breaker = Breaker(pause_least=0.25, pause_most=1.0)
    ask(breaker, AWAY)
    pauses = []
    for _ in range(5):
        start = moment.now
        while ask(breaker, AWAY) == "spared":
            moment.now += 0.01
        pauses.append(moment.now - start)
    assert pauses == pytest.approx([0.25, 0.5, 1.0, 1.0, 1.0], abs=0.02)


def test_a_fleet_does_not_come_back_in_one_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause before the next probe differs from worker to worker."""
    probes = set()
    for _ in range(20):
        breaker = Breaker()
        ask(breaker, AWAY)
        probes.add(round(breaker._probe_at - connection.monotonic(), 3))
    assert len(probes) > 5


@pytest.mark.parametrize(("graces", "seconds"), [((6, 9), 2.0), ((6, 1.5), 0.5)])
def test_a_gate_asks_again_well_within_a_grace(graces: tuple[float, ...], seconds: float) -> None:
    """Else who comes to the last worker that knows of Redis' return is overtaken by those at another."""
    rules = [Rule(f"/{grace}", capacity=1, grace_seconds=grace) for grace in graces]
    config = Config.from_options({"secret_key": sites.KEY, "redis_url": "redis://nowhere", "rules": rules})
    assert Edge(config).breaker._most == seconds


def test_workers_are_told_when_it_opens(moment: Moment) -> None:
    """Once: nobody could show presence through this worker."""
    told: list[int] = []
    breaker = Breaker(on_open=lambda: told.append(1))
    ask(breaker, AWAY)
    moment.now += 10
    ask(breaker, AWAY)
    assert told == [1]


@pytest.mark.parametrize(
    ("error", "is_outage"),
    [
        pytest.param(AWAY, True, id="no connection"),
        pytest.param(redis.TimeoutError("slow"), True, id="no answer in time"),
        pytest.param(ResponseError("OOM command not allowed"), True, id="Redis is full"),
        pytest.param(redis.BusyLoadingError("loading"), True, id="Redis is loading"),
        pytest.param(redis.ReadOnlyError("replica"), True, id="a replica"),
        pytest.param(redis.OutOfMemoryError("not allowed, on @user_script:9"), True, id="full, in a script"),
        pytest.param(redis.ReadOnlyError("a replica, on @user_script:9"), True, id="a replica, in a script"),
        pytest.param(redis.AuthenticationError("who"), True, id="a wrong password"),
        pytest.param(MasterNotFoundError("gala"), True, id="no Sentinel knows a master"),
        pytest.param(ClusterDownError("CLUSTERDOWN Hash slot not served"), True, id="a cluster that is down"),
        pytest.param(MasterDownError("MASTERDOWN"), True, id="a replica that has lost its master"),
        pytest.param(ClusterError("TTL exhausted."), True, id="a cluster that sends a call round"),
        pytest.param(SlotNotCoveredError("slot 5"), True, id="a slot that no node has"),
        pytest.param(RedisClusterException("no node"), True, id="a cluster that can't be found"),
        pytest.param(OSError("socket"), True, id="an error of the system's"),
        pytest.param(NoScriptError("new"), False, id="a script that Redis has to be told"),
        pytest.param(MovedError("5 host:1"), False, id="another node's event"),
        pytest.param(AskError("5 host:1"), False, id="an event that is under way to another node"),
        pytest.param(ZeroDivisionError(), False, id="a fault of our own"),
    ],
)
def test_what_counts_as_an_outage(moment: Moment, error: Exception, is_outage: bool) -> None:
    """Whatever the client raises; a bug of ours is not hidden behind a waiting page."""
    breaker = Breaker()
    with pytest.raises(Outage if is_outage else type(error)) as caught, breaker:
        raise error
    assert breaker.is_open is is_outage
    if isinstance(caught.value, Outage):
        assert caught.value.cause is error


def test_an_event_whose_keys_are_under_way_opens_no_breaker(moment: Moment) -> None:
    """For its visitors it is an outage; the node is well."""
    breaker = Breaker()
    assert ask(breaker, TryAgainError("Multiple keys request during rehashing of slot")) == "failed"
    assert not breaker.is_open


def test_an_outage_of_one_node_is_nobody_elses(moment: Moment) -> None:
    """A cluster's client has said which it is; the breaker before all of them stays closed."""
    breaker = Breaker()
    assert ask(breaker, Outage("Redis node h1 can't be asked")) == "failed"
    assert not breaker.is_open


def test_a_node_that_names_another_answers_again(moment: Moment) -> None:
    """It came back as a replica."""
    breaker = Breaker()
    ask(breaker, AWAY)
    moment.now += 1
    with pytest.raises(MovedError), breaker:
        raise MovedError("5 host:1")
    assert not breaker.is_open


def test_changes_of_state_are_logged_and_calls_are_not(
    moment: Moment, caplog: pytest.LogCaptureFixture
) -> None:
    """An error when it goes, a warning with the time when it comes back."""
    breaker = Breaker()
    with caplog.at_level(logging.DEBUG, logger="admitgate"):
        for _ in range(10):
            ask(breaker, AWAY)
            moment.now += 6
        for _ in range(10):
            ask(breaker)
    assert [(record.levelname, record.getMessage().split(":")[0]) for record in caplog.records] == [
        ("ERROR", "outage"),
        ("WARNING", "outage over"),
    ]
    assert "after 60.0 s" in caplog.records[1].getMessage()


def test_a_command_that_redis_forbids_is_everybodys_outage(
    redis_url: str, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """An ACL bars a command in the middle of a script: asking again for each visitor tells nothing new."""
    redis_client.acl_setuser("barred", enabled=True, nopass=True, keys="*", commands=["+@all", "-hset"])
    try:
        counter = Counter(connect(f"{redis_url}?username=barred&password=x", 5), Memories())
        for _ in range(3):
            with pytest.raises(Outage):
                counter.call(join(Rule("/<event>", capacity=1), "gala", new_sid()))
        assert counter._breaker.is_open
        assert len(caplog.records) == 1
    finally:
        redis_client.acl_deluser("barred")


# --- the client


def test_a_client_never_keeps_a_request_waiting() -> None:
    """What isn't a script, like a sign of life: no retries, bounded in time and number."""
    pool = connect("redis://localhost:1", 0.5).connection_pool
    options = pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"], pool.timeout) == (0.25, 0.25, 0.25)
    assert options["retry"]._retries == 0
    assert pool.max_connections == 64


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost/1",
        "rediss://localhost/1",
        "valkey://localhost/1",
        "valkeys://localhost/1",
        "unix:///x?db=1",
    ],
)
def test_every_scheme_makes_a_client(url: str) -> None:
    """Valkey speaks the same language."""
    assert connect(url, 1).connection_pool.connection_kwargs["db"] == 1


# --- the gate, while its Redis comes and goes


class Wire:
    """The way to the tests' Redis, which can be cut."""

    def __init__(self, path: Path, server: EmbeddedRedis, client: redis.Redis) -> None:
        self._path, self._server, self._client = path, server, client
        self.url = f"unix://{path}"
        self.mend()

    def cut(self) -> None:
        """Redis is there for nobody but us."""
        self._path.unlink()
        self._client.client_kill_filter(_type="normal", skipme=True)

    def mend(self, server: EmbeddedRedis | None = None) -> None:
        """There is a Redis again: the one of before, or another."""
        self._path.unlink(missing_ok=True)
        self._path.symlink_to((server or self._server).socket_path)


@pytest.fixture
def wire(tmp_path: Path, redis_server: EmbeddedRedis, redis_client: redis.Redis) -> Wire:
    """A wire that is whole."""
    return Wire(tmp_path / "wire", redis_server, redis_client)


def test_an_outage_comes_and_goes(
    open_site: Opener, wire: Wire, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The admitted go on, newcomers wait; afterwards everything is as it was. Two lines in the log."""
    site = open_site(redis_url=wire.url, capacity=2)
    inside, waiting = site.fill(), site.browser()
    with caplog.at_level(logging.INFO, logger="admitgate"):
        wire.cut()
        clock.forward(25)
        for _ in range(20):
            assert site.is_in(inside)
            assert waiting.place()["state"] == "outage"
        wire.mend()
        assert waiting.place()["state"] == "outage"
        clock.forward(1)
        assert site.is_in(waiting)
        assert site.is_in(inside)
        assert not site.is_in()
    assert [record.levelname for record in caplog.records if record.name == "admitgate"] == [
        "ERROR",
        "WARNING",
    ]


def test_while_open_no_visitor_waits_for_redis(
    open_plain: Opener, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first, nobody tries to connect."""
    site = open_plain(redis_url=wire.url)
    site.fill()
    wire.cut()
    tried: list[int] = []
    connect_socket = redis.UnixDomainSocketConnection._connect
    monkeypatch.setattr(
        redis.UnixDomainSocketConnection, "_connect", lambda self: tried.append(1) or connect_socket(self)
    )
    for _ in range(20):
        site.browser().place()
        site.browser().get(STATUS)
        site.browser().post(CHECK_IN)
    assert len(tried) <= 1


def test_whoever_waits_keeps_their_number_through_an_outage(
    open_site: Opener, wire: Wire, clock: Clock
) -> None:
    """The cookie is not touched while nothing is known."""
    site = open_site(redis_url=wire.url)
    site.fill()
    waiting = site.browser()
    number = waiting.place()["number"]
    clock.forward(2)
    wire.cut()
    assert waiting.place()["state"] == "outage"
    wire.mend()
    clock.forward(2)
    assert waiting.place()["number"] == number


def test_a_lease_that_has_ended_is_none_in_an_outage(open_plain: Opener, wire: Wire, clock: Clock) -> None:
    """A worker that has heard Redis' time knows."""
    site = open_plain(redis_url=wire.url, lease_seconds=60)
    browser = site.fill()
    wire.cut()
    clock.forward(61)
    assert browser.place()["state"] == "outage"


def test_a_lease_that_was_given_back_is_none_in_an_outage(
    open_plain: Opener, wire: Wire, clock: Clock
) -> None:
    """The worker through which it was given back remembers."""
    site = open_plain(redis_url=wire.url)
    browser = site.fill()
    copied = browser.token()
    browser.get(sites.THANKS)
    wire.cut()
    browser.carry(copied)
    assert browser.place()["state"] == "outage"


def test_a_release_during_an_outage_is_kept_to(open_plain: Opener, wire: Wire, clock: Clock) -> None:
    """Redis doesn't hear of it, but this worker takes the lease no more."""
    site = open_plain(redis_url=wire.url)
    browser = site.fill()
    copied = browser.token()
    wire.cut()
    assert browser.get(sites.THANKS).data == b"thanks"
    assert not browser.tokens()
    browser.carry(copied)
    assert browser.place()["state"] == "outage"


def test_a_redis_that_was_flushed_of_scripts_is_told_them_again(
    open_site: Opener, redis_client: redis.Redis, clock: Clock
) -> None:
    """Nobody notices."""
    site = open_site(capacity=2)
    site.fill()
    redis_client.script_flush()
    assert site.is_in()


def test_a_full_redis_is_an_outage(open_site: Opener, redis_client: redis.Redis) -> None:
    """It answers, but keeps nothing."""
    site = open_site()
    inside = site.fill()
    redis_client.config_set("maxmemory", 1)
    try:
        assert site.browser().place()["state"] == "outage"
        assert site.is_in(inside)
    finally:
        redis_client.config_set("maxmemory", 0)


@pytest.fixture
def mortal(clock: Clock) -> Iterator[EmbeddedRedis]:
    """A Redis of this test's own, which may be killed."""
    with EmbeddedRedis() as server:
        tell_the_time(server, clock)
        yield server


def tell_the_time(server: EmbeddedRedis, clock: Clock) -> None:
    """Put another Redis' time where the tests' stands."""
    with redis.Redis.from_url(server.url) as client:
        client.set("clock:us", clock.now_ms * 1000)


def test_a_redis_that_is_killed(
    open_plain: Opener, mortal: EmbeddedRedis, wire: Wire, clock: Clock, redis_server: EmbeddedRedis
) -> None:
    """kill -9: the admitted go on, newcomers wait; an empty one that takes over holds them for a while."""
    wire.mend(mortal)
    site = open_plain(redis_url=wire.url, capacity=3)
    inside = site.fill()
    os.kill(mortal.pid, signal.SIGKILL)
    assert site.browser().place()["state"] == "outage"
    assert site.is_in(inside)
    wire.mend(redis_server)
    clock.forward(10)
    assert site.browser().place()["state"] == "hold"
    clock.forward(15)
    assert site.is_in(inside)


def test_a_redis_that_hangs(open_plain: Opener, mortal: EmbeddedRedis, clock: Clock) -> None:
    """It takes connections and says nothing: the first visitor waits for the deadline, no other does."""
    site = open_plain(redis_url=mortal.url, redis_timeout_seconds=0.4)
    inside = site.fill()
    os.kill(mortal.pid, signal.SIGSTOP)
    try:
        assert site.browser().place()["state"] == "outage"
        assert site.is_in(inside)
        assert [site.browser().place()["state"] for _ in range(50)] == ["outage"] * 50
    finally:
        os.kill(mortal.pid, signal.SIGCONT)


def test_a_gate_that_opens_tells_the_application(open_site: Opener, wire: Wire) -> None:
    """on_outage="open": everybody goes in, and nobody is counted."""
    site = open_site(redis_url=wire.url, on_outage="open", capacity=0)
    wire.cut()
    assert [site.is_in() for _ in range(5)] == [True] * 5
    assert all(seen.admission is not None and seen.admission.sid is None for seen in site.shop.seen)
    assert site.browser().get(CHECKOUT).headers.getlist("Set-Cookie") == []


def test_whom_a_gate_let_in_without_asking_stays_in(open_site: Opener, wire: Wire, clock: Clock) -> None:
    """Redis adopts the lease of the worker's making: nobody is sent away from their check-out."""
    site = open_site(redis_url=wire.url, on_outage="open", capacity=1, lease_seconds=60)
    first = site.fill()
    wire.cut()
    second = site.browser()
    assert [site.is_in(second) for _ in range(2)] == [True, True]
    wire.mend()
    clock.forward(10)
    third = site.browser()
    assert not site.is_in(third)
    assert [site.is_in(browser) for browser in (first, second)] == [True, True]
    for browser in (first, second):
        assert not site.is_in(third)
        browser.get(sites.THANKS)
    clock.forward(10)
    site.is_in(third)
    clock.forward(7)
    assert site.is_in(third)


def test_an_invented_event_gets_no_cookie_in_an_outage(open_site: Opener, wire: Wire) -> None:
    """The application answers 404, and nothing was given out."""
    site = open_site(redis_url=wire.url, on_outage="open")
    site.fill()
    wire.cut()
    site.shop.view = lambda seen: sites.Said(404)
    browser = site.browser()
    assert browser.get(CHECKOUT).status_code == 404
    assert not browser.tokens()


def test_extending_in_an_outage_says_so(open_plain: Opener, wire: Wire) -> None:
    """The application asked for more time and has to know that it didn't get it."""
    site = open_plain(redis_url=wire.url)
    browser = site.fill()
    wire.cut()
    errors: list[Any] = []

    def pay(seen: sites.Seen) -> sites.Said:
        assert seen.admission is not None
        with pytest.raises(Outage) as caught:
            seen.admission.extend(300)
        errors.append(caught.value)
        return sites.Said()

    site.shop.view = pay
    assert site.is_in(browser)
    assert isinstance(errors[0].cause, redis.RedisError)


def test_building_a_gate_opens_no_connection(open_site: Opener, redis_client: redis.Redis) -> None:
    """So a server may fork afterwards."""
    before = redis_client.info("stats")["total_connections_received"]
    site = open_site()
    assert redis_client.info("stats")["total_connections_received"] == before
    site.fill()
    assert redis_client.info("stats")["total_connections_received"] == before + 1
