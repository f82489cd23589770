"""Lines in a frame: SVG that needs nothing else, follows the reader's light or dark, and has a table twin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_rows_most = 30
_width, _height, _left, _right, _top, _floor = 760, 260, 70, 20, 12, 220
_hours_from = 7200


@dataclass(frozen=True, slots=True)
class Plot:
    """Some lines over one axis."""

    title: str
    explained: str
    across: str
    xs: Sequence[float]
    lines: dict[str, Sequence[float]]
    is_time: bool = True


def figure(plot: Plot) -> str:
    if not plot.xs:
        return f"<h2>{escape(plot.title)}</h2><p>There is nothing to show.</p>"
    keys = "".join(f'<span class="key k{nth}">{escape(name)}</span>' for nth, name in enumerate(plot.lines))
    return (
        f"<figure><h2>{escape(plot.title)}</h2><figcaption>{escape(plot.explained)} {keys}</figcaption>"
        f"{_svg(plot)}<details><summary>The same as a table</summary>{_table(plot)}</details></figure>"
    )


def _svg(plot: Plot) -> str:
    frame = _Frame.of(plot)
    lines = "".join(
        f'<polyline class="l{nth}" points="{frame.points(plot.xs, line)}"/>'
        for nth, line in enumerate(plot.lines.values())
    )
    label = escape(f"{plot.title}: {plot.explained} The table below has the same figures.", quote=True)
    head = f'<svg viewBox="0 0 {_width} {_height}" role="img" aria-label="{label}">'
    return f"{head}{frame.grid(plot)}{lines}</svg>"


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a plot's figures lie in its picture."""

    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    across: float

    @classmethod
    def of(cls, plot: Plot) -> _Frame:
        across = max(plot.xs[-1], 1)
        highest = max((max(line) for line in plot.lines.values()), default=0)
        return cls(_time_ticks(across) if plot.is_time else _ticks(across), _ticks(highest), across)

    def x(self, value: float) -> float:
        return round(_left + value * (_width - _left - _right) / self.across, 1)

    def y(self, value: float) -> float:
        return round(_floor - value * (_floor - _top) / self.y_ticks[-1], 1)

    def points(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in zip(xs, ys, strict=True))

    def grid(self, plot: Plot) -> str:
        end = _width - _right
        rows = "".join(
            f'<line class="grid" x1="{_left}" x2="{end}" y1="{self.y(tick)}" y2="{self.y(tick)}"/>'
            f'<text x="{_left - 8}" y="{self.y(tick) + 4}" text-anchor="end">{tick:,.12g}</text>'
            for tick in self.y_ticks
        )
        columns = "".join(
            f'<text x="{self.x(tick)}" y="{_floor + 18}" text-anchor="middle">{self._x_text(plot, tick)}'
            "</text>"
            for tick in self.x_ticks
        )
        return f'{rows}{columns}<text x="{end}" y="{_height - 4}" text-anchor="end">{_across(plot)}</text>'

    def _x_text(self, plot: Plot, tick: float) -> str:
        return _clock_text(tick, self.across) if plot.is_time else f"{tick:g}"


def _across(plot: Plot) -> str:
    """What the axis counts."""
    if not plot.is_time:
        return plot.across
    return "hours:minutes" if plot.xs[-1] >= _hours_from else "minutes:seconds"


def _ticks(highest: float) -> list[float]:
    """From 0 to at least ``highest``, in four to eight round steps."""
    rough = max(highest, 1e-9) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough)
    return [nth * step for nth in range(math.ceil(highest / step - 1e-9) + 1)] if highest else [0, 1]


def _time_ticks(seconds: float) -> list[float]:
    steps = (1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200)
    step = next((step for step in steps if seconds / step <= 9), 86400 * math.ceil(seconds / 86400 / 9))
    return [nth * step for nth in range(int(seconds // step) + 1)]


def _clock_text(seconds: float, across: float) -> str:
    """Hours and minutes where the whole takes hours, else minutes and seconds."""
    large, small = divmod(int(seconds) // 60 if across >= _hours_from else int(seconds), 60)
    return f"{large}:{small:02d}"


def _table(plot: Plot) -> str:
    stretch = max(1, math.ceil(len(plot.xs) / _rows_most))
    head = "".join(f"<th>{escape(name)}</th>" for name in (_across(plot), *plot.lines))
    rows = (
        (
            _clock_text(plot.xs[nth], plot.xs[-1]) if plot.is_time else f"{plot.xs[nth]:g}",
            *(f"{line[nth]:,.1f}" for line in plot.lines.values()),
        )
        for nth in range(0, len(plot.xs), stretch)
    )
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


_light = ("#1f6fd0", "#c8501a", "#12805c", "#8442c4", "#6a6f78")
_dark = ("#6fb0ff", "#ff9a62", "#4fd0a0", "#c79bff", "#b4bac4")


def _colours(colours: Sequence[str]) -> str:
    return "".join(f"--c{nth}:{colour};" for nth, colour in enumerate(colours))


STYLE = (
    ":root{color-scheme:light dark;--back:#fff;--ink:#1c1f24;--soft:#5c636e;--rule:#d9dde3;"
    f"{_colours(_light)}}}"
    "@media (prefers-color-scheme:dark){"
    f":root{{--back:#14171c;--ink:#e8eaee;--soft:#a4acb8;--rule:#343a44;{_colours(_dark)}}}}}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;"
    "background:var(--back);color:var(--ink)}"
    "h1{font-size:1.6rem}h2{font-size:1.15rem;margin:2rem 0 0}code{overflow-wrap:anywhere}"
    "figure{margin:0}figcaption,summary{color:var(--soft)}svg{width:100%;height:auto}"
    "svg text{fill:var(--soft);font-size:12px}.grid{stroke:var(--rule);stroke-width:1}"
    "polyline{fill:none;stroke-width:2;stroke-linejoin:round}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.2rem .8rem .2rem 0;text-align:right;border-bottom:1px solid var(--rule)}"
    ".summary th,.summary td{text-align:left;font-weight:normal}"
    ".summary th{color:var(--soft);white-space:pre;vertical-align:top}"
    ".key{margin-left:.8rem;white-space:nowrap;color:var(--ink)}"
    '.key::before{content:"";display:inline-block;width:1.2em;height:3px;margin-right:.4em;'
    "vertical-align:middle;background:var(--c)}"
    ".checks{list-style:none;padding:0}.failed{font-weight:bold;color:var(--c1)}"
    + "".join(f".l{nth}{{stroke:var(--c{nth})}}.k{nth}{{--c:var(--c{nth})}}" for nth in range(5))
)
