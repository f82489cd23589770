"""The ``admitgate`` command."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from ._version import __version__
from .board import Line, board
from .demo import SITES, Shop, open_shop
from .errors import AdmitgateError
from .operate.group import Operation
from .operate.starting import CannotStart, ended_by_signals, settings_of_the_shop
from .scenario import scenario_options

redraw_seconds = 1.0


@click.group(cls=Operation, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="admitgate")
def main() -> None:
    """A waiting room for Django, Flask and any WSGI application.

    On the day: status, watch, set, pause, close and the other commands of an operator, on the lines of the
    shop whose settings ADMITGATE_SETTINGS or --settings names.
    """


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
            ended_by_signals("The shop is closed."),
            open_shop(chosen, port=port, capacity=capacity, lease_seconds=lease_seconds, crowd=crowd) as shop,
        ):
            click.echo(f"The {site} shop is open at {shop.address} and Ctrl-C closes it.")
            _watch(shop)
    except AdmitgateError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@scenario_options
@click.option("--json", "is_json", is_flag=True, help="Write the report to standard output as JSON.")
@click.option("--html", metavar="FILE", help="Write the report to a file as well, with plots.")
@click.option("--find-capacity", "is_search", is_flag=True, help="Search the smallest capacity that will do.")
@click.option("--target-wait", type=float, help="For the search: 95 of 100 wait at most so many seconds.")
def simulate(
    *, is_json: bool, html: str | None, is_search: bool, target_wait: float | None, **options: Any
) -> None:
    """Let invented visitors storm a sale, hours of it in minutes, before real ones do.

    The gate's own scripts decide, in a private Redis. The exit status is 1 where a check failed.
    """
    from .rehearsal import rehearse  # the demo needs none of it

    try:
        status = rehearse(options, is_json=is_json, html=html, is_search=is_search, target_wait=target_wait)
    except AdmitgateError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(status)


@main.command()
@click.option(
    "--directory",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder that nginx or a CDN serves; one file for each event.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 60),
    default=1.0,
    show_default=True,
    help="Seconds from one answer to the next.",
)
@click.option(
    "--event",
    "events",
    metavar="NAME",
    multiple=True,
    help="An event to publish before anybody has come to it. May be given more than once.",
)
@click.option("--settings", metavar="MODULE", help="The settings; ADMITGATE_SETTINGS by default.")
@click.option("--once", "is_once", is_flag=True, help="Write every file once and end.")
def publish(*, settings: str | None, **options: Any) -> None:
    """Keep every live event's status in a file, for nginx or a CDN to serve.

    The settings are the shop's. Runs until it is told to end, and leaves its last files. The exit status is
    2 where it can't start, and 1 where --once met an outage.
    """
    from . import publish as publishing

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with settings_of_the_shop():
        status = publishing.publish(settings, **options)
    sys.exit(status)


@main.command()
@click.option("--settings", metavar="MODULE", help="The settings; ADMITGATE_SETTINGS by default.")
@click.option("--url", metavar="URL", help="A gated page: look at the site from outside, too.")
@click.option("--json", "is_json", is_flag=True, help="Write the findings to standard output as JSON.")
@click.option("--strict", "is_strict", is_flag=True, help="Let warnings count as errors do.")
def doctor(*, settings: str | None, **options: Any) -> None:
    """Say what is wrong with the Redis, the settings and the site, each with its cure.

    The settings are the shop's. The exit status is 0 where nothing is wrong, or only worth a warning; 1 where
    there is an error; and 2 where it can't start.
    """
    from .doctor import examination as consultation

    with settings_of_the_shop():
        status = consultation.doctor(settings, **options)
    sys.exit(status)


@main.command()
@click.option("--settings", metavar="MODULE", help="The settings; ADMITGATE_SETTINGS by default.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=9180, show_default=True)
def metrics(*, settings: str | None, host: str, port: int) -> None:
    """Serve the figures of every event to Prometheus, on a port of their own.

    The settings are the shop's. With a metrics_token among them Prometheus has to show it; without one only
    this machine may ask.
    """
    try:
        from .metrics import serve
    except ImportError as error:
        raise CannotStart(f"{error}: pip install 'admitgate[metrics]'.") from error
    with settings_of_the_shop(errors=(AdmitgateError, OSError)):
        server = serve(settings, host, port)
    click.echo(f"http://{host}:{server.port}/metrics")
    with ended_by_signals("No more figures."):
        server.serve_forever()


@main.command()
@click.option("--settings", metavar="MODULE", help="Settings with a brand and a template to look at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8010, show_default=True)
def preview(*, settings: str | None, port: int) -> None:
    """Look through the waiting page: every state, language and colour scheme, on one local page.

    It needs no Redis. With --settings it has the site's own name, logo, colours and template.
    """
    from .preview import serve

    with settings_of_the_shop(errors=(AdmitgateError, OSError)), ended_by_signals("The preview is closed."):
        serve(settings, port, click.echo)


@main.command()
@click.argument("url", required=False)
@click.option("--seed", help="The seed of the draw, as it was published.")
@click.option("--count", type=int, help="How many took part.")
@click.option("--ordinal", type=int, help="Which arrival: 1 for who came first.")
@click.option("--hash", "hash", metavar="SHA-256", help="What was shown of the seed before the draw.")
@click.option("--number", type=int, help="With a URL: the number of their arrival, as programs are told it.")
@click.option("--reference", help="With a URL: the reference that a visitor's page shows, such as 7K3-M9Q.")
@click.option("--json", "is_json", is_flag=True, help="Write what came out as JSON.")
def verify(*, is_json: bool, **given: Any) -> None:
    """Reckon a place in a draw again, from its seed or from the URL of an event's status.

    Give --hash to hold the seed against what you saw before the draw. The exit status is 1 where it is not
    the seed that was promised, and 2 where nothing can be reckoned.
    """
    from .verify import sentence, verified

    try:
        found = verified(**given)
    except AdmitgateError as error:
        raise CannotStart(str(error)) from error
    click.echo(json.dumps(found) if is_json else sentence(found))
    sys.exit(0 if found["is_right"] else 1)


def _watch(shop: Shop) -> NoReturn:
    lines = [Line(event) for event in shop.events]
    show = board()
    while True:
        for line in lines:
            line.take(shop.status(line.event))
        show(lines)
        time.sleep(redraw_seconds)
