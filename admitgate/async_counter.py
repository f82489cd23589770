"""``Counter`` for tasks: asks the same and learns the same, and awaits the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .async_client import AsyncClient
from .connection import Breaker
from .counter import PING, Call, Counter, Reply, unpack
from .errors import Outage
from .memory import EventMemory, Memories, monotonic


class AsyncCounter:
    """Shares what ``counter`` knows. Raises Outage where Redis can't be asked."""

    def __init__(
        self,
        counter: Counter,
        client: AsyncClient,
        memories: Memories,
        breaker: Breaker,
        in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        self._counter, self._client = counter, client
        self._memories, self._breaker = memories, breaker
        self._in_thread = in_thread

    async def call(self, call: Call) -> Reply:
        """One round trip. What the reply tells of the event is remembered before it is returned."""
        if call is PING:
            return await self._ping()
        if call.rule.capacity_may_block:
            await self._in_thread(call.rule.capacity_now)
        memory = self._memories.of(call.event)
        sent_at = monotonic()
        try:
            with self._breaker:
                raw = await self._ask(call, memory)
        except Outage:
            memory.doubt(sent_at)
            raise
        return unpack(raw, call, memory, sent_at)

    async def _ask(self, call: Call, memory: EventMemory) -> Any:
        key, packed = self._counter.in_wire_format(call, memory)
        return await self._client.evaluate(packed, key, lambda: self._counter.with_source(call, memory))

    async def _ping(self) -> Reply:
        try:
            with self._breaker:
                await self._client.ask(("PING",))
        except Outage:
            self._memories.doubt()
            raise
        return Reply("PONG", 0, 0, None)
