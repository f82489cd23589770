"""What an operator can do: each action's words, and how it pulls the lever.

An action is asked twice. The first time says what will happen, and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import live
from ..control import EventControl

Form = Mapping[str, str]

_days_most, _passes_most = 90, 1000
DIALS = ("capacity", "admit_per_minute", "max_waiting", "lease_seconds")


@dataclass(frozen=True)
class Action:
    """One lever. ``reads`` makes of a form what ``pull`` takes, and raises ValueError, a sentence."""

    label: str
    question: str
    effect: str
    done: str
    pull: Callable[[EventControl, Any, str], object]
    reads: Callable[[Form], Any] = lambda form: None
    fields: tuple[str, ...] = ()
    is_grave: bool = False


def _changes(form: Form) -> dict[str, str]:
    """Only what was changed in the form: another operator may have moved the other dials meanwhile."""
    changed = {
        name: form[name].strip()
        for name in (*DIALS, *live.SCHEDULE)
        if name in form and form[name].strip() != form.get(f"was_{name}", "").strip()
    }
    if not changed:
        raise ValueError("Nothing is changed in this form.")
    return changed


def _count(form: Form) -> int:
    text = form.get("count", "").strip()
    if not text.isascii() or not text.isdigit() or not 1 <= len(text) <= 7 or int(text) < 1:
        raise ValueError(f"{text[:40]!r} is no number of people: give a whole number from 1.")
    return int(text)


def _message(form: Form) -> str:
    return live.texts({"message": form.get("message", "")}, 0)["message"]


def _sid(form: Form) -> str:
    return form.get("sid", "").strip()[:64]


def _passes(form: Form) -> dict[str, Any]:
    days = form.get("days", "").strip()
    if not (days.isascii() and days.isdigit() and 1 <= len(days) <= 2 and 1 <= int(days) <= _days_most):
        raise ValueError(f"{days[:40]!r} is no number of days: give one from 1 to {_days_most}.")
    count = _count(form)
    if count > _passes_most:
        raise ValueError(f"{count} passes at once are too many: at most {_passes_most}.")
    is_counted = form.get("uncounted") != "yes"
    return {"count": count, "valid_seconds": int(days) * 86_400, "is_counted": is_counted}


def _evict(event: EventControl, sid: str, by: str) -> None:
    if not event.evict(sid, by=by):
        raise ValueError(f"Nobody called {sid!r} holds a slot or is present at {event.name!r}.")


ACTIONS: dict[str, Action] = {
    "pause": Action(
        "Pause",
        "Pause admissions?",
        "Nobody goes in until you resume. The line grows and keeps its order; those inside stay.",
        "Paused: nobody goes in.",
        lambda event, _, by: event.pause(by=by),
    ),
    "resume": Action(
        "Resume",
        "Resume admissions?",
        "Whoever's turn it is goes in again.",
        "Resumed.",
        lambda event, _, by: event.resume(by=by),
    ),
    "queue_all": Action(
        "Queue everybody",
        "Give everybody a number first?",
        "Also while slots are free, newcomers line up behind those who came before them.",
        "Everybody gets a number first.",
        lambda event, _, by: event.queue_all(by=by),
    ),
    "drain": Action(
        "Drain",
        "Let nobody else join?",
        "Newcomers are told that the line is full. Whoever has a number is served.",
        "Draining: no newcomer gets a number.",
        lambda event, _, by: event.drain(by=by),
    ),
    "close": Action(
        "Close",
        "Close the event?",
        "Nobody else goes in. Everybody who waits is told so at their page's next look; those inside stay.",
        "Closed.",
        lambda event, message, by: event.close(message or None, by=by),
        _message,
        ("message",),
        is_grave=True,
    ),
    "open": Action(
        "Open",
        "Open the doors now?",
        "Whatever kept people out is lifted: a state, or a time of the schedule.",
        "Open.",
        lambda event, _, by: event.open(by=by),
    ),
    "set": Action(
        "Change",
        "Change this?",
        "It holds for every worker from its next request on. Nobody inside is thrown out.",
        "Changed.",
        lambda event, changes, by: event.set(by=by, **changes),
        _changes,
        tuple(name for option in (*DIALS, *live.SCHEDULE) for name in (option, f"was_{option}")),
    ),
    "message": Action(
        "Send",
        "Tell everybody who waits?",
        "It stands on every waiting page from its next look on. An empty message takes the last one back.",
        "Told.",
        lambda event, message, by: event.message(message, by=by),
        _message,
        ("message",),
    ),
    "admit": Action(
        "Let in",
        "Let more people in?",
        "They go in above the rate, as soon as slots are free; never above the capacity.",
        "They may go in.",
        lambda event, count, by: event.admit(count, by=by),
        _count,
        ("count",),
    ),
    "pass": Action(
        "Make passes",
        "Make passes?",
        "Whoever opens such a link goes in before the line. A counted one takes the next slot that comes "
        "free; an uncounted one takes none, and nothing but its end ends it.",
        "Passes were made.",
        lambda event, terms, by: event.passes(**terms, by=by)[0],
        _passes,
        ("count", "days", "uncounted"),
    ),
    "evict": Action(
        "Evict",
        "Take this visitor's slot or place?",
        "It is free at once. Another worker may trust their cookie for up to a third of a lease.",
        "Evicted.",
        _evict,
        _sid,
        ("sid",),
        is_grave=True,
    ),
    "reset": Action(
        "Reset",
        "Begin the line anew?",
        "Everybody loses their slot and their place, those at the till too. What is set stays.",
        "The line has begun anew.",
        lambda event, _, by: event.reset(by=by),
        is_grave=True,
    ),
}
