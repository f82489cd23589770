"""What can be changed of an event while it runs: each option's name, its values, and how Redis keeps them.

Values come from Python, or as text from a command or a form. ``None`` and ``"rule"`` go back to what the rule
says; ``"none"`` is none at all where the rule has one. A time is ISO with a zone, a ``datetime`` with one, or
HH:MM of today on this machine's clock; what time it is now, Redis says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from .rules import Rule
from .schedule import NAMES, in_ms

STATES = ("paused", "closed", "draining", "queueing")
TIMES = NAMES
SCHEDULE = (*TIMES, "shuffle")
NOTHING = {"admit_per_minute": "0", "max_waiting": "-1", **dict.fromkeys(TIMES, "0")}
"""How "none at all" is kept, of what can be that."""

_is_time_of_day = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?").fullmatch
_longest_message = 500
_latest_ms = 32_503_680_000_000  # the year 3000
_a_time = "HH:MM of today, or a date and time with a zone such as 2026-05-01T10:00:00+02:00"
_as_bool = {"true": "1", "yes": "1", "on": "1", "1": "1", "false": "0", "no": "0", "off": "0", "0": "0"}


def texts(options: Mapping[str, Any], now_ms: int) -> dict[str, str]:
    """Each option as Redis keeps it, ``""`` for the rule's. Raises ValueError, a sentence for each fault."""
    found, faults = {}, []
    for name, value in options.items():
        try:
            found[name] = _text(name, value, now_ms)
        except ValueError as fault:
            faults.append(str(fault))
    if faults:
        raise ValueError(" ".join(faults))
    return found


def _text(name: str, value: Any, now_ms: int) -> str:
    if name not in _writers:
        near = get_close_matches(name, _writers, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_writers)}."
        raise ValueError(f"{name} can't be changed: {hint}")
    if value is None or (isinstance(value, str) and value.strip().lower() in ("rule", "")):
        return ""
    return _writers[name](name, value, now_ms)


def _number(least: float, most: float, *, is_whole: bool, none: str = "") -> Callable[[str, Any, int], str]:
    kind = "a whole number" if is_whole else "a number"
    cure = f"give {kind} from {least} to {most}{', none' * bool(none)} or rule."

    def write(name: str, value: Any, now_ms: int) -> str:
        if none and str(value).lower() == "none":
            return none
        try:
            number = float(value) if not isinstance(value, bool) else least - 1
        except (TypeError, ValueError, OverflowError):
            number = least - 1
        if not least <= number <= most or (is_whole and number != int(number)):
            raise ValueError(f"{name} is {value!r}: {cure}")
        return f"{number:.0f}" if number == int(number) else f"{number:.10g}"

    return write


def _choice(*choices: str) -> Callable[[str, Any, int], str]:
    def write(name: str, value: Any, now_ms: int) -> str:
        if value not in choices:
            raise ValueError(f"{name} is {value!r}: give one of {', '.join(choices)}, or rule.")
        return str(value)

    return write


def _message(name: str, value: Any, now_ms: int) -> str:
    text = " ".join(str(value).split())
    if not text.isprintable() or len(text) > _longest_message:
        raise ValueError(f"{name} has {len(text)} characters: give up to {_longest_message} printable ones.")
    return text


def _is_on(name: str, value: Any, now_ms: int) -> str:
    text = _as_bool.get(str(value).lower())
    if text is None:
        raise ValueError(f"{name} is {value!r}: give yes, no or rule.")
    return text


def _moment(name: str, value: Any, now_ms: int) -> str:
    if str(value).lower() == "none":
        return NOTHING[name]
    if value == "now":
        return str(now_ms)
    try:
        ms = _of_today(value, now_ms) or in_ms(value)
    except (TypeError, ValueError, AttributeError, OverflowError):
        ms = -1
    if not 0 < ms < _latest_ms:
        raise ValueError(f"{name} is {value!r}: give {_a_time}; or now, none or rule.")
    if ms <= now_ms and name != "waiting_from":
        does = "open" if name == "opens_at" else "close"
        raise ValueError(
            f"{name} is {value!r}, which is {_ago(now_ms - ms)} ago: give a time to come, or {does} it now."
        )
    return str(ms)


def _of_today(value: Any, now_ms: int) -> int | None:
    found = _is_time_of_day(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    hour, minute, second = (int(part or 0) for part in found.groups())
    today = local(now_ms).replace(hour=hour, minute=minute, second=second, microsecond=0)
    return int(today.replace(tzinfo=None).timestamp() * 1000)  # the zone as it is then, not as it is now


def local(ms: int) -> datetime:
    """A moment on this machine's clock face."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc).astimezone()


def _ago(ms: int) -> str:
    minutes = ms // 60_000
    if minutes < 2:
        return f"{max(1, ms // 1000)} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


_writers: dict[str, Callable[[str, Any, int], str]] = {
    "capacity": _number(0, 10_000_000, is_whole=True),
    "admit_per_minute": _number(0.001, 10_000_000, is_whole=False, none=NOTHING["admit_per_minute"]),
    "lease_seconds": _number(1, 43_200, is_whole=False),
    "max_waiting": _number(0, 1_000_000_000, is_whole=True, none=NOTHING["max_waiting"]),
    "message": _message,
    "state": _choice(*STATES),
    "waiting_from": _moment,
    "opens_at": _moment,
    "closes_at": _moment,
    "shuffle": _is_on,
}
OPTIONS = tuple(_writers)


def is_setting(field: str) -> bool:
    """False for what an event's log has of things that happened: a pass, an eviction, what a shop notes."""
    return field in _writers or field == "extra"


def of_rule(rule: Rule, name: str) -> str:
    """What the rule says of an option, as Redis would keep it; ``""`` where it says nothing."""
    value: Any = rule.capacity_now() if name == "capacity" else getattr(rule, name, None)
    if name in TIMES:
        return str(in_ms(value) or "")
    if isinstance(value, bool):
        return "1" if value else ""
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def is_drawn_anew(before: Mapping[str, str], rule: Rule, changes: Mapping[str, str], now_ms: int) -> bool:
    """True where there will be a draw that there would not have been, or at another time."""
    held, holds = _held(before, rule, {}), _held(before, rule, changes)
    differs = any(held[name] != holds[name] for name in ("opens_at", "shuffle"))
    return differs and holds["shuffle"] == "1" and int(holds["opens_at"]) > now_ms


def schedule_faults(before: Mapping[str, str], rule: Rule, changes: Mapping[str, str]) -> list[str]:
    """What is wrong between the times that hold after ``changes``: each comes after the one before it."""
    holds = _held(before, rule, changes)
    known = [(name, int(holds[name])) for name in TIMES if holds[name] not in ("", "0")]
    faults = [
        f"{later} ({local(second):%d %b %H:%M:%S}) is not after {earlier} ({local(first):%d %b %H:%M:%S})."
        for (earlier, first), (later, second) in pairwise(known)
        if first >= second
    ]
    if holds["shuffle"] == "1" and holds["opens_at"] in ("", "0"):
        faults.append("shuffle is on, but there is no opens_at: give the time at which the order is drawn.")
    return faults


def _held(before: Mapping[str, str], rule: Rule, changes: Mapping[str, str]) -> dict[str, str]:
    return {name: {**before, **changes}.get(name) or of_rule(rule, name) for name in SCHEDULE}
