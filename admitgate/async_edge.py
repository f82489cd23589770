"""What stands behind every edge that awaits: the same as behind the others, asked in an event loop.

Nothing is decided here. ``Edge`` tells every story as steps; this drives them with ``await``, so that a loop
never waits for Redis. The shop's own callables in the settings may block, or may ask a database: where there
are such, the steps are taken in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from .admission import Admission
from .async_client import connect_async
from .async_counter import AsyncCounter
from .config import Config
from .counter import Steps, T
from .edge import SETTLED, Edge, Outcome
from .errors import ConfigError, Outage
from .rules import Match
from .visit import Visit

R = TypeVar("R")
InThread = Callable[..., Awaitable[Any]]


class AsyncEdge:
    """An edge's gate for tasks. It shares everything with ``edge``, which serves the process's threads.

    A process may have several event loops, one after the other or side by side. ``in_thread`` is how a
    framework wants blocking functions to be called.
    """

    def __init__(self, edge: Edge, in_thread: InThread = asyncio.to_thread) -> None:
        faults = async_faults(edge.config)
        if faults:
            raise ConfigError(faults)
        self.edge: Edge = edge
        self._in_thread = in_thread
        client = connect_async(edge.config.redis_url or "", edge.config.redis_timeout_seconds)
        edge.signals.listen_to(client)
        self._counter = AsyncCounter(edge.counter, client, edge.memories, edge.breaker, in_thread)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def respond(self, visit: Visit, match: Match) -> Outcome:
        """What becomes of the visit."""
        if self.edge.may_block(visit, match):
            return await self._to_its_end(self._respond_at_leisure(visit, match))
        outcome = self.edge.outcome(visit, match, self)
        if outcome is None or isinstance(outcome, SETTLED):
            return outcome
        return await self.run(outcome)

    async def headers(
        self, visit: Visit, admission: Admission, status: int, given: Iterable[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """The application's headers as they go out; gives the slot back where the response asks for it."""
        headers, steps = self.edge.conclude(admission, status, given)
        if steps:
            await self.run(steps)
        return [*headers, *self.edge.own_headers(visit, admission)]

    def leave(self, admission: Admission) -> None:
        """The application has answered, or broken. Once for each admission that an edge was given."""
        self.edge.leave(admission)

    async def run(self, steps: Steps[T]) -> T:
        """Take the steps of a story, to its end."""
        return await self._to_its_end(self._run(steps))

    async def give_up(self, admission: Admission) -> None:
        """The application broke before it answered: a slot whose cookie never goes out must come free."""
        steps = self.edge.giving_up(admission)
        if steps:
            await self.run(steps)

    async def arelease(self, admission: Admission) -> None:
        """Give the admission's slot back now."""
        await self.run(self.edge.gate.leaving.release(admission))

    async def aextend(self, admission: Admission, seconds: float) -> None:
        """Let the admission's lease end later."""
        await self.run(self.edge.gate.leaving.extend(admission, seconds))

    def release(self, admission: Admission) -> None:
        """The same from a thread, such as a view that is no coroutine runs in."""
        refuse_in_a_loop("release()", "await arelease()")
        self.edge.release(admission)

    def extend(self, admission: Admission, seconds: float) -> None:
        """The same from a thread."""
        refuse_in_a_loop("extend()", "await aextend()")
        self.edge.extend(admission, seconds)

    async def release_sid(self, event: str, sid: str | None) -> None:
        """Give back the slot of a lease known by name. Raises LookupError where no rule has the event."""
        if self.edge.config.enabled:
            await self.run(self.edge.releasing_sid(event, sid))

    async def _respond_at_leisure(self, visit: Visit, match: Match) -> Outcome:
        outcome: Any = await self._in_thread(self.edge.outcome, visit, match, self)
        if outcome is None or isinstance(outcome, SETTLED):
            return outcome
        return await self._run(outcome, in_thread=True)

    async def _to_its_end(self, story: Coroutine[Any, Any, R]) -> R:
        """A visitor may leave while Redis is asked: what it gave them has to be heard, to be given back."""
        task = asyncio.get_running_loop().create_task(story)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._tasks.add(task)  # a loop keeps no hold of it
            task.add_done_callback(self._undo)
            raise

    def _undo(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        outcome = None if task.cancelled() or task.exception() else task.result()
        if isinstance(outcome, Admission):
            self.edge.leave(outcome)
            task = asyncio.get_running_loop().create_task(self.give_up(outcome))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, steps: Steps[T], *, in_thread: bool = False) -> T:
        """Drive the story: ask Redis where it wants to, hand it the reply or the outage."""
        step: Callable[[Any], Any] = steps.send
        given: Any = None
        while True:
            is_done, told = await self._in_thread(_take, step, given) if in_thread else _take(step, given)
            if is_done:
                self.edge.start_check.once()
                result: T = told
                return result
            try:
                step, given = steps.send, await self._counter.call(told)
            except Outage as outage:
                step, given = steps.throw, outage


def _take(step: Callable[[Any], Any], given: Any) -> tuple[bool, Any]:
    """One step of a story: its next call, or its end. (No task or thread can pass StopIteration on.)"""
    try:
        return False, step(given)
    except StopIteration as done:
        return True, done.value


def refuse_in_a_loop(what: str, instead: str) -> None:
    """A coroutine that blocked would keep every visitor of its worker waiting."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(f"{what} would block the event loop: {instead} in a coroutine.")


def async_faults(config: Config) -> list[str]:
    """What an edge in an event loop can't do, where others can."""
    if config.redis_client is not None:
        return [
            f"redis_client is {config.redis_client!r}, but a client object belongs to threads or to one "
            "event loop: give redis_url, so that each loop gets connections of its own."
        ]
    return []
