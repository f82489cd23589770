"""Which signing keys are none: whoever can guess one writes themselves into the shop.

A key that stands in a tutorial is known to everybody, however long it is. Outside of debugging such a key is
refused at start, and so is a short one; a retired key still verifies, so it is held to the same.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

log = logging.getLogger("admitgate")

CURE = 'Make one: python -c "import secrets; print(secrets.token_urlsafe(50))".'

_shortest = 32
_fewest_different = 8
_generated = "django-insecure-"  # by startproject, into a file that is mostly committed
_words = re.compile(
    "development|placeholder|passphrase|production|changeme|insecure|password|default|example|replace|testing"
    "|change|django|phrase|please|random|sample|secret|string|unsafe|flask|super|token|value|demo|here|keep"
    "|long|only|safe|some|test|text|that|this|todo|your|with|and|any|dev|for|key|not|our|the|try|use|very|abc"
    "|xyz|foo|bar|qwerty|asdf|my|me|1234567890|0123456789|123+"
)
_not_letters = re.compile(r"[\W_]+", re.ASCII)


def weak_keys(key: str | bytes, fallbacks: Sequence[str | bytes]) -> Iterator[str]:
    """A sentence for each key that somebody might guess. No key is repeated in it."""
    named = [("secret_key", key), *(("a key of secret_key_fallbacks", old) for old in fallbacks)]
    for name, given in named:
        text = given if isinstance(given, str) else given.decode("latin-1")
        if text.startswith(_generated):
            yield f"{name} begins with {_generated!r}, as startproject makes it for trials. {CURE}"
        elif _is_known(text):
            yield f"{name} is the one of an example, which everybody knows. {CURE}"
        elif len(text) < _shortest:
            yield f"{name} has {len(text)} characters, and {_shortest} is the least. {CURE}"


def _is_known(text: str) -> bool:
    """True for what tutorials, generators and tired fingers write: half of it is their words, or more."""
    if len(set(text)) < _fewest_different:
        return True
    plain = _not_letters.sub("", text.lower())
    return 2 * (len(plain) - len(_words.sub("", plain))) >= len(text)


@lru_cache(maxsize=32)  # once for each, however many gates a process has
def warn_of(weakness: str) -> None:
    """Tell the log what is let through while somebody develops."""
    log.warning("debug: %s Outside of debugging it is refused.", weakness)
