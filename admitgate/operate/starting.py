"""How a command starts that reads the shop's settings, and how one ends that goes on until it is told to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from ..errors import AdmitgateError


class CannotStart(click.ClickException):
    """For whoever starts it again by itself: that won't help."""

    exit_code = 2


@contextmanager
def settings_of_the_shop(*, errors: tuple[type[Exception], ...] = (AdmitgateError,)) -> Iterator[None]:
    """They are looked for in this folder too, as gunicorn does. Whatever keeps us from starting is said."""
    sys.path.insert(0, os.getcwd())
    try:
        yield
    except errors as error:
        raise CannotStart(str(error)) from error


@contextmanager
def ended_by_signals(farewell: str = "") -> Iterator[None]:
    """Ctrl-C and kill end the block in order. Said explicitly, as a shell's background jobs ignore Ctrl-C."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        if farewell:
            click.echo(f"\n{farewell}")
    finally:
        for number, respond in before.items():
            signal.signal(number, respond)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
