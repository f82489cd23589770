"""``admitgate doctor``: what is wrong with the Redis, the settings and the site, each with its cure.

It asks, it measures, and it changes nothing that lasts. Where it may not ask, it says so and goes on.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import statistics
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict

import click

from .. import counter
from ..config import Config, config_from_environment
from ..connection import connect
from ..counter import PING, Call, Counter
from ..errors import AdmitgateError, ConfigError, Outage
from ..memory import Memories, monotonic
from ..rules import Rule
from .diagnosis import of_redis
from .findings import ERROR, NOTE, OK, WARNING, Finding, counted, span, worst
from .looking import look
from .outside import of_site
from .weakness import of_settings

_patience_seconds = 3.0
_tries = 20
_colours = {OK: "green", NOTE: "cyan", WARNING: "yellow", ERROR: "red"}
_narrowest = 40
_reason_length = 160


def doctor(settings: str | None, *, url: str | None, is_json: bool, is_strict: bool) -> int:
    """The command. Returns its exit status."""
    logging.getLogger("admitgate").addHandler(logging.NullHandler())  # the findings say it better
    findings = list(examine(settings, url))
    level = worst(findings)
    if is_json:
        told = {"findings": [asdict(finding) for finding in findings], "level": level}
        click.echo(json.dumps(told, indent=2))
    else:
        show(findings)
    return int(level == ERROR or (is_strict and level == WARNING))


def examine(settings: str | None, url: str | None) -> Iterator[Finding]:
    """Everything there is to say. Raises AdmitgateError where there are no settings to begin with."""
    try:
        config = _config(settings)
    except ConfigError as error:
        if error.__cause__:  # they could not even be read
            raise
        for fault in error.faults:
            yield Finding("settings", ERROR, fault)
        return
    yield from of_settings(config)
    facts = look(config, seconds=_patience(config), is_deep=True)
    yield from of_redis(facts)
    if any(node.is_redis for node in facts.nodes):
        yield from of_road(config)
    if url:
        yield from of_site(config, url)


def _config(settings: str | None) -> Config:
    if not settings and not any(name.startswith("ADMITGATE_") for name in os.environ):
        raise AdmitgateError(
            "Whose settings? Name the module that has ADMITGATE, such as the site's Django settings: "
            "--settings shop.settings, or ADMITGATE_SETTINGS in the environment."
        )
    try:
        return config_from_environment(settings)
    except AdmitgateError:
        raise
    except Exception as error:  # of the shop's own module, which may do anything
        raise AdmitgateError(f"The settings can't be read ({type(error).__name__}: {error}).") from error


def _patience(config: Config) -> float:
    """Longer than a request would wait, so that a slow Redis is measured and not just missed."""
    return max(_patience_seconds, config.redis_timeout_seconds)


# --- the road that requests take


def of_road(config: Config) -> Iterator[Finding]:
    """How long do a sign of life and a script take, and do they come off?"""
    client = config.redis_client or connect(config.redis_url or "", _patience(config))
    nowhere = counter.look(Rule("/", capacity=0), "admitgate doctor")  # an onlooker never creates an event
    for name, call in (("PING", PING), ("A script", nowhere)):
        try:
            times = _times(Counter(client, Memories(), prefix=config.key_prefix), call)
        except Outage as outage:
            reason = textwrap.shorten(outage.reason, _reason_length, placeholder=" ...")
            yield Finding("latency", ERROR, f"{name} fails: {reason}.", _see_above)
        else:
            yield latency(name, times, config.redis_timeout_seconds)


_see_above = "Cure what is said of Redis above; until then everybody is told of an outage."


def _times(asking: Counter, call: Call) -> list[float]:
    """The first opens a connection, or sends the script: it doesn't count."""
    asking.call(call)
    times = []
    for _ in range(_tries):
        started = monotonic()
        asking.call(call)
        times.append(monotonic() - started)
    return times


def latency(name: str, times: list[float], timeout: float) -> Finding:
    """Is there enough air between what Redis takes and what a request waits for?"""
    middle, most = statistics.median(times), max(times)
    text = f"{name} takes {span(middle)}, at worst {span(most)} of {len(times)}"
    if middle >= timeout:
        text = f"{text}; a request waits {span(timeout)}, and takes that for an outage."
        return Finding("latency", ERROR, text, "Bring Redis nearer, or raise redis_timeout_seconds.")
    if most >= timeout / 2:
        text = f"{text}; a request waits {span(timeout)}."
        return Finding("latency", WARNING, text, "See what else Redis does (SLOWLOG GET) and how far it is.")
    return Finding("latency", OK, f"{text}; a request would wait {span(timeout)}.")


# --- the report


def show(findings: Iterable[Finding]) -> None:
    """For people: a line for each finding, and its cure below."""
    findings = list(findings)
    width = max(_narrowest, shutil.get_terminal_size().columns - 1)
    label = max((len(finding.check) for finding in findings), default=0)
    for finding in findings:
        first = f"{finding.level:<7}  {finding.check:<{label}}  "
        rows = textwrap.wrap(finding.text, width - len(first), break_on_hyphens=False) or [""]
        cure = textwrap.wrap(finding.cure, width - len(first) - 2, break_on_hyphens=False)
        rows += [("> " if row is cure[0] else "  ") + row for row in cure]
        head = _painted(finding.level, f"{finding.level:<7}") + first[7:]
        click.echo(head + ("\n" + " " * len(first)).join(rows), color=_has_colours())
    levels = [finding.level for finding in findings]
    click.echo(f"{counted(levels.count(ERROR), 'error')}, {counted(levels.count(WARNING), 'warning')}.")


def _painted(level: str, text: str) -> str:
    return click.style(text, fg=_colours[level], bold=level == ERROR or None) if _has_colours() else text


def _has_colours() -> bool:
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return is_terminal and not os.environ.get("NO_COLOR")
