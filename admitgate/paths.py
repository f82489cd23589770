"""What could a router make of a path?  (Which rule means it: ``matching.py``.)

Routers and proxies differ in what they make of an odd path, and nothing may walk round the gate by writing
it oddly: so each reading that one of them could have is held against the rules.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter, Map, MapAdapter, UUIDConverter, ValidationError
from werkzeug.routing import Rule as Route

_rest = "admitgate_rest"
_decodings = 3

_plain_path = re.compile(r"(?:/[a-z0-9_~-][a-z0-9_.~-]*)+").fullmatch
_params = re.compile(r";[^/]*")
_junk = re.compile(r"[\x00-\x1f\x7f]")
_dots = str.maketrans("\u0130\u0131", "ii")  # casefold leaves these two alone, and regular expressions don't
_of_other_routers = re.compile(r"\*|\{[^{}]*\}").search  # /events/*/pay, /events/{event}/pay
_placeholder = re.compile(r"<(?:[^<>]*:)?([A-Za-z_][A-Za-z0-9_]*)>")


def placeholders(path: str) -> list[str]:
    """The names of a route's placeholders, in order."""
    return _placeholder.findall(path)


def route_fault(path: object) -> str | None:
    """Why ``path`` can't be a route, or None."""
    if not isinstance(path, str) or not path.startswith("/"):
        return "it must be a path that starts with '/', such as '/events/<event>/checkout'"
    if stranger := _of_other_routers(path):
        return f"{stranger[0]!r} stands for nothing in it: write <name> for a part; the rest is meant anyway"
    try:
        routes_of(path)
    except (ValueError, LookupError, SyntaxError, HTTPException) as error:
        cure = ": write <name> for any text" if isinstance(error, LookupError) else ""
        return f"werkzeug can't read it as a route ({error}){cure}"
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
        for slashed in dict.fromkeys((path, path.replace("\\", "/"))):
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


def folded(text: str) -> str:
    """In small letters, as a regular expression that ignores case would have it.

    To that a long s (U+017F) is an s, and an i without its dot (U+0131) an i.
    """
    return text.lower() if text.isascii() else text.translate(_dots).casefold()


def folded_route(path: str) -> str:
    """A route whose fixed parts are in small letters."""
    return re.sub(r"<[^>]*>|[^<]+", lambda part: part[0] if part[0][0] == "<" else folded(part[0]), path)


def folded_where_fixed(path: str, route: str) -> str:
    """``path`` with small letters where the route has no placeholder: an event's name keeps its capitals."""
    fixed = [index for index, segment in enumerate(route.split("/")) if "<" not in segment]
    segments = path.split("/")
    for index in fixed:
        segments[index : index + 1] = [folded(segment) for segment in segments[index : index + 1]]
    return "/".join(segments)


class _AnyNumber(IntegerConverter):
    """Whatever Python reads as a number: to an application that asks ``int``, ``+12`` and ``1_2`` are 12."""

    regex = "[^/]+"
    part_isolating = True

    def to_python(self, value: str) -> int:
        try:
            number = int(value)
        except ValueError as error:
            raise ValidationError from error
        if number < 0 and not self.signed:
            raise ValidationError
        within_bounds: int = super().to_python(value if self.fixed_digits else str(number))
        return within_bounds


class _AnyUUID(UUIDConverter):
    """Whatever Python reads as one: without its hyphens, in braces, as a URN."""

    regex = "[^/]+"
    part_isolating = True

    def to_python(self, value: str) -> UUID:
        try:
            return UUID(value)
        except ValueError as error:
            raise ValidationError from error


_converters = {"int": _AnyNumber, "uuid": _AnyUUID}


def routes_of(path: str) -> MapAdapter:
    """A matcher for the path and everything below it, a segment at a time, that never redirects."""
    base = path.rstrip("/")
    routes = [Route(base or "/", endpoint="here"), Route(f"{base}/<path:{_rest}>", endpoint="below")]
    return Map(
        routes,
        converters=_converters,
        strict_slashes=False,
        merge_slashes=False,
        redirect_defaults=False,
    ).bind("gate")


def values_at(routes: MapAdapter, path: str) -> dict[str, Any] | None:
    """The values of a route's placeholders, or None where the route doesn't mean the path."""
    try:
        _, values = routes.match(path, method="GET")
    except HTTPException:
        return None
    return {name: value for name, value in values.items() if name != _rest}


def fixed_prefix(path: str) -> str:
    """What every path begins with that a route can mean, in small letters."""
    return folded(path.partition("<")[0].rstrip("/"))
