"""Where an operator stands: whose events these are, under which name, and how things are said.

Exit statuses: 0 where all is as it was asked for, 1 where nothing was done, 2 where it can't start.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import wraps
from typing import Any

import click

from ..config import Config, config_from_environment
from ..control import Control, EventControl
from ..edge import Edge
from ..endpoints import Chosen
from ..errors import AdmitgateError, ConfigError, Outage
from .group import Shop
from .starting import CannotStart, settings_of_the_shop

log = logging.getLogger("admitgate")

_patience_seconds = 2.0  # nobody waits behind a command as they do behind a request


class Refused(click.ClickException):
    """Nothing was done."""


@dataclass(frozen=True)
class Desk:
    """One command's way to the shop."""

    config: Config
    control: Control
    shop: Shop | None = None
    is_json: bool = False
    by: str = ""
    is_trial: bool = False
    is_sure: bool = False
    is_only_looking: bool = True

    @property
    def edge(self) -> Edge | None:
        """The shop's own, inside of its framework."""
        return self.shop.edge() if self.shop else None

    def chosen(self, path: str, method: str) -> Chosen | None:
        """What its router would choose; None where there is none to ask."""
        return self.shop.chosen(path, method) if self.shop else None

    def event(self, name: str) -> EventControl:
        """The levers of one event; only to try, if the command is.

        A slip of the hand must not close an event that there isn't, and leave open the one that there is.
        """
        try:
            event = self.control.event(name)
        except LookupError as error:
            raise Refused(f"{error}{self._near(name)}") from error
        if not event.is_known() and not self.is_sure:
            hint = "" if self.is_only_looking else " To prepare it all the same, say --yes."
            raise Refused(f"Nobody has come to {name!r} yet.{self._near(name)}{hint}")
        return event.trial() if self.is_trial else event

    def _near(self, name: str) -> str:
        near = get_close_matches(name, self.control.events(), 1)
        return f" Did you mean {near[0]!r}?" if near else ""

    def events(self, names: Sequence[str]) -> list[EventControl]:
        """Those of the names, or all that there are."""
        return [self.event(name) for name in names or self.control.events()]

    def sure(self, question: str) -> None:
        """Ask, unless that was answered before."""
        if self.is_sure or self.is_trial:
            return
        if not _can_be_asked():
            raise Refused("Nothing was done: this asks first. Say --yes where nobody can answer.")
        if not click.confirm(question):
            raise Refused("Nothing was done.")

    def tell(self, said: Any, lines: Sequence[str]) -> None:
        """The same as JSON or as lines for people."""
        if self.is_json:
            self.tell_json(said)
        else:
            for line in lines:
                click.echo(line)

    def tell_json(self, said: Any) -> None:
        """For programs."""
        click.echo(json.dumps(said, ensure_ascii=False, indent=2))


def seeing(command: Callable[..., Any]) -> Callable[..., None]:
    """A command that only looks; its first argument is the Desk."""

    @click.option("--settings", metavar="MODULE", help="The settings; ADMITGATE_SETTINGS by default.")
    @click.option("--json", "is_json", is_flag=True, help="Answer in JSON.")
    @wraps(command)
    def run(*, settings: str | None, is_json: bool, **options: Any) -> None:
        with settings_of_the_shop():
            desk = _desk(click.get_current_context().obj, settings)
        with _said_in_a_sentence():
            command(replace(desk, is_json=is_json), **options)

    return run


def steering(command: Callable[..., Any]) -> Callable[..., None]:
    """A command that changes something, or would."""

    @click.option("--by", metavar="NAME", help="Who does it, for the log; by default who is logged in.")
    @click.option("--dry-run", "is_trial", is_flag=True, help="Say what would change, and change nothing.")
    @click.option(
        "--yes", "is_sure", is_flag=True, help="Don't ask, and prepare an event nobody has come to."
    )
    @wraps(command)
    def run(desk: Desk, *, by: str | None, is_trial: bool, is_sure: bool, **options: Any) -> None:
        who = by or _user()
        desk = replace(desk, by=who, is_only_looking=False, is_trial=is_trial, is_sure=is_sure)
        command(desk, **options)

    return seeing(run)


@contextmanager
def _said_in_a_sentence() -> Iterator[None]:
    """What went wrong; and nothing besides. The log's line of an outage would be a second one."""
    log.addFilter(_is_no_outage)
    try:
        yield
    except ConfigError as error:
        raise CannotStart(str(error)) from error
    except Outage as outage:
        raise Refused(f"Nothing was done: {outage.reason}.") from outage
    except (AdmitgateError, LookupError, ValueError) as error:
        raise Refused(str(error)) from error
    finally:
        log.removeFilter(_is_no_outage)


def _is_no_outage(record: logging.LogRecord) -> bool:
    return getattr(record, "admitgate_kind", "") not in ("outage_began", "outage_ended")


def _desk(shop: Any, settings: str | None) -> Desk:
    """In a framework the settings have been read, and its router knows more events than they do."""
    edge = shop.edge() if isinstance(shop, Shop) else None
    config = edge.config if edge else config_from_environment(settings)
    patient = replace(config, redis_timeout_seconds=max(config.redis_timeout_seconds, _patience_seconds))
    control = Control.of(patient, edge.gate.of_known_event if edge else None)
    return Desk(config, control, shop if edge else None)


def _can_be_asked() -> bool:
    return sys.stdin.isatty()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"user {os.getuid()}"
