"""The way out: the application has answered, a visitor leaves, a slot is given back.

Like the gate's story these are steps that ask for Redis and do no I/O of their own.
"""

from __future__ import annotations

from contextlib import suppress

from . import counter
from .admission import Admission
from .bearers import Bearers
from .counter import Steps
from .errors import Outage
from .health import Health
from .memory import Memories, monotonic
from .rules import Match
from .tokens import Lease, Token, is_sid

_gone_statuses = (404, 410)


class Leaving:
    """Gives back what nobody needs any more. Safe in threads."""

    def __init__(self, memories: Memories, bearers: Bearers) -> None:
        self._memories, self._bearers = memories, bearers
        self._health = Health()

    def conclude(self, admission: Admission, status: int, *, is_release_wanted: bool) -> Steps[None] | None:
        """The application has answered: is the slot still needed? None: it is, and nothing is to be done."""
        if admission.began_at:
            seen = self._see(admission, status)
            steps = self.conclude(admission, status, is_release_wanted=is_release_wanted)
            return steps if seen is None else self._report(admission.match, seen, steps)
        match, lease = admission.match, admission.lease
        if admission.is_first and status in _gone_statuses and lease:
            admission.set_cookie = None
            return self.give_back(match, lease, forget=True)
        if is_release_wanted or (match.is_releasing and status < 400):
            return self.release(admission)
        if admission.is_first:
            self._memories.of(match.event).is_firm = True
        return None

    def _see(self, admission: Admission, status: int) -> tuple[int, int] | None:
        """How well the application has done, where the rule wants to know; what there is to tell of it."""
        seconds, admission.began_at = monotonic() - admission.began_at, 0.0
        return self._health.take(admission.event, admission.match.rule, seconds, status)

    def _report(self, match: Match, seen: tuple[int, int], steps: Steps[None] | None) -> Steps[None]:
        if steps is not None:
            yield from steps
        with suppress(Outage):
            yield counter.ramp(match.rule, match.event, *seen)

    def release(self, admission: Admission) -> Steps[None]:
        """Give the admission's slot back, and its cookie."""
        if admission.lease and not admission.is_released:
            yield from self.give_back(admission.match, admission.lease)
            admission.is_released = True
            admission.set_cookie = ""

    def extend(self, admission: Admission, seconds: float) -> Steps[None]:
        """Let the admission's lease end ``seconds`` from now, if that is later."""
        lease, match = admission.lease, admission.match
        if lease is None or lease.is_guest or admission.is_released:
            return
        reply = yield counter.renew(match.rule, match.event, lease, seconds=seconds)
        if reply.verdict == "ADMIT":
            extended = self._bearers.admission(match, lease.sid, reply)
            admission.lease, admission.set_cookie = extended.lease, extended.set_cookie

    def give_back(self, match: Match, token: Token, *, forget: bool = False) -> Steps[None]:
        """Release a lease or a ticket. Without Redis it ends by itself, by its deadline or by absence."""
        if isinstance(token, Lease) and token.is_guest:
            return
        memory = self._memories.of(match.event)
        deadline_ms = token.deadline_ms if isinstance(token, Lease) else 0
        memory.forget_lease(token.sid)
        try:
            reply = yield counter.release(match.rule, match.event, token.sid, deadline_ms, forget=forget)
        except Outage:
            return
        if reply.verdict == "FORGOTTEN":
            self._memories.forget(match.event)

    def give_back_sid(self, match: Match, sid: str | None) -> Steps[None]:
        """Release a lease that is known by name only; Redis knows its deadline. None: there never was one."""
        if sid is None:
            return
        if not is_sid(sid):
            raise ValueError(f"{sid!r} is not the sid of a lease")
        yield from self.give_back(match, Lease(sid, 0, 0))
