"""The languages of the waiting page: which one a visitor reads, and what things are called in it.

What the site itself speaks comes first (Django's active language), then what the browser asks for, then
English, in which all is written. The catalogues in ``locale/`` are made by ``make messages``; here they are
read once, at start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from .visit import Visit

_folder = Path(__file__).with_name("locale")
_most_read = 200  # characters of an Accept-Language: browsers send fewer, and each takes its time to be read
_also = {"zh": "zh-Hans", "cmn": "zh-Hans", "iw": "he"}  # other names, some of them older than the one in use
_traditional = frozenset({"hant", "tw", "hk", "mo"})

_two = {"one": 1, "other": 2}
_romance = {**_two, "many": 1_000_000}  # CLDR's "un million de": in figures it is said like any other
_polish = {"one": 1, "few": 2, "many": 5, "other": 5}  # "other" is for fractions
_arabic = {"zero": 0, "one": 1, "two": 2, "few": 3, "many": 11, "other": 100}


@dataclass(frozen=True, eq=False)
class Language:
    """One language.

    ``plurals``: each category of ``Intl.PluralRules``, and a number that belongs to it.
    ``mark`` stands between thousands, in numbers from ``marks_from`` on.
    """

    code: str
    direction: str = "ltr"
    plurals: Mapping[str, int] = field(default_factory=lambda: _two)
    mark: str = ","
    marks_from: int = 1000
    catalogue: NullTranslations = field(default_factory=NullTranslations, repr=False)

    def gettext(self, text: str) -> str:
        """``text`` in this language; itself where there is no translation."""
        return self.catalogue.gettext(text)

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """The form that goes with ``n``, not yet filled in."""
        return self.catalogue.ngettext(singular, plural, n)

    def number(self, n: int) -> str:
        """``n`` with the marks for thousands that ``Intl.NumberFormat`` gives it."""
        return f"{n:,}".replace(",", self.mark) if n >= self.marks_from else str(n)


def _translated(
    code: str,
    plurals: Mapping[str, int] = _two,
    direction: str = "ltr",
    *,
    mark: str = ",",
    marks_from: int = 1000,
) -> Language:
    file = _folder / code.replace("-", "_") / "LC_MESSAGES" / "admitgate.mo"
    with file.open("rb") as catalogue:
        return Language(code, direction, plurals, mark, marks_from, GNUTranslations(catalogue))


ENGLISH = Language("en")
LANGUAGES = {
    language.code: language
    for language in (
        ENGLISH,
        _translated("de", mark="."),
        _translated("fr", _romance, mark="\u202f"),
        _translated("es", _romance, mark=".", marks_from=10_000),
        _translated("pt", _romance, mark="."),
        _translated("it", _romance, mark=".", marks_from=10_000),
        _translated("nl", mark="."),
        _translated("pl", _polish, mark="\u00a0", marks_from=10_000),
        _translated("ar", _arabic, "rtl"),
        _translated("he", {"one": 1, "two": 2, "other": 3}, "rtl"),
        _translated("ja", {"other": 0}),
        _translated("ko", {"other": 0}),
        _translated("zh-Hans", {"other": 0}),
    )
}


def of(visit: Visit) -> Language:
    """The language for a visitor."""
    return named(visit.language(visit.request)) or accepted(visit.header("accept-language")) or ENGLISH


def named(tag: str) -> Language | None:
    """The language of a tag such as ``pt-BR``, if it is one of ours.

    A reader of Traditional Chinese is not given Simplified unless their browser asks for plain ``zh`` too.
    """
    primary, *rest = tag.lower().replace("_", "-").split("-")
    if primary == "zh" and "hans" not in rest and _traditional & set(rest):
        return None
    return LANGUAGES.get(_also.get(primary, primary))


def accepted(header: str) -> Language | None:
    """The first of ours by the wishes in an Accept-Language."""
    if len(header) > _most_read:  # the last wish that is left may be cut off, which makes it another one
        header = header[:_most_read].rpartition(",")[0]
    return _accepted(header)


@lru_cache(maxsize=512)
def _accepted(header: str) -> Language | None:
    """Cached because a site's visitors send a handful of these, and reading one takes 15 µs."""
    wishes = parse_accept_header(header, LanguageAccept)
    found = (named(tag) for tag, quality in wishes if quality > 0)
    return next((language for language in found if language), None)
