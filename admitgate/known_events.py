"""Which events are there? For rules that say it: by a list, or by a callable that is asked now and then.

What isn't an event of the shop never reaches Redis and gets no cookie, so an invented name costs next to
nothing and is no way round. A callable is asked by a request, which waits for its answer; never by two at a
time, and whoever comes meanwhile is told what was known before. A new event is known after ``seconds`` at
the latest, and mostly sooner: a name that isn't known has the callable asked early, once for a whole flood.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any

from .asked import AGAIN_SECONDS, Asked, Words, answer_of, is_place
from .memory import monotonic

Source = Iterable[Any] | Callable[[], Iterable[Any]] | str
Tidy = Callable[[str], str]

SOURCES = "a list of names, a callable that gives one, or its place such as 'shop.events.on_sale'"


def is_source(value: object) -> bool:
    """True for one of SOURCES. A place is looked up when somebody comes: settings are read too early."""
    if isinstance(value, str):
        return is_place(value) is not None
    return callable(value) or (
        isinstance(value, list | tuple | set | frozenset) and len(value) > 0 and all(map(_is_name, value))
    )


def known_events(source: Source, tidy: Tidy, seconds: float, rule: str) -> Container[str]:
    """The events that ``source`` names: a list, a callable, or where either is to be imported from.

    ``tidy`` makes of a name what a path with it comes to; ``rule`` is what the log calls the rule.
    """
    if callable(source) or isinstance(source, str):
        return AskedEvents(source, tidy, seconds, rule)
    return _named(source, tidy)


class AskedEvents:
    """What a callable has named. Every name is in it until the callable has answered once."""

    def __init__(self, source: Source, tidy: Tidy, seconds: float, rule: str) -> None:
        words = Words(
            asked=f"the events of the rule for {rule}",
            stays="those named before stay",
            unknown="every name counts as known",
            again="are named again",
        )
        self._asked = Asked(lambda: _named(answer_of(source), tidy), seconds, words)

    def __contains__(self, event: object) -> bool:
        asked, asked_at = self._asked, self._asked.asked_at
        if self.is_due(event):
            asked.ask(asked_at)
        return asked.answer is None or event in asked.answer

    def is_due(self, event: object) -> bool:
        """True where a look for ``event`` would ask."""
        asked = self._asked
        is_new = asked.answer is not None and event not in asked.answer
        return asked.is_due or (is_new and monotonic() - asked.asked_at >= AGAIN_SECONDS)


def _is_name(value: object) -> bool:
    return value != "" and isinstance(value, str | int) and not isinstance(value, bool)


def _named(names: Iterable[Any], tidy: Tidy) -> frozenset[str]:
    if isinstance(names, str | bytes):
        raise TypeError(f"{names!r} is one name, and not a list of them")
    return frozenset(tidy(str(name)) for name in names)
