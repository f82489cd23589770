"""How many may be inside? For rules that don't know the number beforehand: a callable that is asked.

What it says *is* the capacity, within ``capacity_seconds``; processes that asked at different moments may go
by different answers for so long. One that is lower than before throws nobody out. Until it has answered once
nobody goes in, as an unknown number of slots is none; after that a failure leaves the last answer standing.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from .asked import Asked, Words, answer_of, is_place

Capacity = int | Callable[[], int] | str

MOST = 10_000_000
CAPACITIES = (
    f"a whole number from 0 to {MOST}, or a callable without arguments that gives one, "
    "or its place such as 'shop.stock.slots'"
)


def is_capacity(value: object) -> bool:
    """True for one of CAPACITIES. A place is looked up when somebody comes: settings are read too early."""
    if isinstance(value, str):
        return is_place(value) is not None
    return _asks_for_nothing(value) if callable(value) else _is_count(value)


class AskedCapacity:
    """What a callable says, asked every ``seconds``; ``rule`` is what the log calls the rule."""

    def __init__(self, source: Capacity, seconds: float, rule: str) -> None:
        words = Words(
            asked=f"the capacity of the rule for {rule}",
            stays="the last one stays",
            unknown="until then nobody goes in",
            again="is known again",
        )
        self._asked = Asked(lambda: _checked(answer_of(source)), seconds, words)

    @property
    def is_due(self) -> bool:
        """True where the next call asks."""
        return self._asked.is_due

    def slots(self) -> int:
        """The last answer; 0 until there was one."""
        asked, asked_at = self._asked, self._asked.asked_at
        if asked.is_due:
            asked.ask(asked_at)
        return asked.answer or 0


def _checked(answer: Any) -> int:
    if not _is_count(answer):
        raise ValueError(f"{answer!r} is not a whole number from 0 to {MOST}")
    return int(answer)


def _asks_for_nothing(call: Callable[..., Any]) -> bool:
    """A rule has one capacity, whichever the event: who wrote ``lambda event: …`` hears of it at start."""
    try:
        signature(call).bind()
    except TypeError:
        return False
    except ValueError:  # some of C's can't be looked into
        return True
    return True


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST
