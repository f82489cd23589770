"""The rules that go by what the framework's router chose: those for endpoints, and those of decorated views.

A path may be written in many ways, and a router may be told to forgive more of them than anybody thought of;
the view that it comes to in the end is one. These rules are asked when the router has spoken, so what the
framework does before that (sessions, and the middleware that runs before views) it does for who waits, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Protocol

from .config import Config
from .errors import ConfigError
from .gating import Mark, View, mark_of, marks_on
from .matching import Rules
from .names import template_names
from .rules import Match, Rule, disagreements

log = logging.getLogger("admitgate")


@dataclass(frozen=True, slots=True)
class Route:
    """An entry of a framework's router: its view, the names it goes by, the arguments that its view gets."""

    view: View | None
    names: tuple[str, ...]
    arguments: frozenset[str]


@dataclass(slots=True)
class Chosen:
    """What the router chose for a request. ``names`` is asked only where a rule for an endpoint is."""

    view: View | None
    values: Mapping[str, Any]
    names: Callable[[], Sequence[str]]
    method: str
    path: str


class Router(Protocol):
    """A framework's router."""

    def routes(self) -> Sequence[Route]:
        """All of it: the very same object until something in it changes."""

    def foresee(self, request: Any) -> Chosen | None:
        """What it is going to choose for a request that it hasn't seen; None where that isn't certain.

        Notes on the request that it was asked, so that the view that is chosen in the end is looked at again.
        """


class Endpoints:
    """Finds the match of what a router chose, and the rules of its decorated views."""

    def __init__(self, config: Config, router: Router) -> None:
        self._config, self._rules, self._router = config, config.compiled_rules(), router
        self._own = [rule for rule in config.rules if rule.endpoint is not None and rule.mode != "off"]
        self._by_name = {rule.endpoint: rule for rule in self._own}
        self._met: dict[int, Rule] = {}
        self._seen: Sequence[Route] | None = None
        self._learn(())

    def stand_beside(self, rules: Rules) -> None:
        """Have the rules in the settings know the events of decorated views."""
        self._rules = rules
        rules.ask_also(self._of_event)

    def match(self, chosen: Chosen, by_path: Match | None = None) -> Match | None:
        """The match of a router's choice; None: it passes.

        ``by_path`` is the match of a path rule that let the request by, because its path looked like an
        ungated view's. If the router has come to another view after all, that rule stands.
        """
        mark = mark_of(chosen.view, chosen.method)
        if by_path is not None and (mark is None or mark.is_gated):
            return by_path
        rule, released = self._rule(chosen, mark), self._released(chosen)
        if rule is None:
            return released or (by_path and _as_a_way_out(by_path))
        match = self._of_view(rule, chosen)
        self._meet(rule, match.event)
        is_releasing = released is not None and (released.rule, released.event) == (match.rule, match.event)
        return replace(match, is_releasing=True) if is_releasing else match

    def is_ungated(self, request: Any) -> bool:
        """True for a request that will surely come to a view that nobody waits for."""
        self._look_again()
        chosen = self._router.foresee(request) if self._has_ungated else None
        mark = mark_of(chosen.view, chosen.method) if chosen is not None else None
        return mark is not None and not mark.is_gated

    def _rule(self, chosen: Chosen, mark: Mark | None) -> Rule | None:
        if mark is None:
            names = chosen.names() if self._by_name else ()
            rule = next((self._by_name[name] for name in names if name in self._by_name), None)
        else:
            rule = mark.rule(chosen.view) if mark.is_gated and chosen.view else None
        is_meant = rule is not None and rule.mode != "off" and not self._rules.exempts(chosen.path)
        return rule if is_meant else None

    def _released(self, chosen: Chosen) -> Match | None:
        """Whose slot the request gives back, if its answer is good."""
        self._look_again()
        if self._by_release:
            for name in chosen.names():
                if name in self._by_release:
                    match = self._of_view(self._by_release[name], chosen)
                    return replace(match, is_gated=False, is_releasing=True)
        return self._known.released_after_view(chosen.path)

    def _of_view(self, rule: Rule, chosen: Chosen) -> Match:
        return self._rules.of_view(rule, chosen.values)

    def _of_event(self, event: str) -> Match | None:
        self._look_again()
        return self._known.of_known_event(event) or self._known.of_event(event)

    def _look_again(self) -> None:
        """A decorated view may be imported after the gate was made, and its event asked for before it."""
        routes = self._router.routes()
        if routes is not self._seen:
            self._learn(routes)

    def _learn(self, routes: Sequence[Route]) -> None:
        every = (*self._own, *decorated(routes), *self._met.values())
        rules = list({id(rule): rule for rule in every}.values())
        self._known = Rules(rules, cookie_prefix=self._config.cookie_prefix)
        self._by_release = {
            rule.release_on: rule for rule in rules if rule.releases_on_endpoint and rule.mode != "off"
        }
        self._has_ungated = any(not mark.is_gated for route in routes for mark in marks_on(route.view))
        self._seen = routes

    def _meet(self, rule: Rule, event: str) -> None:
        """The first time that a rule is met: does it get on with the one that its event belongs to?

        Its view may be in a part of the router that isn't always there; then its event is known from now on.
        """
        if id(rule) in self._met:
            return
        self._met[id(rule)] = rule
        self._learn(self._seen or ())
        owner = self._rules.of_event(event)
        for fault in disagreements(owner.rule, rule, event) if owner else ():
            log.error("%s", fault)


def faults_of(config: Config, routes: Sequence[Route]) -> list[str]:
    """What is asked of the router in vain, and which decorated views' rules don't get on with the others."""
    own = [rule for rule in config.rules if rule.mode != "off"]
    marked = [(rule, [route]) for route in routes for rule in decorated([route])]
    named = [(rule, _named(rule.endpoint, routes)) for rule in own if rule.endpoint is not None]
    faults = [_nowhere("endpoint", rule.endpoint, routes) for rule, found in named if not found]
    for rule, found in (*named, *marked):
        if rule.releases_on_endpoint and not _named(rule.release_on, routes):
            faults.append(_nowhere("release_on", rule.release_on, routes))
        faults += [fault for route in found for fault in _missing_arguments(rule, route)]
    faults += [*_disagreements(own, [rule for rule, _ in marked]), *_out_of_sight(config, marked)]
    return list(dict.fromkeys(faults))


def decorated(routes: Iterable[Route]) -> list[Rule]:
    """The rules of a router's decorated views."""
    return [
        mark.rule(route.view)
        for route in routes
        if route.view is not None
        for mark in dict.fromkeys(marks_on(route.view))
        if mark.is_gated
    ]


def refuse(config: Config) -> Config:
    """The settings of a gate that has no router to ask. Raises ConfigError where a rule needs one."""
    faults = [
        f"endpoint is {rule.endpoint!r}, but plain WSGI and ASGI have no endpoints: give a path, or use the "
        "gate of your framework (admitgate.flask.AdmitGate, admitgate.django.AdmitGateMiddleware)."
        for rule in config.rules
        if rule.endpoint is not None
    ]
    if faults:
        raise ConfigError(faults)
    return config


def _named(name: str | None, routes: Sequence[Route]) -> list[Route]:
    return [route for route in routes if name in route.names]


def _nowhere(option: str, name: str | None, routes: Sequence[Route]) -> str:
    near = get_close_matches(str(name), {known for route in routes for known in route.names}, 1)
    hint = f"did you mean {near[0]!r}?" if near else "give the name of one that is there."
    return f"{option} is {name!r}, but no URL has that name: {hint}"


def _missing_arguments(rule: Rule, route: Route) -> list[str]:
    missing = template_names(rule.event or "") - route.arguments
    return [
        f"event is {rule.event!r}, but a URL of {rule.name!r} has no <{name}>: use only what each has."
        for name in sorted(missing)
    ]


def _disagreements(own: Sequence[Rule], marked: Sequence[Rule]) -> list[str]:
    first: dict[str, Rule] = {}
    for rule in own:
        first.setdefault(rule.template(), rule)
    return [
        fault
        for rule in marked
        for fault in disagreements(first.setdefault(rule.template(), rule), rule, rule.template())
    ]


def _out_of_sight(config: Config, marked: Sequence[tuple[Rule, Any]]) -> list[str]:
    """Who answers elsewhere for the shop reads its settings, not its views."""
    elsewhere = [name for name in ("waiting_url", "status_url") if getattr(config, name) is not None]
    return [
        f"{elsewhere[0]} is set, and what answers there knows nothing of the decorator of {rule.name!r}: "
        "give a rule for its endpoint in the settings."
        for rule, _ in marked
        if elsewhere
    ]


def _as_a_way_out(match: Match) -> Match | None:
    """Nobody waits here, and whoever has a slot may give it back."""
    return replace(match, is_gated=False) if match.is_releasing else None
