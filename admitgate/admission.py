"""What the application gets of the gate: ``environ["admitgate"]``, ``request.admitgate``, ``g.admitgate``."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Protocol

from .memory import monotonic
from .rules import Match
from .tokens import Lease


class Levers(Protocol):
    """What an edge does for an admission whose application asks for it."""

    def release(self, admission: Admission) -> None:
        """Give the slot back."""

    def extend(self, admission: Admission, seconds: float) -> None:
        """Let the lease end later."""

    async def arelease(self, admission: Admission) -> None:
        """Give the slot back, in a coroutine."""

    async def aextend(self, admission: Admission, seconds: float) -> None:
        """Let the lease end later, in a coroutine."""


class Admission:
    """A request that was let in. Good for the length of that request.

    ``event`` is the event's name, ``sid`` the visitor's lease, to be kept with an order if something else
    (a payment's callback) shall give the slot back later; None where nobody counts: in an outage with
    ``on_outage="open"``, or in ``mode="observe"`` beyond the capacity (then ``would_wait`` is true).
    """

    __slots__ = (
        "began_at",
        "is_first",
        "is_released",
        "lease",
        "levers",
        "match",
        "set_cookie",
        "would_wait",
    )

    def __init__(
        self,
        match: Match,
        lease: Lease | None,
        *,
        is_first: bool = False,
        would_wait: bool = False,
        set_cookie: str | None = None,
    ) -> None:
        self.match: Match = match
        self.lease: Lease | None = lease
        self.is_first: bool = is_first
        self.would_wait: bool = would_wait
        self.set_cookie: str | None = set_cookie
        self.is_released: bool = False
        self.began_at: float = monotonic() if match.rule.ramp_seconds else 0.0
        self.levers: Levers | None = None

    @property
    def event(self) -> str:
        """The event's name."""
        return self.match.event

    @property
    def sid(self) -> str | None:
        """The name of the visitor's lease."""
        return self.lease.sid if self.lease else None

    @property
    def settles(self) -> bool:
        """False where the rule of the view has still its say: one that observes turns nobody away."""
        return self.match.is_gated and self.match.rule.mode == "on"

    @property
    def expires_at(self) -> datetime | None:
        """When the lease ends unless another request renews it, by Redis' clock."""
        if self.lease is None:
            return None
        return datetime.fromtimestamp(self.lease.deadline_ms / 1000, timezone.utc)

    def release(self) -> None:
        """Give the slot back now: the order is paid. One Redis call; the cookie goes with this response.

        Without Redis the slot comes free when its lease ends. Calling it twice is harmless. In a coroutine
        of an asynchronous site ``await arelease()`` instead, which works everywhere.
        """
        if self.levers:
            self.levers.release(self)

    async def arelease(self) -> None:
        """Give the slot back now, without keeping the event loop waiting."""
        if self.levers:
            await self.levers.arelease(self)

    def extend(self, seconds: float) -> None:
        """Let the lease end ``seconds`` from now, if that is later than it does already. One Redis call.

        For a step that takes longer than a lease, such as a bank's own page. Raises Outage where Redis
        can't be asked: then the lease ends when it did before.
        """
        if self.levers:
            self.levers.extend(self, seconds)

    async def aextend(self, seconds: float) -> None:
        """Let the lease end later, without keeping the event loop waiting. Raises Outage, too."""
        if self.levers:
            await self.levers.aextend(self, seconds)

    def __repr__(self) -> str:
        return f"<Admission event={self.event!r} sid={self.sid!r} expires_at={self.expires_at}>"
