"""What is said to somebody who asks for an event that there isn't: 404, without the application.

The name is not repeated, so there is nothing to escape.
"""

from __future__ import annotations

import json

from .page import wants_json
from .visit import Answer, Visit

_title, _detail = "Not found", "There is no such event."
_page = (
    f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{_title}</title>\n'
    f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<h1>{_title}</h1>\n<p>{_detail}\n'
).encode()
_problem = json.dumps({"type": "about:blank", "title": _title, "status": 404, "detail": _detail}).encode()
_same = (
    ("Cache-Control", "no-store"),  # it may be on sale in a minute
    ("Vary", "Accept"),
    ("X-Robots-Tag", "noindex"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)


def unknown_event(visit: Visit) -> Answer:
    """The answer, as a page or as a problem document for programs."""
    kind, body = (
        ("application/problem+json", _problem) if wants_json(visit) else ("text/html; charset=utf-8", _page)
    )
    length = ("Content-Length", str(len(body)))
    return Answer(404, (("Content-Type", kind), length, *_same), b"" if visit.method == "HEAD" else body)
