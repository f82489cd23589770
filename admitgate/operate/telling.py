"""How an event, its settings and what changed are said to who operates it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from ..config import Config
from ..control import Change, EventControl
from ..live import NOTHING, STATES, TIMES, is_setting, local, of_rule
from ..memory import Snapshot
from ..rules import Rule
from ..status import standing

_colors = {"open": "green", "waiting": "cyan", "closed": "red"}  # whatever else is yellow
_units = {"admit_per_minute": " a minute", "lease_seconds": " s"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> list[str]:
    """Lines with the columns one below the other; ``right`` are those of figures."""
    rows, right = [head, *rows], set(right)
    widths = [max(len(click.unstyle(row[column])) for row in rows) for column in range(len(head))]
    lines = []
    for number, row in enumerate(rows):
        cells = [_padded(cell, widths[column], column in right) for column, cell in enumerate(row)]
        line = "  ".join(cells).rstrip()
        lines.append(line if number else styled(line, bold=True))
    return lines


def _padded(cell: str, width: int, is_right: bool) -> str:
    room = " " * (width - len(click.unstyle(cell)))
    return room + cell if is_right else cell + room


def styled(text: str, **style: Any) -> str:
    """With colour, unless who reads it wants none. (Pipes and files get none either.)"""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


def state_of(settings: Mapping[str, str], snapshot: Snapshot | None) -> str:
    """In one word what an operator or the clock has done to the line, else how it is."""
    if snapshot is not None and snapshot.shut:
        return snapshot.shut
    if settings.get("state") in STATES:
        return settings["state"]
    return "quiet" if snapshot is None else standing(snapshot)


def colored(state: str) -> str:
    """A state in its colour."""
    return state if state == "quiet" else styled(state, fg=_colors.get(state, "yellow"))


def value(field: str, text: str) -> str:
    """One value in words, as Redis keeps it."""
    if text in ("", NOTHING.get(field)):
        return "none"
    if field in TIMES:
        return moment(int(text))
    if field == "shuffle":
        return "yes" if text == "1" else "no"
    return f'"{text}"' if field == "message" else text + _units.get(field, "")


def of_the_rule(rule: Rule, field: str) -> str:
    """What holds where no operator has said anything."""
    if field == "state":
        return "on"
    text = of_rule(rule, field)
    return f"{value(field, text)} (rule)" if text else "0" if field == "extra" else "none"


def change(rule: Rule, what: Change) -> str:
    """From what to what."""
    if not is_setting(what.field):
        return f"{what.field:<16}  {what.after}"
    before, after = (value(what.field, side) if side else of_the_rule(rule, what.field) for side in what[3:5])
    return f"{what.field:<16}  {before} → {styled(after, bold=True)}"


def moment(ms: int, *, now_ms: int = 0) -> str:
    """A time of the day on this machine's clock, with the date where it isn't today's."""
    when = local(ms)
    is_today = bool(now_ms) and when.date() == local(now_ms).date()
    return when.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S %Z")


def obeyed(config: Config, event: EventControl, changes: Sequence[Change]) -> str:
    """When it takes effect: a worker asks Redis for each newcomer, a page polls."""
    fields = {change.field for change in changes}
    floor, ceiling = config.poll_floor_seconds, config.poll_ceiling_seconds
    said = "Every worker obeys at its next request"
    if fields & {"message", "state", *TIMES}:
        return f"{said}, and each waiting page hears of it at its next poll (in {floor:g} to {ceiling:g} s)."
    if "lease_seconds" in fields:
        third = event.rule.lease_seconds / 3
        return f"{said}; a lease that is held changes when it is renewed (within {third:.0f} s)."
    return f"{said}."


def change_as_json(what: Change) -> dict[str, Any]:
    """A change for programs; null is what the rule says."""
    return {
        "at": local(what.at_ms).isoformat(timespec="milliseconds"),
        "by": what.who,
        "field": what.field,
        "from": what.before or None,
        "to": what.after or None,
    }
