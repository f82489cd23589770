"""When people may go in, and in which order the early ones: as a time, an operator and a draw have it.

A part of the oracle: it knows what anybody may read, and imports nothing of the product. So the lots are
reckoned here once more, by the words of the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

_heard_seconds = 30.0  # after a draw nobody is called before everybody has heard their place


@dataclass
class Door:
    """What an operator said last, and when it opens."""

    opens_at: float = 0.0
    is_drawn: bool = False
    state: str = ""  # "paused", "closed": nobody goes in, but as many as were counted in by hand
    extra: int = 0

    def is_open(self, at: float) -> bool:
        """True while a slot that is free has no reason to stay so."""
        return not self.state and at >= self.opens_at + (_heard_seconds if self.is_drawn else 0)

    def lets_in(self, at: float) -> str:
        """Somebody goes in. Why they mustn't, if so."""
        if at < self.opens_at:
            return f"it opens at {self.opens_at:g}"
        if self.state == "paused" and self.extra:
            self.extra -= 1
            return ""
        return self.state and f"it is {self.state}"


@dataclass
class Lots:
    """What everybody was told of the draw."""

    opens_at: float = 0.0
    hash: str = ""
    drawn_at: int = 0  # by the event's time
    drawn: Mapping[str, Any] = field(default_factory=dict)

    def hear(self, at: float, told: Mapping[str, Any], updated: int) -> str:
        """Somebody hears of it, as it was when it was ``updated``. What is wrong with that, if anything."""
        if self.hash and told["hash"] != self.hash:
            return "another seed's hash is shown"
        self.hash = told["hash"]
        if "seed" not in told:
            return "the draw is taken back" if self.drawn and updated >= self.drawn_at else ""
        if at < self.opens_at:
            return "the seed is shown before the opening"
        if sha256(told["seed"].encode()).hexdigest() != self.hash:
            return "the seed isn't the one whose hash was shown"
        if self.drawn and self.drawn != told:
            return f"the lots are drawn again: {self.drawn} was told, and now {told}"
        self.drawn, self.drawn_at = told, min(updated, self.drawn_at or updated)
        return ""

    def place_of(self, number: int) -> int:
        """Which place was drawn for a number; 0 for one that isn't in the draw."""
        first, last, (hole_from, hole_to) = (self.drawn[name] for name in ("first", "last", "hole"))
        if not first < number <= last or hole_from < number <= hole_to:
            return 0
        before = number - first - (hole_to - hole_from if number > hole_to else 0)
        return _exchanged(self.drawn["seed"], last - first - (hole_to - hole_from), before)


@lru_cache(4096)
def _exchanged(seed: str, count: int, ordinal: int) -> int:
    """A Feistel network over the smallest even number of bits that holds the count, until it hits a place."""
    half = next(bits for bits in range(32) if 4**bits >= count)
    value = ordinal - 1
    while True:
        left, right = divmod(value, 2**half)
        for turn in range(10):
            mixed = int(sha256(f"{seed}:{count}:{turn}:{right}".encode()).hexdigest(), 16)
            left, right = right, left ^ mixed % 2**half
        value = left * 2**half + right
        if value < count:
            return value + 1
