"""The story of a request: does it go in, or does it wait?

``Gate.decide`` tells it once, for every framework and for synchronous and asynchronous edges alike. It does
no I/O of its own: where Redis has to be asked it gives back a generator, which yields each ``Call`` and is
sent the ``Reply``, or has an ``Outage`` thrown in. Most requests need none.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from . import counter
from .admission import Admission
from .bearers import Bearers
from .config import Config
from .counter import Reply, Steps
from .decision import Place, Unknown, Wait
from .errors import Outage
from .leaving import Leaving
from .matching import Rules
from .memory import Memories, Snapshot
from .places import place_in_line
from .rules import Find, Match, Rule
from .tokens import Lease, Ticket, Token, Tokens, good_until, is_of_account, is_pass
from .visit import Visit

log = logging.getLogger("admitgate")

Decision = Admission | Wait

_gives_numbers = ("", "paused", "opens")
_usual_methods = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_overrides = ("x-http-method-override", "x-http-method", "x-method-override")
_of_no_preflight = ("authorization", *_overrides)


class Gate:
    """Decides. One for each application; safe in threads."""

    rules: Rules
    tokens: Tokens
    match: Find
    find: Find
    of_event: Find
    of_known_event: Find

    def __init__(self, config: Config, memories: Memories) -> None:
        self._config = config
        self._memories = memories
        self._poll = config.poll
        self.rules = config.compiled_rules()
        self._exempt_calls = config.exempt_calls
        self._challenge = config.challenge
        self.bearers = Bearers(config)
        self.tokens = self.bearers.tokens
        self.leaving = Leaving(memories, self.bearers)
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
        token = self.bearers.token(visit, match)
        if isinstance(token, Lease) and self._is_fresh(match, token):
            return Admission(match, token)
        return self._steps(visit, match, token)

    def seek(self, visit: Visit, match: Match) -> Steps[Decision]:
        """The same question for a visitor whom the shop sent to the waiting room."""
        return self._steps(visit, match, self.bearers.token(visit, match))

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
        token = yield from self.unless_over(match, token)
        decision: Decision | None = None
        if isinstance(token, Lease):
            decision = yield from self._renew(match, token)
        elif isinstance(token, Ticket):
            decision = yield from self._wait_on(visit, match, token)
        if decision is not None:
            return decision
        if is_prefetch(visit):
            return _wait(visit, Place(match.event, "prefetch"))
        return (yield from self._join(visit, match))

    def _renew(self, match: Match, lease: Lease) -> Steps[Admission | None]:
        """None for a lease that is good no more: its visitor is a newcomer."""
        if lease.is_guest:
            return Admission(match, lease)
        if self._memories.of(match.event).is_released(lease.sid):
            return None
        reply = yield counter.renew(match.rule, match.event, lease)
        if reply.verdict == "ADMIT":
            return self.bearers.admission(match, lease.sid, reply)
        if reply.verdict == "COPIED":
            self._tell_of_a_copy(match.event)
        return None

    def _wait_on(self, visit: Visit, match: Match, ticket: Ticket) -> Steps[Decision | None]:
        """None for a ticket that is good no more, and for a speculative request whose turn it would be."""
        snapshot = self._memories.of(match.event).fresh_snapshot()
        number = (snapshot.drawn(ticket.number) if snapshot else 0) or ticket.number
        # A number above `issued` was given out in a moment that Redis lost: it has to be told.
        # An account may have a slot by now, taken on another of its devices.
        is_far = snapshot and snapshot.serving < number <= snapshot.issued
        if snapshot and is_far and not is_of_account(ticket.sid):
            return _wait(visit, self._place(match, snapshot, ticket.number, joined_ms=ticket.joined_ms))
        if is_prefetch(visit):
            return None
        if self.demands_proof(match.rule, ticket):
            return (yield from self._until_proven(visit, match, ticket, snapshot))
        reply = yield from self.check_in(match, ticket, is_claim=False)
        if reply.verdict == "ADMIT":
            return self.bearers.admission(match, ticket.sid, reply)
        if reply.verdict == "GONE":
            return None
        return _wait(visit, self.place_of_reply(match, ticket.number, reply, ticket.joined_ms))

    def now_ms(self, match: Match) -> Steps[int]:
        """The event's time; Redis is asked where this worker doesn't know it."""
        return self._memories.of(match.event).now_ms() or (yield counter.look(match.rule, match.event)).now_ms

    def unless_over(self, match: Match, token: Token | None) -> Steps[Token | None]:
        """The token, unless it is a pass that is good no more: of those Redis knows nothing."""
        if token is None or not is_pass(token):
            return token
        return token if (yield from self.now_ms(match)) < good_until(token) else None

    def _join(self, visit: Visit, match: Match) -> Steps[Decision]:
        sid = self.bearers.sid_for(visit, match)
        seen = self._memories.of(match.event).fresh_snapshot()
        is_brief = seen is not None and seen.waiting > 0 and seen.shut in _gives_numbers
        reply = yield counter.join(match.rule, match.event, sid, is_brief=is_brief)
        if reply.verdict in ("ADMIT", "INSIDE"):
            # What another device has had for a while must not end by a 404 over here.
            is_first = reply.verdict == "ADMIT" or not is_of_account(sid)
            return self.bearers.admission(match, sid, reply, is_first=is_first)
        line = reply.snapshot or self._memories.of(match.event).snapshot
        assert line is not None
        if reply.verdict in ("FULL", "EARLY", "CLOSED"):
            return _wait(visit, self._without_a_number(match, reply.verdict.lower(), line))
        ticket = self.tokens.write(match.event, Ticket(sid, reply.value, reply.now_ms))
        place = self._place(match, line, reply.value, joined_ms=reply.now_ms)
        return _wait(visit, place, ticket)

    def check_in(self, match: Match, ticket: Ticket, *, is_claim: bool) -> Steps[Reply]:
        """An invited visitor is here. A worker that hears of the draw only now says their number again."""
        snapshot = self._memories.of(match.event).snapshot
        drawn = snapshot.drawn(ticket.number) if snapshot else 0
        reply = yield counter.check_in(match.rule, match.event, ticket, is_claim=is_claim, drawn=drawn)
        if reply.verdict == "DRAWN" and reply.snapshot:
            drawn = reply.snapshot.drawn(ticket.number)
            reply = yield counter.check_in(match.rule, match.event, ticket, is_claim=is_claim, drawn=drawn)
        return reply

    def demands_proof(self, rule: Rule, ticket: Ticket) -> bool:
        """True where checking in takes a proof: not with a pass, nor where everybody goes in unseen."""
        return self._challenge is not None and rule.mode != "observe" and not is_pass(ticket)

    def _until_proven(
        self, visit: Visit, match: Match, ticket: Ticket, snapshot: Snapshot | None
    ) -> Steps[Wait]:
        """The page, whose script brings the proof that loading it can't bring."""
        if snapshot is None:
            snapshot = (yield counter.look(match.rule, match.event)).snapshot
        if snapshot is None:  # Redis knows no such event any more: the check-in will tell it
            poll = self._poll.floor
            return _wait(visit, Place(match.event, "hold", number=ticket.number, poll_seconds=poll))
        return _wait(visit, self._place(match, snapshot, ticket.number, joined_ms=ticket.joined_ms))

    def _without_a_number(self, match: Match, state: str, snapshot: Snapshot) -> Place:
        return Place(
            match.event,
            state,
            message=snapshot.message,
            poll_seconds=self._config.poll.ceiling,
            opens_at=snapshot.opens_at if state == "early" else 0,
            clock_ms=snapshot.clock_ms,
        )

    def _tell_of_a_copy(self, event: str) -> None:
        """Two people with one cookie: the one who is behind gets in line, and the shop may want to know."""
        if count := self._memories.of(event).copies.one_more():
            log.info(
                "event %s: %d tokens were shown that two newer ones have replaced; their cookies are shared",
                ascii(event),
                count,
            )

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
            return not (visit.cookies or has_body(visit) or any(map(visit.header, _of_no_preflight)))
        return bool(self._exempt_calls) and any(call(visit.request) for call in self._exempt_calls)

    def _on_the_way_out(self, visit: Visit, match: Match) -> Admission | None:
        """A path that only releases: an admission if the visitor has a lease to give back."""
        token = self.bearers.token(visit, match)
        return Admission(match, token) if isinstance(token, Lease) else None

    def _without_redis(self, visit: Visit, match: Match, token: Token | None) -> Decision:
        """Redis can't be asked: the admitted go on by their signature; for the others the shop chose."""
        memory = self._memories.of(match.event)
        now_ms = memory.now_ms()
        if isinstance(token, Lease) and token.deadline_ms > now_ms and not memory.is_released(token.sid):
            return Admission(match, token)
        if (match.rule.on_outage or self._config.on_outage) == "open":
            return self._unasked(visit, match, token, now_ms)
        return _wait(visit, Place(match.event, "outage", poll_seconds=self._config.poll.floor))

    def _unasked(self, visit: Visit, match: Match, token: Token | None, now_ms: int) -> Admission:
        """Everyone goes in, and stays in when Redis is back: it adopts their leases, beyond the capacity.

        A worker that never heard from Redis doesn't know until when a lease would be.
        """
        if not now_ms:
            return Admission(match, None)
        is_theirs = isinstance(token, Lease) and not self._memories.of(match.event).is_released(token.sid)
        # With a lease of their own: a second one would take a second slot.
        sid = token.sid if token and is_theirs else self.bearers.sid_for(visit, match)
        lease = Lease(sid, now_ms + int(match.rule.lease_seconds * 1000), 0, is_unasked=True)
        return Admission(match, lease, is_first=True, set_cookie=self.tokens.write(match.event, lease))

    def _observed(self, match: Match, wait: Wait) -> Admission:
        """Observe: who would have waited goes in, counted, and told to the log every few seconds."""
        if count := self._memories.of(match.event).would_wait.one_more():
            log.info(
                "observe: %d requests for event %s would have waited since the last line",
                count,
                ascii(match.event),
            )
        return Admission(match, None, would_wait=True, set_cookie=wait.set_cookie)

    def _is_fresh(self, match: Match, lease: Lease) -> bool:
        """True while the lease can be trusted unasked. A worker that never asked doesn't know the time."""
        is_asked = match.rule.verify_every_request and not lease.is_guest
        return not is_asked and self._memories.of(match.event).trusts(lease)

    def place_of_reply(self, match: Match, number: int, reply: Reply, joined_ms: int | None = None) -> Place:
        """Where a visitor stands who was told READY, WAIT or SHARED."""
        assert reply.snapshot is not None
        rank = reply.value if reply.verdict == "READY" else None
        place = self._place(match, reply.snapshot, number, rank, joined_ms)
        if reply.verdict == "SHARED" and not reply.snapshot.shut:
            return replace(place, state="shared", position=None, wait_seconds=None)
        return place

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
