"""``manage.py admitgate …``: the operator's commands on the gate of this project's settings."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandParser
from django.test import RequestFactory
from django.urls import resolve
from django.urls.exceptions import Resolver404

from ....endpoints import Chosen
from ....operate.group import Shop, operation
from ...routes import chosen
from ...settings import current_edge


class Command(BaseCommand):
    """Hands everything on to the same commands that ``admitgate`` has."""

    help = "Watch and steer the lines of the shop's events: manage.py admitgate --help."
    requires_system_checks = ()  # on the day of a sale nobody waits for the checks of the shop

    def run_from_argv(self, argv: list[str]) -> None:
        """Without Django's own options, which would take --help away."""
        operation(_project).main(argv[2:], prog_name=f"{Path(argv[0]).name} {argv[1]}")

    def add_arguments(self, parser: CommandParser) -> None:
        """For ``call_command("admitgate", "close", "gala")``."""
        parser.add_argument("words", nargs=argparse.REMAINDER)

    def handle(self, *args: str, **options: Any) -> None:
        """From a program: what goes wrong is raised as click's exceptions."""
        words = cast(Sequence[str], options["words"])
        with contextlib.redirect_stdout(cast(Any, self.stdout)):
            operation(_project).main([*args, *words], prog_name="admitgate", standalone_mode=False)


def _chosen(path: str, method: str) -> Chosen | None:
    try:
        return chosen(RequestFactory().generic(method, path), resolve(path))
    except Resolver404:
        return None


_project = Shop(current_edge, _chosen)
