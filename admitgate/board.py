"""The demo's live table: redrawn in place on a terminal, a line now and then where there is none."""

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
_event_width = 12


class Line:
    """One event's line as the board shows it."""

    def __init__(self, event: str) -> None:
        self.event = event
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


def board() -> Board:
    """The board that suits where the output goes."""
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Table() if is_terminal else PlainLines()


class Table:
    """A table that stays where it is."""

    def __init__(self) -> None:
        self._rows = 0

    def __call__(self, lines: Sequence[Line]) -> None:
        width = shutil.get_terminal_size().columns - 1  # a full row would make some terminals wrap
        head = _row("event", _columns)[:width]
        rows = ["", _bold(head), *(_row(line.event, line.cells())[:width] for line in lines)]
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


def _row(event: str, cells: Sequence[str]) -> str:
    *figures, state = (cell.rjust(len(name)) for name, cell in zip(_columns, cells, strict=True))
    return "  ".join([event[:_event_width].ljust(_event_width), *figures, state.strip()])


def _bold(text: str) -> str:
    return text if os.environ.get("NO_COLOR") else f"\x1b[1m{text}\x1b[0m"
