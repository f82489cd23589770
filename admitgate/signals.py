"""What happens at an event and somebody should hear of: as a log line with fields, and as a call.

    AdmitGate(application, on_event=tell, …)        # tell(occurrence), from the thread that noticed it

Each is told once by every worker that notices it, at the first answer of Redis that shows it, and not once
for a request: a fleet of four processes tells it four times. A worker that nobody asks tells nobody; so
that nobody waits any more is told by the first answer that finds it so for ten seconds.
A listener that raises is logged and passed over; one that takes long keeps a visitor waiting (under ASGI a
thread calls it, and nobody waits). Of a cluster each node has outages of its own, with its name.

The log lines are the logger ``admitgate``'s and have the fields ``admitgate_kind``, ``admitgate_event``,
``admitgate_at_ms`` and ``admitgate_details``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

from .asked import found_at
from .memory import EventMemory, Snapshot, monotonic

log = logging.getLogger("admitgate")

KINDS = (
    "queueing_started",
    "queueing_stopped",
    "hold_began",
    "hold_ended",
    "settings_changed",
    "outage_began",
    "outage_ended",
)

_calm_ms = 10_000  # who has just been called isn't counted as waiting; and a line of one comes and goes
_warnings = frozenset({"hold_began", "hold_ended"})
_sentences = {
    "queueing_started": "event %s: a line has formed",
    "queueing_stopped": "event %s: nobody waits any more",
    "hold_began": "event %s: hold, nobody goes in until the leases of before a loss are back",
    "hold_ended": "event %s: the hold is over",
    "settings_changed": "event %s: its settings have changed",
}


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that began, ended or changed.

    ``kind`` is one of KINDS. ``event`` is empty for an outage, which is a worker's and no event's. ``at_ms``
    is the event's time, and 0 where nobody can know it. ``details`` are figures of the moment; of
    ``settings_changed`` they are the names of what changed, each with what it was and what it is: of what a
    line shows of itself (state, capacity, message, opens_at). The event's own log has all, and who did it.
    """

    kind: str
    event: str
    at_ms: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)


Listener = Callable[[Occurrence], object]

_cure = "give a callable that takes an Occurrence, its place such as 'shop.alerts.tell', or None"


def listener_of(given: object) -> Listener | None:
    """The callable that ``on_event`` means. Raises ValueError with a sentence where there is none."""
    if not isinstance(given, str):
        found: Any = given
    else:
        try:
            found = found_at(given)
        except (ImportError, AttributeError, ValueError) as error:
            sentence = f"on_event is {given!r}, but that can't be imported ({error}): {_cure}."
            raise ValueError(sentence) from error
    if found is not None and not callable(found):
        raise ValueError(f"on_event is {given!r}: {_cure}.")
    listener: Listener | None = found
    return listener


def _call(listener: Listener, occurrence: Occurrence) -> None:
    try:
        listener(occurrence)
    except Exception:  # the shop's own code, which must not cost a visitor their answer
        log.exception("a listener failed, told of %s", occurrence.kind)


def _without_the_loop(call: Callable[[], None]) -> None:
    """An event loop keeps everybody waiting who waits for it: there a thread makes the call."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        call()
    else:
        loop.run_in_executor(None, call)


class Told(NamedTuple):
    """How an event stood when a worker last told of it."""

    is_queueing: bool = False
    is_holding: bool = False
    settings: tuple[Any, ...] = ()
    calm_since_ms: int = 0  # where the line was not over yet


class Signals:
    """Tells whoever wants to hear. Safe in threads."""

    def __init__(
        self,
        listener: Listener | None = None,
        *,
        moves_by_itself: Callable[[str], bool] = lambda event: False,
    ) -> None:
        self._listeners = [listener] if listener is not None else []
        self._moves_by_itself = moves_by_itself
        self._lock = Lock()
        self._away_since = 0.0

    def connect(self, listener: Listener) -> None:
        """From now on ``listener`` is called too."""
        self._listeners.append(listener)

    def see(self, event: str, memory: EventMemory, snapshot: Snapshot) -> None:
        """Redis has said how the event stands: tell what is new about it."""
        told: Told | None = memory.told
        now = _standing(snapshot, told)
        if now == told:
            return
        with self._lock:
            if memory.told is not told:
                return  # another thread has seen it too
            memory.told = now
        for occurrence in self._between(event, told, now, snapshot):
            self.tell(occurrence)

    def away(self) -> None:
        """Redis can't be asked by this worker. (The breaker has logged it.)"""
        self._away_since = monotonic()
        self._call(Occurrence("outage_began", ""))

    def back(self) -> None:
        """Redis answers again."""
        self._call(
            Occurrence("outage_ended", "", details={"seconds": round(monotonic() - self._away_since, 1)})
        )

    def listen_to(self, client: Any) -> None:
        """A cluster's nodes have outages of their own."""
        if hasattr(client, "tell_of_nodes"):
            client.tell_of_nodes(self._node)

    def _node(self, name: str, is_away: bool) -> None:
        self._call(Occurrence("outage_began" if is_away else "outage_ended", "", details={"node": name}))

    def tell(self, occurrence: Occurrence) -> None:
        """Log it, and call every listener."""
        log.log(
            logging.WARNING if occurrence.kind in _warnings else logging.INFO,
            _sentences[occurrence.kind] + " (%s)",
            ascii(occurrence.event),
            ", ".join(f"{name}: {_shown(value)}" for name, value in occurrence.details.items()),
            extra=fields_of(occurrence),
        )
        self._call(occurrence)

    def _call(self, occurrence: Occurrence) -> None:
        for listener in self._listeners:
            _without_the_loop(partial(_call, listener, occurrence))

    def _between(self, event: str, before: Told | None, now: Told, snapshot: Snapshot) -> list[Occurrence]:
        """What has happened; of an event seen for the first time, what is not as usual."""
        was = before or Told(settings=now.settings)
        kinds: list[tuple[str, dict[str, Any]]] = []
        if now.is_queueing is not was.is_queueing:
            figures = {name: getattr(snapshot, name) for name in ("waiting", "in_use", "capacity")}
            kinds.append(("queueing_started" if now.is_queueing else "queueing_stopped", figures))
        if now.is_holding is not was.is_holding:
            seconds = {"seconds": round(snapshot.hold_left_ms / 1000, 1)} if now.is_holding else {}
            kinds.append(("hold_began" if now.is_holding else "hold_ended", seconds))
        changes = _changes(was, now)
        if "capacity" in changes and self._moves_by_itself(event):
            del changes["capacity"]
        if changes:
            kinds.append(("settings_changed", changes))
        return [Occurrence(kind, event, snapshot.at_ms, details) for kind, details in kinds]


def fields_of(occurrence: Occurrence) -> dict[str, Any]:
    """An occurrence as fields of a log line."""
    return {
        "admitgate_kind": occurrence.kind,
        "admitgate_event": occurrence.event,
        "admitgate_at_ms": occurrence.at_ms,
        "admitgate_details": dict(occurrence.details),
    }


def _standing(snapshot: Snapshot, told: Told | None) -> Told:
    settings = (snapshot.shut, snapshot.capacity, snapshot.message, snapshot.opens_at)
    is_queueing, calm_since_ms = snapshot.waiting > 0, 0
    if not is_queueing and told is not None and told.is_queueing:
        calm_since_ms = told.calm_since_ms or snapshot.at_ms
        if snapshot.at_ms - calm_since_ms < _calm_ms:
            return Told(True, snapshot.hold_left_ms > 0, settings, calm_since_ms)
    return Told(is_queueing, snapshot.hold_left_ms > 0, settings)


_settings = ("state", "capacity", "message", "opens_at")


def _changes(was: Told, now: Told) -> dict[str, Any]:
    pairs = zip(_settings, was.settings, now.settings, strict=True)
    return {name: (before, after) for name, before, after in pairs if before != after}


def _shown(value: Any) -> str:
    return " -> ".join(map(ascii, value)) if isinstance(value, tuple) else ascii(value)
