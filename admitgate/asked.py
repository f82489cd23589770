"""What a callable of the shop's says, asked now and then by a request that needs it.

That request waits for the answer, so it should be a quick one; never do two ask at a time, and whoever comes
meanwhile goes by the last answer. Where it fails the last answer stays, and the log says so once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from importlib import import_module
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

from .memory import monotonic

log = logging.getLogger("admitgate")

T = TypeVar("T")

AGAIN_SECONDS = 5.0
"""Between two questions that nobody can wait for: after a failure, for instance."""

_told_longest = 200

is_place = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*[.:][^\W\d]\w*").fullmatch
"""True for the place of something to import, such as ``shop.events.on_sale``."""


class Words(NamedTuple):
    """How the log speaks of a question."""

    asked: str  # "the events of the rule for '/checkout'"
    stays: str
    unknown: str
    again: str


class Asked(Generic[T]):
    """The last answer to a question; None until there was one."""

    def __init__(self, question: Callable[[], T], seconds: float, words: Words) -> None:
        self._question, self._seconds, self._words = question, seconds, words
        self.answer: T | None = None
        self.asked_at = 0.0
        self._due_at = 0.0
        self._asking = Lock()
        self._is_failing = False

    @property
    def is_due(self) -> bool:
        """True where the answer is too old and nobody is asking."""
        return monotonic() >= self._due_at and not self._asking.locked()

    def ask(self, asked_at: float) -> None:
        """Ask, unless somebody else is about to, or has done it since ``asked_at``."""
        if not self._asking.acquire(blocking=False):
            return
        try:
            if self.asked_at == asked_at:
                self._ask_now()
        finally:
            self._asking.release()

    def _ask_now(self) -> None:
        error = None
        try:
            self.answer = self._question()
        except Exception as raised:  # by the shop's own code, so it may be anything
            error = raised
        self.asked_at = monotonic()
        self._due_at = self.asked_at + (min(self._seconds, AGAIN_SECONDS) if error else self._seconds)
        self._tell(error)

    def _tell(self, error: Exception | None) -> None:
        """One line when it begins to fail, and one when it has ended."""
        if error and not self._is_failing:
            stands = self._words.unknown if self.answer is None else self._words.stays
            reason = ascii(f"{type(error).__name__}: {error}"[:_told_longest])
            log.warning("%s can't be asked for (%s); %s", self._words.asked, reason, stands)
        elif self._is_failing and not error:
            log.warning("%s %s", self._words.asked, self._words.again)
        self._is_failing = error is not None


def found_at(place: str) -> Any:
    """What stands there, imported now. Raises ImportError or AttributeError, and ValueError for no place."""
    module, _, name = place.rpartition(":" if ":" in place else ".")
    return getattr(import_module(module), name)


def answer_of(source: Any) -> Any:
    """What a callable says, or the place of one, or of the answer itself."""
    if isinstance(source, str):
        source = found_at(source)
    return source() if callable(source) else source
