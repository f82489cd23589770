"""Which rule does a path come under, and which event does it belong to?  (For endpoints: ``endpoints.py``.)

A path is matched as it came and in every other reading of it (``paths.py``). The answer can only be too
strict: the application says 404 to such a path itself, and a first visit's 404 gives its slot back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from werkzeug.routing import MapAdapter

from .names import LONGEST, cookie_name, particularity, template_pattern
from .paths import (
    fixed_prefix,
    folded,
    folded_route,
    folded_where_fixed,
    readings_of,
    routes_of,
    values_at,
)
from .rules import OURS, SHARED_OPTIONS, Match, Rule, disagreements

_remembered = 10_000
_remembered_length = 512

_anything = re.compile("(?s:.+)")


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
            (rule, path, routes_of(path), routes_of(folded_route(path)))
            for rule in on_paths
            if (path := rule.path)
        ]
        self._releases = [(rule, routes_of(rule.release_on)) for rule in on_paths if rule.release_on]
        self._view_releases = [
            (rule, routes_of(rule.release_on))
            for rule in self._rules
            if rule.path is None and rule.release_on and not rule.releases_on_endpoint
        ]
        self._exempt = [routes_of(path) for path in exempt]
        self._prefixes = tuple(
            {fixed_prefix(path) for rule in on_paths for path in (rule.path, rule.release_on) if path}
        )
        # An event belongs to the rule whose template says most of it, whoever else could have it.
        by_name = sorted(self._rules, key=lambda rule: particularity(rule.template()), reverse=True)
        self._events = [(rule, template_pattern(rule.template())) for rule in by_name]
        self._events += [(rule, _anything) for rule in self._rules if rule.is_named_by_view]
        self.match: Callable[[str], Match | None] = remembered(self.find)
        """What ``find`` finds."""
        self.released_after_view: Callable[[str], Match | None] = remembered(self._find_view_release)
        """The match of a path where a rule for an endpoint has its slots given back."""
        self._of_event = remembered(self._find_event)
        self._of_other_rules: Callable[[str], Match | None] = lambda event: None
        self._owned: dict[tuple[int, str], Rule] = {}
        self._as_owned: dict[tuple[int, int], Rule] = {}

    def of_event(self, event: str) -> Match | None:
        """The match of the rule that an event belongs to: for requests that name an event and not a path."""
        own, other = self._of_event(event), self._of_other_rules(event)
        if own is None or other is None:
            return own or other
        return other if claim(other.rule, event) > claim(own.rule, event) else own

    def of_known_event(self, event: str) -> Match | None:
        """The same for a name that anybody may have made up: only a rule that knows it has it."""
        match = self.of_event(event)
        if match is None or match.rule.knows(event):
            return match
        known = (rule for rule, pattern in self._events if pattern.fullmatch(event) and rule.knows(event))
        rule = next(known, None)
        if rule is not None:
            return self._made(rule, event, True, False)
        match = self._of_other_rules(event)
        return match if match is not None and match.rule.knows(event) else None

    def ask_also(self, of_event: Callable[[str], Match | None]) -> None:
        """Where to ask for the events of rules that aren't in the settings."""
        self._of_other_rules = of_event
        self._owned.clear()

    def exempts(self, path: str) -> bool:
        """True for a path that nobody waits for, as long as it is written plainly."""
        return bool(self._exempt) and self._is_exempt(readings_of(path))

    def of_view(self, rule: Rule, values: Mapping[str, Any]) -> Match:
        """The match of a view that the framework's router chose, with these arguments."""
        return self._match(rule, rule.event_at(values), True, False)

    def _find_event(self, event: str) -> Match | None:
        if len(event) > LONGEST or not event.isprintable():
            return None  # no path can have it
        for rule, pattern in self._events:
            if pattern.fullmatch(event):
                return self._made(rule, event, True, False)
        return None

    def find(self, path: str) -> Match | None:
        """The match of a path relative to the application's root; OURS below the mount; None: it passes."""
        if path.startswith(self._mount):
            return OURS
        texts = readings_of(path)
        if not any(folded(text).startswith(self._prefixes) for text in texts):
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
        return len(texts) == 1 and any(values_at(routes, texts[0]) is not None for routes in self._exempt)

    def _gated(self, texts: Sequence[str]) -> tuple[Rule, str] | None:
        for rule, route, routes, folded_routes in self._gates:
            values = _first(values_at(routes, text) for text in texts)
            if values is None:
                small = (low for text in texts for low in (folded_where_fixed(text, route), folded(text)))
                values = _first(values_at(folded_routes, text) for text in small)
            if values is not None:
                return rule, rule.event_at(values)
        return None

    def _find_view_release(self, path: str) -> Match | None:
        released = self._released(path, self._view_releases)
        return None if released is None else self._match(*released, False, True)

    def _released(self, path: str, releases: Sequence[tuple[Rule, MapAdapter]]) -> tuple[Rule, str] | None:
        for rule, routes in releases:
            values = values_at(routes, path)
            if values is not None:
                return rule, rule.event_at(values)
        return None

    def _match(self, rule: Rule, event: str, is_gated: bool, is_releasing: bool) -> Match:
        """An event has one line, with its own rule's options, by whichever rule one has come to it."""
        key = id(rule), event
        owned = self._owned.get(key)
        if owned is None:
            if len(self._owned) >= _remembered:
                self._owned.clear()
            owned = self._owned[key] = self._with_options_of_the_owner(rule, event)
        return self._made(owned, event, is_gated, is_releasing)

    def _with_options_of_the_owner(self, rule: Rule, event: str) -> Rule:
        match = self.of_event(event) if rule.events is None else None
        if match is None or match.rule is rule or not match.rule.surely_has(event):
            return rule
        if claim(rule, event) >= claim(match.rule, event):
            return rule
        pair = id(rule), id(match.rule)
        if pair not in self._as_owned:
            shared = {name: getattr(match.rule, name) for name in SHARED_OPTIONS}
            self._as_owned[pair] = replace(rule, **shared) if disagreements(match.rule, rule, event) else rule
        return self._as_owned[pair]

    def _made(self, rule: Rule, event: str, is_gated: bool, is_releasing: bool) -> Match:
        return Match(rule, event, cookie_name(self._cookie_prefix, event), is_gated, is_releasing)


def claim(rule: Rule, event: str) -> tuple[bool, int]:
    """How much of an event's name is a rule's own word; less than nothing where the name is all a view's."""
    template = rule.template()
    return particularity(template) if template_pattern(template).fullmatch(event) else (False, -1)


def _first(found: Iterable[dict[str, Any] | None]) -> dict[str, Any] | None:
    return next((values for values in found if values is not None), None)
