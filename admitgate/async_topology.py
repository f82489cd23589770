"""Redis on several machines, for tasks. Who leads and who has which slots is known to the threads' clients.

Finding that out is rare and bounded: it is asked in a thread, by the very code that serves threads.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, ResponseError

from .address import Address, read
from .async_client import AsyncClient, options_of, options_with_tls
from .connections import Command
from .errors import Outage
from .topology import HOPS_MOST, Cluster, Node, named, sentinels_of


def connect_many_async(url: str, timeout_seconds: float) -> AsyncClient:
    """A client for a URL with several hosts. It connects when it is first used."""
    address = read(url)
    if address.kind == "cluster":
        return AsyncCluster(address, timeout_seconds)
    return _led_by_sentinels(address, timeout_seconds)


def _led_by_sentinels(address: Address, timeout_seconds: float) -> AsyncClient:
    """Every connection asks the Sentinels anew where the master is; what it was before is kept nowhere."""
    sentinels, given = sentinels_of(address, timeout_seconds)
    kind, options = options_with_tls(given)

    async def make() -> Any:
        host, port = await asyncio.to_thread(sentinels.discover_master, address.service)
        return kind(host=host, port=port, **options)

    return AsyncClient(make, timeout_seconds)


class AsyncCluster(AsyncClient):
    """``Cluster`` for tasks, whose map and breakers it shares. It raises Outage by itself, too."""

    def __init__(self, address: Address, timeout_seconds: float) -> None:
        self._cluster = Cluster(address, timeout_seconds)
        self.tell_of_nodes = self._cluster.tell_of_nodes
        self._timeout_seconds = timeout_seconds
        self._kind, self._options = options_of(address.url)
        self._clients: dict[Node, AsyncClient] = {}
        self._sending = {}

    async def ask(self, command: Command, key: str = "", *, is_redirected: bool = False) -> Any:
        """Ask the node that has the key, wherever it has moved to."""
        if not key:  # a sign of life, from whatever node gives one
            return await asyncio.to_thread(self._cluster.ping)
        slot = key_slot(key.encode())
        node = await self._owner(slot)
        for _ in range(HOPS_MOST):
            try:
                return await self._ask_node(node, command, is_redirected)
            except AskError as error:
                node, is_redirected = self._cluster.led_on(slot, node, error)
        raise Outage(f"Redis' cluster sent a call on {HOPS_MOST} times")

    async def _owner(self, slot: int) -> Node:
        node = self._cluster.certain_owner(slot)
        return node if node is not None else await asyncio.to_thread(self._cluster.owner, slot)

    async def _ask_node(self, node: Node, command: Command, is_redirected: bool) -> Any:
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = AsyncClient(partial(self._make_to, node), self._timeout_seconds)
        with node.breaker:
            try:
                return await client.ask(command, is_redirected=is_redirected)
            except ResponseError as error:
                raise named(error) from None

    async def _make_to(self, node: Node) -> Any:
        return self._kind(**{**self._options, "host": node.host, "port": node.port})
