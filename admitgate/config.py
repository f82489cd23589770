"""The settings: one frozen ``Config`` behind every edge, refused as a whole with every fault named."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import address, clients, keys
from .asked import is_place
from .brand import Brand
from .challenge import challenge_faults
from .decision import PollPolicy
from .errors import ConfigError
from .identity import Identity, resolved
from .matching import Rules
from .names import skeleton
from .paths import route_fault
from .rules import OUTAGE_ANSWERS, Rule, disagreements, is_number
from .signals import Listener, listener_of

STATUS_CODES = (200, 202, 429, 503)
URL_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys", *address.SCHEMES)
_settings_variable = "ADMITGATE_SETTINGS"
Exemption = str | Callable[[Any], bool]
Operators = str | Callable[[Any], str | None]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every setting. Build it with ``from_options`` or ``from_mapping``, which check it."""

    rules: tuple[Rule, ...]
    secret_key: str | bytes = field(repr=False)
    secret_key_fallbacks: tuple[str | bytes, ...] = field(default=(), repr=False)
    redis_url: str | None = field(default=None, repr=False)
    redis_client: Any = field(default=None, repr=False)
    redis_timeout_seconds: float = 0.25
    on_outage: str = "hold"
    mount: str = "/_admitgate/"
    key_prefix: str = "admitgate"
    cookie_prefix: str = "admitgate"
    cookie_domain: str | None = None
    cookie_samesite: str = "Lax"
    cookie_secure: bool | None = None
    trusted_proxies: int | tuple[str, ...] = 0
    identity: Identity | None = None
    requests_in_flight: int | None = 16
    websockets: str = "gate"
    exempt: tuple[Exemption, ...] = ()
    challenge: Any = None
    console: Operators | None = None
    status_code: int = 503
    status_url: str | None = None
    waiting_url: str | None = None
    shop_url: str | None = None
    poll_budget_per_second: float = 2000
    poll_floor_seconds: float = 2
    poll_ceiling_seconds: float = 30
    poll_divisor: float = 10
    template: str | Callable[[Mapping[str, Any]], str] | None = None
    ask_first: bool = False
    enter_seconds: float = 5
    brand_name: str | None = None
    brand_logo: str | None = None
    brand_accent: str | None = None
    brand_message: str = ""
    brand_contact: str | None = None
    on_event: Listener | None = None
    metrics_token: str | None = field(default=None, repr=False)
    enabled: bool = True
    debug: bool = False

    @classmethod
    def from_options(cls, options: Mapping[str, Any], *, has_router: bool = False) -> Config:
        """A checked Config of lower-case options. Raises ConfigError with a sentence for every fault.

        A gate that ``has_router`` may have an empty list of rules: its decorated views bring their own.
        """
        given = dict(options)
        if given.get("redis_url") is None and given.get("redis_client") is None:
            given["redis_url"] = os.environ.get("ADMITGATE_REDIS_URL")
        known = [option.name for option in fields(cls)]
        faults = [_unknown(name, known) for name in given if name not in known]
        given = {name: value for name, value in given.items() if name in known}
        given["rules"], rule_faults = _rules(given.get("rules"), has_router=has_router)
        for name in ("secret_key_fallbacks", "exempt"):
            given[name] = _tuple(given.get(name, ()))
        if not isinstance(proxies := given.get("trusted_proxies", 0), int):
            given["trusted_proxies"] = _tuple(proxies)
        given.setdefault("secret_key", None)
        for name, look_up in (("identity", resolved), ("on_event", listener_of)):
            try:
                given[name] = look_up(given.get(name))
            except ValueError as error:
                faults.append(str(error))
        config = cls(**given)
        faults += [*rule_faults, *config._faults()]
        if faults:
            raise ConfigError(faults)
        for weakness in config.weak_keys():
            keys.warn_of(weakness)
        return config

    @classmethod
    def from_mapping(
        cls, settings: Mapping[str, Any], *, has_router: bool = False, **defaults: Any
    ) -> Config:
        """A checked Config of a mapping with upper-case names, over lower-case ``defaults``."""
        if not isinstance(settings, Mapping):
            raise ConfigError([f"the settings are {settings!r}: give a mapping with RULES and REDIS_URL."])
        options = {str(name).lower(): value for name, value in settings.items()}
        return cls.from_options({**defaults, **options}, has_router=has_router)

    @property
    def keys(self) -> list[str | bytes]:
        """The signing keys, oldest first: itsdangerous signs with the last of a list."""
        return [*reversed(self.secret_key_fallbacks), self.secret_key]

    def weak_keys(self) -> list[str]:
        """A sentence for each key that somebody might guess; only debugging lets them through."""
        return list(keys.weak_keys(self.secret_key, self.secret_key_fallbacks))

    @property
    def poll(self) -> PollPolicy:
        """How often waiting pages ask."""
        return PollPolicy(self.poll_floor_seconds, self.poll_ceiling_seconds, self.poll_divisor)

    @property
    def brand(self) -> Brand:
        """The shop's own look on its waiting page."""
        return Brand(
            self.brand_name, self.brand_logo, self.brand_accent, self.brand_message, self.brand_contact
        )

    @property
    def exempt_paths(self) -> list[str]:
        """The routes among the exemptions."""
        return [item for item in self.exempt if isinstance(item, str)]

    @property
    def exempt_calls(self) -> list[Callable[[Any], bool]]:
        """The callables among the exemptions; each is given the framework's own request."""
        return [item for item in self.exempt if not isinstance(item, str)]

    def compiled_rules(self) -> Rules:
        """The rules, ready to match paths."""
        return Rules(self.rules, exempt=self.exempt_paths, mount=self.mount, cookie_prefix=self.cookie_prefix)

    def _faults(self) -> list[str]:
        return [
            *self._key_faults(),
            *self._redis_faults(),
            *self._address_faults(),
            *self._value_faults(),
            *self.brand.faults(),
            *challenge_faults(self.challenge),
        ]

    def _key_faults(self) -> list[str]:
        faults = []
        if not isinstance(self.secret_key, str | bytes) or not self.secret_key:
            faults.append(f"secret_key is missing: only your servers may know it. {keys.CURE}")
        if not all(isinstance(key, str | bytes) and key for key in self.secret_key_fallbacks):
            faults.append("secret_key_fallbacks must be a list of non-empty texts, newest first.")
        return faults or ([] if self.debug else self.weak_keys())

    def _redis_faults(self) -> list[str]:
        faults = [] if self.redis_client is not None else self._redis_url_faults()
        if not is_number(self.redis_timeout_seconds, 0.01, 30):
            faults.append(
                f"redis_timeout_seconds is {self.redis_timeout_seconds!r}: give seconds from 0.01 to 30."
            )
        if self.on_outage not in OUTAGE_ANSWERS:
            faults.append(f"on_outage is {self.on_outage!r}: give 'hold' or 'open'.")
        return faults

    def _redis_url_faults(self) -> list[str]:
        if not isinstance(self.redis_url, str) or not self.redis_url:
            return [
                "redis_url is missing: give it, such as 'redis://localhost:6379/0', "
                "or set ADMITGATE_REDIS_URL in the environment."
            ]
        scheme = self.redis_url.partition(":")[0].strip().lower()
        if _is_name(scheme.replace("+", "-")) and scheme not in URL_SCHEMES:
            return [f"redis_url has the scheme {scheme!r}: use one of {', '.join(URL_SCHEMES)}."]
        check = address.read if scheme in address.SCHEMES else address.check_one
        try:
            check(self.redis_url)
        except ValueError as error:  # the URL may hold a password, so no part of it is repeated
            return [f"redis_url {error}."]
        return []

    def _address_faults(self) -> list[str]:
        faults = []
        if not _is_mount(self.mount):
            faults.append(
                f"mount is {self.mount!r}: give a path that starts and ends with '/', such as '/_admitgate/'."
            )
        for name in ("status_url", "waiting_url", "shop_url"):
            url = getattr(self, name)
            if url is not None and not _is_url(url):
                faults.append(f"{name} is {url!r}: give an http(s) address that ends with '/', or None.")
            elif name == "waiting_url" and url is not None and not self._shares_cookies_with(url):
                faults.append(
                    f"waiting_url is {url!r}, which is not below cookie_domain {self.cookie_domain!r}: "
                    "the waiting room could not read anybody's place. Give both a common domain."
                )
        if not (self.template is None or callable(self.template) or _is_file(self.template)):
            faults.append(
                f"template is {self.template!r}, but that is no file: give the path of a Jinja template."
            )
        for item in self.exempt:
            if not callable(item):
                fault = route_fault(item)
                if fault:
                    faults.append(f"exempt has {item!r}, but {fault}; or give a callable.")
        return faults

    def _shares_cookies_with(self, url: str) -> bool:
        """False where the browser surely keeps our cookie from the other host."""
        if not isinstance(self.cookie_domain, str):
            return True  # the same host, as far as we know
        domain, host = self.cookie_domain.lstrip("."), urlsplit(url).hostname or ""
        return host == domain or host.endswith("." + domain)

    def _value_faults(self) -> list[str]:
        checks = (
            ("status_code", self.status_code in STATUS_CODES, f"one of {', '.join(map(str, STATUS_CODES))}"),
            ("key_prefix", _is_name(self.key_prefix), "a name of letters, digits, '_', '-', '.' or ':'"),
            (
                "cookie_prefix",
                _is_name(self.cookie_prefix, ":"),
                "a name of letters, digits, '_', '-' or '.'",
            ),
            ("cookie_domain", _is_domain(self.cookie_domain), "a host name such as 'example.com', or None"),
            (
                "cookie_samesite",
                self.cookie_samesite in ("Lax", "Strict", "None"),
                "'Lax', 'Strict' or 'None'",
            ),
            (
                "cookie_secure",
                self.cookie_secure in (None, True, False),
                "True, False, or None to follow the request",
            ),
            (
                "trusted_proxies",
                clients.is_trusted_proxies(self.trusted_proxies),
                "how many (0 to 10), or a list of their networks such as ['10.0.0.0/8', '::1', 'unix']",
            ),
            (
                "requests_in_flight",
                self.requests_in_flight is None
                or is_number(self.requests_in_flight, 1, 10_000, is_whole=True),
                "how many of one visitor's (1 to 10000), or None for any number",
            ),
            (
                "console",
                _are_operators(self.console),
                "who may operate: a callable that gives an operator's name or None, its place such as "
                "'shop.staff.operator', 'link' for links that 'admitgate console-link' makes, or None",
            ),
            ("websockets", self.websockets in ("gate", "pass"), "'gate' or 'pass'"),
            ("poll_floor_seconds", is_number(self.poll_floor_seconds, 0.5, 60), "seconds from 0.5 to 60"),
            ("poll_ceiling_seconds", is_number(self.poll_ceiling_seconds, 1, 600), "seconds from 1 to 600"),
            (
                "poll_budget_per_second",
                is_number(self.poll_budget_per_second, 1, 10_000_000),
                "polls per second, from 1",
            ),
            ("poll_divisor", is_number(self.poll_divisor, 1, 1000), "a number from 1 to 1000"),
            ("ask_first", isinstance(self.ask_first, bool), "True or False"),
            ("enter_seconds", is_number(self.enter_seconds, 0, 30), "seconds from 0 to 30"),
            (
                "metrics_token",
                self.metrics_token is None or _is_long_token(self.metrics_token),
                "a random text of 16 characters or more for your Prometheus to show, or None",
            ),
            ("enabled", isinstance(self.enabled, bool), "True or False"),
            ("debug", isinstance(self.debug, bool), "True or False"),
        )
        faults = [
            f"{name} is {getattr(self, name)!r}: give {cure}."
            for name, is_good, cure in checks
            if not is_good
        ]
        if self.metrics_token is not None and find_spec("prometheus_client") is None:
            faults.append(
                "metrics_token is given, but prometheus_client is missing: pip install 'admitgate[metrics]'."
            )
        if not faults and self.poll_ceiling_seconds < self.poll_floor_seconds:
            faults.append(
                f"poll_ceiling_seconds is {self.poll_ceiling_seconds}, which is below poll_floor_seconds "
                f"({self.poll_floor_seconds}): give the larger number to the ceiling."
            )
        return faults


def config_from_environment(name: str | None = None) -> Config:
    """The settings of what runs beside the shop: the waiting room, the publisher.

    ``name``, else ADMITGATE_SETTINGS, names a module (or ``module:attribute``) with the mapping ADMITGATE,
    such as the shop's own Django settings, whose SECRET_KEY, SECRET_KEY_FALLBACKS and DEBUG are taken too.
    Variables like ADMITGATE_COOKIE_DOMAIN come first, JSON where they are JSON:
    ``ADMITGATE_RULES='[{"path": "/checkout", "capacity": 500}]'``. ``identity`` is left out: nobody is logged
    in there, and an account's token is worth nothing in the shop to anybody else.
    """
    name = name or os.environ.get(_settings_variable)
    settings, defaults = _settings_of(name) if name else ({}, {})
    known = [known.name for known in fields(Config) if known.name != "identity"]
    given = {
        option: _from_text(value)
        for option in known
        if (value := os.environ.get("ADMITGATE_" + option.upper())) is not None
    }
    if not isinstance(settings, Mapping):
        raise ConfigError([f"{name} is {settings!r}: it must be a mapping with RULES and REDIS_URL."])
    written = {name: value for key, value in settings.items() if (name := str(key).lower()) != "identity"}
    return Config.from_mapping({**written, **given}, **defaults)


def _settings_of(name: str) -> tuple[Any, dict[str, Any]]:
    module_name, _, attribute = name.partition(":")
    try:
        module = import_module(module_name)
        settings = getattr(module, attribute or "ADMITGATE")
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            [
                f"{_settings_variable} is {name!r}, but that can't be read ({error}): give a module that has "
                "ADMITGATE, or module:attribute, and see that Python finds it (PYTHONPATH)."
            ]
        ) from error
    names = {"secret_key": "SECRET_KEY", "secret_key_fallbacks": "SECRET_KEY_FALLBACKS"}
    given = {option: getattr(module, name) for option, name in names.items() if hasattr(module, name)}
    return settings, {**given, "debug": bool(getattr(module, "DEBUG", False))}


def _from_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _rules(given: object, *, has_router: bool) -> tuple[tuple[Rule, ...], list[str]]:
    """The rules that can be read, and the faults of all."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes) or not (given or has_router):
        return (), [
            "rules is empty or not a list: give at least one Rule, such as Rule('/checkout', capacity=100)."
        ]
    rules: list[Rule] = []
    faults: list[str] = []
    for number, item in enumerate(given, 1):
        rule, rule_faults = _rule(item)
        faults += [f"rule {number}: {fault}" for fault in rule_faults]
        if rule is not None:
            rules.append(rule)
    return tuple(rules), faults or [*_repetitions(rules), *_contradictions(rules)]


def _rule(item: object) -> tuple[Rule | None, list[str]]:
    if isinstance(item, Rule):
        return item, item.faults()
    if not isinstance(item, Mapping):
        return None, [f"it is {item!r}: give a Rule or a mapping with PATH and CAPACITY."]
    options = {str(name).lower(): value for name, value in item.items()}
    known = [known.name for known in fields(Rule) if known.name != "_"]
    faults = [_unknown(name, known) for name in options if name not in known]
    if not {"path", "endpoint"} & options.keys():
        faults.append("path is missing: give it, or an endpoint.")
    if "capacity" not in options:
        faults.append("capacity is missing: give it.")
    if faults:
        return None, faults
    rule = Rule(**options)
    return rule, rule.faults()


def _repetitions(rules: Sequence[Rule]) -> list[str]:
    endpoints = Counter(rule.endpoint for rule in rules if rule.endpoint is not None and rule.mode != "off")
    return [
        f"endpoint {endpoint!r} has {count} rules, of which the first alone is ever asked: leave one."
        for endpoint, count in endpoints.items()
        if count > 1
    ]


def _contradictions(rules: Sequence[Rule]) -> list[str]:
    """An event has one capacity and one line: rules that share an event must agree."""
    first: dict[str, Rule] = {}
    alike: dict[str, Rule] = {}
    faults = []
    for rule in rules:
        known = first.setdefault(rule.template(), rule)
        if known is rule and rule.events is None:  # those that know their events may mean different ones
            known = alike.setdefault(skeleton(rule.template()), rule)
        faults += disagreements(known, rule, rule.template())
    return faults


def _unknown(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"the settings are {', '.join(known)}."
    return f"{name} is not a setting: {hint}"


def _tuple(value: object) -> tuple[Any, ...]:
    if value is None:
        return ()
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(value)
    return (value,)


def _are_operators(value: object) -> bool:
    if isinstance(value, str):
        return value == "link" or is_place(value) is not None
    return value is None or callable(value)


def _is_file(value: object) -> bool:
    return isinstance(value, str) and Path(value).is_file()


def _is_name(value: object, besides: str = "") -> bool:
    allowed = set("_-.:") - set(besides)
    return (
        isinstance(value, str)
        and value != ""
        and all(c.isascii() and (c.isalnum() or c in allowed) for c in value)
    )


def _is_long_token(value: object) -> bool:
    return isinstance(value, str) and len(value) >= 16 and value.isascii() and value.isprintable()


def _is_domain(value: object) -> bool:
    return value is None or _is_name(value, "_:")


def _is_mount(value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) > 2
        and value.startswith("/")
        and value.endswith("/")
        and "//" not in value
        and _is_name(value.replace("/", "x"), ":")
    )


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or not value.endswith("/") or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and not parts.query
