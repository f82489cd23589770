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

_figures = ("in flight", "free", "waiting", "ready", "serving", "in/min")
_left_out = ("serving", "free", "ready", "in/min")  # in this order, where a terminal is too narrow for all
_event_least, _event_most = 12, 32
_state_width = 9
_trail_least, _trail_most = 15, 30


class Line:
    """One event's line as the board shows it."""

    unanswered = "no answer"

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

    @property
    def state(self) -> str:
        """What the line is doing, in a word."""
        return str(self._status["state"]) if self._status else self.unanswered

    def figures(self) -> dict[str, str]:
        """A text for each figure. Ticket numbers are long; what is shown is how many were invited."""
        status = self._status
        if status is None:
            return dict.fromkeys(_figures, "-")
        figures = (
            status["leases"],
            max(0, status["capacity"] - status["leases"]),
            status["waiting"],
            status["ready"],
            status["serving"] - self._born,
            round(status["admitted_per_minute"]),
        )
        return dict(zip(_figures, map(str, figures), strict=True))


class Board(Protocol):
    """Shows the lines as they are now."""

    def __call__(self, lines: Sequence[Line]) -> None: ...


def board(trail: str = "") -> Board:
    """The board that suits where the output goes.

    ``trail`` is what the lines' own trails are called, with ``{}`` for how many signs there is room for.
    """
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Table(trail) if is_terminal else PlainLines()


class Table:
    """A table that stays where it is. What a terminal has no room for is left out, the state last."""

    def __init__(self, trail: str = "") -> None:
        self._rows = 0
        self._trail = trail

    def __call__(self, lines: Sequence[Line]) -> None:
        columns, height = shutil.get_terminal_size()
        shown = _fitting(lines, height - 4)
        layout = _Layout(shown, columns - 1, self._trail)  # a full row would make some terminals wrap
        rows = ["", _bold(layout.head()), *map(layout.row, shown)]
        if len(shown) < len(lines):
            rows.append(f"and {len(lines) - len(shown)} more")
        back_to_the_first = f"\x1b[{self._rows}F" if self._rows else ""
        click.echo(back_to_the_first + "".join(f"{row}\x1b[K\n" for row in rows), nl=False, color=True)
        self._rows = len(rows)


class _Layout:
    """Which columns there is room for, and how wide they are."""

    def __init__(self, lines: Sequence[Line], width: int, trail: str) -> None:
        self._width, self._trail = width, trail
        self._event = min(_event_most, max([_event_least, *(len(line.event) for line in lines)]))
        left = width - self._event - 2 - _state_width
        self._names = _names(left - (2 + _trail_least if trail else 0))
        self._room = min(_trail_most, left - sum(2 + len(name) for name in self._names) - 2)

    def head(self) -> str:
        """What the columns are called."""
        return self._row("event", "state", self._names, self._trail.format(self._room))

    def row(self, line: Line) -> str:
        """One line of an event; of its trail the newest signs."""
        figures = line.figures()
        trail = line.trail[-self._room :] if self._room > 0 else ""
        return self._row(line.event, line.state, [figures[name] for name in self._names], trail)

    def _row(self, event: str, state: str, cells: Sequence[str], trail: str) -> str:
        figures = (cell.rjust(len(name)) for name, cell in zip(self._names, cells, strict=True))
        first = event[: self._event].ljust(self._event), state.ljust(_state_width)
        return "  ".join([*first, *figures, trail]).rstrip()[: self._width]


def _fitting(lines: Sequence[Line], most: int) -> Sequence[Line]:
    """As many as there are rows for: a table taller than the screen could not stay where it is."""
    if len(lines) <= most:
        return lines
    return sorted(lines, key=lambda line: line.is_quiet)[: max(1, most - 1)]


def _names(width: int) -> list[str]:
    """The figures that there is room for."""
    names = list(_figures)
    for name in _left_out:
        if sum(2 + len(name) for name in names) > width:
            names.remove(name)
    return names


class PlainLines:
    """For files and pipes: a line for each event that somebody came for, every few seconds."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, lines: Sequence[Line]) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + plain_line_seconds
        for line in (line for line in lines if not line.is_quiet):
            words = (f"{figure} {name}" for name, figure in line.figures().items())
            click.echo(f"{line.event}: {line.state}; {', '.join(words)}")


def _bold(text: str) -> str:
    return text if os.environ.get("NO_COLOR") else f"\x1b[1m{text}\x1b[0m"
