"""What the doctor says of each server of a Redis, and of all together. Asks nobody, and knows no clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from . import replication
from .facts import Facts, Node
from .findings import ERROR, NOTE, OK, WARNING, Finding, counted, size, span

Judge = Callable[[Node], Iterable[Finding]]

_oldest_version = (6, 2)
_nearly_full = 0.8
_clock_step_seconds = 5.0  # as in prelude.lua: a difference that no delay explains
_long_outage_seconds = 60.0
_events_most = 5


def of_redis(facts: Facts) -> list[Finding]:
    """All that a deep look comes to."""
    more = (untold, persistence, replication.replicas(facts.kind), clock, scripts, events)
    return [*replication.sentinels(facts), *_judged(facts, (*_what_matters_at_once, *more))]


def at_start(facts: Facts) -> list[Finding]:
    """What a site should hear of as it starts, if anything."""
    findings = [*replication.sentinels(facts), *_judged(facts, _what_matters_at_once)]
    return [finding for finding in findings if finding.level in (WARNING, ERROR)]


def _judged(facts: Facts, judges: Iterable[Judge]) -> Iterator[Finding]:
    """Every judge on every server. What is the same of several is said once, with their names."""
    yield from replication.away(facts)
    reached = [node for node in facts.nodes if not node.away]
    for judge in (replication.role(facts.kind), *judges):
        names: dict[Finding, list[str]] = {}
        for node in reached:
            for finding in judge(node):
                names.setdefault(finding, []).append(node.name)
        for finding, where in names.items():
            yield _with_names(finding, where, len(facts.nodes))


def _with_names(finding: Finding, where: list[str], servers: int) -> Finding:
    if servers < 2:
        return finding
    names = ", ".join(where) if len(where) < servers else f"All {servers} servers"
    return replace(finding, text=f"{names}: {finding.text}")


def version(node: Node) -> Iterator[Finding]:
    """Is it new enough for the scripts?"""
    told = str(node.info.get("redis_version", ""))
    numbers = re.match(r"(\d+)\.(\d+)", told)
    if numbers is None:
        return
    name = f"Valkey {node.info['valkey_version']}" if "valkey_version" in node.info else f"Redis {told}"
    if (int(numbers[1]), int(numbers[2])) >= _oldest_version:
        yield Finding("version", OK, f"This is {name}.")
    else:
        cure = "Upgrade to Redis 6.2 or newer, or to Valkey."
        yield Finding("version", ERROR, f"This is {name}, too old for the gate's scripts.", cure)


def memory(node: Node) -> Iterator[Finding]:
    """Will it keep what it is given, and has it room for more?"""
    policy, most = node.info.get("maxmemory_policy"), node.info.get("maxmemory", 0)
    used = node.info.get("used_memory", 0) - node.info.get("mem_not_counted_for_evict", 0)
    if policy is None and not node.says("OOM"):
        return
    if policy not in ("noeviction", None):
        level, when = (ERROR, "") if most else (WARNING, "once a maxmemory is set, ")
        text = f"maxmemory-policy is {policy}: {when}leases are dropped without a word."
        yield Finding("memory", level, text, _never_evict)
    figures = f"{size(used)} of {size(most)} in use" if most else f"{size(used)} in use, without a maxmemory"
    if node.says("OOM") or 0 < most <= used:
        text = f"Its memory is full ({figures}), and it refuses to write."
        yield Finding("memory", ERROR, text, _make_room)
    elif most and used >= most * _nearly_full:
        yield Finding("memory", WARNING, f"Its memory is nearly full: {figures}.", _make_room)
    elif policy == "noeviction":
        yield Finding("memory", OK, f"maxmemory-policy is noeviction; {figures}.")


_never_evict = "CONFIG SET maxmemory-policy noeviction, and in redis.conf; caches belong in another Redis."
_make_room = "Raise maxmemory, or remove what else is in there. An event takes about 1 MB."


def disk(node: Node) -> Iterator[Finding]:
    """Does it get onto the disk what it wants to keep? Where not, it may refuse to write at all."""
    told, is_failing = node.info, node.says("MISCONF")
    if told.get("loading"):
        cure = "Wait; until then everybody is told of an outage."
        yield Finding("disk", ERROR, "It is still loading its data from the disk.", cure)
    if told.get("aof_enabled") and told.get("aof_last_write_status", "ok") != "ok":
        text = "It can't write its append-only file, and refuses to write anything (MISCONF)."
        yield Finding("disk", ERROR, text, _see_the_log)
    elif told.get("rdb_last_bgsave_status", "ok") != "ok" and node.config.get("save") != "":
        is_failing = is_failing or node.config.get("stop-writes-on-bgsave-error") != "no"
        then = "and it refuses to write (MISCONF)" if is_failing else "and a crash would lose what came since"
        level = ERROR if is_failing else WARNING
        yield Finding("disk", level, f"Its last snapshot failed, {then}.", _see_the_log)
    elif is_failing:
        text = "It can't write to its disk, and refuses to write anything (MISCONF)."
        yield Finding("disk", ERROR, text, _see_the_log)
    elif told.get("aof_enabled") and told.get("aof_last_bgrewrite_status", "ok") != "ok":
        text = "It couldn't rewrite its append-only file the last time; the file grows."
        yield Finding("disk", WARNING, text, _see_the_log)


_see_the_log = "Redis' log says why: as a rule the disk is full, or the folder belongs to somebody else."


def commands(node: Node) -> Iterator[Finding]:
    """Does it let the gate call what its scripts call?"""
    refused = node.refused
    if refused is None:
        return
    forbidden = [name for name, words in refused.items() if _is_forbidden(words)]
    unknown = [name for name, words in refused.items() if "nknown" in words]
    if forbidden:
        rights = [*forbidden, "EVALSHA"] if "EVAL" in forbidden else forbidden
        cure = f"Give the user in redis_url {' '.join('+' + name.lower() for name in rights)} (ACL SETUSER)."
        yield Finding(
            "commands", ERROR, f"Its ACL forbids what the gate calls: {', '.join(forbidden)}.", cure
        )
    if unknown:
        text = f"It doesn't know what the gate calls: {', '.join(unknown)}."
        yield Finding("commands", ERROR, text, "Take rename-command for them out of redis.conf.")
    for name, words in refused.items():
        if name not in forbidden + unknown and not _is_told_by_others(node, words):
            yield _other_refusal(name, words)
    if not refused:
        yield Finding("commands", OK, "It takes every command that the gate's scripts call.")


def _is_forbidden(words: str) -> bool:
    return "can't run this command" in words or "no permissions to run" in words


def _is_told_by_others(node: Node, words: str) -> bool:
    is_told = ("OOM", "MISCONF") if not node.info else ("OOM", "MISCONF", "READONLY", "NOREPLICAS")
    return any(state in words for state in is_told)


def _other_refusal(name: str, words: str) -> Finding:
    if "permissions to access" in words:
        cure = "Give the user in redis_url ~admitgate:* (ACL SETUSER), or what your key_prefix is."
        return Finding("commands", ERROR, "Its ACL keeps the gate from its keys.", cure)
    cure = "As long as that is so, everybody is told of an outage."
    return Finding("commands", ERROR, f"It refuses {name}: {words}", cure)


_what_matters_at_once: tuple[Judge, ...] = (version, memory, disk, commands, replication.cluster)


def untold(node: Node) -> Iterator[Finding]:
    """What couldn't be looked at: whoever rents a Redis may not ask it everything."""
    for command, reason in node.untold.items():
        what = _told_by.get(command, command)
        yield Finding("untold", NOTE, f"{what} couldn't be looked at ({reason}).")


_told_by = {
    "INFO": "Version, role, memory, disk and replicas",
    "CONFIG GET": "Snapshots, and how many replicas a write has to wait for",
    "TIME": "The clock",
    "SCRIPT EXISTS": "The script cache",
    "SCAN": "The events' clocks",
    "CLUSTER INFO": "The state of the cluster",
    "CLUSTER SLOTS": "The members of the cluster",
}


def persistence(node: Node) -> Iterator[Finding]:
    """What would a crash leave?"""
    if "aof_enabled" not in node.info or node.info.get("role") == "slave":
        return
    if node.info["aof_enabled"]:
        synced = f", synced {node.config['appendfsync']}" if "appendfsync" in node.config else ""
        yield Finding("persistence", OK, f"It keeps an append-only file{synced}.")
    elif node.config.get("save"):
        text = "It keeps snapshots only: after a crash admissions pause, until those inside are back."
        yield Finding("persistence", WARNING, text, _keep)
    elif "save" in node.config:
        text = "It keeps nothing on disk: after a restart admissions pause, until those inside are back."
        yield Finding("persistence", WARNING, text, _keep)


_keep = "CONFIG SET appendonly yes, and in redis.conf."


def clock(node: Node) -> Iterator[Finding]:
    """Does it go as this machine's does? The gate doesn't need that; but one of the two will be put right."""
    ahead = node.clock_ahead_seconds
    if ahead is None:
        return
    if abs(ahead) - node.clock_slack_seconds < _clock_step_seconds:
        yield Finding("clock", OK, "Its clock and this machine's agree.")
    else:
        text = f"Its clock is {span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's."
        cure = "Run chrony or another NTP client on both, before visitors come."
        yield Finding("clock", WARNING, text, cure)


def scripts(node: Node) -> Iterator[Finding]:
    """Are ours in its cache?"""
    if node.scripts_missing is not None:
        missing = counted(node.scripts_missing, "script")
        text = f"{missing} of the gate's not in its cache yet, sent when first needed."
        yield Finding("scripts", OK, text if node.scripts_missing else "The gate's scripts are in its cache.")


def events(node: Node) -> Iterator[Finding]:
    """Do events go by its clock as it is, or is a correction in force?"""
    off = {event: ms / 1000 for event, ms in node.offsets_ms.items() if ms}
    for event, seconds in sorted(off.items(), key=lambda item: -abs(item[1]))[:_events_most]:
        way = "ahead of" if seconds > 0 else "behind"
        text = f"Event {event!a}: a correction is in force, its clock is {span(abs(seconds))} {way} Redis'."
        if abs(seconds) < _long_outage_seconds:
            yield Finding("events", OK, text)
        else:
            cure = "It harms nobody, but find out whether Redis' clock was set or there was a long outage."
            yield Finding("events", WARNING, text, cure)
    if len(off) > _events_most:
        text = f"A correction is in force for {counted(len(off) - _events_most, 'other event')} too."
        yield Finding("events", OK, text)
    elif node.offsets_ms and not off:
        text = f"{counted(len(node.offsets_ms), 'event')} in it, and no correction of a clock in force."
        yield Finding("events", OK, text)
