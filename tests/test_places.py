"""Where somebody stands in line, and how often they are told to ask."""

from __future__ import annotations

import pytest

from admitgate.decision import PollPolicy, moves_to
from admitgate.draw import place_in_draw
from admitgate.memory import Snapshot
from admitgate.places import place_in_line
from admitgate.rules import Rule

BORN = 1_700_000_000_000_000
RULE = Rule("/checkout", capacity=50)


def line(**changes: float | str) -> Snapshot:
    known = {
        "serving": BORN,
        "issued": BORN + 1_100_000,
        "present": 0,
        "in_use": 50,
        "capacity": 50,
        "waiting": 1000,
        "admitted_per_minute": 0.0,
        "gap_from": 0,
        "gap_to": 0,
        "hold_left_ms": 0,
        "step": 64,
        "poll_ms": 2500,
        "message": "",
        "at_ms": 0,
    }
    return Snapshot(**{**known, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("draw", "ordinal", "position"),
    [
        pytest.param("7:0:0:0:0:5eed", 30, None, id="before it nobody has a place"),
        pytest.param(
            f"7:{BORN}:{BORN + 100}:0:0:5eed", 30, place_in_draw("5eed", 100, 30), id="the drawn one"
        ),
        pytest.param(f"7:{BORN}:{BORN + 100}:0:0:5eed", 130, 130, id="who came later"),
    ],
)
def test_a_draw_decides_where_the_early_stand(draw: str, ordinal: int, position: int | None) -> None:
    """The number stays that of the arrival, as the reference does that is made of it."""
    place = place_in_line(RULE, "gala", line(draw_text=draw), BORN + ordinal, None, PollPolicy())
    assert (place.position, place.number) == (position, BORN + ordinal)
    assert (place.seed, place.draw is None) == ("5eed", position is None)


def test_who_has_a_number_before_any_are_given_is_told_that_it_opens_later() -> None:
    """They have it from an earlier time, and keep it."""
    early = line(shut="early", opens_at=99, clock_ms=42)
    place = place_in_line(RULE, "gala", early, BORN + 3, None, PollPolicy())
    assert (place.state, place.opens_at, place.clock_ms, place.position) == ("opens", 99, 42, 3)


@pytest.mark.parametrize(
    ("changes", "ordinal", "rank", "position"),
    [
        pytest.param({}, 1, None, 1, id="nobody ahead"),
        pytest.param({}, 30, None, 30, id="behind those who are not called yet"),
        pytest.param({"present": 16}, 30, None, 46, id="and behind those who are called and present"),
        pytest.param({}, -5, 3, 4, id="called and present: the rank"),
        pytest.param({"present": 16}, -5, 16, 17, id="called, but no place among the ready yet"),
        pytest.param(
            {"gap_from": BORN + 10, "gap_to": BORN + 1_000_010}, 1_000_030, None, 30, id="across a gap"
        ),
        pytest.param({"gap_from": BORN + 10, "gap_to": BORN + 1_000_010}, 8, None, 8, id="before a gap"),
        pytest.param({"gap_from": BORN + 10, "gap_to": BORN + 1_000_010}, 15, None, 11, id="in a gap"),
        pytest.param({"gap_from": BORN - 99, "gap_to": BORN - 9}, 30, None, 30, id="a gap long crossed"),
    ],
)
def test_a_position_counts_people_and_not_numbers(
    changes: dict[str, float], ordinal: int, rank: int | None, position: int
) -> None:
    """A position is what a visitor would count if they could see the line."""
    assert (
        place_in_line(RULE, "gala", line(**changes), BORN + ordinal, rank, PollPolicy()).position == position
    )


@pytest.mark.parametrize(
    ("changes", "ordinal", "state"),
    [
        pytest.param({}, 5, "waiting", id="not called"),
        pytest.param({}, 0, "ready", id="called"),
        pytest.param({"hold_left_ms": 1}, 5, "hold", id="not called, on hold"),
        pytest.param({"hold_left_ms": 1}, 0, "hold", id="called, on hold"),
    ],
)
def test_a_state_says_what_the_visitor_waits_for(changes: dict[str, float], ordinal: int, state: str) -> None:
    """Being called is not being in: a hold comes before both."""
    assert place_in_line(RULE, "gala", line(**changes), BORN + ordinal, None, PollPolicy()).state == state


def test_no_wait_is_named_before_the_line_has_a_pace() -> None:
    """A range of nothing would be a lie."""
    policy = PollPolicy()
    assert place_in_line(RULE, "gala", line(), BORN + 9, None, policy).wait_seconds is None
    paced = line(admitted_per_minute=30.0)
    assert place_in_line(RULE, "gala", paced, BORN + 60, None, policy).wait_seconds == (84, 181)


@pytest.mark.parametrize(
    ("ahead", "step", "moves"),
    [
        (0, 16, 1),
        (1, 16, 1),
        (16, 16, 1),
        (17, 16, 2),
        (80, 16, 2),
        (81, 16, 3),
        (336, 16, 3),
        (337, 16, None),
        (5, 1, 2),
        (3, 0, 2),
        (500_000, 5000, None),
    ],
)
def test_the_moves_to_a_number_are_those_that_waiting_js_counts(
    ahead: int, step: int, moves: int | None
) -> None:
    """The server's first pause and the page's next ones follow one rule (tests/js has these vectors too)."""
    assert moves_to(ahead, step, 3) == moves


@pytest.mark.parametrize(("ahead", "moves"), [(1, 1), (64, 1), (65, 2), (320, 2), (321, 3), (1344, 3)])
@pytest.mark.parametrize("grace", [4.0, 6.0, 20.0])
def test_nobody_who_may_be_called_soon_is_told_to_ask_so_seldom_that_they_could_miss_their_grace(
    ahead: int, moves: int, grace: float
) -> None:
    """Called by the fastest moves there can be, a page still asks before the grace after its call is over."""
    seconds = PollPolicy(floor=1, ceiling=1e9).seconds(1e12, ahead=ahead, step=64, grace=grace)
    called_at = (moves - 1) * grace  # the first move may come at once
    assert seconds * 1.2 + 2 <= called_at + grace + 1e-9


def test_a_long_line_asks_less_often_so_that_all_together_stay_below_the_budget() -> None:
    """The ceiling rises with the line by itself; a short line keeps the one that was set."""
    policy = PollPolicy()
    assert policy.for_crowd(1000, 2000) == policy
    assert policy.for_crowd(500_000, 2000).ceiling == 625
    assert policy.for_crowd(500_000, 2000).floor == policy.floor
    assert policy.for_crowd(500_000, 2000).guarded < policy.guarded
