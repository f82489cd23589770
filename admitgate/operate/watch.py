"""``admitgate watch``: the lines as they move, with what became of each in the last half hour."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress

import click

from ..board import Line, board
from ..control import EventControl, Listing
from ..errors import Outage
from ..history import filled
from ..status import document
from .desk import Desk, seeing
from .starting import ended_by_signals
from .telling import state_of

_minutes = 30
_bars = "▁▂▃▄▅▆▇█"
_search_seconds = 10.0


@click.command()
@click.argument("events", nargs=-1, metavar="[EVENT…]")
@click.option("--interval", type=click.FloatRange(0.2, 60), default=1.0, help="Seconds between two looks.")
@seeing
def watch_(desk: Desk, *, events: tuple[str, ...], interval: float) -> None:
    """Watch the lines move until Ctrl-C.

    The small bars are how many waited in each of the last 30 minutes, or in as many as there is room for.
    With --json it writes the same as a line of JSON, once every interval.
    """
    show = board(trail="waiting, {} min")
    found = Listing(desk.control, _search_seconds)
    names = [event.name for event in desk.events(events)] if events else found.names()
    watched: dict[str, _Watched] = {}
    with ended_by_signals():
        while True:
            for name in names:
                if name not in watched:
                    watched[name] = _Watched(desk, desk.control.event(name))
            for line in watched.values():
                line.look()
            if desk.is_json:
                click.echo(json.dumps([line.said for line in watched.values()], ensure_ascii=False))
            else:
                show(list(watched.values()))
            time.sleep(interval)
            with suppress(Outage):  # each line says so
                names = names if events else found.names()


class _Watched(Line):
    """One event's line, with its last half hour."""

    unanswered = "outage"

    def __init__(self, desk: Desk, event: EventControl) -> None:
        super().__init__(event.name)
        self._desk, self._control = desk, event
        self.said: dict[str, object] = {"event": event.name}

    def look(self) -> None:
        """Once around. What can't be asked just now is said in the line, as the next look may find it."""
        try:
            snapshot, settings = self._control.snapshot(), self._control.settings()
            status = document(self._desk.config, self._control.match, snapshot, state_of(settings, snapshot))
            history = self._control.history(_minutes)
        except Outage as outage:
            self.take(None)
            self.said = {"event": self.event, "state": "outage", "detail": outage.reason}
            return
        until = snapshot.clock_ms // 60_000 if snapshot else 0
        minutes = filled(history, until - 1, _minutes - 1) if until else []
        self.trail = sparkline([*(minute.waiting for minute in minutes), status["waiting"]])
        self.take(status)
        self.said = status


def sparkline(figures: Sequence[int]) -> str:
    """Small bars, the highest of them as high as the line; nothing where nothing is."""
    highest = max(figures, default=0)
    return "".join(_bars[-(-figure * (len(_bars) - 1) // highest)] if figure else " " for figure in figures)
