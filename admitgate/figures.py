"""A visitor's own figures in words: how far, how long, since when. ``face.js`` says the same in browsers."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from functools import lru_cache
from itertools import product

from .decision import Place
from .draw import place_in_draw, seed_hash
from .languages import Language
from .words import COUNTED, PHRASES, STATES

_alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # without I, L, O and U, which are misread on the telephone
_letters = 6
_triples = [a + b + c for a, b, c in product(_alphabet, repeat=3)]
_bound: int = 32**_letters
_scatter = 0x1E3779B1  # odd, so that multiplying by it can be undone
_gather: int = pow(_scatter, -1, _bound)


def position(language: Language, place: Place) -> str:
    """The place in line, as ``about`` so many while people ahead may have left."""
    if place.position is None:
        return ""
    n = language.number(place.position)
    is_about = place.is_about and place.position > 1
    return language.gettext(PHRASES["about"]).replace("{n}", n) if is_about else n


def ahead(language: Language, place: Place) -> str:
    """How many people go in before."""
    if place.position is None:
        return ""
    if place.position == 1:
        return language.gettext(PHRASES["first"])
    return _counted(language, "ahead_about" if place.is_about else "ahead", place.position - 1)


def wait(language: Language, wait_seconds: tuple[int, int] | None) -> str:
    """The expected wait, as a range that was rounded outwards."""
    return _wait(language, *wait_form(wait_seconds))


def wait_form(wait_seconds: tuple[int, int] | None) -> tuple[str, int, int]:
    """Which words say this range, and the two figures in them. ``line.js`` has the same rule."""
    if wait_seconds is None:
        return "unknown", 0, 0
    low, high = wait_seconds
    if low >= 86_400:
        return "days", 0, 0
    if high <= 60:
        return "soon", 0, 0
    name, unit = ("minutes", 60) if high <= 5_400 else ("hours", 3_600)
    step = unit * 5 if unit == 60 and high > 1_200 else unit
    start, end = low // step * step // unit, -(-high // step) * step // unit
    if start == 0:
        return f"up_to_{name}", start, end
    return (f"about_{name}" if start == end else name), start, end


@lru_cache(maxsize=1024)
def _wait(language: Language, form: str, low: int, high: int) -> str:
    if form in COUNTED:
        return _counted(language, form, high, low=language.number(low), high=language.number(high))
    return language.gettext(PHRASES[f"wait_{form}"])


def waited(language: Language, seconds: int | None) -> str:
    """How long somebody is in line already."""
    return "" if seconds is None else _waited(language, seconds // 60)


@lru_cache(maxsize=1024)
def _waited(language: Language, minutes: int) -> str:
    if minutes < 1:
        return language.gettext(PHRASES["waited_soon"])
    if minutes < 120:
        return _counted(language, "waited_minutes", minutes)
    return _counted(language, "waited_hours", minutes // 60)


def drawn(language: Language, place: Place) -> str:
    """Which place of how many was drawn for them."""
    ordinal = place.draw.ordinal_of(place.number) if place.draw and place.number else 0
    if not place.draw or not ordinal:
        return ""
    people = place.draw.people
    n = language.number(place_in_draw(place.seed, people, ordinal))
    return _fill(language.gettext(PHRASES["drawn"]), n=n, people=language.number(people))


def draw_check(place: Place) -> str:
    """What somebody needs who wants to reckon that place themselves."""
    if not place.draw or not place.number:
        return f"SHA-256: {seed_hash(place.seed)}"
    given = {
        "seed": place.seed,
        "count": place.draw.people,
        "ordinal": place.draw.ordinal_of(place.number),
        "hash": seed_hash(place.seed),
    }
    return " ".join(["admitgate verify", *(f"--{name} {value}" for name, value in given.items())])


def problem(language: Language, place: Place, retry_after: int) -> str:
    """What a program is told: in a sentence, for whoever reads its log."""
    heading = language.gettext(STATES[place.state][0])
    detail = _counted(language, "problem", retry_after, heading=heading)
    return f"{detail} {language.gettext(PHRASES['problem_was_post'])}" if place.was_post else detail


def now_ms() -> int:
    """What time it is, for people to read. Nothing that is decided asks a worker's own clock."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=64)
def moment(minute: int) -> bytes:
    """A time for browsers without JavaScript: in UTC, as nobody knows where they are."""
    return f"{datetime.fromtimestamp(minute * 60, timezone.utc):%Y-%m-%d %H:%M} UTC".encode()


def reference(number: int) -> str:
    """A short name for a place in line, to be read out. It doesn't show who comes before whom."""
    first, second = divmod(number * _scatter % _bound, 32**3)
    return f"{_triples[first]}-{_triples[second]}"


def number_of(reference: str, near: int) -> int:
    """The number that has this reference and is nearest to ``near``, such as the highest one issued.

    Raises ValueError for what is no reference.
    """
    letters = reference.upper().replace("-", "").replace(" ", "")
    if len(letters) != _letters or not set(letters) <= set(_alphabet):
        raise ValueError(f"{reference!r} is no reference: it has six letters and digits, such as '7K3-M9Q'")
    scattered: int = sum(
        _alphabet.index(letter) * 32**power for power, letter in enumerate(reversed(letters))
    )
    rest = scattered * _gather % _bound
    return near + (rest - near + _bound // 2) % _bound - _bound // 2


def _counted(language: Language, name: str, n: int, **figures: str) -> str:
    return _fill(language.ngettext(*COUNTED[name], n), n=language.number(n), **figures)


def _fill(text: str, **figures: str) -> str:
    """By hand: a translation may be wrong, and must not break the page."""
    for name, figure in figures.items():
        text = text.replace("{" + name + "}", figure)
    return text
