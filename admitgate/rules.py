"""Which rule does a path come under, and which event does it belong to?  (For endpoints: ``endpoints.py``.)

A path is matched as it came and in its canonical form, because what routers and proxies make of an odd path
differs and nothing may walk round the gate by writing it oddly. The answer can only be too strict: the
application says 404 to such a path itself, and a first visit's 404 gives its slot back.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, lru_cache
from string import Formatter
from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, MapAdapter
from werkzeug.routing import Rule as Route

from .known_events import SOURCES, Source, is_source, known_events

MODES = ("on", "observe", "off")
OUTAGE_ANSWERS = ("hold", "open")
SHARED_OPTIONS = ("capacity", "lease_seconds", "grace_seconds", "admit_per_minute", "max_waiting", "events")

_rest = "admitgate_rest"
_remembered = 10_000
_remembered_length = 512
_longest_event = 120
_decodings = 3
_half_a_day = 12 * 3600
_an_endpoint = "the name of a Flask endpoint or of a Django view, such as 'shop.checkout' or 'shop:checkout'"

_plain_slug = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*").fullmatch
_plain_path = re.compile(r"(?:/[a-z0-9_~-][a-z0-9_.~-]*)+").fullmatch
_params = re.compile(r";[^/]*")
_junk = re.compile(r"[\x00-\x1f\x7f]")
_anything = re.compile("(?s:.+)")
_placeholder = re.compile(r"<(?:[^<>]*:)?([A-Za-z_][A-Za-z0-9_]*)>")


@dataclass(frozen=True)
class Rule:
    """Which requests belong to which event, and the event's options.

    ``path`` is in werkzeug's rule syntax and stands for the path and everything below it. ``endpoint``, in
    its stead, is a Flask endpoint or the name of a Django view, and stands for whatever the framework's
    router brings there. ``event`` is a template over the placeholders (an endpoint's are the view's
    arguments), by default their values, else the path or the endpoint. ``capacity`` is how many visitors
    are inside at a time. ``lease_seconds`` without a request end a visit; ``claim_seconds`` is how long an
    admitted page has to show up; ``grace_seconds`` how long newly invited visitors have to say that they are
    there. Beyond ``max_waiting`` people in line nobody gets a number. A response below 400 to a path under
    ``release_on`` (which may be an endpoint where the rule has one) gives the slot back. ``events`` are the
    events that there are, if the rule knows: a list of names, or a callable that gives one, which is asked
    every ``events_seconds``; any other name is answered with 404.
    """

    path: str | None = None
    _: KW_ONLY
    capacity: int
    endpoint: str | None = None
    event: str | None = None
    lease_seconds: float = 600
    claim_seconds: float = 60
    grace_seconds: float = 6
    cold_hold_seconds: float = 0
    admit_per_minute: float | None = None
    max_waiting: int | None = None
    methods: Sequence[str] | None = None
    mode: str = "on"
    release_on: str | None = None
    on_outage: str | None = None
    verify_every_request: bool = False
    events: Source | None = None
    events_seconds: float = 60

    def template(self) -> str:
        """The event's template, written out where it was left to the default."""
        if self.event is not None:
            return self.event
        if self.path is None:
            return str(self.endpoint).replace("{", "{{").replace("}", "}}")
        names = placeholders(self.path)
        return "/".join(f"{{{name}}}" for name in names) if names else self.path.strip("/") or "/"

    @property
    def name(self) -> str:
        """What the rule is known by to who wrote it."""
        return str(self.path if self.endpoint is None else self.endpoint)

    @property
    def is_named_by_view(self) -> bool:
        """True where the event is made of whatever arguments the view has."""
        return self.path is None and self.event is None

    @property
    def releases_on_endpoint(self) -> bool:
        """True where ``release_on`` is an endpoint and not a path."""
        return self.release_on is not None and self.path is None and not self.release_on.startswith("/")

    def event_at(self, values: Mapping[str, Any]) -> str:
        """The event of a request with such values: a path's, or the arguments of a view."""
        if self.path is not None:
            return event_name(self.template(), values)
        if self.event is None and values:
            template = "/".join(f"{{{name}}}" for name in values)
        else:
            template = self.template()
        # A name that the view doesn't have is told by the checks; visitors share a line, and see no error.
        event = event_name(template, _Arguments(values, self.name))
        return event or event_name("{name}", {"name": self.name})

    def knows(self, event: str) -> bool:
        """False for an event that there isn't."""
        return self.events is None or event in self._known

    @cached_property
    def _known(self) -> Container[str]:
        assert self.events is not None
        return known_events(self.events, bounded, self.events_seconds, ascii(self.name))

    def faults(self) -> list[str]:
        """One sentence for each option that can't be used."""
        try:
            return [
                *self._endpoint_faults(),
                *self._path_faults(),
                *self._number_faults(),
                *self._choice_faults(),
                *self._events_faults(),
            ]
        except ValueError as error:
            return [
                f"event is {self.event!r}, but only names may stand in braces, such as '{{event}}' ({error})."
            ]

    def _endpoint_faults(self) -> Iterator[str]:
        if self.path is None and self.endpoint is None:
            yield "path is missing: give it, or an endpoint."
        elif self.path is not None and self.endpoint is not None:
            yield (
                f"path is {self.path!r} and endpoint is {self.endpoint!r}: give one of them, or make two "
                "rules with the same event."
            )
        elif self.endpoint is not None and not is_endpoint(self.endpoint):
            yield f"endpoint is {self.endpoint!r}: give {_an_endpoint}."
        named = self.release_on if isinstance(self.release_on, str) and self.releases_on_endpoint else None
        if named is not None and not is_endpoint(named):
            yield f"release_on is {self.release_on!r}: give a path, or {_an_endpoint}."
        if isinstance(self.event, str):
            template_names(self.event)  # raises ValueError

    def _path_faults(self) -> Iterator[str]:
        for name, path in (("path", self.path), ("release_on", self.release_on)):
            if path is None or (isinstance(path, str) and name == "release_on" and self.releases_on_endpoint):
                continue
            fault = route_fault(path)
            if fault:
                yield f"{name} is {path!r}, but {fault}."
            elif isinstance(self.path, str | None) and isinstance(self.event, str | None):
                missing = template_names(self.template()) - set(placeholders(str(path)))
                if missing:
                    yield (
                        f"event is {self.template()!r}, but {name} {path!r} has no <{min(missing)}>: "
                        f"use only placeholders that are in it."
                    )

    def _number_faults(self) -> Iterator[str]:
        for name, value, least, most, is_whole in (
            ("capacity", self.capacity, 0, 10_000_000, True),
            ("lease_seconds", self.lease_seconds, 1, _half_a_day, False),
            ("claim_seconds", self.claim_seconds, 1, _half_a_day, False),
            ("grace_seconds", self.grace_seconds, 1, 600, False),
            ("cold_hold_seconds", self.cold_hold_seconds, 0, _half_a_day, False),
            ("admit_per_minute", self.admit_per_minute, 0.001, 10_000_000, False),
            ("max_waiting", self.max_waiting, 0, 1_000_000_000, True),
            ("events_seconds", self.events_seconds, 1, 3600, False),
        ):
            is_optional = name in ("admit_per_minute", "max_waiting")
            if value is None and is_optional:
                continue
            if not is_number(value, least, most, is_whole=is_whole):
                kind = "a whole number" if is_whole else "a number"
                yield f"{name} is {value!r}: give {kind} from {least} to {most}{', or None' * is_optional}."

    def _choice_faults(self) -> Iterator[str]:
        if self.event is not None and not (isinstance(self.event, str) and self.event):
            yield f"event is {self.event!r}: give a template such as '{{event}}', or leave it out."
        if self.mode not in MODES:
            yield f"mode is {self.mode!r}: give 'on', 'observe' or 'off'."
        if self.on_outage not in (None, *OUTAGE_ANSWERS):
            yield f"on_outage is {self.on_outage!r}: give 'hold' or 'open', or leave it out."
        if not isinstance(self.verify_every_request, bool):
            yield f"verify_every_request is {self.verify_every_request!r}: give True or False."
        if self.methods is not None and not is_methods(self.methods):
            yield f"methods is {self.methods!r}: give a list such as ['GET', 'POST'], or leave it out."

    def _events_faults(self) -> Iterator[str]:
        if self.events is not None and not is_source(self.events):
            yield f"events is {self.events!r}: give {SOURCES}, or leave it out."
        elif isinstance(self.events, list | tuple | set | frozenset) and not self.is_named_by_view:
            can_be = _template_pattern(self.template()).fullmatch
            strange = next((name for name in self.events if not can_be(str(name))), None)
            if strange is not None:
                yield f"events has {strange!r}, but no request is for it, as event is {self.template()!r}."


def disagreements(known: Rule, rule: Rule, event: str) -> list[str]:
    """What two rules that share an event say differently of it."""
    return [
        f"the rules for {known.name!r} and {rule.name!r} share the event {event!r}, but one has {name} "
        f"{getattr(known, name)!r} and the other {getattr(rule, name)!r}: give both the same, or different "
        "events."
        for name in SHARED_OPTIONS
        if getattr(known, name) != getattr(rule, name)
    ]


def is_number(value: object, least: float, most: float, *, is_whole: bool = False) -> bool:
    """True for a finite number between the two; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, int if is_whole else int | float):
        return False
    return math.isfinite(value) and least <= value <= most


def is_endpoint(value: object) -> bool:
    """True for what may be an endpoint's name."""
    return isinstance(value, str) and value.isprintable() and value != "" and not value.startswith("/")


def is_methods(value: object) -> bool:
    """True for a list of HTTP methods."""
    return (
        isinstance(value, list | tuple | set | frozenset)
        and len(value) > 0
        and all(isinstance(method, str) and method.isalpha() for method in value)
    )


def placeholders(path: str) -> list[str]:
    """The names of a route's placeholders, in order."""
    return _placeholder.findall(path)


def template_names(template: str) -> set[str]:
    """The names a template asks for. Raises ValueError for what isn't a plain ``{name}``."""
    names = set()
    for _, name, spec, conversion in Formatter().parse(template):
        if name is not None:
            if not name.isidentifier() or spec or conversion:
                raise ValueError(f"{{{name}}} is more than a name")
            names.add(name)
    return names


def route_fault(path: object) -> str | None:
    """Why ``path`` can't be a route, or None."""
    if not isinstance(path, str) or not path.startswith("/"):
        return "it must be a path that starts with '/', such as '/events/<event>/checkout'"
    try:
        _routes(path)
    except (ValueError, LookupError, SyntaxError, HTTPException) as error:
        return f"werkzeug can't read it as a route ({error})"
    return None


class _Arguments(dict[str, Any]):
    """A view's arguments; whatever else a template asks for is the endpoint's name."""

    def __init__(self, values: Mapping[str, Any], endpoint: str) -> None:
        super().__init__(values)
        self._endpoint = endpoint

    def __missing__(self, name: str) -> str:
        return self._endpoint


@dataclass(frozen=True, slots=True)
class Match:
    """What a path comes to: its event, and whether it is gated or only gives the slot back."""

    rule: Rule
    event: str
    cookie: str
    is_gated: bool
    is_releasing: bool


OURS = Match(Rule("/", capacity=0), "", "", is_gated=False, is_releasing=False)  # a path below the mount


class _Answers(dict[str, Match | None]):
    """What was found for each key, bounded in number and length. A dict, as every request looks here."""

    def __init__(self, find: Callable[[str], Match | None]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, key: str) -> Match | None:
        match = self._find(key)
        if len(key) <= _remembered_length:
            if len(self) >= _remembered:
                self.clear()
            self[key] = match
        return match


def remembered(find: Callable[[str], Match | None]) -> Callable[[str], Match | None]:
    """``find``, which is asked only once for what many requests have in common."""
    return _Answers(find).__getitem__


class Rules:
    """The rules in order; the first that matches wins. Answers are remembered, within bounds."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        exempt: Sequence[str] = (),
        mount: str = "/_admitgate/",
        cookie_prefix: str = "admitgate",
    ) -> None:
        self._rules = tuple(rule for rule in rules if rule.mode != "off")
        self._mount = mount
        self._cookie_prefix = cookie_prefix
        on_paths = [rule for rule in self._rules if rule.path is not None]
        self._gates = [
            (rule, path, _routes(path), _routes(_lower(path))) for rule in on_paths if (path := rule.path)
        ]
        self._releases = [(rule, _routes(rule.release_on)) for rule in on_paths if rule.release_on]
        self._view_releases = [
            (rule, _routes(rule.release_on))
            for rule in self._rules
            if rule.path is None and rule.release_on and not rule.releases_on_endpoint
        ]
        self._exempt = [_routes(path) for path in exempt]
        self._prefixes = tuple(
            {_prefix(path) for rule in on_paths for path in (rule.path, rule.release_on) if path}
        )
        self._events = [(rule, _template_pattern(rule.template())) for rule in self._rules]
        self._events += [(rule, _anything) for rule in self._rules if rule.is_named_by_view]
        self.match = remembered(self.find)
        """What ``find`` finds."""
        self.released_after_view = remembered(self._find_view_release)
        """The match of a path where a rule for an endpoint has its slots given back."""
        self._of_event = remembered(self._find_event)
        self._of_other_rules: Callable[[str], Match | None] = lambda event: None

    def of_event(self, event: str) -> Match | None:
        """The first rule that has such an event: for the requests that name an event and not a path."""
        return self._of_event(event) or self._of_other_rules(event)

    def of_known_event(self, event: str) -> Match | None:
        """The same for a name that anybody may have made up: only a rule that knows it has it."""
        match = self.of_event(event)
        if match is None or match.rule.knows(event):
            return match
        known = (rule for rule, pattern in self._events if pattern.fullmatch(event) and rule.knows(event))
        rule = next(known, None)
        if rule is not None:
            return self._match(rule, event, True, False)
        match = self._of_other_rules(event)
        return match if match is not None and match.rule.knows(event) else None

    def ask_also(self, of_event: Callable[[str], Match | None]) -> None:
        """Where to ask for the events of rules that aren't in the settings."""
        self._of_other_rules = of_event

    def exempts(self, path: str) -> bool:
        """True for a path that nobody waits for, as long as it is written plainly."""
        return bool(self._exempt) and self._is_exempt(_readings(path))

    def of_view(self, rule: Rule, values: Mapping[str, Any]) -> Match:
        """The match of a view that the framework's router chose, with these arguments."""
        return self._match(rule, rule.event_at(values), True, False)

    def _find_event(self, event: str) -> Match | None:
        if len(event) > _longest_event or not event.isprintable():
            return None  # no path can have it
        for rule, pattern in self._events:
            if pattern.fullmatch(event):
                return self._match(rule, event, True, False)
        return None

    def find(self, path: str) -> Match | None:
        """The match of a path relative to the application's root; OURS below the mount; None: it passes."""
        if path.startswith(self._mount):
            return OURS
        texts = _readings(path)
        if not any(text.lower().startswith(self._prefixes) for text in texts):
            return None
        if self._is_exempt(texts):
            return None
        gated, released = self._gated(texts), self._released(path, self._releases)
        if gated is not None:
            return self._match(*gated, True, released == gated)
        if released is not None:
            return self._match(*released, False, True)
        return None

    def _is_exempt(self, texts: Sequence[str]) -> bool:
        """Only a path that everybody reads alike."""
        return len(texts) == 1 and any(_values(routes, texts[0]) is not None for routes in self._exempt)

    def _gated(self, texts: Sequence[str]) -> tuple[Rule, str] | None:
        for rule, route, routes, lower_routes in self._gates:
            values = _first(_values(routes, text) for text in texts)
            if values is None:
                lowered = (low for text in texts for low in (_lower_where_fixed(text, route), text.lower()))
                values = _first(_values(lower_routes, text) for text in lowered)
            if values is not None:
                return rule, rule.event_at(values)
        return None

    def _find_view_release(self, path: str) -> Match | None:
        released = self._released(path, self._view_releases)
        return None if released is None else self._match(*released, False, True)

    def _released(self, path: str, releases: Sequence[tuple[Rule, MapAdapter]]) -> tuple[Rule, str] | None:
        for rule, routes in releases:
            values = _values(routes, path)
            if values is not None:
                return rule, rule.event_at(values)
        return None

    def _match(self, rule: Rule, event: str, is_gated: bool, is_releasing: bool) -> Match:
        return Match(rule, event, cookie_name(self._cookie_prefix, event), is_gated, is_releasing)


def event_name(template: str, values: Mapping[str, Any]) -> str:
    """The event of a template and its values: printable and of bounded length, whatever was in the URL."""
    return bounded(template.format_map(values))


def bounded(event: str) -> str:
    """An event's name as we use it: what is too long or can't be printed is made short and clean."""
    if len(event) <= _longest_event and event.isprintable():
        return event
    digest = hashlib.sha256(event.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return "".join(char for char in event[:64] if char.isprintable()) + "~" + digest


@lru_cache(_remembered)
def cookie_name(prefix: str, event: str) -> str:
    """The name of an event's cookie: event names may hold what cookie names may not."""
    return f"{prefix}_{hashlib.sha256(event.encode()).hexdigest()[:8]}"


def readings(path: str) -> list[str]:
    """``path`` as forgiving routers and proxies would read it; the last is the most forgiving.

    They differ in how often they decode and in what they drop before they follow the dots. What one of them
    drops may lead another one astray, so a rule is held against each of these.
    """
    found: dict[str, None] = {}
    for _ in range(_decodings + 1):
        slashed = path.replace("\\", "/")
        for text in (slashed, _params.sub("", slashed), _params.sub("", _junk.sub("", slashed))):
            tidy = _tidy(text.strip())
            found.pop(tidy, None)
            found[tidy] = None
        decoded = unquote(path, errors="replace")
        if decoded == path:
            break
        path = decoded
    return list(found)


def _tidy(path: str) -> str:
    """Without empty segments, and with the dots followed."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == ".." and segments:
            segments.pop()
        elif segment not in ("", ".", ".."):
            segments.append(segment)
    return "/" + "/".join(segments)


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


def _readings(path: str) -> list[str]:
    """``path`` as it came, and whatever else somebody could make of it."""
    return [path] if _plain_path(path) else list(dict.fromkeys([path, *reversed(readings(path))]))


def _first(found: Iterable[dict[str, Any] | None]) -> dict[str, Any] | None:
    return next((values for values in found if values is not None), None)


def _lower(path: str) -> str:
    """A route whose fixed parts are in lower case."""
    return re.sub(
        r"<[^>]*>|[^<]+", lambda part: part[0] if part[0].startswith("<") else part[0].lower(), path
    )


def _lower_where_fixed(path: str, route: str) -> str:
    """``path`` with small letters where the route has no placeholder: an event's name keeps its capitals."""
    fixed = [index for index, segment in enumerate(route.split("/")) if "<" not in segment]
    segments = path.split("/")
    for index in fixed:
        segments[index : index + 1] = [segment.lower() for segment in segments[index : index + 1]]
    return "/".join(segments)


def _routes(path: str) -> MapAdapter:
    """A matcher for the path and everything below it, a segment at a time, that never redirects."""
    base = path.rstrip("/")
    routes = [Route(base or "/", endpoint="here"), Route(f"{base}/<path:{_rest}>", endpoint="below")]
    return Map(routes, strict_slashes=False, merge_slashes=False, redirect_defaults=False).bind("gate")


def _values(routes: MapAdapter, path: str) -> dict[str, Any] | None:
    try:
        _, values = routes.match(path, method="GET")
    except HTTPException:
        return None
    return {name: value for name, value in values.items() if name != _rest}


def _prefix(path: str) -> str:
    return path.partition("<")[0].rstrip("/").lower()


def _template_pattern(template: str) -> re.Pattern[str]:
    parts = (
        re.escape(text) + ("(?s:.+)" if name is not None else "")
        for text, name, _, _ in Formatter().parse(template)
    )
    return re.compile("".join(parts))
