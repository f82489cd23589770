"""The console's pages. Whatever an event or an operator is called is shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import policy
from ..control import Change, EventControl
from ..live import SCHEDULE, TIMES, is_setting
from ..names import event_slug
from ..template import TEMPLATES
from ..visit import Answer
from . import sight
from .charts import charts_of, duration
from .forms import ACTIONS, DIALS
from .sight import Sight

_folder = TEMPLATES / "admitgate" / "console"
_name_longest = 120


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_folder), autoescape=True, trim_blocks=True, undefined=StrictUndefined
    )
    environment.filters.update(clock=clock, short=short, slug=event_slug, duration=duration)
    environment.globals.update(
        style=Markup((_folder / "console.css").read_text("utf-8")),
        script=Markup((_folder / "console.js").read_text("utf-8")),
        label=sight.label,
        is_setting=is_setting,
        said=sight.said,
        of_rule=sight.of_rule,
        told=change_told,
        actions=ACTIONS,
        dials=DIALS,
        schedule=SCHEDULE,
    )
    return environment


@cache
def headers() -> tuple[tuple[str, str], ...]:
    """Of every page: nothing is kept, framed, or taken from elsewhere; no script but the page's own."""
    known = _environment().globals
    sample = f"<style>{known['style']}</style><script>{known['script']}</script>"
    return (
        ("Content-Type", "text/html; charset=utf-8"),
        *policy.headers([sample.encode()], None),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    )


def page(status: int, template: str, context: Mapping[str, Any], *more: tuple[str, str]) -> Answer:
    """A page as an answer."""
    body = _environment().get_template(template).render(context).encode(errors="replace")
    every = {**dict(headers()), "Content-Length": str(len(body)), **dict(more)}
    return Answer(status, tuple(every.items()), body)


def event_page(common: Mapping[str, Any], seen: Sight, done: str) -> Answer:
    """One event: its numbers, its levers, its last hour, and who did what."""
    charts, table = charts_of(seen.minutes)
    known = {"seen": seen, "event": seen.event, "charts": charts, "table": table, "done": done}
    return page(200, "event.html", {**common, **known})


def question_page(
    common: Mapping[str, Any],
    seen: Sight,
    name: str,
    given: Mapping[str, str],
    facts: Sequence[Change],
) -> Answer:
    """What will happen, and whether it shall."""
    known = {"seen": seen, "event": seen.event, "name": name, "action": ACTIONS[name], "given": given}
    return page(200, "question.html", {**common, **known, "facts": facts})


def passes_page(common: Mapping[str, Any], event: EventControl, links: Sequence[str]) -> Answer:
    """The links, once: nothing of them is kept."""
    return page(200, "passes.html", {**common, "event": event, "links": links})


def said_page(
    status: int, common: Mapping[str, Any], title: str, text: str, *more: tuple[str, str]
) -> Answer:
    """A sentence: something was refused, or can't be."""
    return page(status, "said.html", {**common, "title": title, "text": text}, *more)


def clock(ms: int, kind: str = "minute") -> Markup:
    """A moment, in UTC; with a script in the reader's own zone."""
    moment = datetime.fromtimestamp(ms / 1000, timezone.utc)
    written = {"minute": "%H:%M", "second": "%H:%M:%S"}.get(kind, "%d %b %H:%M:%S")
    return Markup('<time datetime="{}" data-clock="{}">{} UTC</time>').format(
        moment.isoformat(timespec="seconds"), kind, moment.strftime(written)
    )


def short(name: str, most: int = _name_longest) -> str:
    """A name of bounded length."""
    return name if len(name) <= most else name[: most - 1] + "…"


def change_told(field: str, value: str) -> Any:
    """A value in the log."""
    if field in TIMES and value.isdigit() and value != "0":
        return clock(int(value), "full")
    return sight.said(field, value) or sight.UNSET.get(field, "the rule's")
