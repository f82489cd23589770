"""A master with a replica and three Sentinels: whoever is promoted goes on where the other stopped."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import servers
from conftest import missing
from servers import Watched, client_of, until
from sites import CHECKOUT, THANKS, ASGIAdapter, Opener, PlainAdapter, Site, state_keys

from admitgate.connection import connect
from admitgate.embedded import find_server
from admitgate.errors import AdmitgateError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def five() -> Iterator[Watched]:
    """A master, a replica and three Sentinels."""
    try:
        server = find_server()
    except AdmitgateError as error:
        missing("redis-server", cure=str(error))
        raise
    if servers.cannot(server, "--sentinel"):
        missing("a Redis that can be a Sentinel", cure="'apt install redis-server'")
    with servers.watched(server) as watched:
        yield watched


@pytest.fixture(
    params=[pytest.param(PlainAdapter, id="threads"), pytest.param(ASGIAdapter, id="an event loop")]
)
def site(request: pytest.FixtureRequest, five: Watched) -> Iterator[Site]:
    """A shop with two slots, on an empty Redis."""
    five.wait_until_in_step()
    with client_of(five.master()) as master:
        master.flushall()
    options = {"capacity": 2, "grace_seconds": 1, "verify_every_request": True}
    opener = Opener(request.param, five.url)
    yield opener(**options, redis_timeout_seconds=1.0)
    opener.close()


def is_answered(site: Site) -> bool:
    """True if Redis can be asked: a newcomer is told so."""
    return bool(site.browser().place()["state"] != "outage")


def test_a_master_that_is_killed_costs_nobody_their_place(site: Site, five: Watched) -> None:
    """kill -9. For seconds newcomers are told of an outage; then leases, tickets and cap are as before."""
    inside = [site.fill(), site.fill()]
    waiting = site.browser()
    number = waiting.place()["number"]
    five.wait_until_in_step()
    before, replica = five.master(), five.replica()
    servers.kill(before)

    assert site.browser().place()["state"] == "outage"
    assert all(site.is_in(browser) for browser in inside)
    until(lambda: is_answered(site), what="the replica is asked")
    assert five.master() is replica
    assert all(site.is_in(browser) for browser in inside)
    assert not site.is_in()
    assert waiting.place()["number"] == number
    with client_of(replica) as client:
        (leases,) = (key for key in state_keys(client) if key.endswith(b":leases"))
        assert client.zcard(leases) == 2 + 1  # and the sentinel that never expires

    inside.pop().get(THANKS)
    until(lambda: waiting.check_in() == "admitted", what="the first in line is let in")
    assert site.is_in(waiting)
    assert site.is_in(inside[0])
    assert not site.is_in()

    before.start()
    with client_of(before) as client:
        client.replicaof("127.0.0.1", replica.port)


def test_a_planned_fail_over_is_hardly_noticed(site: Site, five: Watched) -> None:
    """The Sentinels close the old master's connections; the next call finds the new one."""
    inside = [site.fill(), site.fill()]
    waiting = site.browser()
    number = waiting.place()["number"]
    five.wait_until_in_step()
    replica = five.replica()
    five.sentinels[0].client().execute_command("SENTINEL FAILOVER", servers.SERVICE)
    until(lambda: five.master() is replica, what="the Sentinels agree on the replica")
    until(lambda: is_answered(site), what="the new master is asked")
    assert all(site.is_in(browser) for browser in inside)
    assert waiting.place()["number"] == number
    assert not site.is_in()


def test_a_sentinel_that_says_nothing_is_asked_last_from_then_on(five: Watched) -> None:
    """It costs the first caller a part of the deadline, and nobody after that."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        client = connect(five.url.replace("://", f"://127.0.0.1:{port},"), 2.0)
        assert client.execute_command("EVAL", "return ARGV[1]", 0, "x") == b"x"
        first = client.connection_pool.sentinel_manager.sentinels[0]
        assert first.connection_pool.connection_kwargs["port"] != port


def test_a_service_that_no_sentinel_knows_is_an_outage(five: Watched) -> None:
    """A slip in the settings is told in the log; visitors get the waiting page."""
    site = Opener(PlainAdapter, five.url.replace(servers.SERVICE, "tickest"))()
    response = site.browser().get(CHECKOUT)
    assert response.status_code == 503


def test_other_commands_are_led_to_the_master_too(five: Watched) -> None:
    """The sign of life, for instance."""
    client = connect(five.url, 1.0)
    until(
        lambda: client.ping() and client.info("replication")["role"] == "master", what="the master is asked"
    )
