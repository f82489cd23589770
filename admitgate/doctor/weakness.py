"""What the doctor says of settings that can be used but had better be different. Asks nobody."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ..config import Config
from ..keys import CURE
from .findings import ERROR, OK, WARNING, Finding, span

_slow_seconds, _hasty_seconds = 1.0, 0.02


def of_settings(config: Config) -> list[Finding]:
    """Every weakness, and how it goes on in an outage; or that all is well."""
    found = [*_key(config), *_cookie(config), *_challenge(config), *_rules(config), *_timeout(config)]
    good = [] if found else [Finding("settings", OK, "The settings can be used.")]
    return [*good, *found, *_outage(config)]


def _key(config: Config) -> Iterator[Finding]:
    """Only debugging lets a weak key through; otherwise the settings were refused."""
    for weakness in config.weak_keys():
        yield Finding("settings", WARNING, weakness.removesuffix(CURE).strip(), CURE)
    if config.debug:
        text = "debug is True: the gate would start with a key that everybody knows."
        yield Finding("settings", WARNING, text, "Leave it out where visitors come.")


def _cookie(config: Config) -> Iterator[Finding]:
    if config.cookie_samesite == "None" and config.cookie_secure is False:
        text = "cookie_samesite is 'None' and cookie_secure is False: browsers refuse such a cookie."
        yield Finding(
            "settings", ERROR, text, "Set cookie_secure to True, or leave cookie_samesite at 'Lax'."
        )
    elif config.cookie_secure is False:
        text = "cookie_secure is False: the cookie also goes over http, where others can read it."
        yield Finding(
            "settings", WARNING, text, "Leave it out: the cookie then follows the request's scheme."
        )
    if config.waiting_url and config.cookie_domain is None:
        text = "waiting_url is set and cookie_domain is not: on another host nobody's place can be read."
        yield Finding(
            "settings", WARNING, text, "Give the domain that both hosts are below, or keep one host."
        )
    host, domain = urlsplit(config.shop_url or "").hostname, (config.cookie_domain or "").lstrip(".")
    if host and domain and not f".{host}".endswith(f".{domain}"):
        text = (
            f"cookie_domain is {config.cookie_domain!r}, and shop_url is not below it: nobody is known there."
        )
        yield Finding("settings", ERROR, text, "Give a domain that shop_url is below.")
    if config.waiting_url and not config.shop_url:
        text = "waiting_url is set and shop_url is not: from the waiting room there is no way back."
        yield Finding("settings", WARNING, text, "Give shop_url, at least to the waiting room.")


def _challenge(config: Config) -> Iterator[Finding]:
    if config.challenge is not None and not config.brand_contact:
        text = "challenge is set and brand_contact is not: whoever has no JavaScript finds nobody to ask."
        yield Finding("settings", WARNING, text, "Give a brand_contact, and send a link of admitgate pass.")


def _rules(config: Config) -> Iterator[Finding]:
    if not config.enabled:
        yield Finding("settings", WARNING, "enabled is False: everybody goes in.", "Set it to True.")
    for rule in config.rules:
        if rule.mode == "observe":
            text = f"The rule for {rule.name!r} observes only: everybody goes in."
            yield Finding("settings", WARNING, text, "Set its mode to 'on' before the sale.")
        elif rule.mode == "off":
            text = f"The rule for {rule.name!r} is off: everybody goes in."
            yield Finding("settings", WARNING, text, "Set its mode to 'on', or take the rule out.")
        elif rule.capacity == 0:
            text = f"The rule for {rule.name!r} has a capacity of 0: nobody goes in."
            yield Finding("settings", WARNING, text, "Raise it, if the sale is to begin.")


def _timeout(config: Config) -> Iterator[Finding]:
    seconds = config.redis_timeout_seconds
    if seconds > _slow_seconds:
        text = f"redis_timeout_seconds is {seconds:g}: as an outage begins, every worker waits so long."
        yield Finding("settings", WARNING, text, "Leave it at 0.25 unless Redis is far away.")
    elif seconds < _hasty_seconds:
        text = f"redis_timeout_seconds is {seconds:g}: Redis' every pause for breath is an outage."
        yield Finding("settings", WARNING, text, "Leave it at 0.25.")


def _outage(config: Config) -> Iterator[Finding]:
    answers = {rule.on_outage or config.on_outage for rule in config.rules if rule.mode != "off"}
    answers = answers or {config.on_outage}
    say = {
        "hold": "those inside go on and others wait (on_outage is 'hold')",
        "open": "everybody goes in, whatever the capacity (on_outage is 'open')",
    }
    how = "; or, as the rule has it, ".join(say[answer] for answer in sorted(answers))
    wait = span(config.redis_timeout_seconds)
    yield Finding("settings", OK, f"Redis has {wait} to answer. In an outage {how}.")
