"""The ``admitgate`` command."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from ._version import __version__
from .board import Line, board
from .demo import SITES, Shop, open_shop
from .errors import AdmitgateError

redraw_seconds = 1.0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="admitgate")
def main() -> None:
    """A waiting room for Django, Flask and any WSGI application."""


@main.command()
@click.option(
    "--capacity",
    type=click.IntRange(0, 100_000),
    default=3,
    show_default=True,
    help="How many check-outs there is room for at a time.",
)
@click.option(
    "--lease-seconds",
    type=click.IntRange(5, 3600),
    default=60,
    show_default=True,
    help="A check-out without a request for so long goes to the next in line.",
)
@click.option(
    "--crowd",
    type=click.IntRange(0, 2000),
    default=0,
    show_default=True,
    help="Simulated visitors who come, wait, and pay or wander off.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--site", type=click.Choice(list(SITES)), default="flask", show_default=True)
def demo(*, capacity: int, lease_seconds: int, crowd: int, port: int, site: str) -> None:
    """Open a ticket shop behind the gate, and watch its line until Ctrl-C.

    The shop is one of the example sites, under gunicorn with two workers. It has a private Redis,
    unless ADMITGATE_REDIS_URL names another.
    """
    chosen = SITES[site]
    try:
        with (
            _ended_by_signals(),
            open_shop(chosen, port=port, capacity=capacity, lease_seconds=lease_seconds, crowd=crowd) as shop,
        ):
            click.echo(f"The {site} shop is open at {shop.address} and Ctrl-C closes it.")
            _watch(shop)
    except AdmitgateError as error:
        raise click.ClickException(str(error)) from error


def _watch(shop: Shop) -> NoReturn:
    lines = [Line(event) for event in shop.events]
    show = board()
    while True:
        for line in lines:
            line.take(shop.status(line.event))
        show(lines)
        time.sleep(redraw_seconds)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C and kill end the block in order. Said explicitly, as a shell's background jobs ignore Ctrl-C."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nThe shop is closed.")
    finally:
        for number, respond in before.items():
            signal.signal(number, respond)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
