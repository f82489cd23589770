"""Asks every server of a Redis, and the Sentinels that watch them, how they are. Judges nothing.

Each is asked over a connection of its own, which waits no longer than it is told to. A command that a server
refuses is noted, as whoever rents a Redis is refused some; a server that doesn't answer isn't asked again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice, takewhile
from typing import Any, TypeVar

import redis
from redis.connection import parse_url
from redis.crc import key_slot
from redis.exceptions import MovedError, RedisClusterException, RedisError, ResponseError

from .. import address
from ..config import Config
from ..connection import patience
from ..counter import load_scripts
from ..errors import Outage
from ..memory import monotonic
from .facts import Facts, Node, Sentinel, replicas_of

T = TypeVar("T")

_options = ("save", "appendfsync", "stop-writes-on-bgsave-error", "min-replicas-to-write")
_events_most = 1000
_search_seconds = 3.0
_keys_a_step = 1000
_gone = (RedisError, RedisClusterException, OSError, Outage)

# What we call, most of it in scripts; on three keys that nobody else has and that are gone at the end.
TRIALS = (
    *("PING", "TIME"),
    *("HSET HASH f 1", "HSETNX HASH f 1", "HGET HASH f", "HMGET HASH f", "HINCRBY HASH f 1", "HDEL HASH f"),
    *("ZADD ZSET 1 m", "ZCARD ZSET", "ZSCORE ZSET m", "ZMSCORE ZSET m", "ZRANK ZSET m"),
    *("ZRANGEBYSCORE ZSET -inf 0", "ZREVRANGE ZSET 0 1", "ZREM ZSET m", "ZREMRANGEBYRANK ZSET 0 0"),
    *("ZRANGEBYLEX ZSET - + LIMIT 0 1", "ZUNIONSTORE ZSET 1 ZSET", "ZRANGE ZSET 0 0"),
    *("LPUSH LIST m", "RPUSH LIST m", "LTRIM LIST 0 0", "LRANGE LIST 0 0", "HLEN HASH", "EXISTS HASH"),
    *("HGETALL HASH", "ZCOUNT ZSET 0 1"),
    *("PEXPIRE HASH 1000", "PEXPIRE ZSET 1000", "PEXPIRE LIST 1000", "DEL HASH ZSET LIST"),
)
_trial = """
local refusals, keys = {}, {HASH = KEYS[1], ZSET = KEYS[2], LIST = KEYS[3]}
for _, text in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(text, '%S+') do
    words[#words + 1] = keys[word] or word
  end
  local answer = redis.pcall(unpack(words))
  if type(answer) == 'table' and answer.err then
    refusals[#refusals + 1] = words[1] .. ' ' .. string.gsub(answer.err, '%s+', ' ')   -- 6.2's have line ends
  end
end
return table.concat(refusals, '\\n')
"""


def look(config: Config, *, seconds: float, is_deep: bool) -> Facts:
    """Ask around. ``seconds`` is how long a server may take for an answer.

    A deep look also sees replicas, events, clocks and the script cache, which may be many and take a while.
    """
    looking = _Looking(config.key_prefix, seconds, is_deep)
    try:
        if config.redis_client is not None:
            return looking.through(config.redis_client)
        url = config.redis_url or ""
        if "+" not in url.partition(":")[0]:
            return looking.at_one(url.replace("valkey", "redis", 1) if url.startswith("valkey") else url)
        place = address.read(url)
        return looking.at_cluster(place) if place.kind == "cluster" else looking.through_sentinels(place)
    finally:
        for client in looking.opened:
            client.close()


class _Looking:
    """One look, and the connections it opened."""

    def __init__(self, prefix: str, seconds: float, is_deep: bool) -> None:
        self._prefix, self._seconds, self._is_deep = prefix, seconds, is_deep
        self._trial_keys = [f"{prefix}:{{doctor}}:{name}" for name in ("hash", "zset", "list")]
        self.opened: list[Any] = []

    def at_one(self, url: str) -> Facts:
        """The one server of a plain URL."""
        where = _options_of(url)
        name = where.get("path") or _place(where.get("host", "localhost"), where.get("port", 6379))
        return Facts("single", [self._asked_and_tried(Node(str(name)), self._client(where))])

    def through(self, client: Any) -> Facts:
        """Whatever a client of the shop's own leads to."""
        if not hasattr(client, "get_nodes"):
            return Facts("single", [self._asked_and_tried(Node("redis_client"), client)])
        facts = Facts("cluster")
        for member in client.get_nodes():
            node = Node(_place(member.host, member.port), is_spare=member.server_type != "primary")
            facts.nodes.append(self._asked(node, client.get_redis_connection(member)))
        facts.nodes[0].refused = self._refusals(client)
        return facts

    def through_sentinels(self, place: address.Address) -> Facts:
        """Every Sentinel, the master that the first of them names, and in a deep look its replicas."""
        facts = Facts("sentinel", service=place.service)
        facts.sentinels = [self._sentinel(host, port, place) for host, port in place.hosts]
        named = next((sentinel.service for sentinel in facts.sentinels if sentinel.service), None)
        if named:
            master = self._asked_and_tried(*self._member(place, named["ip"], named["port"]))
            facts.nodes.append(master)
            for replica in replicas_of(master) if self._is_deep else ():
                member = self._member(place, replica["ip"], replica["port"], is_spare=True)
                facts.nodes.append(self._asked(*member))
        return facts

    def at_cluster(self, place: address.Address) -> Facts:
        """Every server that one of those in the URL knows of; and those in the URL that are away."""
        facts = Facts("cluster")
        slots = None
        for host, port in place.hosts:
            seed, client = self._member(place, host, port)
            said = self._answer(seed, "CLUSTER SLOTS", partial(client.execute_command, "CLUSTER SLOTS"))
            if seed.away or seed.untold:
                facts.nodes.append(seed)
            elif slots is None:
                slots = [(first, last, _members(servers, host)) for first, last, *servers in said or ()]
        for node, client, is_tried in self._nodes(place, slots or [], {node.name for node in facts.nodes}):
            facts.nodes.append((self._asked_and_tried if is_tried else self._asked)(node, client))
        return facts

    def _nodes(
        self, place: address.Address, slots: list[Any], known: set[str]
    ) -> Iterable[tuple[Node, Any, bool]]:
        """Each server of the slots once, and whether it is the one to try our commands."""
        tried = key_slot(self._trial_keys[0].encode())
        for first, last, servers in sorted(slots, key=lambda slots: not slots[0] <= tried <= slots[1]):
            for number, (host, port) in enumerate(servers):
                if _place(host, port) not in known:
                    known.add(_place(host, port))
                    node, client = self._member(place, host, port, is_spare=number > 0)
                    yield node, client, number == 0 and first <= tried <= last

    def _member(
        self, place: address.Address, host: str, port: int, *, is_spare: bool = False
    ) -> tuple[Node, Any]:
        options = _options_of(place.url) | {"host": host, "port": port}
        return Node(_place(host, port), is_spare), self._client(options)

    def _client(self, options: dict[str, Any]) -> redis.Redis:
        pool = redis.ConnectionPool(**(options | patience(self._seconds)))
        self.opened.append(client := redis.Redis(connection_pool=pool))
        return client

    def _asked_and_tried(self, node: Node, client: Any) -> Node:
        self._asked(node, client)
        if node.is_redis:
            node.refused = self._refusals(client)
        return node

    def _asked(self, node: Node, client: Any) -> Node:
        try:
            client.client().close()  # connects, and asks nothing that a server in trouble would refuse
        except _gone as error:
            node.away = _reason(error)
        node.info = self._answer(node, "INFO", client.info) or {}
        return self._ask_for_more(node, client) if node.is_redis else node

    def _ask_for_more(self, node: Node, client: Any) -> Node:
        for option in _options:
            node.config |= self._answer(node, "CONFIG GET", partial(client.config_get, option)) or {}
        if node.info.get("redis_mode") == "cluster":
            told = self._answer(node, "CLUSTER INFO", partial(client.execute_command, "CLUSTER INFO"))
            node.cluster = _pairs(told) if told else {}
        if self._is_deep:
            self._look_deeper(node, client)
        return node

    def _look_deeper(self, node: Node, client: Any) -> None:
        before = time.time()
        moment = self._answer(node, "TIME", client.time)
        if moment:
            after = time.time()
            node.clock_ahead_seconds = moment[0] + moment[1] / 1e6 - (before + after) / 2
            node.clock_slack_seconds = (after - before) / 2
        if not node.is_spare:
            digests = [_sha1(source) for source in load_scripts().values()]
            known = self._answer(node, "SCRIPT EXISTS", partial(client.script_exists, *digests))
            node.scripts_missing = None if known is None else len(digests) - sum(map(bool, known))
            node.offsets_ms = self._answer(node, "SCAN", partial(self._offsets, client)) or {}

    def _offsets(self, client: Any) -> dict[str, int]:
        """How far events' clocks are from Redis' own. It may be full of other things, so not for long."""
        until = monotonic() + _search_seconds
        keys = client.scan_iter(match=f"{self._prefix}:{{*}}:line", count=_keys_a_step)
        found = {}
        for key in islice(takewhile(lambda _: monotonic() < until, keys), _events_most):
            with suppress(ResponseError, ValueError):  # somebody else's key that looks like ours
                event, offset = client.hmget(key, "event", "offset")
                if event:
                    found[_text(event)] = int(float(offset or 0))
        return found

    def _refusals(self, client: Any) -> dict[str, str] | None:
        """Which of the commands that our scripts call are refused, and in which words."""
        try:
            said = client.execute_command("EVAL", _trial, len(self._trial_keys), *self._trial_keys, *TRIALS)
        except MovedError:
            return None  # a node of a cluster, and not the one
        except _gone as error:
            return {"EVAL": _words(error)}
        refusals = (line.partition(" ") for line in _text(said).splitlines())
        return {command: words for command, _, words in refusals}

    def _answer(self, node: Node, what: str, ask: Callable[[], T]) -> T | None:
        """An answer; None, and noted, where the server refuses or goes away."""
        if node.away or what in node.untold:
            return None
        try:
            return ask()
        except ResponseError as error:
            node.untold[what] = _words(error)
        except _gone as error:
            node.away = _reason(error)
        return None

    def _sentinel(self, host: str, port: int, place: address.Address) -> Sentinel:
        options = _options_of(place.url)
        tls = {name: options[name] for name in options if name.startswith(("ssl_", "connection_class"))}
        client: Any = self._client({**tls, **place.sentinel_options, "host": host, "port": port})
        sentinel = Sentinel(_place(host, port))
        try:
            sentinel.service = client.sentinel_master(place.service)
            client.execute_command("SENTINEL CKQUORUM", place.service)
        except _gone as error:
            if sentinel.service:
                sentinel.no_quorum = _words(error)
            else:
                sentinel.away = _reason(error)
        return sentinel


def _members(servers: Iterable[Any], asked_host: str) -> list[tuple[str, int]]:
    """A node that doesn't know its own name gives none: it is the one that was asked."""
    return [(_text(host) if host else asked_host, port) for host, port, *_ in servers]


def _options_of(url: str) -> dict[str, Any]:
    return dict(parse_url(url))  # type: ignore[no-untyped-call]


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {_words(error)}"


def _words(error: BaseException) -> str:
    return str(error).partition(", with args")[0].rstrip(". ")


def _sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _pairs(said: Any) -> dict[str, str]:
    """CLUSTER INFO, which some versions of redis-py read and others hand on."""
    if isinstance(said, dict):
        return {str(name): str(value) for name, value in said.items()}
    return dict(line.split(":", 1) for line in _text(said).split() if ":" in line)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
