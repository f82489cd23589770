"""What the doctor says of masters and replicas, Sentinels and clusters. Asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .facts import Facts, Node, Sentinel, replicas_of
from .findings import ERROR, OK, WARNING, Finding, counted, whole

_slots = 16384
_lag_seconds = 10
_sentinels_least = 3


def away(facts: Facts) -> Iterator[Finding]:
    """Can all be asked? Of several, the others may do without one; who then misses it says so."""
    is_all = all(node.away for node in facts.nodes)
    for node in facts.nodes:
        if node.away:
            is_lost = is_all or (facts.kind != "cluster" and not node.is_spare)
            is_auth = any(word in node.away.lower() for word in ("auth", "password", "wrongpass"))
            cure = "Correct user and password in redis_url." if is_auth else _reach
            text = f"Redis at {node.name} can't be asked ({node.away})."
            yield Finding("connection", ERROR if is_lost else WARNING, text, cure)


_reach = "Start it, and see that redis_url names it and that nothing between keeps it from answering."


def role(kind: str) -> Callable[[Node], Iterable[Finding]]:
    """Is it what the settings take it for?"""

    def judge(node: Node) -> Iterator[Finding]:
        mode, is_replica = node.info.get("redis_mode"), node.info.get("role") == "slave"
        if mode == "sentinel":
            cure = "Give redis_url the form redis+sentinel://h1:26379,h2:26379/service/0."
            yield Finding("role", ERROR, "This is a Sentinel, which keeps no data.", cure)
        elif kind == "cluster" and mode == "standalone":
            cure = "Give redis_url the form redis://host:6379/0."
            yield Finding("role", ERROR, "This is a Redis by itself, not a node of a cluster.", cure)
        elif kind != "cluster" and mode == "cluster":
            cure = "Give redis_url the form redis+cluster://h1:7000,h2:7000."
            text = "This is one node of a cluster: the events of the others can't be had from it."
            yield Finding("role", ERROR, text, cure)
        elif is_replica and not node.is_spare:
            master = f"{node.info.get('master_host')}:{node.info.get('master_port')}"
            text = f"This is a replica of {master}, which can't be written to."
            yield Finding("role", ERROR, text, _to_the_master[kind])
        elif is_replica and node.info.get("master_link_status") != "up":
            cure = "See that it reaches its master: a fail-over to it would lose what it hasn't got."
            yield Finding("replicas", WARNING, "It is a replica that has lost its master.", cure)
        elif node.info.get("role") == "master" and not node.is_spare and kind != "cluster":
            yield Finding("role", OK, "This is a master.")

    return judge


_to_the_master = {
    "single": "Name the master in redis_url, or let Sentinels lead to it (redis+sentinel://h1,h2/service).",
    "sentinel": "Wait for the fail-over to end; else see that the Sentinels reach every server.",
    "cluster": "Wait for the fail-over to end, and look again.",
}


def replicas(kind: str) -> Callable[[Node], Iterable[Finding]]:
    """Is there somebody to take over, and do they keep up?"""

    def judge(node: Node) -> Iterator[Finding]:
        if node.info.get("role") != "master" or node.is_spare:
            return
        found, told = replicas_of(node), node.config.get("min-replicas-to-write")
        well, wanted = sum(map(_keeps_up, found)), whole(told)
        yield from (_laggard(replica) for replica in found if not _keeps_up(replica))
        if well < wanted or node.says("NOREPLICAS"):
            text = f"It refuses to write: it wants {counted(wanted, 'replica')}, and {well} keep up with it."
            yield Finding("replicas", ERROR, text, "Start the replicas, or lower min-replicas-to-write.")
        elif not found:
            yield _alone[kind]
        elif kind != "single" and len(found) > 1 and told == "0":
            yield Finding(
                "replicas", WARNING, _two_masters, "CONFIG SET min-replicas-to-write 1, on every server."
            )
        elif well == len(found):
            yield Finding("replicas", OK, f"It has {counted(well, 'replica')}, up to date.")

    return judge


_two_masters = (
    "Cut off from the others it would go on admitting, beside a new master (min-replicas-to-write is 0)."
)
_nobody = Finding(
    "replicas", WARNING, "It has no replica: if it dies, nobody takes over.", "Give it one or two."
)
_alone = {
    "single": Finding("replicas", OK, "It has no replica: while it is away, there is an outage."),
    "sentinel": _nobody,
    "cluster": _nobody,
}


def _keeps_up(replica: dict[str, Any]) -> bool:
    return replica.get("state") == "online" and whole(replica.get("lag")) <= _lag_seconds


def _laggard(replica: dict[str, Any]) -> Finding:
    state, lag = replica.get("state"), whole(replica.get("lag"))
    how = f"was heard of {lag} s ago" if state == "online" else f"is not ready ({state})"
    text = f"The replica {replica.get('ip')}:{replica.get('port')} {how}."
    cure = "See its log, and the network between: a fail-over to it would lose what it hasn't got."
    return Finding("replicas", WARNING, text, cure)


def sentinels(facts: Facts) -> Iterator[Finding]:
    """Do they agree, and could they promote a replica?"""
    yield from _absent(facts)
    heard = [sentinel for sentinel in facts.sentinels if sentinel.service]
    masters = {f"{told.service['ip']}:{told.service['port']}": told.name for told in heard}
    troubles = [trouble for sentinel in heard for trouble in _troubles(sentinel)]
    if len(masters) > 1:
        views = ", ".join(f"{name} says {master}" for master, name in masters.items())
        cure = "Wait for the fail-over to end; else see that every Sentinel reaches the others."
        troubles.append(Finding("sentinels", ERROR, f"They disagree on the master: {views}.", cure))
    yield from troubles
    if heard and not troubles:
        yield _in_one_mind(next(iter(masters)), heard)


def _absent(facts: Facts) -> Iterator[Finding]:
    is_lost = not any(sentinel.service for sentinel in facts.sentinels)
    for sentinel in facts.sentinels:
        if "No such master" in sentinel.away:
            text, cure = f"Sentinel {sentinel.name} knows no service {facts.service!r}.", _service_name
        elif "unknown command" in sentinel.away:
            text, cure = f"{sentinel.name} is no Sentinel.", "Give the Sentinels' ports, as a rule 26379."
        else:
            text, cure = f"Sentinel {sentinel.name} can't be asked ({sentinel.away}).", _reach
        if sentinel.away:
            yield Finding("sentinels", ERROR if is_lost else WARNING, text, cure)


_service_name = "Give redis_url the name that stands behind 'sentinel monitor' in the Sentinels' settings."


def _troubles(sentinel: Sentinel) -> Iterator[Finding]:
    if {"s_down", "o_down"} & {*str(sentinel.service.get("flags", "")).split(",")}:
        text = f"Sentinel {sentinel.name} says that the master is down."
        yield Finding("sentinels", ERROR, text, "Start it; or see why no replica is promoted.")
    if sentinel.no_quorum:
        text = f"Sentinel {sentinel.name} says that no fail-over would come off ({sentinel.no_quorum})."
        yield Finding("sentinels", ERROR, text, "Start the Sentinels that are away; there should be three.")


def _in_one_mind(master: str, heard: list[Sentinel]) -> Finding:
    watching = 1 + max(whole(sentinel.service.get("num-other-sentinels")) for sentinel in heard)
    if watching < _sentinels_least:
        text = f"{counted(watching, 'Sentinel')} watching: if one is lost, no fail-over comes off."
        return Finding("sentinels", WARNING, text, "Run three, on three machines.")
    text = f"{counted(len(heard), 'Sentinel')} asked, {watching} watching, one master: {master}."
    return Finding("sentinels", OK, text)


def cluster(node: Node) -> Iterator[Finding]:
    """Is every slot looked after, as this node sees it?"""
    told = node.cluster
    if not told:
        return
    lost = _slots - whole(told.get("cluster_slots_ok"))
    if told.get("cluster_state") != "ok" or lost:
        text = f"Nobody looks after {lost} of {_slots} slots (cluster_state:{told.get('cluster_state')})."
        cure = "Start the nodes that are away. 'redis-cli --cluster check' says which, '--cluster fix' helps."
        yield Finding("cluster", ERROR, text, cure)
    else:
        masters = counted(whole(told.get("cluster_size")), "master")
        yield Finding("cluster", OK, f"The cluster is well: {masters} for all slots.")
