"""The last hour in five small charts, and all of their figures in one table.

An SVG has only shapes in it and is stretched to whatever width there is; what is to be read stands beside
it as text, so that it is as large on a telephone as on a desk. No chart is the only place of a figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup

from ..history import Minute

_none = "\N{EN DASH}"
_width, _height = 600, 100
_counts = (2, 4, 6, 8, 10)
_seconds = (10, 20, 60, 120, 240, 600, 1200, 3600, 7200, 14_400, 28_800, 86_400)


class Line(NamedTuple):
    """One row of figures. ``look`` is how it is drawn: an area, a line, a dashed step, bars."""

    name: str
    look: str
    figures: Sequence[float | None]


class Chart(NamedTuple):
    """A chart as the page shows it. ``told`` says it in words, ``top`` and ``middle`` are its scale."""

    title: str
    now: str
    told: str
    keys: tuple[tuple[str, str], ...]
    top: str
    middle: str
    svg: Markup
    columns: str


class Table(NamedTuple):
    """Every figure of every chart: a row for a minute (ms since 1970, and a text in each column)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def charts_of(minutes: Sequence[Minute]) -> tuple[list[Chart], Table]:
    """The charts of these minutes, without a gap, and the table under them.

    The last minute still runs: how things stand is known of it, but not yet what will have happened in it.
    """
    lines = _lines(minutes)
    in_use, capacity, waiting, admitted, median, most, absent = lines
    charts = [
        _chart("In flight", [in_use, capacity], _whole, f"{_last(in_use)} of {_last(capacity)}"),
        _chart("Waiting", [waiting], _whole, _last(waiting)),
        _chart("Admitted per minute", [admitted], _whole, _newest(admitted, _whole)),
        _chart("How long they had waited", [median, most], duration, _newest(median, duration)),
        _chart("No-shows per minute", [absent], _whole, _newest(absent, _whole)),
    ]
    return charts, Table(("Time", *(line.name for line in lines)), tuple(_rows(minutes, lines)))


def _lines(minutes: Sequence[Minute]) -> list[Line]:
    over = minutes[:-1]
    return [
        Line("In flight", "area", [minute.in_use for minute in minutes]),
        Line("Capacity", "step", [minute.capacity for minute in minutes]),
        Line("Waiting", "area", [minute.waiting for minute in minutes]),
        Line("Admitted", "bars", [*(minute.admitted for minute in over), None]),
        Line("Half waited up to", "line", [*(minute.p50 for minute in over), None]),
        Line("95 % waited up to", "second", [*(minute.p95 for minute in over), None]),
        Line("No-shows", "bars", [*(minute.absent for minute in over), None]),
    ]


def _rows(minutes: Sequence[Minute], lines: Sequence[Line]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The newest first, as that is what somebody comes for who listens."""
    for nth in range(len(minutes) - 1, -1, -1):
        cells = (
            duration(line.figures[nth]) if line.look in ("line", "second") else _whole(line.figures[nth])
            for line in lines
        )
        yield minutes[nth].minute * 60_000, tuple(cells)


def _chart(title: str, lines: list[Line], written: Callable[[float | None], str], now: str) -> Chart:
    top = scale(_highest(lines), _seconds if written is duration else ())
    peak = _highest(lines[-1:] if written is duration else lines[:1])
    told = f"at most {written(peak)} in the last hour" if peak else "none in the last hour"
    if written is duration:
        told = f"at most {written(peak)} for 95 %"
    shapes = Markup().join(shape(line, top) for line in lines)
    return Chart(
        title,
        now,
        told,
        tuple((line.look, line.name) for line in lines) if len(lines) > 1 else (),
        written(top),
        written(top / 2),
        Markup('<svg viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>').format(
            _width, _height, shapes
        ),
        ",".join(line.name for line in lines),
    )


def _highest(lines: Sequence[Line]) -> float:
    return max((figure or 0 for line in lines for figure in line.figures), default=0)


def scale(highest: float, steps: Sequence[int] = ()) -> float:
    """A round figure not below ``highest``, whose half is round too."""
    for step in steps:
        if step >= highest:
            return step
    power = 10 ** max(0, math.floor(math.log10(highest))) if highest > 0 else 1
    return next(step * power for step in (*_counts, 20) if step * power >= highest)


def shape(line: Line, top: float) -> Markup:
    """The line as shapes of an SVG."""
    points = [
        None if figure is None else (_x(nth, len(line.figures)), _y(figure, top))
        for nth, figure in enumerate(line.figures)
    ]
    if line.look == "bars":
        return _bars(line, points)
    path = _steps(points) if line.look == "step" else _strokes(points)
    under = _area(points) if line.look == "area" else Markup()
    return under + Markup('<path class="{}" d="{}"/>').format(f"stroke {line.look}", path)


Points = Sequence[tuple[float, float] | None]


def _x(nth: int, count: int) -> float:
    return round((nth + 0.5) * _width / count, 1)


def _y(figure: float, top: float) -> float:
    return round(_height - figure * _height / top, 1)


def _bars(line: Line, points: Points) -> Markup:
    half = _width / max(1, len(points)) * 0.36
    d = "".join(f"M{x - half:.1f} {_height}V{y}h{2 * half:.1f}V{_height}z" for x, y in filter(None, points))
    return Markup('<path class="fill {}" d="{}"/>').format(line.look, d)


def _strokes(points: Points) -> str:
    """Joined where figures follow each other; one alone is a dot, which a stroke of no length is."""
    words, is_on = [], False
    for point in points:
        if point is not None:
            words.append(f"{'L' if is_on else 'M'}{point[0]} {point[1]}{'' if is_on else 'h0'}")
        is_on = point is not None
    return "".join(words)


def _steps(points: Points) -> str:
    known = [point for point in points if point is not None]
    return "".join(f"M0 {y}H{x}" if not nth else f"V{y}H{x}" for nth, (x, y) in enumerate(known)) + (
        f"H{_width}" if known else ""
    )


def _area(points: Points) -> Markup:
    known = [point for point in points if point is not None]
    if not known:
        return Markup()
    along = "".join(f"L{x} {y}" for x, y in known)
    d = f"M{known[0][0]} {_height}{along}L{known[-1][0]} {_height}z"
    return Markup('<path class="fill under" d="{}"/>').format(d)


def _last(line: Line) -> str:
    return _whole(line.figures[-1]) if line.figures else "0"


def _newest(line: Line, written: Callable[[float | None], str]) -> str:
    """The newest figure that there is."""
    return written(next((figure for figure in reversed(line.figures) if figure is not None), None))


def _whole(figure: float | None) -> str:
    return _none if figure is None else f"{figure:,.0f}"


def duration(seconds: float | None) -> str:
    """As people say it, in one unit."""
    if seconds is None:
        return _none
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5940:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.2g} h"
