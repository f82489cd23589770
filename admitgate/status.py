"""The answers below the mount: the shared status, check-in, leave, and a sign of life.

The shared status is the same for everybody: it reads no cookie, sets none, and is made of this worker's
memory, which is refreshed by at most one caller a second. Only check-in, leave and wait know a visitor.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import counter
from .challenge import HEADER, holds, made
from .config import Config
from .cookies import set_cookie
from .counter import Steps
from .decision import Place, Wait
from .draw import published
from .errors import Outage
from .gate import Gate
from .memory import Memories, Snapshot
from .page import Page
from .passes import open_pass
from .road import Road
from .rules import Match, slug_event
from .tokens import Lease, Ticket
from .visit import Answer, Visit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_no_store = ("Cache-Control", "no-store")
_nosniff = ("X-Content-Type-Options", "nosniff")


class Status:
    """Answers whatever comes in below the mount."""

    def __init__(self, config: Config, gate: Gate, page: Page, road: Road, memories: Memories) -> None:
        self._config = config
        self._gate = gate
        self._page = page
        self._road = road
        self._memories = memories
        self._challenge = made(config.challenge, config.keys)
        self._verbs = {
            "status": ("GET", self._status),
            "check-in": ("POST", self._check_in),
            "leave": ("POST", self._leave),
            "wait": ("GET", self._wait),
        }

    def answer(self, visit: Visit) -> Steps[Answer]:
        """The answer to a visit whose path is below the mount; to HEAD without its body, whatever it is."""
        answer = yield from self._answer(visit)
        return answer if visit.method.upper() != "HEAD" else replace(answer, body=b"")

    def _answer(self, visit: Visit) -> Steps[Answer]:
        verb, _, slug = visit.path[len(self._config.mount) :].partition("/")
        if verb == "healthz" and not slug:
            return (yield from self._health())
        if verb == "pass":
            return (yield from self._pass(visit, *slug.partition("/")[::2]))
        method, respond = self._verbs.get(verb, ("", None))
        match = self._gate.of_known_event(slug_event(slug)) if slug else None
        if respond is None or match is None:
            return _nothing_here()
        if visit.method.upper() not in (method, "HEAD" if method == "GET" else method):
            return _json(405, {"title": "Wrong method"}, ("Allow", method), _no_store)
        return (yield from respond(visit, match))

    def _status(self, visit: Visit, match: Match) -> Steps[Answer]:
        memory = self._memories.of(match.event)
        snapshot = memory.fresh_snapshot()
        state = "outage" if memory.snapshot and memory.is_doubtful else ""
        if snapshot is None and memory.takes_the_look():
            try:
                reply = yield counter.look(match.rule, match.event)
                snapshot = reply.snapshot or unknown(match, reply.now_ms)  # nobody has come to it yet
                state = ""
            except Outage:
                state = "outage"
        # A page keeps the newest answer it has seen: an old one costs time, never a place.
        body = document(self._config, match, snapshot or memory.snapshot, state)
        return _json(200, body, ("Cache-Control", "public, max-age=1"), ("Access-Control-Allow-Origin", "*"))

    def _wait(self, visit: Visit, match: Match) -> Steps[Answer]:
        """The line at an address of its own, for visitors whom the shop sends here: back when admitted."""
        decision = yield from self._gate.seek(visit, match)
        if isinstance(decision, Wait):
            return self._road.page(visit, match, decision)
        return self._road.to_the_shop(visit, match, decision.set_cookie)

    def _check_in(self, visit: Visit, match: Match) -> Steps[Answer]:
        if is_from_elsewhere(visit):
            return _json(403, {"state": "refused"}, _no_store)
        token = self._gate.bearers.token(visit, match)
        if token is None:
            return _json(403, {"state": "no-ticket"}, _no_store)
        try:
            token = yield from self._gate.unless_over(match, token)
            if token is None or (isinstance(token, Lease) and token.is_guest):
                return self._of_a_pass(visit, match, token)
            if isinstance(token, Lease):
                reply = yield counter.renew(match.rule, match.event, token)
            else:
                challenge = yield from self._demand(visit, match, token)
                if challenge is not None:
                    return _json(200, {"state": "challenge", "challenge": challenge}, _no_store)
                reply = yield from self._gate.check_in(match, token, is_claim=True)
        except Outage:
            poll = self._config.poll.floor
            return _json(503, {"state": "outage", "poll": poll}, ("Retry-After", str(round(poll))), _no_store)
        if reply.verdict == "ADMIT":
            is_claim = isinstance(token, Ticket)
            admission = self._gate.bearers.admission(match, token.sid, reply, is_claim=is_claim)
            cookie = set_cookie(self._config, visit, match, admission.set_cookie)
            seconds = (reply.value - reply.now_ms) / 1000  # for which the slot waits for them
            return _json(200, {"state": "admitted", "seconds": seconds}, ("Set-Cookie", cookie), _no_store)
        if isinstance(token, Lease) or reply.verdict == "GONE":
            gone = ("Set-Cookie", set_cookie(self._config, visit, match, ""))
            return _json(410, {"state": "gone"}, gone, _no_store)
        return _json(200, _place(self._gate.place_of_reply(match, token.number, reply)), _no_store)

    def _of_a_pass(self, visit: Visit, match: Match, guest: Lease | None) -> Answer:
        """A guest goes in without asking; a pass that is over is nobody's any more."""
        if guest is not None:
            return _json(200, {"state": "admitted", "seconds": self._config.poll.ceiling}, _no_store)
        gone = ("Set-Cookie", set_cookie(self._config, visit, match, ""))
        return _json(410, {"state": "gone"}, gone, _no_store)

    def _pass(self, visit: Visit, slug: str, raw: str) -> Steps[Answer]:
        match = self._gate.of_known_event(slug_event(slug))
        if match is None or visit.method.upper() not in ("GET", "HEAD"):
            return _nothing_here()
        return (yield from open_pass(visit, match, raw, self._gate, self._road))

    def _demand(self, visit: Visit, match: Match, ticket: Ticket) -> Steps[Mapping[str, Any] | None]:
        """A challenge, where a proof is demanded and this visitor has brought none that holds."""
        if self._challenge is None or not self._gate.demands_proof(match.rule, ticket):
            return None
        now_ms = yield from self._gate.now_ms(match)
        if holds(self._challenge, match.event, ticket.sid, visit.header(HEADER), now_ms):
            return None
        return self._challenge.ask(match.event, ticket.sid, now_ms)

    def _leave(self, visit: Visit, match: Match) -> Steps[Answer]:
        if is_from_elsewhere(visit):
            return _json(403, {"state": "refused"}, _no_store)
        token = self._gate.bearers.token(visit, match)
        if token is not None:
            yield from self._gate.leaving.give_back(match, token)
        left = self._page.left(visit, match.event)
        gone = ("Set-Cookie", set_cookie(self._config, visit, match, ""))
        return Answer(left.status, (*left.headers, gone), left.body)

    def _health(self) -> Steps[Answer]:
        """200 where requests can be served as configured: without Redis only by a gate that opens."""
        try:
            yield counter.PING
        except Outage as outage:
            answers = [rule.on_outage or self._config.on_outage for rule in self._config.rules]
            is_ready = set(answers or [self._config.on_outage]) == {"open"}
            return _json(200 if is_ready else 503, {"redis": "away", "detail": outage.reason}, _no_store)
        return _json(200, {"redis": "well"}, _no_store)


def document(config: Config, match: Match, snapshot: Snapshot | None, state: str = "") -> dict[str, Any]:
    """The shared status as JSON will have it; ``state`` says what the snapshot can't know."""
    known = snapshot or unknown(match, 0)
    poll = config.poll.for_crowd(known.waiting, config.poll_budget_per_second)
    return {
        "event": match.event,
        "state": state or standing(known),
        "serving": known.serving,
        "issued": known.issued,
        "ready": known.present,
        "waiting": known.waiting,
        "leases": known.in_use,
        "capacity": known.capacity,
        "admitted_per_minute": round(known.admitted_per_minute, 1),
        "message": known.message,
        "step": known.step,
        "grace": match.rule.grace_seconds,
        "poll": {
            "floor": poll.floor,
            "ceiling": round(poll.ceiling, 1),
            "divisor": poll.divisor,
            "guarded": poll.guarded,
        },
        "updated": known.at_ms,
        **({"gap": [known.gap_from, known.gap_to]} if known.gap_to > known.serving else {}),
        **({"opens_at": known.opens_at, "clock": known.clock_ms} if known.shut in ("opens", "early") else {}),
        **({"draw": published(known.draw, known.seed)} if known.seed else {}),
    }


def unknown(match: Match, at_ms: int) -> Snapshot:
    """An event that Redis knows nothing of: nobody has come to it yet, or all was lost."""
    return Snapshot(0, 0, 0, 0, match.rule.capacity_now(), 0, 0.0, 0, 0, 0, 0, 0, "", at_ms)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The waiting room on its own servers, as plain WSGI: ``gunicorn admitgate.status:application``.

    Its settings are the shop's, from the environment (see ``config_from_environment``); wrong ones raise
    ConfigError at the first request.
    """
    from .room import waiting_room  # stands on everything that is here

    return waiting_room()(environ, start_response)


def is_from_elsewhere(visit: Visit) -> bool:
    """True where another site's page sends this. (A browser wouldn't send our cookie along either.)"""
    return visit.header("sec-fetch-site") == "cross-site"


def standing(snapshot: Snapshot) -> str:
    """In one word how a line is."""
    if snapshot.shut:
        return snapshot.shut
    if snapshot.hold_left_ms:
        return "hold"
    return "waiting" if snapshot.waiting > 0 else "open"


def _place(place: Place) -> dict[str, Any]:
    return {
        "state": place.state,
        "position": place.position,
        "poll": place.poll_seconds,
        "serving": place.serving,
        "message": place.message,
        **({"opens_at": place.opens_at, "clock": place.clock_ms} if place.opens_at else {}),
    }


def _nothing_here() -> Answer:
    return _json(404, {"title": "Nothing here", "detail": "No rule has such an event."}, _no_store)


def _json(status: int, body: dict[str, Any], *headers: tuple[str, str]) -> Answer:
    encoded = json.dumps(body, separators=(",", ":")).encode()
    kind = ("Content-Type", "application/json; charset=utf-8")
    length = ("Content-Length", str(len(encoded)))
    return Answer(status, (kind, length, _nosniff, *headers), encoded)
