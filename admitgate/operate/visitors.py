"""The commands about single visitors, and about all of them at once: evict, pass, reset."""

from __future__ import annotations

import re

import click

from ..control import EventControl
from ..live import local
from ..road import own_path
from .desk import Desk, Refused, steering
from .telling import moment

_lasting = re.compile(r"([1-9]\d{0,5})(s|m|h|d)").fullmatch
_unit_seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_longest_seconds = 90 * 86_400
_of_a_cookie = re.compile(r"(?:.*=)?[a-z]1\.([A-Za-z0-9_-]+)\..*").fullmatch


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[EVENT] SID")
@click.option("--event", metavar="EVENT", help="At this event only; without it they are looked for at all.")
@steering
def evict_(desk: Desk, *, words: tuple[str, ...], event: str | None) -> None:
    """Take a slot or a place in line back from a visitor.

    SID is what environ["admitgate"].sid told, or the value of their cookie. Put "--" before one that
    begins with a dash.
    """
    if len(words) > 2 or (len(words) == 2 and event is not None):
        raise click.UsageError("Give one SID, after one EVENT at most.")
    sid = _sid(words[-1])
    names = [*words[:-1], *([event] if event else [])]
    found = [lever for lever in desk.events(names) if lever.evict(sid, by=desk.by)]
    if not found:
        raise Refused(f"{sid} has no slot and no place {'at ' + names[0] if names else 'at any event'}.")
    said = [{"event": lever.name, "sid": sid, "dry_run": desk.is_trial} for lever in found]
    did = "would lose" if desk.is_trial else "has lost"
    desk.tell(
        said, [f"{lever.name}: {sid} {did} their slot or place. {_seen_when(lever)}" for lever in found]
    )


def _sid(word: str) -> str:
    of_a_cookie = _of_a_cookie(word)
    return of_a_cookie[1] if of_a_cookie else word


def _seen_when(lever: EventControl) -> str:
    if lever.rule.verify_every_request:
        return "Their next request gets in line."
    seconds = float(lever.settings().get("lease_seconds") or lever.rule.lease_seconds) / 3
    return f"A worker that trusts their lease unasked lets them go on for up to {seconds:.0f} s."


@click.command()
@click.argument("event")
@steering
def reset_(desk: Desk, *, event: str) -> None:
    """Begin an event's line anew, after asking.

    Every number and every lease of it is void. What was set stays, and so does the log.
    """
    lever = desk.event(event)
    snapshot = lever.snapshot()
    if snapshot is None:
        raise Refused(f"{lever.name} has no line yet: nothing was done.")
    people = f"{snapshot.waiting} waiting and {snapshot.in_use} inside"
    desk.sure(
        f"Begin the line of {lever.name} anew? The places of {people} will be void, and its history ends."
    )
    lever.reset(by=desk.by)
    said = {"event": lever.name, "waiting": snapshot.waiting, "inside": snapshot.in_use}
    did = "would be void" if desk.is_trial else "are void"
    desk.tell({**said, "dry_run": desk.is_trial}, [f"{lever.name}: the places of {people} {did}."])


@click.command()
@click.argument("event")
@click.option("--uncounted", "is_uncounted", is_flag=True, help="Past the line, without taking a slot.")
@click.option("--valid", default="24h", show_default=True, metavar="TIME", help="How long: 30m, 24h, 7d.")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many passes.")
@click.option("--site", metavar="URL", help="The shop's address, where the settings have no shop_url.")
@click.option("--to", "back", default="/", show_default=True, metavar="PATH", help="Where the links lead to.")
@steering
def pass_(
    desk: Desk, *, event: str, is_uncounted: bool, valid: str, count: int, site: str | None, back: str
) -> None:
    """Make signed links that let people in before the line.

    A counted pass takes the next slot that comes free, and never one above the capacity. An uncounted one
    takes none, and nothing but its end ends it: give it to people you trust.
    """
    lever = desk.event(event)
    seconds = _seconds(valid)
    if own_path(back) != back:
        raise Refused(f"--to is {back!r}: give a path of the shop, such as /events/gala.")
    base = (site or desk.config.shop_url or "").rstrip("/")
    if site and not base.startswith(("http://", "https://")):
        raise Refused(f"--site is {site!r}: give an address such as https://www.example.com.")
    paths, until_ms = lever.passes(count, seconds, is_counted=not is_uncounted, back=back, by=desk.by)
    links = [base + path for path in paths]
    kind = "uncounted" if is_uncounted else "counted"
    ends = local(until_ms).isoformat(timespec="seconds")
    desk.tell({"event": lever.name, "kind": kind, "until": ends, "links": links}, links)
    if desk.is_trial:
        until = moment(until_ms, now_ms=until_ms - seconds * 1000)
        click.echo(f"{count} {kind} would be made, good until {until}.", err=True)
    elif not base and not desk.is_json:
        click.echo("Put the shop's address before each, or say --site.", err=True)


def _seconds(text: str) -> int:
    found = _lasting(text.strip().lower())
    seconds = int(found[1]) * _unit_seconds[found[2]] if found else 0
    if not 1 <= seconds <= _longest_seconds:
        raise Refused(f"--valid is {text!r}: give a time up to 90d, such as 30m, 24h or 7d.")
    return seconds
