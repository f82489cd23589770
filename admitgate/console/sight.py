"""What there is to see of one event, asked of Redis for one page, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .. import live
from ..control import Change, EventControl
from ..history import Minute, filled
from ..memory import Snapshot

MINUTES = 60
_changes_most = 50

LABELS = {
    "capacity": "Capacity",
    "admit_per_minute": "Admitted per minute, at most",
    "max_waiting": "Longest line",
    "lease_seconds": "A lease, in seconds",
    "message": "Message",
    "state": "State",
    "waiting_from": "The line opens at",
    "opens_at": "Doors open at",
    "closes_at": "Doors close at",
    "shuffle": "Draw lots at the opening",
    "seed": "Seed of the draw",
    "extra": "To go in above the rate",
    "evict": "Evicted",
    "reset": "Reset",
    "pass": "Passes",
}
UNSET = {"message": "none", "state": "on", "extra": "0", "seed": "none"}


class State(NamedTuple):
    """How an event stands. ``kind`` gives it its colour: good, still, warn, shut."""

    name: str
    kind: str
    text: str


class Sight(NamedTuple):
    """One event at one moment. ``snapshot`` is None where nobody has come yet."""

    event: EventControl
    snapshot: Snapshot | None
    settings: Mapping[str, str]
    minutes: Sequence[Minute]
    log: Sequence[Change]

    @property
    def state(self) -> State:
        """What is to be said of it first."""
        return state_of(self.snapshot, self.settings)

    @property
    def hour(self) -> dict[str, int]:
        """What happened in these minutes, all together."""
        names = ("joined", "admitted", "released", "expired", "absent")
        return {name: sum(getattr(minute, name) for minute in self.minutes) for name in names}


def look(event: EventControl) -> Sight:
    """Ask for all of it. Raises Outage."""
    snapshot = event.snapshot()
    until = (snapshot.clock_ms if snapshot else event.clock_ms()) // 60_000
    *over, running = filled(event.history(MINUTES), until, MINUTES)
    if snapshot:
        levels = {name: getattr(snapshot, name) for name in ("in_use", "waiting", "capacity")}
        running = running._replace(**levels)
    return Sight(event, snapshot, event.settings(), [*over, running], event.log(_changes_most))


def state_of(snapshot: Snapshot | None, settings: Mapping[str, str]) -> State:
    """The state in words, the most telling first."""
    set_to = settings.get("state", "")
    if set_to in _set:
        return _set[set_to]
    if snapshot is None:
        return State("Quiet", "still", "Nobody has come yet.")
    if snapshot.shut in _shut:
        return _shut[snapshot.shut]
    if snapshot.hold_left_ms:
        return State("On hold", "warn", "State was lost: old leases come back first, then admissions go on.")
    if set_to in _milder:
        return _milder[set_to]
    if snapshot.waiting > 0 or snapshot.present > 0 or snapshot.in_use >= snapshot.capacity:
        return State("Queueing", "good", "Who comes now waits; whoever's turn it is goes in.")
    return State("Open", "good", "Who comes now goes straight in.")


_set = {
    "paused": State("Paused", "warn", "Nobody goes in. The line keeps its order."),
    "closed": State("Closed", "shut", "Nobody else goes in, and whoever waits is told so."),
}
_shut = {
    **_set,
    "opens": State("Opens later", "still", "Who comes gets a number; nobody goes in before the doors open."),
    "early": State("Too early", "still", "Nobody gets a number yet."),
}
_milder = {
    "draining": State("Draining", "warn", "Newcomers get no number; whoever has one is served."),
    "queueing": State("Queueing all", "warn", "Everybody gets a number first, also while there is room."),
}


def label(field: str) -> str:
    """What a setting, or what an operator did, is called. A shop may note whatever it likes."""
    return LABELS.get(field, field)


def said(name: str, value: str) -> str:
    """A setting's value as people read it, and as a form takes it back; "" is the rule's."""
    if value and value == live.NOTHING.get(name):
        return "none"
    if name in live.TIMES and value.isdigit():
        return live.local(int(value)).isoformat(timespec="seconds")
    if name == "shuffle":
        return {"1": "yes", "0": "no"}.get(value, value)
    return value


def of_rule(event: EventControl, name: str) -> str:
    """What the rule says of it, in the same words."""
    return said(name, live.of_rule(event.rule, name)) or ("no" if name == "shuffle" else "none")
