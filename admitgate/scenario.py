"""What a simulation is about: the visitors, the event, and the pages' manners. One field is one option."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import click

from .decision import PollPolicy
from .rules import Rule, is_number

Command = TypeVar("Command", bound=Callable[..., Any])

_day = 86_400.0


def _option(default: Any, least: float, most: float, text: str, *, is_optional: bool = False) -> Any:
    facts = {"least": least, "most": most, "help": text, "is_optional": is_optional}
    return field(default=default, metadata=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A sale to be simulated. Times are in seconds, shares from 0 to 1."""

    visitors: int = _option(20_000, 1, 2_000_000, "How many people come.")
    arrive_over: float = _option(
        600.0, 0, _day, "They arrive within so many seconds: most of them early, half in the first sixth."
    )
    capacity: int = _option(1_000, 1, 10_000_000, "How many check-outs there is room for at a time.")
    session_seconds: float = _option(
        240.0, 1, _day, "How long a check-out takes: the mean; a few take several times as long."
    )
    no_show: float = _option(0.3, 0, 1, "The share of those in line who leave it without a word.")
    pay: float = _option(0.6, 0, 1, "The share of those inside who pay; the others just walk away.")
    seed: int = _option(1, 0, 2**32, "The same seed gives the same result.")
    lease_seconds: float = _option(600.0, 1, _day / 2, "A check-out without a request ends after so long.")
    claim_seconds: float = _option(60.0, 1, _day / 2, "How long an admitted page has to show up.")
    grace_seconds: float = _option(6.0, 1, 600, "How long the newly invited have to say that they are there.")
    admit_per_minute: float | None = _option(
        None, 0.001, 10_000_000, "A pace of admission besides the capacity.", is_optional=True
    )
    patience_seconds: float | None = _option(
        None, 1, 30 * _day, "The others give up too: after so long in line, on average.", is_optional=True
    )
    request_seconds: float = _option(20.0, 1, 3600, "Who is inside sends a request at least so often.")
    workers: int = _option(4, 1, 64, "How many worker processes the visitors are spread over.")
    poll_floor: float = _option(2.0, 0.5, 60, "Waiting pages ask at most so often, in seconds.")
    poll_ceiling: float = _option(30.0, 1, 600, "Waiting pages ask at least so often, in seconds.")
    poll_divisor: float = _option(10.0, 1, 1000, "A page asks so many times during the wait it expects.")
    poll_budget: float = _option(
        2_000.0, 1, 10_000_000, "Long lines ask less often, to stay below so many polls per second."
    )
    stop_after: float | None = _option(
        None, 1, 365 * _day, "End after so many seconds, even if people still wait.", is_optional=True
    )

    def faults(self) -> list[str]:
        """One sentence for each option that can't be used."""
        faults = [*self._range_faults()]
        if not faults and self.poll_ceiling < self.poll_floor:
            faults.append(
                f"--poll-ceiling is {self.poll_ceiling:g}, which is below --poll-floor "
                f"({self.poll_floor:g}): give the larger number to the ceiling."
            )
        return faults

    def _range_faults(self) -> Iterator[str]:
        for option in fields(self):
            value, facts = getattr(self, option.name), option.metadata
            least, most, is_optional = facts["least"], facts["most"], facts["is_optional"]
            if value is None and is_optional:
                continue
            is_whole = option.type == "int"
            if not is_number(value, least, most, is_whole=is_whole):
                kind = "a whole number" if is_whole else "a number"
                yield f"{flag(option.name)} is {value}: give {kind} from {least:,g} to {most:,.12g}."

    def rule(self) -> Rule:
        """The event's rule, as a site's settings would have it."""
        return Rule(
            "/<event>",
            capacity=self.capacity,
            lease_seconds=self.lease_seconds,
            claim_seconds=self.claim_seconds,
            grace_seconds=self.grace_seconds,
            admit_per_minute=self.admit_per_minute,
        )

    def poll(self) -> PollPolicy:
        return PollPolicy(self.poll_floor, self.poll_ceiling, self.poll_divisor)


def flag(name: str) -> str:
    """The option of a field."""
    return "--" + name.replace("_", "-")


def scenario_options(command: Command) -> Command:
    """Every field as an option of a click command. Ranges are judged by ``faults``, all at once."""
    for option in reversed(fields(Scenario)):
        kind = int if option.type == "int" else float
        decorate = click.option(
            flag(option.name),
            type=kind,
            default=option.default,
            show_default=option.default is not None,
            help=option.metadata["help"],
        )
        command = decorate(command)
    return command
