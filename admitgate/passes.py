"""Passes: signed links that let whoever opens them go in before the line, or past it.

A *counted* pass is a ticket before all others: its holder takes the next slot that comes free, never one
above the capacity. An *uncounted* one is a guest's lease, which takes no slot; only its signature and its end
are looked at, so nobody can take it back. Each pass is one visitor's, however often it is opened.

To open one changes nothing anywhere but in the browser, and leads to a page where nobody waits: a mail
scanner that opens every link uses up nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlencode

from . import counter
from .config import Config
from .counter import Steps
from .errors import BadToken, Outage
from .gate import Gate, is_prefetch
from .names import event_slug
from .road import Road
from .rules import Match
from .tokens import Lease, Ticket, Token, Tokens, good_until, is_pass, new_sid
from .visit import Answer, Visit

_kind = ("Content-Type", "text/plain; charset=utf-8")
_not_now = Answer(503, (_kind, ("Cache-Control", "no-store"), ("Content-Length", "0")), b"")


def pass_link(
    config: Config, event: str, *, now_ms: int, valid_seconds: float, is_counted: bool, back: str = "/"
) -> str:
    """A new pass's link, from the site's root on; ``back`` is where in the shop it leads to."""
    sid, until_ms = new_sid(), now_ms + int(valid_seconds * 1000)
    token = Ticket(sid, 0, now_ms, until_ms) if is_counted else Lease(sid, until_ms, until_ms, is_guest=True)
    raw = Tokens(config.keys).write(event, token)
    query = "" if back == "/" else "?" + urlencode({"back": back}, safe="/")
    return f"{config.mount}pass/{event_slug(event)}/{raw}{query}"


def open_pass(visit: Visit, match: Match, raw: str, gate: Gate, road: Road) -> Steps[Answer]:
    """To the shop, with the pass in the visitor's cookie. One that isn't good is no pass: without it."""
    if is_prefetch(visit):
        return _not_now  # what a browser fetches ahead it may use for the click
    token = _read(gate.tokens, match, raw)
    cookie = None
    if token is not None and visit.method.upper() == "GET":
        cookie = yield from _cookie(visit, match, token, raw, gate)
    if not visit.query:
        visit = replace(visit, query=urlencode({"back": visit.root + "/"}))
    return road.to_the_shop(visit, match, cookie)


def _read(tokens: Tokens, match: Match, raw: str) -> Token | None:
    with suppress(BadToken):
        token = tokens.read(match.event, raw)
        return token if is_pass(token) else None
    return None


def _cookie(
    visit: Visit, match: Match, token: Token, raw: str, gate: Gate
) -> Generator[counter.Call, counter.Reply, str | None]:
    """The pass as a cookie; None where it is over, or who opens it is inside already."""
    try:
        now_ms = (yield counter.look(match.rule, match.event)).now_ms
    except Outage:
        return raw  # whether it is over is asked again when it is shown
    held = gate.bearers.token(visit, match)
    is_inside = isinstance(held, Lease) and held.deadline_ms > now_ms
    if is_inside or now_ms >= good_until(token):
        return None
    # From now on they wait: a pass that was given a week ago has waited for nobody.
    given = replace(token, joined_ms=now_ms) if isinstance(token, Ticket) else token
    return gate.tokens.write(match.event, given)
