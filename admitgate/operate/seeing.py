"""The commands that only look: how the lines are, which events there are, who changed what."""

from __future__ import annotations

from typing import Any

import click

from ..control import Change, EventControl
from ..history import Totals
from ..live import OPTIONS
from ..memory import Snapshot
from .desk import Desk, seeing
from .telling import change, change_as_json, colored, moment, of_the_rule, state_of, styled, table, value

_secret = "draw_text"  # it has the seed of a draw to come
_head = ("event", "state", "inside", "of", "waiting", "present", "in/min", "message")


@click.command()
@click.argument("events", nargs=-1, metavar="[EVENT…]")
@seeing
def status_(desk: Desk, *, events: tuple[str, ...]) -> None:
    """How the lines are now. With one EVENT, all that is known of it."""
    looks = [_Look(event) for event in desk.events(events)]
    said = [look.as_json() for look in looks]
    if len(events) == 1:
        desk.tell(said[0], looks[0].card())
    else:
        lines = table(_head, [look.row() for look in looks], right=range(2, 7))
        desk.tell(said, lines if looks else ["No event yet: nobody has come, and no rule names one."])


class _Look:
    """One event as it was seen."""

    def __init__(self, event: EventControl) -> None:
        self._event = event
        self._snapshot: Snapshot | None = event.snapshot()
        self._settings = event.settings()
        self._totals: Totals = event.totals()

    def row(self) -> tuple[str, ...]:
        """A row of the table."""
        known, message = self._snapshot, self._settings.get("message", "")
        state = colored(state_of(self._settings, known))
        if known is None:
            capacity = self._settings.get("capacity") or str(self._event.rule.capacity_now())
            return self._event.name, state, "0", capacity, "0", "0", "0", message
        figures = (known.in_use, known.capacity, known.waiting, known.present)
        pace = f"{known.admitted_per_minute:.0f}"
        return (self._event.name, state, *map(str, figures), pace, message)

    def card(self) -> list[str]:
        """All that is known."""
        event, known = self._event, self._snapshot
        lines = [f"{styled(event.name, bold=True)}  {colored(state_of(self._settings, known))}"]
        if known is None:
            lines.append("Nobody has come yet.")
        else:
            pace = f"{known.admitted_per_minute:.0f} a minute go in"
            lines += [
                f"{known.in_use} of {known.capacity} inside, {known.waiting} waiting, "
                f"{known.present} of them called and present; {pace}",
                f"since the line began: {_counted(self._totals)}",
            ]
            if known.hold_left_ms:
                left = known.hold_left_ms / 1000
                lines.append(f"on hold for {left:.0f} s more: leases come back after a loss")
        rows = [(name, self._value(name)) for name in (*OPTIONS, "extra")]
        lines += ["", *table(("option", "value"), [row for row in rows if row[1] not in ("none", "0")])]
        return [*lines, *self._last_change()]

    def as_json(self) -> dict[str, Any]:
        """For programs; null is what nobody knows, or what the rule doesn't say."""
        known = self._snapshot
        figures = (
            {name: figure for name, figure in known._asdict().items() if name != _secret} if known else None
        )
        return {
            "event": self._event.name,
            "rule": self._event.rule.name,
            "state": state_of(self._settings, known),
            "line": figures,
            "settings": self._settings,
            "totals": self._totals._asdict(),
        }

    def _value(self, name: str) -> str:
        own = self._settings.get(name)
        return value(name, own) if own else of_the_rule(self._event.rule, name)

    def _last_change(self) -> list[str]:
        last = self._event.log(1)
        if not last:
            return []
        when = moment(last[0].at_ms, now_ms=self._event.clock_ms())
        return ["", f"last changed at {when} by {last[0].who or 'the shop'}"]


def _counted(totals: Totals) -> str:
    names = ("joined", "admitted", "released", "expired", "absent")
    return ", ".join(f"{getattr(totals, name)} {name}" for name in names)


@click.command()
@seeing
def events_(desk: Desk) -> None:
    """Which events there are.

    Those that somebody has come to, that an operator has changed, or that a rule names.
    """
    found = desk.events(())
    rows = [(event.name, event.rule.name, str(event.rule.capacity_now())) for event in found]
    said = [{"event": name, "rule": rule, "capacity": int(capacity)} for name, rule, capacity in rows]
    lines = table(("event", "rule", "capacity"), rows, right=[2])
    desk.tell(said, lines if rows else ["No event yet: nobody has come, and no rule names one."])


@click.command()
@click.argument("events", nargs=-1, metavar="[EVENT…]")
@click.option("--most", type=click.IntRange(1, 500), default=50, show_default=True, help="How many lines.")
@seeing
def log_(desk: Desk, *, events: tuple[str, ...], most: int) -> None:
    """Who changed what, from what to what, newest first."""
    found = [(event, what) for event in desk.events(events) for what in event.log(most)]
    found = sorted(found, key=lambda entry: -entry[1].at_ms)[:most]
    now_ms = found[0][0].clock_ms() if found else 0
    rows = [_row(event, what, now_ms) for event, what in found]
    said = [{"event": event.name, **change_as_json(what)} for event, what in found]
    desk.tell(said, table(("when", "event", "who", "what"), rows) if rows else ["Nothing has been changed."])


def _row(event: EventControl, what: Change, now_ms: int) -> tuple[str, ...]:
    return moment(what.at_ms, now_ms=now_ms), event.name, what.who or "the shop", change(event.rule, what)
