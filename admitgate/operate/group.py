"""Which commands there are. Each is loaded when it is asked for: a worker of the shop needs none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..edge import Edge
    from ..endpoints import Chosen

COMMANDS = {
    "status": "seeing",
    "watch": "watch",
    "events": "seeing",
    "log": "seeing",
    "export": "export",
    "explain": "explain",
    "set": "steering",
    "pause": "steering",
    "resume": "steering",
    "queue-all": "steering",
    "admit": "steering",
    "drain": "steering",
    "close": "steering",
    "open": "steering",
    "evict": "visitors",
    "reset": "visitors",
    "pass": "visitors",
    "console-link": "entrance",
}


@dataclass(frozen=True)
class Shop:
    """The shop inside of its framework, which has read the settings: its gate, and what its router chooses.

    ``chosen`` is asked with a path and a method.
    """

    edge: Callable[[], Edge]
    chosen: Callable[[str, str], Chosen | None]


class Operation(click.Group):
    """A group with the operator's commands behind its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Its own first."""
        return [*super().list_commands(ctx), *COMMANDS]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Those of the day under a heading of their own, in the order in which they are needed."""
        for heading, names in (("Commands", super().list_commands(ctx)), ("On the day", list(COMMANDS))):
            if names:
                with formatter.section(heading):
                    formatter.write_dl([(name, self._short(ctx, name)) for name in names])

    def _short(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=80) if command else ""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loaded by its name: ``queue-all`` is ``queue_all`` in its module, ``set`` is ``set_``."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in COMMANDS:
            return own
        module = import_module(f".{COMMANDS[cmd_name]}", __package__)
        command: click.Command = getattr(module, cmd_name.replace("-", "_") + "_")
        return command


def operation(shop: Shop) -> Operation:
    """The group for a framework's own command line."""
    return Operation(
        "admitgate",
        help="Watch and steer the lines of the shop's events.",
        context_settings={"help_option_names": ["-h", "--help"], "obj": shop},
    )
