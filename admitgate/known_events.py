"""Which events are there? For rules that say it: by a list, or by a callable that is asked now and then.

What isn't an event of the shop never reaches Redis and gets no cookie, so an invented name costs next to
nothing and is no way round. A callable is asked by a request, which waits for its answer; never by two at a
time, and whoever comes meanwhile is told what was known before. A new event is known after ``seconds`` at
the latest, and mostly sooner: a name that isn't known has the callable asked early, once for a whole flood.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Container, Iterable
from importlib import import_module
from threading import Lock
from typing import Any

from .memory import monotonic

log = logging.getLogger("admitgate")

Source = Iterable[Any] | Callable[[], Iterable[Any]] | str
Tidy = Callable[[str], str]

SOURCES = "a list of names, a callable that gives one, or its place such as 'shop.events.on_sale'"

_is_place = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*[.:][^\W\d]\w*").fullmatch
_again_seconds = 5.0  # between two questions that nobody can wait for: a name not known, a failure
_told_longest = 200


def is_source(value: object) -> bool:
    """True for one of SOURCES. A place is looked up when somebody comes: settings are read too early."""
    if isinstance(value, str):
        return _is_place(value) is not None
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
        self._source, self._tidy, self._seconds, self._rule = source, tidy, seconds, rule
        self._events: frozenset[str] | None = None
        self._asking = Lock()
        self._asked_at = 0.0
        self._due_at = 0.0
        self._is_failing = False

    def __contains__(self, event: object) -> bool:
        asked_at, now = self._asked_at, monotonic()
        is_new = self._events is not None and event not in self._events
        if now >= self._due_at or (is_new and now - asked_at >= _again_seconds):
            self._ask(asked_at)
        return self._events is None or event in self._events

    def _ask(self, asked_at: float) -> None:
        """Ask, unless somebody else is about to, or has done it since ``asked_at``."""
        if not self._asking.acquire(blocking=False):
            return
        try:
            if self._asked_at == asked_at:
                self._ask_now()
        finally:
            self._asking.release()

    def _ask_now(self) -> None:
        error = None
        try:
            self._events = _named(_answer(self._source), self._tidy)
        except Exception as raised:  # by the shop's own code, so it may be anything
            error = raised
        self._asked_at = monotonic()
        self._due_at = self._asked_at + (min(self._seconds, _again_seconds) if error else self._seconds)
        self._tell(error)

    def _tell(self, error: Exception | None) -> None:
        """One line when it begins to fail, and one when it has ended."""
        if error and not self._is_failing:
            stands = "every name counts as known" if self._events is None else "those named before stay"
            reason = ascii(f"{type(error).__name__}: {error}"[:_told_longest])
            text = "the events of the rule for %s can't be asked for (%s); %s"
            log.warning(text, self._rule, reason, stands)
        elif self._is_failing and not error:
            log.warning("the events of the rule for %s are named again", self._rule)
        self._is_failing = error is not None


def _is_name(value: object) -> bool:
    return value != "" and isinstance(value, str | int) and not isinstance(value, bool)


def _answer(source: Source) -> Iterable[Any]:
    if isinstance(source, str):
        module, _, name = source.rpartition(":" if ":" in source else ".")
        source = getattr(import_module(module), name)
    return source() if callable(source) else source


def _named(names: Iterable[Any], tidy: Tidy) -> frozenset[str]:
    if isinstance(names, str | bytes):
        raise TypeError(f"{names!r} is one name, and not a list of them")
    return frozenset(tidy(str(name)) for name in names)
