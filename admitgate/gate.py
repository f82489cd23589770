"""The story of a request: does it go in, or does it wait?

``Gate.decide`` tells it once, for every framework and for synchronous and asynchronous edges alike. It does
no I/O of its own: where Redis has to be asked it gives back a generator, which yields each ``Call`` and is
sent the ``Reply``, or has an ``Outage`` thrown in. Most requests need none.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from . import counter
from .admission import Admission
from .config import Config
from .cookies import cookie_values
from .counter import Call, Reply
from .decision import Place, Unknown, Wait
from .errors import BadToken, Outage
from .memory import Memories, Snapshot, monotonic
from .places import place_in_line
from .rules import Match, Rule
from .tokens import Lease, Ticket, Token, Tokens, is_sid, new_sid
from .visit import Visit

log = logging.getLogger("admitgate")

T = TypeVar("T")
Steps = Generator[Call, Reply, T]
Decision = Admission | Wait

_usual_methods = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_observe_log_seconds = 10.0
_values_most = 20  # cookies of one name that are worth a look
_shown_most, _shown_longest = 4096, 1000  # Cookie headers remembered, and their characters
_overrides = ("x-http-method-override", "x-http-method", "x-method-override")
_gone_statuses = (404, 410)


class Gate:
    """Decides. One for each application; safe in threads."""

    def __init__(self, config: Config, memories: Memories) -> None:
        self._config = config
        self._memories = memories
        self._poll = config.poll
        self.rules = config.compiled_rules()
        self._exempt_calls = config.exempt_calls
        self.tokens = Tokens(config.keys)
        self._shown: dict[tuple[str, str], Token] = {}
        self.match, self.find = self.rules.match, self.rules.find
        self.of_event, self.of_known_event = self.rules.of_event, self.rules.of_known_event

    def decide(self, visit: Visit, match: Match) -> Admission | Unknown | Steps[Decision] | None:
        """Admit (an Admission), or None: nothing to do with the gate. Or the steps to a decision."""
        if not match.is_gated:
            return self._on_the_way_out(visit, match)
        if self._passes(visit, match.rule):
            return None
        if not match.rule.knows(match.event):
            return None if match.rule.mode == "observe" else Unknown()
        token = self.token(visit, match)
        if isinstance(token, Lease) and self._is_fresh(match, token):
            return Admission(match, token)
        return self._steps(visit, match, token)

    def seek(self, visit: Visit, match: Match) -> Steps[Decision]:
        """The same question for a visitor whom the shop sent to the waiting room."""
        return self._steps(visit, match, self.token(visit, match))

    def _steps(self, visit: Visit, match: Match, token: Token | None) -> Steps[Decision]:
        decision: Decision
        try:
            decision = yield from self._ask(visit, match, token)
        except Outage:
            decision = self._without_redis(visit, match, token)
        if match.rule.mode == "observe" and isinstance(decision, Wait):
            return self._observed(match, decision)
        return decision

    def _ask(self, visit: Visit, match: Match, token: Token | None) -> Steps[Decision]:
        rule, event = match.rule, match.event
        if isinstance(token, Lease) and not self._memories.of(event).is_released(token.sid):
            reply = yield counter.renew(rule, event, token)
            if reply.verdict == "ADMIT":
                return self.admission(match, token.sid, reply)
        elif isinstance(token, Ticket):
            snapshot = self._memories.of(event).fresh_snapshot()
            # A number above `issued` was given out in a moment that Redis lost: it has to be told.
            if snapshot and snapshot.serving < token.number <= snapshot.issued:
                return _wait(visit, self._place(match, snapshot, token.number, joined_ms=token.joined_ms))
            if not is_prefetch(visit):
                reply = yield counter.check_in(rule, event, token, is_claim=False)
                if reply.verdict == "ADMIT":
                    return self.admission(match, token.sid, reply)
                if reply.verdict != "GONE":
                    return _wait(visit, self.place_of_reply(match, token.number, reply, token.joined_ms))
        if is_prefetch(visit):
            return _wait(visit, Place(event, "prefetch"))
        return (yield from self._join(visit, match))

    def _join(self, visit: Visit, match: Match) -> Steps[Decision]:
        sid = new_sid()
        reply = yield counter.join(match.rule, match.event, sid)
        if reply.verdict == "ADMIT":
            return self.admission(match, sid, reply, is_first=True)
        assert reply.snapshot is not None
        if reply.verdict in ("FULL", "CLOSED"):
            message, poll = reply.snapshot.message, self._config.poll.ceiling
            return _wait(visit, Place(match.event, reply.verdict.lower(), message=message, poll_seconds=poll))
        ticket = self.tokens.write(match.event, Ticket(sid, reply.value, reply.now_ms))
        place = self._place(match, reply.snapshot, reply.value, joined_ms=reply.now_ms)
        return _wait(visit, place, ticket)

    def _passes(self, visit: Visit, rule: Rule) -> bool:
        """True for requests that a rule doesn't mean: other methods, CORS pre-flights, exempt visitors.

        A method nobody knows is gated whatever the rule lists, as some frameworks answer it with a view; so
        is one that a header may change. A pre-flight never carries credentials: what does isn't one.
        """
        method = visit.method.upper()
        is_usual = method in _usual_methods
        if rule.methods is not None and is_usual and not any(map(visit.header, _overrides)):
            meant = {meant.upper() for meant in rule.methods}
            if method not in meant and not (method == "HEAD" and "GET" in meant):
                return True
        if method == "OPTIONS" and visit.header("access-control-request-method"):
            return not (visit.cookies or visit.header("authorization") or has_body(visit))
        return bool(self._exempt_calls) and any(call(visit.request) for call in self._exempt_calls)

    def _on_the_way_out(self, visit: Visit, match: Match) -> Admission | None:
        """A path that only releases: an admission if the visitor has a lease to give back."""
        token = self.token(visit, match)
        return Admission(match, token) if isinstance(token, Lease) else None

    def _without_redis(self, visit: Visit, match: Match, token: Token | None) -> Decision:
        """Redis can't be asked: the admitted go on by their signature; for the others the shop chose."""
        memory = self._memories.of(match.event)
        now_ms = memory.now_ms()
        if isinstance(token, Lease) and token.deadline_ms > now_ms and not memory.is_released(token.sid):
            return Admission(match, token)
        if (match.rule.on_outage or self._config.on_outage) == "open":
            return self._unasked(match, token, now_ms)
        return _wait(visit, Place(match.event, "outage", poll_seconds=self._config.poll.floor))

    def _unasked(self, match: Match, token: Token | None, now_ms: int) -> Admission:
        """Everyone goes in, and stays in when Redis is back: it adopts their leases, beyond the capacity.

        A worker that never heard from Redis doesn't know until when a lease would be.
        """
        if not now_ms:
            return Admission(match, None)
        is_theirs = isinstance(token, Lease) and not self._memories.of(match.event).is_released(token.sid)
        sid = token.sid if token and is_theirs else new_sid()  # a second lease would take a second slot
        lease = Lease(sid, now_ms + int(match.rule.lease_seconds * 1000), 0, is_unasked=True)
        return Admission(match, lease, is_first=True, set_cookie=self.tokens.write(match.event, lease))

    def _observed(self, match: Match, wait: Wait) -> Admission:
        """Observe: who would have waited goes in, counted, and told to the log every few seconds."""
        memory = self._memories.of(match.event)
        memory.would_wait += 1
        now = monotonic()
        if now - memory.would_wait_since > _observe_log_seconds:
            log.info(
                "observe: %d requests for event %s would have waited since the last line",
                memory.would_wait,
                ascii(match.event),
            )
            memory.would_wait, memory.would_wait_since = 0, now
        return Admission(match, None, would_wait=True, set_cookie=wait.set_cookie)

    def conclude(self, admission: Admission, status: int, *, is_release_wanted: bool) -> Steps[None] | None:
        """The application has answered: is the slot still needed? None: it is, and nothing is to be done."""
        match, lease = admission.match, admission.lease
        if admission.is_first and status in _gone_statuses and lease:
            admission.set_cookie = None
            return self.give_back(match, lease, forget=True)
        if is_release_wanted or (match.is_releasing and status < 400):
            return self.release(admission)
        if admission.is_first:
            self._memories.of(match.event).is_firm = True
        return None

    def release(self, admission: Admission) -> Steps[None]:
        """Give the admission's slot back, and its cookie."""
        if admission.lease and not admission.is_released:
            yield from self.give_back(admission.match, admission.lease)
            admission.is_released = True
            admission.set_cookie = ""

    def extend(self, admission: Admission, seconds: float) -> Steps[None]:
        """Let the admission's lease end ``seconds`` from now, if that is later."""
        lease, match = admission.lease, admission.match
        if lease is None or admission.is_released:
            return
        reply = yield counter.renew(match.rule, match.event, lease, seconds=seconds)
        if reply.verdict == "ADMIT":
            extended = self.admission(match, lease.sid, reply)
            admission.lease, admission.set_cookie = extended.lease, extended.set_cookie

    def give_back(self, match: Match, token: Token, *, forget: bool = False) -> Steps[None]:
        """Release a lease or a ticket. Without Redis it ends by itself, by its deadline or by absence."""
        memory = self._memories.of(match.event)
        deadline_ms = token.deadline_ms if isinstance(token, Lease) else 0
        memory.forget_lease(token.sid)
        try:
            reply = yield counter.release(match.rule, match.event, token.sid, deadline_ms, forget=forget)
        except Outage:
            return
        if reply.verdict == "FORGOTTEN":
            self._memories.forget(match.event)

    def give_back_sid(self, match: Match, sid: str) -> Steps[None]:
        """Release a lease that is known by name only; Redis knows its deadline."""
        if not is_sid(sid):
            raise ValueError(f"{sid!r} is not the sid of a lease")
        yield from self.give_back(match, Lease(sid, 0, 0))

    def token(self, visit: Visit, match: Match) -> Token | None:
        """The visitor's token for the event. A bad token of any kind is no token.

        The same visitor's requests mostly show the same cookies: looking for ours in them is remembered.
        """
        shown = (match.event, visit.cookies)
        token = self._shown.get(shown)
        if token is None:
            token = self._read(visit, match)
            if token is not None and len(visit.cookies) <= _shown_longest:
                if len(self._shown) >= _shown_most:
                    self._shown.clear()
                self._shown[shown] = token
        return token

    def _read(self, visit: Visit, match: Match) -> Token | None:
        for raw in islice(cookie_values(visit.cookies, match.cookie), _values_most):
            with suppress(BadToken):
                return self.tokens.read(match.event, raw)
        return None

    def _is_fresh(self, match: Match, lease: Lease) -> bool:
        """True while the lease can be trusted unasked. A worker that never asked doesn't know the time."""
        return not match.rule.verify_every_request and self._memories.of(match.event).trusts(lease)

    def admission(
        self, match: Match, sid: str, reply: Reply, *, is_first: bool = False, is_claim: bool = False
    ) -> Admission:
        """The admission of a lease until the reply's deadline, to be renewed once a third is used up."""
        third = (reply.value - reply.now_ms) // 3
        lease = Lease(sid, reply.value, 0 if is_claim else reply.now_ms + third)
        return Admission(match, lease, is_first=is_first, set_cookie=self.tokens.write(match.event, lease))

    def place_of_reply(self, match: Match, number: int, reply: Reply, joined_ms: int | None = None) -> Place:
        """Where a visitor stands who was told READY or WAIT."""
        assert reply.snapshot is not None
        rank = reply.value if reply.verdict == "READY" else None
        return self._place(match, reply.snapshot, number, rank, joined_ms)

    def _place(
        self,
        match: Match,
        snapshot: Snapshot,
        number: int,
        rank: int | None = None,
        joined_ms: int | None = None,
    ) -> Place:
        policy = self._poll.for_crowd(snapshot.waiting, self._config.poll_budget_per_second)
        return place_in_line(match.rule, match.event, snapshot, number, rank, policy, joined_ms)


def _wait(visit: Visit, place: Place, set_cookie: str | None = None) -> Wait:
    is_post = visit.method.upper() not in ("GET", "HEAD")
    return Wait(replace(place, was_post=True) if is_post else place, set_cookie)


def is_prefetch(visit: Visit) -> bool:
    """True for a speculative request: nobody is looking, so nobody gets a slot or a number."""
    return any("prefetch" in visit.header(name).lower() for name in ("sec-purpose", "purpose", "x-moz"))


def has_body(visit: Visit) -> bool:
    """True if the request has a body, or may have."""
    return visit.header("content-length").strip() not in ("", "0") or bool(visit.header("transfer-encoding"))
