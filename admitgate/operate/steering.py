"""The commands that change how an event's line goes. What is so already is said, and is no fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click

from ..control import Change, EventControl
from ..live import OPTIONS
from .desk import Desk, steering
from .telling import change, change_as_json, obeyed


@click.command()
@click.argument("event")
@click.argument("options", nargs=-1, required=True, metavar="OPTION=VALUE…")
@steering
def set_(desk: Desk, *, event: str, options: tuple[str, ...]) -> None:
    """Change an event's options while it runs.

    \b
    capacity=800  admit_per_minute=300  lease_seconds=600  max_waiting=none
    message="Back in five minutes"
    opens_at=10:00  waiting_from=2026-05-01T09:30+02:00  closes_at=none  shuffle=yes

    All of them change or none. "rule" goes back to what the settings say, "none" is none at all. HH:MM is
    today on this machine's clock. A capacity that is lowered throws nobody out.
    """
    lever = desk.event(event)
    _tell(desk, lever, lever.set(by=desk.by, **_pairs(options)))


def _pairs(options: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        name = name.strip().lower().replace("-", "_")
        if not equals:
            raise click.UsageError(f"{option!r} is no OPTION=VALUE. There are {', '.join(OPTIONS)}.")
        if name in found:
            raise click.UsageError(f"{name} is given twice.")
        found[name] = value
    return found


def _pull(lever: Callable[..., Sequence[Change]], help_: str) -> click.Command:
    """The command of a lever that takes nothing but the event and who pulls it."""

    @click.command(help=help_)
    @click.argument("event")
    @steering
    def command(desk: Desk, *, event: str) -> None:
        control = desk.event(event)
        _tell(desk, control, lever(control, by=desk.by))

    return command


pause_ = _pull(
    EventControl.pause, "Let nobody in for now. The line grows and keeps its order; whoever is inside stays."
)
resume_ = _pull(EventControl.resume, "Go on as usual after pause, queue-all or drain.")
queue_all_ = _pull(EventControl.queue_all, "Have everybody take a number first, even while there is room.")
drain_ = _pull(EventControl.drain, "Give newcomers no number, and serve the line to its end.")


@click.command()
@click.argument("event")
@click.option("--message", metavar="TEXT", help='What everybody in line reads, such as "Sold out".')
@steering
def close_(desk: Desk, *, event: str, message: str | None) -> None:
    """Let nobody in any more, and say so to whoever waits. Those inside stay."""
    lever = desk.event(event)
    _tell(desk, lever, lever.close(message, by=desk.by))


open_ = _pull(EventControl.open, "Let people in now, whatever state or time kept them out.")


@click.command()
@click.argument("event")
@click.argument("count", type=click.IntRange(1))
@steering
def admit_(desk: Desk, *, event: str, count: int) -> None:
    """Let COUNT more in above the rate.

    Never above the capacity. Where an event is paused these are the only ones who go in.
    """
    lever = desk.event(event)
    _tell(desk, lever, lever.admit(count, by=desk.by))


def _tell(desk: Desk, event: EventControl, changes: Sequence[Change]) -> None:
    said = {
        "event": event.name,
        "changes": [change_as_json(what) for what in changes],
        "dry_run": desk.is_trial,
    }
    if not changes:
        desk.tell(said, [f"{event.name}: nothing to do, that is so already."])
        return
    lines = [event.name, *(f"  {change(event.rule, what)}" for what in changes)]
    lines += _over_full(event, changes)
    end = "Nothing was changed: this was a dry run." if desk.is_trial else obeyed(desk.config, event, changes)
    desk.tell(said, [*lines, end])


def _over_full(event: EventControl, changes: Sequence[Change]) -> list[str]:
    capacity = next((what.after for what in changes if what.field == "capacity"), None)
    snapshot = event.snapshot() if capacity is not None else None
    if snapshot is None:
        return []
    room = int(capacity or snapshot.capacity)
    if snapshot.in_use <= room:
        return []
    return [f"{snapshot.in_use} are inside. None is thrown out; nobody goes in until fewer than {room} are."]
