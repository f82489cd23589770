"""The live table of the demo and of ``watch``: redrawn in place, or a line now and then where it can't be."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

import click

plain_line_seconds = 5.0

_columns = ("in flight", "free", "waiting", "ready", "serving", "admitted/min", "state")
_event_least, _event_most = 12, 32
_state_width = 9


class Line:
    """One event's line as the board shows it."""

    def __init__(self, event: str) -> None:
        self.event = event
        self.trail = ""
        self._status: dict[str, Any] | None = None
        self._born = 0

    def take(self, status: dict[str, Any] | None) -> None:
        self._status = status
        if status and not self._born:
            self._born = int(status["serving"])

    @property
    def is_quiet(self) -> bool:
        """True while nobody has come for this event."""
        return self._status is not None and not self._status["leases"] and not self._status["issued"]

    def cells(self) -> tuple[str, ...]:
        """A text for each column. Ticket numbers are long; what is shown is how many were invited."""
        status = self._status
        if status is None:
            return ("-",) * (len(_columns) - 1) + ("no answer",)
        figures = (
            status["leases"],
            max(0, status["capacity"] - status["leases"]),
            status["waiting"],
            status["ready"],
            status["serving"] - self._born,
            round(status["admitted_per_minute"]),
        )
        return (*map(str, figures), str(status["state"]))


class Board(Protocol):
    """Shows the lines as they are now."""

    def __call__(self, lines: Sequence[Line]) -> None: ...


def board(trail: str = "") -> Board:
    """The board that suits where the output goes. ``trail`` is what each line's own trail is called."""
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Table(trail) if is_terminal else PlainLines()


class Table:
    """A table that stays where it is."""

    def __init__(self, trail: str = "") -> None:
        self._rows = 0
        self._trail = trail

    def __call__(self, lines: Sequence[Line]) -> None:
        width = shutil.get_terminal_size().columns - 1  # a full row would make some terminals wrap
        names = [len(line.event) for line in lines]
        wide = min(_event_most, max([_event_least, *names]))
        head = _row("event", _columns, self._trail, wide)[:width]
        body = (_row(line.event, line.cells(), line.trail, wide)[:width] for line in lines)
        rows = ["", _bold(head), *body]
        back_to_the_first = f"\x1b[{self._rows}F" if self._rows else ""
        click.echo(back_to_the_first + "".join(f"{row}\x1b[K\n" for row in rows), nl=False, color=True)
        self._rows = len(rows)


class PlainLines:
    """For files and pipes: a line for each event that somebody came for, every few seconds."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, lines: Sequence[Line]) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + plain_line_seconds
        for line in (line for line in lines if not line.is_quiet):
            *figures, state = line.cells()
            words = (f"{figure} {name}" for name, figure in zip(_columns, figures, strict=False))
            click.echo(f"{line.event}: {state}; {', '.join(words)}")


def _row(event: str, cells: Sequence[str], trail: str, event_width: int) -> str:
    *figures, state = (cell.rjust(len(name)) for name, cell in zip(_columns, cells, strict=True))
    state = state.strip().ljust(_state_width)
    return "  ".join([event[:event_width].ljust(event_width), *figures, state, trail]).rstrip()


def _bold(text: str) -> str:
    return text if os.environ.get("NO_COLOR") else f"\x1b[1m{text}\x1b[0m"
