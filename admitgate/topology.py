"""Redis on several machines: a client that is led to the master by Sentinels, and one for a Cluster.

The cluster's is our own and asks over our ``Connections``: redis-py's connects when it is built, finds its
way without a bound in time, refuses instead of queueing when many threads ask at once, and can't tell one
node's outage from another's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import redis
from redis.connection import parse_url
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError, RedisError, ResponseError, TryAgainError
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from .address import Address, read
from .connection import Breaker, Client, patience
from .connections import Command, Connections
from .errors import Outage
from .hurry import hurried
from .memory import monotonic

NodeListener = Callable[[str, bool], None]

_learn_pause_seconds = 0.5
HOPS_MOST = 4
# redis-py 5 leaves these as they are.
_told = {"MOVED": MovedError, "ASK": AskError, "TRYAGAIN": TryAgainError}


def connect_many(url: str, timeout_seconds: float) -> Any:
    """A client for a URL with several hosts. It connects when it is first used."""
    address = read(url)
    if address.kind == "cluster":
        return Cluster(address, timeout_seconds)
    return _led_by_sentinels(address, timeout_seconds)


# --- Sentinel


class Sentinels(Sentinel):
    """redis-py's swaps places in a list that threads share, and its errors may show passwords."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """The master's host and port, from the first Sentinel that knows it to be well."""
        troubles = []
        for sentinel in self.sentinels:
            try:
                masters: Any = sentinel.sentinel_masters()
                state = masters.get(service_name)
            except RedisError as error:
                trouble = type(error).__name__
            else:
                if state and self.check_master_state(state, service_name):  # type: ignore[no-untyped-call]
                    self.sentinels = [sentinel, *(other for other in self.sentinels if other is not sentinel)]
                    return state["ip"], state["port"]
                trouble = "says it is down" if state else "doesn't know it"
            place = sentinel.connection_pool.connection_kwargs
            troubles.append(f"{place['host']}:{place['port']} {trouble}")
        raise MasterNotFoundError(f"no master of {service_name!r}: {', '.join(troubles)}")


def _led_by_sentinels(address: Address, timeout_seconds: float) -> Client:
    """Every connection asks the Sentinels anew where the master is; what it was before is kept nowhere."""
    sentinels, options = sentinels_of(address, timeout_seconds)
    pool = SentinelConnectionPool(address.service, sentinels, **options)  # type: ignore[no-untyped-call]
    return Client(pool, timeout_seconds)


def sentinels_of(address: Address, timeout_seconds: float) -> tuple[Sentinels, dict[str, Any]]:
    """Whom to ask for the master, and the options of a connection to it.

    However many Sentinels are away, asking takes no more than half of the deadline, and whoever answers is
    asked first the next time.
    """
    half = timeout_seconds / 2
    options = parse_url(address.url) | patience(half)  # type: ignore[no-untyped-call]
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    tls["ssl"] = options.pop("connection_class", None) is not None
    del options["host"], options["port"]
    asking = patience(half / len(address.hosts)) | tls | address.sentinel_options
    sentinels = Sentinels(address.hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    return sentinels, options | tls


# --- Cluster


class Node:
    """One machine of a cluster. It has a breaker of its own: the others' events go on without it."""

    def __init__(
        self, host: str, port: int, make: Callable[..., Any], seconds: float, tell: NodeListener
    ) -> None:
        self.host, self.port = host, port
        name = f"{host}:{port}"
        self.breaker = Breaker(
            what=f"Redis node {name}", on_open=partial(tell, name, True), on_close=partial(tell, name, False)
        )
        self._connections = Connections(partial(make, host=host, port=port), seconds=seconds)

    def ask(self, command: Command, *, is_redirected: bool = False) -> Any:
        """One command and its answer. Raises Outage, or names another node (MOVED, ASK)."""
        with self.breaker:
            try:
                return self._connections.ask(command, is_redirected=is_redirected)
            except ResponseError as error:
                raise named(error) from None


def named(error: ResponseError) -> ResponseError:
    """The same with a class of its own, where it leads to another node."""
    word, _, rest = str(error).partition(" ")
    return _told[word](rest) if word in _told else error


class Cluster(redis.Redis):
    """A client for Redis Cluster, for commands on one key or on several with one hash tag.

    It connects when it is first used, so that a fork after this is safe. It raises Outage by itself, so that
    whoever asks doesn't take one node's for everybody's.
    """

    def __init__(self, address: Address, timeout_seconds: float) -> None:
        pool = redis.ConnectionPool.from_url(address.url, **patience(timeout_seconds / 2))
        super().__init__(connection_pool=pool)
        self._make = hurried(pool.connection_class, pool.connection_kwargs)
        self._timeout_seconds = timeout_seconds
        self._listener: NodeListener = lambda name, is_away: None
        self._nodes: dict[tuple[str, int], Node] = {}
        for host, port in address.hosts:
            self._node(host, port)
        self._owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._is_informed = False
        self._pid, self._learn_at = 0, 0.0
        self._start_over()

    def execute_command(self, *words: Any, **options: Any) -> Any:
        """One command and its answer."""
        if words[0] == "EVALSHA" or words[0] == "EVAL":
            return self._ask(words[3], words)
        answer = self._ask(words[1], words) if len(words) > 1 else next(self._ask_any(*words))[1]
        options.pop("keys", None)
        understand = self.response_callbacks.get(words[0])  # type: ignore[no-untyped-call]
        return understand(answer, **options) if understand else answer

    def ask_packed(self, packed: bytes, key: str) -> Any:
        """The answer to a script's call that is in Redis' wire format already."""
        return self._ask(key, packed)

    def scan_iter(
        self, match: Any = None, count: Any = None, _type: Any = None, **options: Any
    ) -> Iterator[Any]:
        """The keys of all nodes that aren't away just now."""
        self.owner(0)
        given = {"MATCH": match, "COUNT": count, "TYPE": _type}
        words = [word for name, value in given.items() if value is not None for word in (name, value)]
        for node in dict.fromkeys(self._owners):
            cursor = None if node else 0
            while node and cursor != 0:
                try:
                    told, keys = node.ask(("SCAN", cursor or 0, *words))
                except Outage:
                    break
                yield from keys
                cursor = int(told)

    def _ask(self, key: str | bytes, command: Command) -> Any:
        """Ask the node that has the key, wherever it has moved to."""
        slot = key_slot(key if isinstance(key, bytes) else key.encode())
        node, is_redirected = self.owner(slot), False
        for _ in range(HOPS_MOST):
            try:
                return node.ask(command, is_redirected=is_redirected)
            except AskError as error:
                node, is_redirected = self.led_on(slot, node, error)
        raise Outage(f"Redis' cluster sent a call on {HOPS_MOST} times")

    def led_on(self, slot: int, node: Node, error: AskError) -> tuple[Node, bool]:
        """Whom a node's answer names instead, and whether it has to be told so."""
        other = self._node(error.host or node.host, error.port)
        is_for_good = isinstance(error, MovedError)  # else for this time: the slot is on its way
        if is_for_good:
            self._owners[slot] = other
        return other, not is_for_good

    def owner(self, slot: int) -> Node:
        """The node that has the slot; asks the cluster where that isn't certain."""
        node = self.certain_owner(slot)
        if node is None:
            self._learn_in_turn()
            node = self._owners[slot]
        if node is None:
            raise Outage(f"no node of Redis' cluster answers for slot {slot}")
        return node

    def certain_owner(self, slot: int) -> Node | None:
        """None where nobody is known to have the slot, and where who had it may have been replaced."""
        node = self._owners[slot]
        return None if node is None or node.breaker.is_open else node

    def _learn_in_turn(self) -> None:
        """One caller asks, twice a second at most; nobody waits for it who has anything to go by."""
        if self._pid != os.getpid():
            self._start_over()
        if self._turn.acquire(timeout=0 if self._is_informed else self._timeout_seconds):
            try:
                if monotonic() >= self._learn_at:
                    self._learn_at = monotonic() + _learn_pause_seconds
                    self._learn()
            finally:
                self._turn.release()

    def _start_over(self) -> None:
        """In a forked process the one whose turn it was doesn't exist."""
        self._turn, self._learn_at, self._pid = threading.Lock(), 0.0, os.getpid()

    def _learn(self) -> None:
        """Take the first answer that says who has which slots; keep the old one if none does."""
        try:
            for node, ranges in self._ask_any("CLUSTER", "SLOTS"):
                if ranges:
                    self._owners, self._is_informed = self._owners_in(ranges, node), True
                    return
        except Outage:
            if not self._is_informed:
                raise

    def _owners_in(self, ranges: list[Any], asked: Node) -> list[Node | None]:
        owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, (host, port, *_), *_ in ranges:
            owner = self._node(host.decode() if host else asked.host, port)
            owners[first : last + 1] = [owner] * (last + 1 - first)
        return owners

    def _ask_any(self, *words: str) -> Iterator[tuple[Node, Any]]:
        """Each node's answer. Those that are away come last, and only as often as their breakers let them.

        Raises Outage when there is no other, or no more time.
        """
        until, trouble = monotonic() + self._timeout_seconds, None
        for node in sorted(self._nodes.values(), key=lambda node: node.breaker.is_open):
            try:
                yield node, node.ask(words)
            except Outage as outage:
                trouble = outage
            if monotonic() >= until:
                break
        raise trouble or Outage("no node of Redis' cluster knows")

    def tell_of_nodes(self, listener: NodeListener) -> None:
        """``listener`` is told of each node that goes away (True), and that is back."""
        self._listener = listener

    def _tell(self, name: str, is_away: bool) -> None:
        self._listener(name, is_away)

    def _node(self, host: str, port: int) -> Node:
        node = self._nodes.get((host, port))
        if node is None:
            fresh = Node(host, port, self._make, self._timeout_seconds, self._tell)
            node = self._nodes.setdefault((host, port), fresh)
        return node
