"""``admitgate explain URL``: what the gate would do with a request, and why. Takes no number and no slot."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import click

from ..control import EventControl
from ..cookies import cookie_values
from ..decision import PollPolicy
from ..edge import Edge
from ..errors import BadToken
from ..live import local, of_rule
from ..memory import Snapshot
from ..places import place_in_line
from ..rules import OURS, Match
from ..status import unknown
from ..tokens import Lease, Ticket, Token
from ..visit import Visit
from .desk import Desk, seeing
from .telling import styled

Step = tuple[str, str]

_colors = {"PASS": "green", "ADMIT": "green", "WAIT": "yellow", "404": "red", "ANSWER": "cyan"}
_shut = {
    "closed": "the event is closed",
    "paused": "an operator has paused the event",
    "opens": "the event isn't open yet",
    "early": "it is too early even for a number",
}


@click.command()
@click.argument("url")
@click.option(
    "--cookie", default="", metavar="TEXT", help="The visitor's Cookie header, or the value of ours."
)
@click.option("--method", default="GET", show_default=True)
@click.option(
    "--root", default="", metavar="PATH", help="What the application is mounted under, if anything."
)
@seeing
def explain_(desk: Desk, *, url: str, cookie: str, method: str, root: str) -> None:
    """Say which rule a URL falls under, what the gate would decide, and why.

    Asks as a newcomer does, or with --cookie as that visitor. Takes no number and no slot. Callables in the
    settings (exempt, identity) can't be asked, as there is no request.
    """
    asked = _Asked(desk, url, cookie, method.upper(), root.rstrip("/"))
    steps = list(asked.steps())
    said = {"url": url, "method": method.upper(), **dict(steps)}
    lines = [f"  {name:<10}{_in_color(text) if name == 'decision' else text}" for name, text in steps]
    desk.tell(said, [f"{method.upper()} {asked.visit.path}", *lines])


def _in_color(text: str) -> str:
    word, colon, why = text.partition(":")
    return styled(word, fg=_colors.get(word, "yellow"), bold=True) + colon + why


class _Asked:
    """A request that nobody makes."""

    def __init__(self, desk: Desk, url: str, cookie: str, method: str, root: str) -> None:
        parts = urlsplit(url)
        path = unquote(parts.path or "/", errors="replace")
        path = path[len(root) :] or "/" if root and path.startswith(root) else path
        self._desk, self._edge, self._cookie = desk, desk.edge or Edge(desk.config), cookie
        self.visit = Visit(
            method, path, root, parts.query, lambda: parts.scheme == "https", cookie, lambda name: ""
        )

    def steps(self) -> Iterator[Step]:
        """From the path to the decision."""
        match = self._edge.find(self.visit.path)
        if match is OURS:
            yield "rule", f"none: it is below {self._desk.config.mount}, where the gate itself answers"
            yield "decision", "ANSWER: the application isn't asked."
            return
        chosen = self._desk.chosen(self.visit.path, self.visit.method) if match is None else None
        by_view = self._edge.match_view(chosen) if chosen is not None else None
        match = match or by_view
        if match is None:
            yield (
                "rule",
                "none" if self._desk.edge else "none (what a router chooses, its framework's command sees)",
            )
            yield "decision", "PASS: no rule means this path; it is another page, or exempt."
            return
        yield from self._with_rule(match, "an endpoint" if by_view else "a path")

    def _with_rule(self, match: Match, kind: str) -> Iterator[Step]:
        rule = match.rule
        yield "rule", f"{rule.name} ({kind}{'' if rule.mode == 'on' else ', mode ' + rule.mode})"
        yield "event", match.event
        if not match.is_gated:
            yield "decision", "PASS: it is no gated page; a good answer gives the visitor's slot back."
        elif self._edge.gate._passes(self.visit, rule):
            yield "decision", f"PASS: the rule doesn't mean {self.visit.method}."
        elif not rule.knows(match.event):
            yield "decision", "404: the rule knows its events, and this is none of them."
        else:
            yield from self._with_event(match)

    def _with_event(self, match: Match) -> Iterator[Step]:
        event = EventControl(match, self._desk.control)
        token, said = self._token(match)
        yield "cookie", said
        snapshot, now_ms = event.snapshot(), event.now_ms()
        line = snapshot or unknown(match, now_ms)
        if isinstance(token, Lease):
            decision = _of_a_lease(token, event, now_ms)
        elif isinstance(token, Ticket):
            decision = _of_a_ticket(token, match, line)
        else:
            decision = _of_a_newcomer(event, line)
        if match.rule.mode == "observe" and decision.startswith("WAIT"):
            decision = f"ADMIT: the rule only observes. Else {decision}"
        yield "decision", decision

    def _token(self, match: Match) -> tuple[Token | None, str]:
        if not self._cookie:
            return None, "none: a newcomer"
        values = list(cookie_values(self._cookie, match.cookie)) or [self._cookie.strip()]
        reason = "none of ours"
        for value in values:
            try:
                token = self._edge.gate.tokens.read(match.event, value)
            except BadToken as error:
                reason = f"not good, so it counts as none: {error.reason}"
                continue
            return token, _described(token)
        return None, reason


def _described(token: Token) -> str:
    if isinstance(token, Ticket):
        kind = "a pass" if token.until_ms else "a ticket"
        return f"{kind} of {token.sid}, given at {_time(token.joined_ms)}"
    kind = "a guest's pass" if token.is_guest else "a lease"
    return f"{kind} of {token.sid}, until {_time(token.deadline_ms)}"


def _of_a_lease(lease: Lease, event: EventControl, now_ms: int) -> str:
    if lease.deadline_ms <= now_ms:
        return "WAIT: the lease is over; they join as a newcomer does."
    if lease.is_guest:
        return "ADMIT: the pass is good."
    held_until, is_released = event.lease_of(lease.sid)
    if is_released:
        return (
            "WAIT: the slot was given back or taken away; a worker that hasn't heard of it sees that later."
        )
    if held_until <= now_ms:
        return "ADMIT: Redis doesn't know the lease, but its signature is good: it is adopted again."
    return f"ADMIT: the slot is theirs until {_time(held_until)}."


def _of_a_ticket(ticket: Ticket, match: Match, line: Snapshot) -> str:
    if ticket.until_ms and ticket.until_ms <= line.at_ms:
        return "WAIT: the pass is over; they join as a newcomer does."
    if line.shut:
        return f"WAIT: {_shut.get(line.shut, line.shut)}."
    number = line.drawn(ticket.number) or ticket.number
    if number > line.serving:
        place = place_in_line(match.rule, match.event, line, ticket.number, None, PollPolicy())
        return f"WAIT: number {place.position} in line, about; {line.present} ahead are called and present."
    free = line.capacity - line.in_use
    if free > line.present:
        return f"ADMIT: their number was called, and {free} of {line.capacity} slots are free."
    return "WAIT: their number was called; they take one of the next slots, in order of number."


def _of_a_newcomer(event: EventControl, line: Snapshot) -> str:
    settings, rule = event.settings(), event.rule
    state = settings.get("state", "")
    most = int(settings.get("max_waiting") or of_rule(rule, "max_waiting") or -1)
    if state == "closed" or line.shut in ("closed", "early"):
        return f"WAIT: {_shut[line.shut or 'closed']}; no number is given."
    if state == "draining":
        return "WAIT: the line is being drained; no number is given."
    if 0 <= most <= line.waiting:
        return f"WAIT: the line itself is full ({line.waiting} of {most}); no number is given."
    free = line.capacity - line.in_use
    rate = settings.get("admit_per_minute") or of_rule(rule, "admit_per_minute")
    if line.shut or state:
        why = _shut.get(line.shut or state, "everybody takes a number first")
    elif line.hold_left_ms:
        why = "leases come back after a loss, and nobody goes in meanwhile"
    elif line.waiting or line.present:
        why = f"{line.waiting} are in line already"
    elif free <= 0:
        why = f"all {line.capacity} slots are taken"
    else:
        unless = f", unless the {rate} of this minute are in" if rate and rate != "0" else ""
        return f"ADMIT: nobody waits, and {free} of {line.capacity} slots are free{unless}."
    return f"WAIT: {why}; they get a number, and {line.waiting} are ahead."


def _time(ms: int) -> str:
    return local(ms).strftime("%Y-%m-%d %H:%M:%S")
