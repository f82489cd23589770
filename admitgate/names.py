"""An event's name: made of what a request says, bounded, clean, and written where odd ones may not be."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter
from typing import Any

LONGEST = 120

_remembered = 10_000
_plain_slug = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*").fullmatch


def template_names(template: str) -> set[str]:
    """The names a template asks for. Raises ValueError for what isn't a plain ``{name}``."""
    names = set()
    for _, name, spec, conversion in Formatter().parse(template):
        if name is not None:
            if not name.isidentifier() or spec or conversion:
                raise ValueError(f"{{{name}}} is more than a name")
            names.add(name)
    return names


@lru_cache(_remembered)
def particularity(template: str) -> tuple[bool, int]:
    """How much of an event's name a template says by itself: all of it is the most."""
    return not template_names(template), len(skeleton(template).replace("{}", ""))


def skeleton(template: str) -> str:
    """What two templates have in common that make the same names, whatever they call their placeholders."""
    return "".join(
        text.replace("{", "{{").replace("}", "}}") + ("{}" if name is not None else "")
        for text, name, _, _ in Formatter().parse(template)
    )


@lru_cache(_remembered)
def template_pattern(template: str) -> re.Pattern[str]:
    """What every event of a template looks like."""
    parts = (
        re.escape(text) + ("(?s:.+)" if name is not None else "")
        for text, name, _, _ in Formatter().parse(template)
    )
    return re.compile("".join(parts))


def event_name(template: str, values: Mapping[str, Any]) -> str:
    """The event of a template and its values: printable and of bounded length, whatever was in the URL."""
    return bounded(template.format_map(values))


def bounded(event: str) -> str:
    """An event's name as we use it: what is too long or can't be printed is made short and clean."""
    if len(event) <= LONGEST and event.isprintable():
        return event
    digest = hashlib.sha256(event.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return "".join(char for char in event[:64] if char.isprintable()) + "~" + digest


@lru_cache(_remembered)
def cookie_name(prefix: str, event: str) -> str:
    """The name of an event's cookie: event names may hold what cookie names may not."""
    return f"{prefix}_{hashlib.sha256(event.encode()).hexdigest()[:8]}"


def event_slug(event: str) -> str:
    """The event's name as one path segment that no proxy will normalise into something else."""
    if _plain_slug(event):
        return event
    return "~" + base64.urlsafe_b64encode(event.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def slug_event(slug: str) -> str:
    """The event that ``event_slug`` made ``slug`` of; what can't be one of ours is taken as the name."""
    if not slug.startswith("~"):
        return slug
    try:
        return base64.urlsafe_b64decode(slug[1:] + "=" * (-len(slug[1:]) % 4)).decode()
    except ValueError:
        return slug
