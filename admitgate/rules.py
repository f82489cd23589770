"""A rule: which requests belong to which event, and the event's options.

``paths.py`` knows what a router could make of a path, ``names.py`` what an event may be called,
``matching.py`` which rule means a path, and ``endpoints.py`` which one means what a router chose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

from .capacity import CAPACITIES, AskedCapacity, Capacity, is_capacity
from .known_events import SOURCES, AskedEvents, Source, is_source, known_events
from .names import bounded, event_name, template_names, template_pattern
from .names import cookie_name as cookie_name
from .names import event_slug as event_slug
from .names import slug_event as slug_event
from .paths import placeholders, route_fault
from .schedule import NAMES, Moment, Schedule, in_ms, schedule_faults

MODES = ("on", "observe", "off")
OUTAGE_ANSWERS = ("hold", "open")
SHARED_OPTIONS = (
    "capacity",
    "lease_seconds",
    "grace_seconds",
    "admit_per_minute",
    "max_waiting",
    "places_per_client",
    "lease_overlap_seconds",
    *NAMES,
    "shuffle",
    "ramp_seconds",
    "ramp_floor",
    "events",
)

_optional = frozenset({"admit_per_minute", "max_waiting", "places_per_client", "ramp_seconds", "ramp_floor"})
_half_a_day = 12 * 3600
_an_endpoint = "the name of a Flask endpoint or of a Django view, such as 'shop.checkout' or 'shop:checkout'"


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

    Nobody gets a number before ``waiting_from``, nobody goes in before ``opens_at`` or after ``closes_at``;
    with ``shuffle`` those who came before the opening are put into a random order that anyone can check.
    ``places_per_client`` bounds how many leases and places among the ready one account has, or one address.
    A lease's token is good until ``lease_overlap_seconds`` after two newer ones: who shows it then has a copy
    of somebody's cookie. The ``capacity`` may be a callable, which is asked every ``capacity_seconds``. With
    ``ramp_seconds`` fewer go in while more than one in ten of the application's answers takes longer, down to
    ``ramp_floor`` (a tenth of the capacity, where it isn't given).
    """

    path: str | None = None
    _: KW_ONLY
    capacity: Capacity
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
    waiting_from: Moment | None = None
    opens_at: Moment | None = None
    closes_at: Moment | None = None
    shuffle: bool = False
    places_per_client: int | None = None
    lease_overlap_seconds: float = 60
    capacity_seconds: float = 10
    ramp_seconds: float | None = None
    ramp_floor: int | None = None

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
    def only_event(self) -> str | None:
        """The event of a rule that has just one, whatever a request says; None for any other."""
        template = self.template()
        return None if template_names(template) else event_name(template, {})

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

    @cached_property
    def schedule(self) -> Schedule:
        """The rule's times."""
        return Schedule(*(in_ms(getattr(self, name)) for name in NAMES))

    def capacity_now(self) -> int:
        """How many slots there are; a callable is asked, every ``capacity_seconds`` at most."""
        return self.capacity if isinstance(self.capacity, int) else self._asked_capacity.slots()

    @cached_property
    def _asked_capacity(self) -> AskedCapacity:
        return AskedCapacity(self.capacity, self.capacity_seconds, ascii(self.name))

    @property
    def capacity_moves(self) -> bool:
        """True where the capacity changes without an operator's doing."""
        return self.ramp_seconds is not None or not isinstance(self.capacity, int)

    def knows(self, event: str) -> bool:
        """False for an event that there isn't."""
        return self.events is None or event in self._known

    def surely_has(self, event: str) -> bool:
        """True for an event that will always be the rule's: what a callable says may be over soon."""
        return self.events is None or (not self.asks_for_events and event in self._known)

    @property
    def asks_for_events(self) -> bool:
        """True where a callable of the shop's names them."""
        return callable(self.events) or isinstance(self.events, str)

    def may_block(self, event: str) -> bool:
        """True where ``knows`` would ask a callable of the shop's, which may take its time."""
        return self.events is not None and isinstance(self._known, AskedEvents) and self._known.is_due(event)

    @property
    def capacity_may_block(self) -> bool:
        """True where ``capacity_now`` would ask one."""
        return not isinstance(self.capacity, int) and self._asked_capacity.is_due

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
                *self._capacity_faults(),
                *schedule_faults({name: getattr(self, name) for name in NAMES}, shuffle=self.shuffle),
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
            ("lease_seconds", self.lease_seconds, 1, _half_a_day, False),
            ("claim_seconds", self.claim_seconds, 1, _half_a_day, False),
            ("grace_seconds", self.grace_seconds, 1, 600, False),
            ("cold_hold_seconds", self.cold_hold_seconds, 0, _half_a_day, False),
            ("admit_per_minute", self.admit_per_minute, 0.001, 10_000_000, False),
            ("max_waiting", self.max_waiting, 0, 1_000_000_000, True),
            ("places_per_client", self.places_per_client, 1, 10_000, True),
            ("lease_overlap_seconds", self.lease_overlap_seconds, 1, _half_a_day, False),
            ("events_seconds", self.events_seconds, 1, 3600, False),
            ("capacity_seconds", self.capacity_seconds, 1, 3600, False),
            ("ramp_seconds", self.ramp_seconds, 0.001, 600, False),
            ("ramp_floor", self.ramp_floor, 1, 10_000_000, True),
        ):
            is_optional = name in _optional
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

    def _capacity_faults(self) -> Iterator[str]:
        if not is_capacity(self.capacity):
            yield f"capacity is {self.capacity!r}: give {CAPACITIES}."
        elif is_number(self.ramp_floor, 1, math.inf) and self.ramp_seconds is None:
            yield f"ramp_floor is {self.ramp_floor!r}, but there is no ramp_seconds: give both, or neither."
        elif isinstance(self.capacity, int) and is_number(self.ramp_floor, self.capacity + 1, math.inf):
            yield f"ramp_floor is {self.ramp_floor!r}, which is more than the capacity ({self.capacity})."

    def _events_faults(self) -> Iterator[str]:
        if self.events is not None and not is_source(self.events):
            yield f"events is {self.events!r}: give {SOURCES}, or leave it out."
        elif isinstance(self.events, list | tuple | set | frozenset) and not self.is_named_by_view:
            can_be = template_pattern(self.template()).fullmatch
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


Find = Callable[[str], Match | None]
"""From a path, or from an event's name, to what it comes to."""

OURS = Match(Rule("/", capacity=0), "", "", is_gated=False, is_releasing=False)  # a path below the mount
