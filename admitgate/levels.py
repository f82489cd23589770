"""How an event stands, read without a touch: ``lua/levels.lua``, in words.

A look moves the line on and keeps an event's keys for another day, and so must not be taken by what asks for
ever, such as a metrics server. What is read here is what a look would say, as of now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .errors import Outage
from .history import Totals, totals_of
from .memory import called_later
from .rules import Rule
from .wire import as_text

STATES = ("open", "waiting", "hold", "queueing", "draining", "paused", "early", "opens", "closed")
"""What an event may be doing; the last that is true is what it does."""


class Levels(NamedTuple):
    """An event at one moment."""

    at_ms: int
    state: str
    capacity: int
    in_use: int
    waiting: int
    present: int
    hold_left_ms: int
    ramp: int | None  # the ceiling of a rule that ramps
    last_ms: int
    totals: Totals

    @property
    def free(self) -> int:
        """Slots that nobody has."""
        return max(0, self.capacity - self.in_use)


def levels_of(answer: Sequence[Any], rule: Rule) -> Levels:
    """The script's answer. Raises Outage for what isn't one."""
    try:
        at_ms, in_use, present, *words = map(as_text, answer)
        end = words[::2].index("")
        line = dict(zip(words[: 2 * end : 2], words[1 : 2 * end : 2], strict=True))
        settings = dict(zip(words[2 * end + 1 :: 2], words[2 * end + 2 :: 2], strict=True))
        return _levels(rule, int(at_ms), int(in_use), int(present), line, settings)
    except (TypeError, ValueError) as error:
        raise Outage(
            f"Redis answered levels with something that isn't ours: {answer!r:.80}", error
        ) from error


def _levels(
    rule: Rule, at_ms: int, in_use: int, present: int, line: Mapping[str, str], settings: Mapping[str, str]
) -> Levels:
    most = _number(settings, "capacity", rule.capacity_now())
    is_ramping = at_ms < _number(line, "ramp_until")
    capacity = min(most, _number(settings, "ramp", most)) if is_ramping else most
    numbers = (_number(line, name) for name in ("issued", "serving", "gap_from", "gap_to"))
    waiting = called_later(*numbers) + present
    hold_left_ms = max(0, _number(line, "hold_until") - at_ms)
    clock_ms = at_ms + _number(line, "stopped")
    return Levels(
        at_ms,
        _state(rule, clock_ms, settings, is_holding=hold_left_ms > 0, is_waiting=waiting > 0),
        capacity,
        in_use,
        waiting,
        present,
        hold_left_ms,
        capacity if rule.ramp_seconds is not None else None,
        _number(line, "last") + _number(line, "stopped"),  # as clocks outside have it
        totals_of(line),
    )


def _state(
    rule: Rule, clock_ms: int, settings: Mapping[str, str], *, is_holding: bool, is_waiting: bool
) -> str:
    early, opens, closes = (
        _number(settings, name, getattr(rule.schedule, name))
        for name in ("waiting_from", "opens_at", "closes_at")
    )
    said = settings.get("state", "")
    if said == "closed" or 0 < closes <= clock_ms:
        return "closed"
    if said == "paused":
        return "paused"
    if clock_ms < early:
        return "early"
    if clock_ms < opens:
        return "opens"
    if said in ("draining", "queueing"):
        return said
    return "hold" if is_holding else "waiting" if is_waiting else "open"


def _number(fields: Mapping[str, str], name: str, otherwise: int = 0) -> int:
    """As Lua reads it: what isn't a number isn't there."""
    try:
        return int(float(fields[name]))
    except (KeyError, ValueError, OverflowError):
        return otherwise
