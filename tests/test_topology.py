"""Redis on several machines: what a client does about masters of before, nodes that are away, and silence."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import redis.sentinel
from redis.exceptions import TimeoutError as TimeRanOut

from admitgate import Rule, topology
from admitgate.connection import connect
from admitgate.counter import Counter, join
from admitgate.embedded import EmbeddedRedis
from admitgate.errors import Outage
from admitgate.memory import Memories, monotonic

ECHO = "return ARGV[1]"
WRITE = "return redis.call('INCR', KEYS[1])"
LATE = (
    "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end "
    "local start = now() while now() < start + 600 do end return 'late'"
)
SEVERAL = ["redis+sentinel://{}/tickets", "redis+cluster://{}"]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def address_of(listener: socket.socket) -> str:
    """Where it listens."""
    host, port = listener.getsockname()
    return f"{host}:{port}"


def script(client: Any, source: str, key: str = "key", *args: Any) -> Any:
    """One script, sent whole."""
    return client.execute_command("EVAL", source, 1, key, *args)


@pytest.mark.parametrize("url", SEVERAL)
def test_building_a_client_opens_no_connection(url: str, silent: socket.socket) -> None:
    """So that a server may fork afterwards, and a site starts while its Redis is away."""
    connect(url.format(address_of(silent)), 1)
    with pytest.raises(BlockingIOError):
        silent.accept()


@pytest.mark.parametrize("url", SEVERAL)
def test_nobody_waits_longer_than_the_deadline(url: str, silent: socket.socket) -> None:
    """However many of the hosts are silent, asking them takes a part of it each."""
    client = connect(url.format(",".join([address_of(silent)] * 3)), 0.2)
    with pytest.raises((Outage, redis.ConnectionError)):
        script(client, ECHO, "key", "x")


# --- Sentinel


class Two:
    """A master and another Redis; and who is the master, as the Sentinels have it."""

    def __init__(self, old: EmbeddedRedis, new: EmbeddedRedis) -> None:
        self.old, self.new, self.master = old, new, old
        self.asked = 0

    def discover(self) -> tuple[str, int]:
        self.asked += 1
        assert self.master.port is not None
        return "127.0.0.1", self.master.port


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    """Two servers, of which the old one is the master."""
    with EmbeddedRedis(port=free_port()) as old, EmbeddedRedis(port=free_port()) as new:
        two = Two(old, new)
        monkeypatch.setattr(topology.Sentinels, "discover_master", lambda self, service: two.discover())
        yield two


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def led(timeout_seconds: float = 5) -> Any:
    """A client that asks Sentinels."""
    return connect("redis+sentinel://127.0.0.1/tickets", timeout_seconds)


def hold_several(client: Any, count: int) -> None:
    """Leave that many open connections to the master of now."""
    until = monotonic() + 5
    lent = [client._connections.lend(until) for _ in range(count)]
    for connection in lent:
        connection.until = until
        connection.connect()
        client._connections.give_back(connection)


def test_whoever_is_master_no_more_is_asked_no_more(two: Two) -> None:
    """It says READONLY; the same call is then asked of the new master."""
    client = led()
    assert script(client, WRITE) == 1
    with redis.Redis(port=two.old.port or 0) as other:
        other.replicaof("127.0.0.1", two.new.port)
        two.master = two.new
        assert script(client, WRITE) in (1, 2)
        other.replicaof("NO", "ONE")  # a master waits for its replicas before it ends
    assert [connection.port for connection in client._connections._idle] == [two.new.port]


def test_an_old_master_that_hangs_costs_one_call_and_not_one_for_each_connection(two: Two) -> None:
    """All of them lead to it; the next call finds the new one."""
    client = led(0.4)
    hold_several(client, 5)
    os.kill(two.old.pid, signal.SIGSTOP)
    try:
        two.master = two.new
        with pytest.raises(TimeRanOut):
            script(client, WRITE)
        hold_several(client, 5)
        assert {connection.port for connection in client._connections._idle} == {two.new.port}
        assert [script(client, WRITE) for _ in range(3)] == [1, 2, 3]
    finally:
        os.kill(two.old.pid, signal.SIGCONT)


def test_an_old_master_that_was_killed_costs_nothing(two: Two) -> None:
    """Its connections are closed: a new one goes to the new master."""
    client = led()
    hold_several(client, 3)
    os.kill(two.old.pid, signal.SIGKILL)
    two.master = two.new
    assert [script(client, WRITE) for _ in range(3)] == [1, 2, 3]


def test_an_answer_that_comes_too_late_is_nobodys(two: Two) -> None:
    """The next caller gets their own."""
    client = led(0.4)
    with pytest.raises(TimeRanOut):
        script(client, LATE)
    for _ in range(50):
        with contextlib.suppress(TimeRanOut, redis.ConnectionError, redis.ResponseError):
            assert script(client, ECHO, "key", "mine") == b"mine"
            return
    pytest.fail("Redis has not answered again")


def test_every_new_connection_asks_the_sentinels(two: Two) -> None:
    """What the master was before is kept nowhere; an open connection asks nobody."""
    client = led()
    hold_several(client, 3)
    assert two.asked == 3
    script(client, WRITE)
    assert two.asked == 3


class Witness:
    """A Sentinel that knows one service, and answers when another is asked too."""

    def __init__(self, service: str, meet: threading.Barrier) -> None:
        self._service, self._meet = service, meet
        self.connection_pool = redis.ConnectionPool(host=service, port=1, password="sesame")

    def sentinel_masters(self) -> dict[str, Any]:
        if self._service == "silent":
            raise redis.TimeoutError
        self._meet.wait(10)
        state = {"ip": self._service, "port": 1, "is_master": True, "is_sdown": self._service == "down"}
        return {self._service: state | {"is_odown": False, "num-other-sentinels": 2}}


def sentinels_of(*services: str, parties: int = 1) -> Any:
    """The part of a client that asks."""
    sentinels: Any = led().connection_pool.sentinel_manager
    meet = threading.Barrier(parties)
    sentinels.sentinels = [Witness(service, meet) for service in services]
    return sentinels


def test_threads_lose_no_sentinel() -> None:
    """Whoever answers goes to the front of a list that is replaced, not changed."""
    sentinels = sentinels_of("a", "b", "c", parties=2)
    known = set(sentinels.sentinels)
    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            found = threads.map(sentinels.discover_master, ("b", "b"))
            assert list(found) == [("b", 1)] * 2
            sentinels.sentinels.reverse()
    assert set(sentinels.sentinels) == known
    assert len(sentinels.sentinels) == 3


def test_without_a_master_each_sentinels_answer_is_told() -> None:
    """And nobody's password."""
    with pytest.raises(redis.sentinel.MasterNotFoundError) as caught:
        sentinels_of("silent", "other", "down").discover_master("down")
    assert str(caught.value) == (
        "no master of 'down': silent:1 TimeoutError, other:1 doesn't know it, down:1 says it is down"
    )


def test_credentials_and_tls_go_where_they_belong() -> None:
    """The user's to Redis, the Sentinels' to the Sentinels, TLS to both."""
    client = connect(
        "rediss+sentinel://me:p%40ss@h1,h2:7/tickets/3"
        "?ssl_cert_reqs=none&sentinel_username=watch&sentinel_password=man",
        0.4,
    )
    pool = client.connection_pool
    redis_options = pool.connection_kwargs
    assert pool.connection_class is redis.sentinel.SentinelManagedSSLConnection
    assert [redis_options[name] for name in ("username", "password", "db")] == ["me", "p@ss", 3]
    assert redis_options["socket_timeout"] == 0.2
    for sentinel, place in zip(pool.sentinel_manager.sentinels, [("h1", 26379), ("h2", 7)], strict=True):
        options = sentinel.connection_pool.connection_kwargs
        assert (options["host"], options["port"]) == place
        assert (options["username"], options["password"]) == ("watch", "man")
        assert options["ssl_cert_reqs"] == "none"
        assert options["socket_timeout"] == 0.1
        assert options["retry"]._retries == 0
        assert sentinel.connection_pool.connection_class is redis.SSLConnection


# --- Cluster


def test_a_clusters_credentials_and_tls_go_to_every_node() -> None:
    """Those that are found later included."""
    client = connect("rediss+cluster://me:pass@h1,h2:7?ssl_cert_reqs=none", 0.4)
    for host, port in (("h1", 6379), ("h2", 7), ("found later", 8)):
        connection = client._node(host, port)._connections.lend(0)
        assert isinstance(connection, redis.SSLConnection)
        assert (connection.host, connection.port, connection.socket_timeout) == (host, port, 0.2)
        assert (connection.credential_provider or connection.username, connection.password) == ("me", "pass")


def test_a_redis_that_is_no_cluster_says_so(
    redis_server: EmbeddedRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log and in the outage."""
    with EmbeddedRedis(port=free_port()) as server:
        client = connect(f"redis+cluster://127.0.0.1:{server.port}", 2)
        with (
            caplog.at_level(logging.ERROR, "admitgate"),
            pytest.raises(Outage, match="cluster support disabled"),
        ):
            script(client, ECHO, "key", "x")
    assert f"Redis node 127.0.0.1:{server.port}" in caplog.text


def test_a_cluster_that_is_away_is_asked_seldom(silent: socket.socket) -> None:
    """Its nodes' breakers are open: a call costs nothing."""
    client = connect(f"redis+cluster://{address_of(silent)}", 0.2)
    for _ in range(50):
        with pytest.raises(Outage):
            script(client, ECHO, "key", "x")
    assert len(list(accepted(silent))) <= 2


def accepted(listener: socket.socket) -> Iterator[None]:
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            yield


def test_forked_processes_take_their_own_turns() -> None:
    """Whoever was finding the way when the process forked doesn't exist in the new one."""
    client = connect("redis+cluster://127.0.0.1:1", 5)
    with client._turn:
        child = os.fork()
        if child == 0:
            try:
                script(client, ECHO, "key", "x")
            except Outage as outage:
                os._exit(0 if "Error 111" in str(outage) or "refused" in str(outage) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_outage_of_one_node_casts_doubt_on_its_own_events_only(redis_url: str) -> None:
    """Nobody could show presence there; everybody else's grace goes on."""
    memories, rule = Memories(), Rule("/<event>", capacity=1)
    client = HalfAway(connect(redis_url, 5))
    counter = Counter(client, memories)
    for event in ("here", "there"):
        counter.call(join(rule, event, "sid"))
    client.away = counter.keys("there").line
    for event in ("here", "there"):
        with contextlib.suppress(Outage):
            counter.call(join(rule, event, "sid"))
    assert [memories.of(event).is_doubtful for event in ("here", "there")] == [False, True]


class HalfAway:
    """A cluster of which a node is away: the one with a key."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.away = ""

    def execute_command(self, *words: Any) -> Any:
        if self.away and self.away in words:
            raise Outage("Redis node h1 can't be asked")
        return self._client.execute_command(*words)
