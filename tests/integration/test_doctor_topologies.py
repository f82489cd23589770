"""The doctor at Sentinels and at a Cluster: who is there, who is missing, and who should be asked instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import servers
from conftest import missing
from servers import Nodes, Watched, client_of, until

from admitgate import Rule
from admitgate.config import Config
from admitgate.doctor.diagnosis import at_start, of_redis
from admitgate.doctor.examination import of_road
from admitgate.doctor.findings import Finding, worst
from admitgate.doctor.looking import look
from admitgate.embedded import Server, find_server
from admitgate.errors import AdmitgateError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Server:
    """Which Redis there is."""
    try:
        return find_server()
    except AdmitgateError as error:
        missing("redis-server", cure=str(error))
        raise


@pytest.fixture(scope="module")
def five(server: Server) -> Iterator[Watched]:
    """A master, a replica and three Sentinels."""
    if servers.cannot(server, "--sentinel"):
        missing("a Redis that can be a Sentinel", cure="'apt install redis-server'")
    with servers.watched(server) as watched:
        yield watched


@pytest.fixture
def nodes(server: Server) -> Iterator[Nodes]:
    """Three nodes with a third of the slots each."""
    with servers.cluster(server) as nodes:
        yield nodes


def config_of(url: str) -> Config:
    rules = [Rule("/sale", capacity=1)]
    return Config.from_options(
        {"secret_key": "the shop's key, known to nobody outside", "redis_url": url, "rules": rules}
    )


def consult(url: str) -> list[Finding]:
    """What is said of the Redis at ``url``."""
    return of_redis(look(config_of(url), seconds=2, is_deep=True))


def said(findings: list[Finding], check: str) -> list[tuple[str, str]]:
    """Level and text of one check's findings."""
    return [(finding.level, finding.text) for finding in findings if finding.check == check]


def test_sentinels_in_one_mind_are_well(five: Watched) -> None:
    """And so is what they lead to: the master, its replica, and the road that requests take."""
    five.wait_until_in_step()
    config = config_of(five.url)
    findings = consult(five.url)
    assert worst(findings) == worst(of_road(config)) == "ok"
    (agreed,) = said(findings, "sentinels")
    assert agreed[1] == f"3 Sentinels asked, 3 watching, one master: 127.0.0.1:{five.master().port}."
    (version,) = said(findings, "version")
    assert version[1].startswith("All 2 servers: ")
    assert at_start(look(config, seconds=2, is_deep=False)) == []


def test_a_service_that_they_do_not_know_is_named(five: Watched) -> None:
    """A slip in the URL."""
    findings = consult(five.url.replace(servers.SERVICE, "tickest"))
    assert [level for level, _ in said(findings, "sentinels")] == ["error"] * 3
    assert "'tickest'" in findings[0].text


def test_a_sentinel_taken_for_a_redis_is_told(five: Watched) -> None:
    """One finding, with the form that the URL should have."""
    findings = consult(f"redis://127.0.0.1:{five.sentinels[0].port}/0")
    (found,) = (finding for finding in findings if finding.level == "error")
    assert "redis+sentinel://" in found.cure


def test_a_redis_taken_for_a_sentinel_is_told(five: Watched) -> None:
    """The other way round."""
    url = f"redis+sentinel://127.0.0.1:{five.servers[0].port}/{servers.SERVICE}/0"
    ((level, text),) = said(consult(url), "sentinels")
    assert (level, "is no Sentinel" in text) == ("error", True)


def test_a_sentinel_that_is_away_is_a_warning(five: Watched) -> None:
    """The others do without."""
    (port,) = servers.free_ports(1)
    found = said(consult(five.url.replace("://", f"://127.0.0.1:{port},")), "sentinels")
    assert [level for level, _ in found] == ["warning", "ok"]


def test_a_replica_that_evicts_is_found_though_its_master_does_not(five: Watched) -> None:
    """After a fail-over it would be the master."""
    with client_of(five.replica()) as replica:
        replica.config_set("maxmemory-policy", "allkeys-lru")
        replica.config_set("maxmemory", "100mb")
        try:
            ((_, good), (level, text)) = sorted(said(consult(five.url), "memory"), reverse=True)
        finally:
            replica.config_set("maxmemory-policy", "noeviction")
            replica.config_set("maxmemory", 0)
    assert "noeviction" in good
    assert level == "error"
    assert text.startswith(f"127.0.0.1:{five.replica().port}: ")


def test_a_cluster_that_is_well_lacks_only_replicas(nodes: Nodes) -> None:
    """All slots; every node is looked at, and our commands are tried on the one that has the keys."""
    findings = consult(nodes.url)
    assert [finding.check for finding in findings if finding.level != "ok"] == ["replicas"]
    assert said(findings, "cluster") == [
        ("ok", "All 3 servers: The cluster is well: 3 masters for all slots.")
    ]
    assert len(said(findings, "commands")) == 1
    assert worst(of_road(config_of(nodes.url))) == "ok"


def test_one_node_named_as_if_it_were_all_is_told(nodes: Nodes) -> None:
    """With the form that the URL should have."""
    for server in nodes.servers:
        (found,) = (f for f in consult(f"redis://127.0.0.1:{server.port}/0") if f.level == "error")
        assert "redis+cluster://" in found.cure


def test_a_node_that_died_leaves_slots_to_nobody(nodes: Nodes) -> None:
    """Whom it is that is away, and what it costs; at start too."""
    dead = nodes.servers[1]
    servers.kill(dead)
    config = config_of(nodes.url)

    def has_been_noticed() -> bool:
        levels = {level for level, _ in said(consult(nodes.url), "cluster")}
        return levels == {"error"}  # each of them, as they hear of it one after the other

    until(has_been_noticed, seconds=30, what="the others notice")
    findings = consult(nodes.url)
    ((level, text),) = said(findings, "connection")
    assert (level, f"127.0.0.1:{dead.port}" in text) == ("warning", True)
    assert any("Nobody looks after 546" in text for _, text in said(findings, "cluster"))
    assert {"connection", "cluster"} <= {f.check for f in at_start(look(config, seconds=2, is_deep=False))}
