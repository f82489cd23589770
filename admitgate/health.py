"""How well does the application do? For rules that let in fewer while it is slow (``ramp_seconds``).

Each worker counts what it sees, and tells Redis every few seconds. What all of them have told decides there
(``lua/ramp.lua``), once for the whole fleet.
"""

from __future__ import annotations

from threading import Lock

from .memory import monotonic
from .rules import Rule

_tells_seconds = 2.0
_events_most = 1000


class Health:
    """The answers since this worker last told of an event. Safe in threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: dict[str, tuple[float, int, int]] = {}

    def take(self, event: str, rule: Rule, seconds: float, status: int) -> tuple[int, int] | None:
        """One more answer. What there is to tell, when it is time: how many, and how many of them were slow.

        An error is as bad as a slow answer: it may be all that an application in trouble is quick at.
        """
        is_slow = seconds > (rule.ramp_seconds or 0) or status >= 500
        now = monotonic()
        with self._lock:
            since, answers, slow = self._seen.get(event, (now, 0, 0))
            answers, slow = answers + 1, slow + is_slow
            is_time = now - since >= _tells_seconds
            if len(self._seen) >= _events_most:
                self._seen.clear()
            self._seen[event] = (now, 0, 0) if is_time else (since, answers, slow)
        return (answers, slow) if is_time else None
