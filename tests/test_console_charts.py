"""The last hour as shapes and as a table: the same figures in both, whatever there were."""

from __future__ import annotations

import re

import pytest
from made_up_history import entry

from admitgate.console.charts import Line, charts_of, duration, scale, shape
from admitgate.history import Minute, Totals, filled, minutes_of

NOW = 29_000_000


def hour(**levels: int) -> list[Minute]:
    """An hour of which two minutes are known, and the one that runs."""
    waits = (3, 4, *[0] * 11, 1)
    first = entry(NOW - 2, Totals(10, 8, 1, 2, 0, waits), in_use=8, waiting=2, capacity=8)
    second = entry(NOW - 1, Totals(10, 8, 3, 2, 5, waits), in_use=6, waiting=0, capacity=9)
    *over, running = filled(minutes_of([first, second]), NOW, 60)
    return [*over, running._replace(**levels)]


def test_the_table_has_every_minute_and_the_newest_first() -> None:
    """Levels as they stand, and of the minute that still runs no count, which would look like a fall."""
    _, table = charts_of(hour(in_use=7, waiting=1, capacity=9))
    assert table.columns == (
        *("Time", "In flight", "Capacity", "Waiting", "Admitted"),
        *("Half waited up to", "95 % waited up to", "No-shows"),
    )
    assert len(table.rows) == 60
    none = "\N{EN DASH}"
    assert table.rows[0] == (NOW * 60_000, ("7", "9", "1", none, none, none, none))
    assert table.rows[1][1] == ("6", "9", "0", "0", none, none, "5")
    assert table.rows[2][1] == ("8", "8", "2", "8", "1 s", "2.8 h", "0")


def test_each_chart_says_in_words_what_it_shows() -> None:
    """How it stands, and the most of the hour."""
    charts, _ = charts_of(hour(in_use=7, waiting=1, capacity=9))
    assert [(chart.title, chart.now, chart.told) for chart in charts] == [
        ("In flight", "7 of 9", "at most 8 in the last hour"),
        ("Waiting", "1", "at most 2 in the last hour"),
        ("Admitted per minute", "0", "at most 8 in the last hour"),
        ("How long they had waited", "1 s", "at most 2.8 h for 95 %"),
        ("No-shows per minute", "5", "at most 5 in the last hour"),
    ]


def test_an_hour_in_which_nothing_was_has_charts_too() -> None:
    """An event nobody has come to yet."""
    charts, table = charts_of(filled([], NOW, 60))
    assert [chart.told for chart in charts] == ["none in the last hour"] * 3 + [
        charts[3].told,
        "none in the last hour",
    ]
    assert len(table.rows) == 60
    for chart in charts:
        assert "nan" not in chart.svg
        assert "inf" not in chart.svg


@pytest.mark.parametrize("highest", [0, 0.4, 1, 2, 3, 7, 10, 11, 99, 101, 520, 4_999, 1_000_001])
def test_a_scale_is_round_and_so_is_its_half(highest: float) -> None:
    """It holds the highest figure, and wastes less than two thirds of the height."""
    top = scale(highest)
    assert highest <= top <= max(2, highest * 3)
    assert f"{top / 2:.0f}".rstrip("0") in ("1", "2", "3", "4", "5")


def test_nothing_leaves_its_frame() -> None:
    """All shapes stay within the picture, at any figure."""
    for top, figures in ((10, [0, 10, None, 3, 10]), (2, [None, None, 1]), (8, [5])):
        for look in ("area", "line", "step", "bars", "second"):
            drawn = shape(Line("x", look, figures), top)
            numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", drawn)]
            assert all(0 <= number <= 600 for number in numbers), drawn


def test_a_gap_is_a_gap_and_a_lonely_figure_a_dot() -> None:
    """Where nobody was admitted nobody waited, and no line pretends it."""
    drawn = shape(Line("x", "line", [1, 2, None, 2, None]), 2)
    assert drawn.count("M") == 2
    assert drawn.count("L") == 1
    assert drawn.endswith('h0"/>')


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (5_939, "99 min"),
        (5_941, "1.7 h"),
        (7_200, "2 h"),
    ],
)
def test_a_duration_has_one_unit(seconds: float | None, text: str) -> None:
    """As people say it."""
    assert duration(seconds) == text
