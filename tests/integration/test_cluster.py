"""A Cluster of three nodes: events spread over them, and one that leaves takes no other's events along."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
import redis
import servers
from conftest import missing
from redis.cluster import ClusterNode
from redis.crc import key_slot
from servers import Nodes, client_of, until
from sites import CHECKOUT_RULE, KEY, ASGIAdapter, Browser, Opener, PlainAdapter, Site, state_keys

from admitgate import Config
from admitgate.connection import connect
from admitgate.control import Control
from admitgate.counter import Counter
from admitgate.embedded import EmbeddedRedis, find_server
from admitgate.errors import AdmitgateError
from admitgate.memory import Memories

pytestmark = pytest.mark.slow

OpenSite = Callable[..., Site]
EVENTS = [f"event-{number}" for number in range(60)]
IN_LINE = ("waiting", "ready")
_line_of = Counter(None, Memories()).keys


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Three nodes with a third of the slots each."""
    try:
        server = find_server()
    except AdmitgateError as error:
        missing("redis-server", cure=str(error))
        raise
    with servers.cluster(server) as nodes:
        yield nodes


@pytest.fixture
def empty(nodes: Nodes) -> Nodes:
    """The cluster, well and without keys."""
    for server in nodes.servers:
        servers.revive(server)
    nodes.wait_until_well()
    for server in nodes.servers:
        with client_of(server) as client:
            client.flushall()
            client.script_flush()
    return nodes


@pytest.fixture(
    params=[pytest.param(PlainAdapter, id="threads"), pytest.param(ASGIAdapter, id="an event loop")]
)
def open_site(request: pytest.FixtureRequest, empty: Nodes) -> Iterator[OpenSite]:
    """Opens shops on the cluster, in which every request asks Redis."""
    opener = Opener(request.param, empty.url)
    usual = {"capacity": 1, "grace_seconds": 1, "verify_every_request": True, "redis_timeout_seconds": 1.0}
    yield lambda **options: opener(**usual | options)
    opener.close()


def checkout(event: str) -> str:
    return f"/events/{event}/checkout"


def node_of(event: str, nodes: Nodes) -> EmbeddedRedis:
    """Where an event lives."""
    return nodes.owner_of(_line_of(event)[0])


def one_of_each(nodes: Nodes) -> list[tuple[str, EmbeddedRedis]]:
    """An event of every node."""
    found: dict[int, tuple[str, EmbeddedRedis]] = {}
    for event in EVENTS:
        server = node_of(event, nodes)
        found.setdefault(server.port or 0, (event, server))
    assert len(found) == len(nodes.servers)
    return list(found.values())


def state_of(browser: Browser, event: str) -> str:
    return str(browser.place(checkout(event))["state"])


def is_well(site: Site, event: str) -> bool:
    """True if the event can be asked for: a newcomer is told so."""
    return state_of(site.browser(), event) != "outage"


def test_events_spread_over_the_nodes_and_each_stays_on_one(open_site: OpenSite, empty: Nodes) -> None:
    """Sixty of them: every node has some, and nothing of an event is on two."""
    site = open_site()
    for event in EVENTS:
        assert site.is_in(path=checkout(event))
    tags = []
    for server in empty.servers:
        with client_of(server) as client:
            tags.append({key.split(b"}")[0] for key in state_keys(client)})
    assert sum(map(len, tags)) == len(set().union(*tags)) == len(EVENTS)
    assert min(map(len, tags)) >= 5


def test_the_whole_road_on_every_node(open_site: OpenSite, empty: Nodes) -> None:
    """In, full, in line, paid, called, in."""
    site = open_site()
    waiting: dict[str, Browser] = {}
    for event, _ in one_of_each(empty):
        inside, waiting[event] = site.fill(checkout(event)), site.browser()
        assert state_of(waiting[event], event) in IN_LINE
        inside.get(f"/events/{event}/thanks")
    for event, browser in waiting.items():
        until(lambda browser=browser, event=event: browser.check_in(event) == "admitted", what="admitted")
        assert site.is_in(browser, checkout(event))
        assert not site.is_in(path=checkout(event))


def test_a_node_that_dies_takes_no_other_events_along(
    open_site: OpenSite, empty: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    """kill -9. Its own events are an outage until it is back, and then as they were; two lines in the log."""
    site = open_site()
    (lost, server), *others = one_of_each(empty)
    inside = {event: site.fill(checkout(event)) for event, _ in [(lost, server), *others]}
    waiting = site.browser()
    number = waiting.place(checkout(lost))["number"]
    with caplog.at_level(logging.INFO, "admitgate"):
        servers.kill(server)
        for _ in range(20):
            assert state_of(site.browser(), lost) == "outage"
            assert site.is_in(inside[lost], checkout(lost))
            for event, _ in others:
                assert site.is_in(inside[event], checkout(event))
                assert state_of(site.browser(), event) in IN_LINE
        server.start()
        until(lambda: is_well(site, lost), what="its events are asked for again")
    assert site.is_in(inside[lost], checkout(lost))
    assert waiting.place(checkout(lost))["number"] == number
    assert not site.is_in(path=checkout(lost))
    told = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert [line.split(":")[0] for line in told] == ["outage", "outage over"]
    assert all(f"Redis node 127.0.0.1:{server.port}" in line for line in told)


def test_a_worker_that_starts_while_a_node_is_away(open_site: OpenSite, empty: Nodes) -> None:
    """The first host of its URL says nothing, as do a third of the events."""
    (lost, server), (event, _), _ = sorted(
        one_of_each(empty), key=lambda pair: pair[1] is not empty.servers[0]
    )
    assert server is empty.servers[0]
    servers.kill(server)
    try:
        site = open_site()
        assert state_of(site.browser(), lost) == "outage"
        assert site.is_in(path=checkout(event))
    finally:
        server.start()


def move(nodes: Nodes, slot: int, source: EmbeddedRedis, target: EmbeddedRedis) -> Iterator[str]:
    """Move a slot with its keys to another node, in steps."""
    ids = {server.port: name for server, name in zip(nodes.servers, nodes.ids, strict=True)}
    with client_of(source) as old, client_of(target) as new:
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source.port])
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target.port])
        yield "begun"
        keys = old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
        old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        yield "the keys are there"
        for client in (new, old):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target.port])
        yield "done"


def test_an_event_that_moves_to_another_node_is_followed(
    open_site: OpenSite, empty: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    """While its keys are under way it is an outage, for nobody else; the new node is told the scripts."""
    site = open_site(capacity=2)
    (event, source), (_, target), _ = one_of_each(empty)
    neighbour = next(other for other in EVENTS[::-1] if other != event and node_of(other, empty) is source)
    inside, waiting = [site.fill(checkout(event)), site.fill(checkout(event))], site.browser()
    number = waiting.place(checkout(event))["number"]
    slot = key_slot(_line_of(event)[0].encode())
    for there, back in ((source, target), (target, source)):
        for step in move(empty, slot, there, back):
            assert all(site.is_in(browser, checkout(event)) for browser in inside)
            assert not site.is_in(path=checkout(event))
            assert site.is_in(path=checkout(neighbour)) or is_well(site, neighbour)
            assert step == "done" or state_of(waiting, event) == "outage"
        assert waiting.place(checkout(event))["number"] == number
        assert node_of(event, empty) is back
    assert caplog.text == ""


def test_a_key_that_is_under_way_is_followed(empty: Nodes) -> None:
    """The old node names the new one for this time (ASK), in the end for good (MOVED)."""
    (event, source), (_, target), _ = one_of_each(empty)
    key = _line_of(event)[0]
    client = connect(empty.url, 2.0)
    client.set(key, "kept")
    for there, back in ((source, target), (target, source)):
        for _ in move(empty, key_slot(key.encode()), there, back):
            assert client.get(key) == b"kept"
            assert client.execute_command("EVAL", "return redis.call('GET', KEYS[1])", 1, key) == b"kept"
        assert (
            client._owners[key_slot(key.encode())].port == back.port
        )  # it is asked there at once from now on


def test_commands_besides_scripts(empty: Nodes) -> None:
    """What a publisher asks: keys of all nodes, and fields of one key."""
    client = connect(empty.url, 2.0)
    assert client.ping()
    for number in range(30):
        client.hset(f"key-{number}", "number", number)
    assert sorted(client.scan_iter(match="key-*", count=3)) == sorted(b"key-%d" % n for n in range(30))
    assert client.hget("key-7", "number") == b"7"
    assert client.hgetall(b"key-7") == {b"number": b"7"}


@pytest.mark.parametrize("open_site", [pytest.param(PlainAdapter, id="threads")], indirect=True)
def test_a_client_object_of_redis_py_is_as_good(open_site: OpenSite, empty: Nodes) -> None:
    """It connects when it is made, and takes one node's outage for everybody's; but there is no traceback."""
    start = [ClusterNode("127.0.0.1", server.port) for server in empty.servers]
    with redis.RedisCluster(startup_nodes=start, socket_timeout=1, require_full_coverage=False) as client:
        site = open_site(redis_client=client)
        (lost, server), (event, _), _ = one_of_each(empty)
        assert site.is_in(path=checkout(event))
        inside = site.fill(checkout(lost))
        servers.kill(server)
        try:
            assert state_of(site.browser(), lost) == "outage"
            assert site.is_in(inside, checkout(lost))
        finally:
            server.start()
        until(lambda: is_well(site, lost), what="its events are asked for again")


@pytest.mark.parametrize("open_site", [pytest.param(PlainAdapter, id="threads")], indirect=True)
def test_an_operator_finds_and_changes_events_on_all_nodes(open_site: OpenSite, empty: Nodes) -> None:
    """Each event's settings and log are where its line is."""
    site, events = open_site(), sorted(EVENTS[:12])
    for event in events:
        site.fill(checkout(event))
    options = {"rules": [CHECKOUT_RULE], "redis_url": empty.url, "secret_key": KEY}
    control = Control.of(Config.from_options({"redis_timeout_seconds": 10, **options}))
    assert control.events() == events
    for event in events:
        assert len(control.event(event).close("Sold out", by="ada")) == 2
        assert control.event(event).log(1)[0].who == "ada"
        told = site.browser().place(checkout(event))
        assert (told["state"], told["message"]) == ("closed", "Sold out")
