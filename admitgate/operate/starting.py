"""How a command starts that reads the shop's settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
