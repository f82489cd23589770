"""The command that opens the console's door: console-link."""

from __future__ import annotations

import click

from ..console.access import BY_LINK, Access, enter_path
from .desk import Desk, Refused, seeing


@click.command()
@click.argument("name")
@click.option(
    "--minutes", type=click.IntRange(1, 60), default=10, show_default=True, help="Good for so long."
)
@click.option("--site", metavar="URL", help="The address of the shop or of its waiting room.")
@seeing
def console_link_(desk: Desk, *, name: str, minutes: int, site: str | None) -> None:
    """Make a signed link that opens the console for NAME.

    The log has what they do under that name. Whoever opens it in time is in for eight hours: send it as
    you would send a key.
    """
    if desk.config.console != BY_LINK:
        raise Refused("The console takes no links: set console to 'link', or log in as the site has it.")
    if not name.strip() or not name.isprintable():
        raise Refused(f"{name!r} can't stand in the log: give the operator's name.")
    if site and not site.startswith(("http://", "https://")):
        raise Refused(f"--site is {site!r}: give an address such as https://www.example.com.")
    token = Access(desk.config).link_token(name, minutes * 60)
    link = (site or "").rstrip("/") + enter_path(desk.config.mount, token)
    desk.tell({"name": name, "minutes": minutes, "link": link}, [link])
    if not site and not desk.is_json:
        click.echo("Put the site's address before it, or say --site.", err=True)
