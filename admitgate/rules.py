"""Which event does a path belong to?"""

from __future__ import annotations

import base64
import re

_plain_slug = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*").fullmatch


def event_slug(event: str) -> str:
    """The event's name as one path segment that no proxy will normalise into something else."""
    if _plain_slug(event):
        return event
    return "~" + base64.urlsafe_b64encode(event.encode()).decode().rstrip("=")


def slug_event(slug: str) -> str:
    """The event that ``event_slug`` made ``slug`` of; a slug that can't be one of ours is taken as the name itself."""
    if not slug.startswith("~"):
        return slug
    try:
        return base64.urlsafe_b64decode(slug[1:] + "=" * (-len(slug[1:]) % 4)).decode()
    except ValueError:
        return slug
