"""Redis slow, gone, wiped, full, failed over; workers killed: done to real processes under a light load.

A fleet of gunicorn workers serves a shop with four slots to ten visitors and two passers-by. Each test breaks
something, mends it, and holds the gate to what is promised: how long anybody was kept waiting meanwhile, how
soon all is as before, that nobody lost a place, and that never more were in than there are slots. What was
measured is printed as a table at the end of the run, and kept in README.md.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis
import servers
import verdict
from conftest import missing
from fleet import Balanced, Fleet, fleet
from proxy import BlackHole, Drips, Drops, HalfCloses, Proxy, Resets, Slow, Well
from redis.crc import key_slot
from servers import client_of, until
from shop import ALONE, EVENT
from test_cluster import _line_of as line_of
from test_cluster import move, node_of
from visitors import Crowd, Fault

from admitgate.embedded import EmbeddedRedis, Server, find_server
from admitgate.errors import AdmitgateError

pytestmark = pytest.mark.slow

CAPACITY, VISITORS = 4, 10
LEASE_SECONDS, GRACE_SECONDS = 4.0, 1.0
RULE = {
    "capacity": CAPACITY,
    "lease_seconds": LEASE_SECONDS,
    "grace_seconds": GRACE_SECONDS,
    "claim_seconds": LEASE_SECONDS,
}
LONG_SECONDS = 6.0  # for a lease that has to outlive the time in which a fleet starts
LONG_RULE = RULE | {"lease_seconds": LONG_SECONDS, "claim_seconds": LONG_SECONDS}
OPTIONS = {"rule": RULE, "poll_floor_seconds": 0.5, "poll_ceiling_seconds": 1}
PROMISED_FIRST_MS, PROMISED_OPEN_MS = 300.0, 1.0
NOISE_MS, NOISE_SECONDS = 200.0, 3.0  # of a small machine that does something else as well
ANSWERS = pytest.mark.parametrize("on_outage", ["hold", "open"])


# --- the table


@dataclass
class Row:
    """A line of the table."""

    fault: str
    on_outage: str
    first_ms: float
    usual_ms: float
    asked: float
    admitting: float
    shut_out: int
    lost: int = 0
    most: int = 0

    def cells(self) -> list[str]:
        figures = f"{self.first_ms:.0f} {self.usual_ms:.2f} {self.asked:.1f} {self.admitting:.1f}".split()
        return [self.fault, self.on_outage, *figures, *map(str, (self.shut_out, self.lost, self.most))]


class Table:
    """Says at the end of the run what the faults have cost."""

    heads = (
        "fault",
        "on_outage",
        "first calls: most, ms",
        "then: median, ms",
        "asked again after, s",
        "line moves after, s",
        "in, met an outage",
        "places lost",
        f"most in (of {CAPACITY})",
    )

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        lines = [list(self.heads), ["---"] * len(self.heads), *(row.cells() for row in self.rows)]
        terminalreporter.section("what the faults have cost")
        terminalreporter.write_line("\n".join(f"| {' | '.join(cells)} |" for cells in lines))


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Table:
    """The table of this run."""
    table = Table()
    request.config.pluginmanager.register(table)
    return table


# --- the parts


@pytest.fixture(scope="module")
def program() -> Server:
    """The Redis that is installed here."""
    try:
        return find_server()
    except AdmitgateError as error:
        missing("redis-server", cure=str(error))
        raise


@contextmanager
def crowded(site: Fleet | Balanced, visitors: int = VISITORS) -> Iterator[Crowd]:
    """Visitors at a fleet, once the shop is full and the line moves."""
    crowd = Crowd(site, visitors)
    try:
        crowd.settle()
        yield crowd
    finally:
        crowd.stop()


@pytest.fixture
def open_shop(program: Server) -> Iterator[Callable[..., tuple[EmbeddedRedis, Fleet, Crowd]]]:
    """Opens the shop: a Redis of its own (options of ``EmbeddedRedis``), a fleet, a crowd."""
    with ExitStack() as stack:

        def open_it(*, appendonly: bool = False, **options: Any) -> tuple[EmbeddedRedis, Fleet, Crowd]:
            server = stack.enter_context(EmbeddedRedis(server=program, appendonly=appendonly))
            site = stack.enter_context(fleet(server.url, **OPTIONS | options))
            return server, site, stack.enter_context(crowded(site))

        yield open_it


def client_on(server: EmbeddedRedis) -> redis.Redis:
    """A patient client of a private Redis."""
    return redis.Redis(unix_socket_path=str(server.socket_path), socket_timeout=5)


def judge(
    table: Table,
    crowd: Crowd,
    fault: Fault,
    name: str,
    *,
    on_outage: str = "hold",
    is_outage: bool = True,
    hold_seconds: float = 0.0,
    may_exceed: int = 0,
    may_overtake: bool = False,
) -> Row:
    """Wait until all is as before, note what the fault has cost, and hold it against what is promised."""
    lasted = fault.ended_at - fault.began_at
    # The breaker's, which is a third of a grace and its jitter.
    pause = min(0.4 * GRACE_SECONDS, lasted) if is_outage else 0.0
    in_time = pause + hold_seconds + GRACE_SECONDS + NOISE_SECONDS
    asked = verdict.seconds_until_asked(crowd, fault.ended_at, patience=in_time + 10)
    crowd.may_pay.set()
    row = Row(
        name,
        on_outage,
        verdict.first_ms(crowd, fault),
        verdict.usual_ms(crowd, fault),
        asked,
        verdict.seconds_until_admitting(crowd, fault.ended_at, patience=in_time + 10),
        verdict.shut_out(crowd),
    )
    time.sleep(1.5 * GRACE_SECONDS)  # long enough for an overtaking to show
    row.lost, row.most = len(verdict.lost(crowd)), verdict.most_inside(crowd)
    table.rows.append(row)

    is_open = is_outage and on_outage == "open"
    open_from, open_to = (fault.began_at, fault.ended_at + row.asked) if is_open else (0.0, 0.0)
    assert verdict.lost(crowd) == []
    assert len(verdict.admitted_beyond(crowd, apart_from=(open_from, open_to))) <= may_exceed
    assert row.first_ms <= PROMISED_FIRST_MS + NOISE_MS
    assert row.usual_ms <= PROMISED_OPEN_MS or not is_outage
    assert row.asked <= pause + NOISE_SECONDS
    assert row.admitting <= in_time
    # Whoever asks while an opening gate's Redis is away goes in, before others whose page polls later.
    assert may_overtake or is_open or verdict.overtaken(crowd, GRACE_SECONDS) == []
    return row


# --- Redis is killed, and stands still


@pytest.mark.parametrize("kind", ["threads", "gevent", "preload"])
def test_a_redis_with_a_log_that_is_killed_comes_back_as_it_was(
    table: Table, open_shop: Any, kind: str
) -> None:
    """kill -9, and started again: nothing is missing, so no hold. The same for every kind of worker."""
    if kind == "gevent" and not find_spec("gevent"):
        pytest.skip("gevent is missing: pip install gevent")
    options = {"gevent": {"worker_class": "gevent"}, "preload": {"is_warm": True, "workers": 3}}
    server, _, crowd = open_shop(appendonly=True, **options.get(kind, {}))
    with crowd.fault() as fault:
        servers.kill(server)
        time.sleep(1.5)
        server.start()
    judge(table, crowd, fault, f"kill -9 of Redis, with AOF ({kind})")


@ANSWERS
def test_a_redis_without_a_log_that_is_killed_costs_a_hold(
    table: Table, open_shop: Any, on_outage: str
) -> None:
    """All is lost but what visitors and workers know: leases are adopted, numbers go on, the cap holds."""
    server, _, crowd = open_shop(on_outage=on_outage)
    with crowd.fault() as fault:
        servers.kill(server)
        time.sleep(1.5)
        server.start()
    judge(
        table, crowd, fault, "kill -9 of Redis, without AOF", on_outage=on_outage, hold_seconds=LEASE_SECONDS
    )


@pytest.mark.parametrize(("seconds", "on_outage"), [(1, "hold"), (4.5, "hold"), (4.5, "open"), (10, "hold")])
def test_a_redis_that_stands_still_for_a_while(
    table: Table, open_shop: Any, seconds: float, on_outage: str
) -> None:
    """SIGSTOP, also for longer than a lease: that is stretched, and nobody gets a second one."""
    server, _, crowd = open_shop(on_outage=on_outage)
    with crowd.fault() as fault:
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(server.pid, signal.SIGCONT)
    judge(table, crowd, fault, f"SIGSTOP of Redis, {seconds:g} s", on_outage=on_outage)


def test_scripts_that_are_flushed_are_sent_again(table: Table, open_shop: Any) -> None:
    """Nobody notices."""
    server, _, crowd = open_shop()
    with crowd.fault() as fault, client_on(server) as client:
        for _ in range(10):
            client.script_flush()
            time.sleep(0.1)
    judge(table, crowd, fault, "SCRIPT FLUSH, ten times", is_outage=False)


# --- Redis is full, and can't write


def test_a_redis_that_is_full_is_an_outage(table: Table, open_shop: Any) -> None:
    """Somebody else's data has filled it up; noeviction, so that it refuses instead of dropping leases."""
    server, _, crowd = open_shop()
    with crowd.fault() as fault, client_on(server) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 300_000)
        for number in range(1000):
            with suppress(redis.exceptions.OutOfMemoryError):
                client.set(f"filler:{number}", "x" * 2_000)
            time.sleep(0.0015)
        client.delete(*client.keys("filler:*"))
        client.config_set("maxmemory", 0)
    judge(table, crowd, fault, "Redis full (noeviction)")


def test_a_disk_that_refuses_writes_is_an_outage(table: Table, open_shop: Any) -> None:
    """MISCONF. What stands where the snapshot should go is a folder, which stops even root."""
    server, _, crowd = open_shop()
    in_the_way = Path(server.socket_path.parent, "dump.rdb")
    with client_on(server) as client:

        def has_saved(word: str) -> bool:
            client.bgsave()
            until(lambda: not client.info("persistence")["rdb_bgsave_in_progress"], what="it has tried")
            return bool(client.info("persistence")["rdb_last_bgsave_status"] == word)

        client.config_set("save", "3600 1000000")
        with crowd.fault() as fault:
            in_the_way.mkdir()
            assert has_saved("err")
            time.sleep(1.5)
            in_the_way.rmdir()
            assert has_saved("ok")
    judge(table, crowd, fault, "Redis' disk refuses (MISCONF)")


# --- what lies between the workers and Redis is bad


@dataclass
class Between:
    """A shop whose Redis is behind a proxy."""

    proxy: Proxy
    site: Fleet
    on_outage: str


@pytest.fixture(scope="module")
def between(request: pytest.FixtureRequest, program: Server) -> Iterator[Between]:
    """One shop for all of the proxy's faults."""
    with (
        EmbeddedRedis(server=program) as server,
        Proxy(server.socket_path).running() as proxy,
        fleet(proxy.url, on_outage=request.param, **OPTIONS) as site,
    ):
        yield Between(proxy, site, request.param)


PROXY_FAULTS = [
    pytest.param(Slow(0.5), id="answers half a second late"),
    pytest.param(Drops(), id="loses the second half of each answer"),
    pytest.param(Drips(), id="drips the answers byte by byte"),
    pytest.param(HalfCloses(), id="half-closes"),
    pytest.param(Resets(), id="resets"),
    pytest.param(BlackHole(), id="takes everything and says nothing"),
]


@pytest.mark.parametrize("bad", PROXY_FAULTS)
@pytest.mark.parametrize("between", ["hold", "open"], indirect=True)
def test_a_bad_way_to_redis_is_an_outage(
    table: Table, between: Between, bad: Well, request: pytest.FixtureRequest
) -> None:
    """However the answers fail to come: the first wait for a deadline, the others for nothing."""
    proxy, site = between.proxy, between.site
    with crowded(site) as crowd:
        with crowd.fault() as fault:
            proxy.fault = bad
            time.sleep(verdict.NOTICED_SECONDS)
            crowd.arrive(2)
            before, asked_before = proxy.heard + proxy.opened, len(crowd.told)
            time.sleep(1.0)
            pieces, requests = proxy.heard + proxy.opened - before, len(crowd.told) - asked_before
            health = site.ask("/_admitgate/healthz").status
            proxy.fault = Well()
        name = f"a proxy that {request.node.callspec.id.partition('-')[2]}"
        judge(table, crowd, fault, name, on_outage=between.on_outage)
    assert health == (503 if between.on_outage == "hold" else 200)
    assert pieces <= 20 < 40 <= requests  # of the two workers' probes; each may be a greeting and a question


@pytest.mark.parametrize("between", ["hold"], indirect=True)
def test_a_slow_way_to_redis_costs_what_it_costs(table: Table, between: Between) -> None:
    """A new connection takes several round trips, and all are within the deadline: no outage."""
    with crowded(between.site) as crowd:
        with crowd.fault() as fault:
            between.proxy.fault = Slow(0.04)
            time.sleep(1.5)
            between.proxy.fault = Well()
        judge(
            table,
            crowd,
            fault,
            "a proxy that answers 0.04 s late",
            on_outage=between.on_outage,
            is_outage=False,
        )


@pytest.mark.parametrize("between", ["hold"], indirect=True)
def test_connections_that_a_proxy_closes_are_opened_again(table: Table, between: Between) -> None:
    """It was restarted, or they were idle for too long. Nobody notices."""
    with crowded(between.site) as crowd:
        with crowd.fault() as fault:
            for _ in range(10):
                between.proxy.close_all()
                time.sleep(0.1)
        row = judge(
            table,
            crowd,
            fault,
            "a proxy that closes what is open",
            on_outage=between.on_outage,
            is_outage=False,
        )
    assert row.shut_out == 0


def test_a_worker_that_is_cut_off_alone(table: Table, program: Server) -> None:
    """The line goes on through the other. Who meets only this one isn't present, and may be passed."""
    with (
        EmbeddedRedis(server=program) as server,
        Proxy(server.socket_path).running() as proxy,
        fleet(server.url, workers=1, **OPTIONS) as well,
        fleet(proxy.url, workers=1, **OPTIONS) as cut_off,
        crowded(Balanced([well, cut_off])) as crowd,
    ):
        with crowd.fault() as fault:
            crowd.may_pay.set()
            proxy.fault = BlackHole()
            time.sleep(LEASE_SECONDS)
            proxy.fault = Well()
        judge(table, crowd, fault, "one worker of two is cut off", may_overtake=True)
        assert verdict.seconds_until_admitting(crowd, fault.began_at, patience=0) < LEASE_SECONDS


# --- Sentinels and a Cluster


def test_a_fail_over_under_load(table: Table, program: Server) -> None:
    """kill -9 of the master. It ends when the Sentinels have agreed on another, which is theirs to do."""
    if servers.cannot(program, "--sentinel"):
        missing("a Redis that can be a Sentinel", cure="'apt install redis-server'")
    with (
        servers.watched(program) as five,
        fleet(five.url, **OPTIONS) as site,
        crowded(site) as crowd,
    ):
        replica = five.replica()
        with crowd.fault() as fault:
            servers.kill(five.master())
            until(lambda: five.master() is replica, what="the Sentinels agree on the replica")
            until(lambda: client_of(replica).info("replication")["role"] == "master", what="it is promoted")
        judge(table, crowd, fault, "fail-over (Sentinel)", hold_seconds=GRACE_SECONDS, may_exceed=1)


def test_an_event_that_moves_under_load(table: Table, program: Server) -> None:
    """The slot's migration to another node of the Cluster, with all that belongs to the event."""
    with (
        servers.cluster(program) as nodes,
        fleet(nodes.url, **OPTIONS) as site,
        crowded(site) as crowd,
    ):
        source = node_of(EVENT, nodes)
        target = next(server for server in nodes.servers if server is not source)
        slot = key_slot(line_of(EVENT)[0].encode())
        with crowd.fault() as fault:
            for _ in move(nodes, slot, source, target):
                time.sleep(0.4)
        judge(table, crowd, fault, "slot migration (Cluster)", is_outage=False)
        assert node_of(EVENT, nodes) is target


# --- workers are killed


def test_a_worker_that_is_killed_in_a_first_visit(table: Table, open_shop: Any, tmp_path: Path) -> None:
    """kill -9 with the request in the application. Its slot comes free in a lease; nobody else is harmed."""
    _, site, crowd = open_shop()
    checkout = f"/events/{ALONE}/checkout"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(site.ask, f"{checkout}/slow?folder={tmp_path}")
        worker = int(until(lambda: _text_in(tmp_path / "worker"), what="the application has the request"))
        next_one = site.ask(checkout)
        assert next_one.state in ("waiting", "ready")
        with crowd.fault() as fault:
            os.kill(worker, signal.SIGKILL)
            assert first.result(10).status == 0
        crowd.may_pay.set()
    until(
        lambda: site.ask(checkout, cookie=(next_one.cookie or "").partition(";")[0]).status == 200,
        what="the slot is free",
    )
    free_after = time.monotonic() - fault.began_at
    judge(table, crowd, fault, "a worker killed in a first visit", is_outage=False)
    assert free_after <= LEASE_SECONDS + GRACE_SECONDS + NOISE_SECONDS


def _text_in(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def test_a_fleet_that_is_killed_and_started_again(table: Table, open_shop: Any) -> None:
    """All that workers know is gone; what counts is in Redis and in the cookies."""
    _, site, crowd = open_shop(rule=LONG_RULE)
    with crowd.fault() as fault:
        site.kill()
        site.start()
    judge(table, crowd, fault, "the whole fleet killed", is_outage=False)


def test_a_fleet_and_a_redis_that_start_from_nothing(table: Table, open_shop: Any) -> None:
    """Only the cookies know. Who was in goes on; at the most as many others go in as there are slots."""
    server, site, crowd = open_shop(rule=LONG_RULE)
    with crowd.fault() as fault:
        site.kill()
        servers.kill(server)
        server.start()
        site.start()
    judge(
        table,
        crowd,
        fault,
        "fleet and Redis killed, without AOF",
        is_outage=False,
        hold_seconds=LONG_SECONDS,
        may_exceed=CAPACITY,
        may_overtake=True,
    )


def test_a_cold_hold_keeps_the_cap_even_then(table: Table, open_shop: Any) -> None:
    """Whoever wants it strict lets everybody wait once, for a lease, whenever an event is born."""
    server, site, crowd = open_shop(rule=LONG_RULE | {"cold_hold_seconds": LONG_SECONDS})
    with crowd.fault() as fault:
        site.kill()
        servers.kill(server)
        server.start()
        site.start()
    judge(table, crowd, fault, "the same with a cold hold", is_outage=False, hold_seconds=2 * LONG_SECONDS)
