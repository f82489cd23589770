"""Who stands where after a draw: a random order of the early visitors that anybody can reckon again.

The order is a keyed permutation of their arrival numbers, so nothing has to be kept but one seed, however
many came. It is a balanced Feistel network (Luby and Rackoff, 1988) over the smallest even number of bits
that holds the count, with SHA-256 as its round function; a result that is too large goes through it again
until it is one of the places ("cycle-walking": Black and Rogaway, 2002). Ten rounds, as NIST's FF1 has:
fewer would favour some of a handful. (A handful's orders are not all quite as likely; each one's places are.)

In a few lines of any language, with half of the bits on each side and value = ordinal - 1::

    left, right = value // 2**half, value % 2**half
    for round = 0 … 9:
        left, right = right, left ^ (SHA-256(f"{seed}:{count}:{round}:{right}") % 2**half)
    value = left * 2**half + right; once more while it is not below count; place = value + 1

The seed's hash is shown before the opening and the seed after it: so nobody could look for a seed that suits
them once the visitors were there. How many came is part of the key: who knew the seed beforehand could not
tell which arrival will be a good one, as every visitor who comes after it changes all places. Only the last
to come could, and that is why the seed is nobody's to know before.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

_rounds = 10


class Draw(NamedTuple):
    """Who takes part: the numbers ``first + 1`` to ``last``, without ``hole_from + 1`` to ``hole_to``.

    The hole is what a loss of state left empty but for who came in the moment that was lost: nobody knows how
    many they are. They come behind those who drew, by their numbers. Both are 0 where there is none.
    """

    first: int
    last: int
    hole_from: int = 0
    hole_to: int = 0

    @property
    def people(self) -> int:
        """How many take part."""
        return self._ordinal(self.last)

    def ordinal_of(self, number: int) -> int:
        """Which arrival this number was, from 1 on; 0 for a number that takes no part in the draw."""
        if not self.first < number <= self.last or self.hole_from < number <= self.hole_to:
            return 0
        return self._ordinal(number)

    def behind(self, number: int) -> int:
        """The number of somebody who drew none: a later one, if it is in the hole."""
        is_in_the_hole = self.first < number <= self.last and self.hole_from < number <= self.hole_to
        return number + self.last - min(self.hole_to, self.last) if is_in_the_hole else number

    def _ordinal(self, number: int) -> int:
        in_the_hole = min(self.hole_to, number) - max(self.hole_from, self.first)
        return number - self.first - max(0, in_the_hole)


def place_in_draw(seed: str, count: int, ordinal: int) -> int:
    """The place, from 1 to ``count``, of the visitor who came as number ``ordinal`` of ``count``."""
    if not 1 <= ordinal <= count:
        raise ValueError(f"There is no arrival number {ordinal} among {count}: they go from 1 to {count}.")
    half = ((count - 1).bit_length() + 1) // 2
    value = ordinal - 1
    while True:
        value = _exchanged(f"{seed}:{count}", half, value)
        if value < count:
            return value + 1


def drawn_number(draw: Draw, seed: str, number: int) -> int:
    """The number that counts after the draw. Who came before or after it keeps the one they have."""
    ordinal = draw.ordinal_of(number)
    return draw.first + place_in_draw(seed, draw.people, ordinal) if ordinal else draw.behind(number)


def published(draw: Draw | None, seed: str) -> dict[str, Any]:
    """What everybody is told: before the draw the seed's hash, after it all that a place follows from."""
    if draw is None:
        return {"hash": seed_hash(seed)}
    hole = [draw.hole_from, draw.hole_to]
    return {"hash": seed_hash(seed), "seed": seed, "first": draw.first, "last": draw.last, "hole": hole}


def seed_hash(seed: str) -> str:
    """What is shown of a seed before the draw."""
    return sha256(seed.encode()).hexdigest()


def _exchanged(key: str, half: int, value: int) -> int:
    left, right = value >> half, value & (1 << half) - 1
    for turn in range(_rounds):
        left, right = right, left ^ _mixed(key, half, turn, right)
    return left << half | right


@lru_cache(maxsize=32_768)  # all there are for half a million and more: a place then costs a few microseconds
def _mixed(key: str, half: int, turn: int, right: int) -> int:
    return int.from_bytes(sha256(f"{key}:{turn}:{right}".encode()).digest(), "big") & (1 << half) - 1
