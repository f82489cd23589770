"""``admitgate export``: the minutes of an event, for a table or a program."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from typing import Any

import click

from ..history import MOST, Minute
from .desk import Desk, seeing

_figures = ("joined", "admitted", "released", "expired", "absent", "in_use", "waiting", "capacity")
_columns = ("event", "minute", *_figures, "wait_p50", "wait_p95")


@click.command()
@click.argument("events", nargs=-1, metavar="[EVENT…]")
@click.option("--format", "kind", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option(
    "--minutes", type=click.IntRange(1, MOST), default=MOST, show_default=True, help="How far back, at most."
)
@seeing
def export_(desk: Desk, *, events: tuple[str, ...], kind: str, minutes: int) -> None:
    """The last day, minute by minute, as CSV or JSON.

    Who joined, went in, left, and how long they had waited, in each minute in which anything happened.
    Minutes are UTC. wait_p50 and wait_p95 are seconds that half, and 95 of 100, of those who went in had
    waited at most.
    """
    rows = [_row(event.name, minute) for event in desk.events(events) for minute in event.history(minutes)]
    if desk.is_json or kind == "json":
        desk.tell_json(rows)
        return
    text = io.StringIO()
    table = csv.DictWriter(text, _columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    click.echo(text.getvalue(), nl=False)


def _row(event: str, minute: Minute) -> dict[str, Any]:
    began = datetime.fromtimestamp(minute.minute * 60, timezone.utc)
    figures = {name: getattr(minute, name) for name in _figures}
    return {
        "event": event,
        "minute": began.strftime("%Y-%m-%dT%H:%MZ"),
        **figures,
        "wait_p50": _rounded(minute.p50),
        "wait_p95": _rounded(minute.p95),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
