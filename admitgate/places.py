"""Where somebody stands in line, how long that will take, and when they should ask again."""

from __future__ import annotations

from .decision import Place, PollPolicy
from .memory import Snapshot
from .rules import Rule

_slowest_known_pace = 0.1  # admissions per minute; below that nothing can be said


def place_in_line(
    rule: Rule,
    event: str,
    line: Snapshot,
    number: int,
    rank: int | None,
    policy: PollPolicy,
    joined_ms: int | None = None,
) -> Place:
    """The place of ``number``: its ``rank`` among the ready, or behind them and those not yet called.

    After a draw the number that was drawn in its stead counts; while one is to come, nobody has a place.
    """
    counting = line.drawn(number) or number
    is_to_be_drawn = bool(line.seed) and line.draw is None
    ahead = max(0, counting - line.serving - _left_out(line, counting))
    position = rank + 1 if rank is not None else max(1, ahead) + line.present
    expected = (
        position / line.admitted_per_minute * 60 if line.admitted_per_minute > _slowest_known_pace else None
    )
    wait = (int(expected * 0.7), int(expected * 1.5) + 1) if expected is not None else None
    is_called = counting <= line.serving
    if is_called:
        poll_seconds = line.poll_ms / 1000
    elif is_to_be_drawn:
        poll_seconds = policy.ceiling  # whoever came first has nothing to hurry for
    else:
        # A line that has not moved has no pace yet: one a second keeps a crowd from asking all at once.
        poll_seconds = policy.seconds(
            expected or position, ahead=ahead, step=line.step, grace=rule.grace_seconds
        )
    return Place(
        event,
        _state(line, is_called=is_called),
        number=number,
        position=None if is_to_be_drawn else position,
        is_about=not is_called,
        wait_seconds=None if is_to_be_drawn else wait,
        serving=line.serving,
        issued=line.issued,
        message=line.message,
        poll_seconds=poll_seconds,
        opens_at=line.opens_at if line.shut in ("opens", "early") else 0,
        clock_ms=line.clock_ms,
        waited_seconds=None if joined_ms is None else max(0, line.at_ms - joined_ms) // 1000,
        seed=line.seed,
        draw=line.draw,
    )


def _state(line: Snapshot, *, is_called: bool) -> str:
    """Whoever has a number before any are given has it from an earlier time: to them it only opens later."""
    if line.shut:
        return "opens" if line.shut == "early" else line.shut
    return "hold" if line.hold_left_ms else "ready" if is_called else "waiting"


def _left_out(line: Snapshot, number: int) -> int:
    """How many numbers between serving and ``number`` don't count: a gap is crossed in one move."""
    return max(0, min(line.gap_to, number - 1) - max(line.gap_from, line.serving))
