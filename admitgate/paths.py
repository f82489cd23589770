"""What could a router make of a path?  (Which rule means it: ``matching.py``.)

Routers and proxies differ in what they make of an odd path, and nothing may walk round the gate by writing
it oddly: so each reading that one of them could have is held against the rules.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, MapAdapter
from werkzeug.routing import Rule as Route

_rest = "admitgate_rest"
_decodings = 3

_plain_path = re.compile(r"(?:/[a-z0-9_~-][a-z0-9_.~-]*)+").fullmatch
_params = re.compile(r";[^/]*")
_junk = re.compile(r"[\x00-\x1f\x7f]")
_placeholder = re.compile(r"<(?:[^<>]*:)?([A-Za-z_][A-Za-z0-9_]*)>")


def placeholders(path: str) -> list[str]:
    """The names of a route's placeholders, in order."""
    return _placeholder.findall(path)


def route_fault(path: object) -> str | None:
    """Why ``path`` can't be a route, or None."""
    if not isinstance(path, str) or not path.startswith("/"):
        return "it must be a path that starts with '/', such as '/events/<event>/checkout'"
    try:
        routes_of(path)
    except (ValueError, LookupError, SyntaxError, HTTPException) as error:
        return f"werkzeug can't read it as a route ({error})"
    return None


def readings_of(path: str) -> list[str]:
    """``path`` as it came, and whatever else somebody could make of it."""
    return [path] if _plain_path(path) else list(dict.fromkeys([path, *reversed(readings(path))]))


def readings(path: str) -> list[str]:
    """``path`` as forgiving routers and proxies would read it; the last is the most forgiving.

    They differ in how often they decode and in what they drop before they follow the dots. What one of them
    drops may lead another one astray, so a rule is held against each of these.
    """
    found: dict[str, None] = {}
    for _ in range(_decodings + 1):
        slashed = path.replace("\\", "/")
        for text in (slashed, _params.sub("", slashed), _params.sub("", _junk.sub("", slashed))):
            for tidy in (_merged(text.strip()), _merged(_resolved(text.strip())), _tidy(text.strip())):
                found.pop(tidy, None)
                found[tidy] = None
        decoded = unquote(path, errors="replace")
        if decoded == path:
            break
        path = decoded
    return list(found)


def _merged(path: str) -> str:
    """Without empty segments, and nothing else: what a router does that leaves the dots to its views."""
    return "/" + "/".join(filter(None, path.split("/")))


def _resolved(path: str) -> str:
    """With the dots followed as RFC 3986 has it: an empty segment is one, too."""
    segments: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            segments[-1:] = []
        elif segment != ".":
            segments.append(segment)
    return "/" + "/".join(segments)


def _tidy(path: str) -> str:
    """Without empty segments, and with the dots followed."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == ".." and segments:
            segments.pop()
        elif segment not in ("", ".", ".."):
            segments.append(segment)
    return "/" + "/".join(segments)


def lower(path: str) -> str:
    """A route whose fixed parts are in lower case."""
    return re.sub(
        r"<[^>]*>|[^<]+", lambda part: part[0] if part[0].startswith("<") else part[0].lower(), path
    )


def lower_where_fixed(path: str, route: str) -> str:
    """``path`` with small letters where the route has no placeholder: an event's name keeps its capitals."""
    fixed = [index for index, segment in enumerate(route.split("/")) if "<" not in segment]
    segments = path.split("/")
    for index in fixed:
        segments[index : index + 1] = [segment.lower() for segment in segments[index : index + 1]]
    return "/".join(segments)


def routes_of(path: str) -> MapAdapter:
    """A matcher for the path and everything below it, a segment at a time, that never redirects."""
    base = path.rstrip("/")
    routes = [Route(base or "/", endpoint="here"), Route(f"{base}/<path:{_rest}>", endpoint="below")]
    return Map(routes, strict_slashes=False, merge_slashes=False, redirect_defaults=False).bind("gate")


def values_at(routes: MapAdapter, path: str) -> dict[str, Any] | None:
    """The values of a route's placeholders, or None where the route doesn't mean the path."""
    try:
        _, values = routes.match(path, method="GET")
    except HTTPException:
        return None
    return {name: value for name, value in values.items() if name != _rest}


def fixed_prefix(path: str) -> str:
    """What every path begins with that a route can mean, in small letters."""
    return path.partition("<")[0].rstrip("/").lower()
