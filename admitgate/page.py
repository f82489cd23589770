"""What a visitor sees who is not let in: the waiting page, its JSON twin, and a good-bye.

A site that is overrun shows this page more often than any other, so it is made in two steps. The
template is rendered once for all that stays the same, with marks where a visitor's own figures go;
an answer is that text with the figures filled in. How many texts are kept is bounded, whatever
events are invented.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup, escape
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from .decision import Place, PollPolicy
from .errors import ConfigError
from .rules import event_slug
from .visit import Answer, Visit

_default_poll = PollPolicy()
_states = ("waiting", "ready", "hold", "full", "outage", "prefetch")
_figures = ("position", "wait", "refresh", "target", "place")
_templates = Path(__file__).with_name("templates")
_inline_block = re.compile(rb"<(style|script)>(.*?)</\1>", re.DOTALL)
_dump = json.JSONEncoder(separators=(",", ":")).encode


class _Fixed(NamedTuple):
    """What one rendered text is good for: everything on the page but the visitor's own figures."""

    event: str
    root: str
    state: str
    message: str
    was_post: bool
    has_number: bool
    has_position: bool


class Page:
    """Makes the answers to visits that are turned away. One per configuration, for all threads.

    ``template`` is the path of a Jinja file that extends ``admitgate/waiting.html``. It is tried
    with every state at once: a fault in it is met at start and not by the first who has to wait.
    """

    def __init__(
        self,
        *,
        status_code: int = 503,
        mount: str = "/_admitgate/",
        status_url: str | None = None,
        poll: PollPolicy = _default_poll,
        template: str | None = None,
    ) -> None:
        self._status_code = status_code
        self._mount = "/" + mount.strip("/") + "/"
        self._status_base = status_url and status_url.rstrip("/") + "/"
        self._poll = asdict(poll)
        self._style, self._script = _asset("waiting.css"), _asset("waiting.js")
        self._mark = secrets.token_hex(16)
        self._text = lru_cache(maxsize=256)(self._render)
        try:
            self._load(template)
            self._headers = _headers(map(self._sample, _states), status_url)
        except (TemplateError, OSError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            raise ConfigError([f"template: {template!r} can't be used ({why})."]) from error

    def answer(
        self, visit: Visit, place: Place, set_cookie: str | None = None, *, enter: str | None = None
    ) -> Answer:
        """The waiting page, or for a program ``application/problem+json`` (RFC 9457).

        ``enter`` is where to go when admitted, if that is not where the page is.
        """
        retry_after = math.ceil(_sane_seconds(place.poll_seconds))
        if wants_json(visit):
            kind, body = "application/problem+json", self._problem(visit, place, retry_after, enter)
        else:
            kind, body = "text/html; charset=utf-8", self._html(visit, place, retry_after, enter)
        own = [("Content-Type", kind), ("Retry-After", str(retry_after))]
        return self._complete(visit, self._status_code, own, body, set_cookie)

    def left(self, visit: Visit, event: str) -> Answer:
        """What whoever left the line is told."""
        if wants_json(visit):
            kind, body = "application/json", b'{"state":"left"}'
        else:
            kind, body = "text/html; charset=utf-8", self._good_bye(visit, event)
        return self._complete(visit, 200, [("Content-Type", kind)], body)

    def _complete(
        self,
        visit: Visit,
        status: int,
        own: list[tuple[str, str]],
        body: bytes,
        set_cookie: str | None = None,
    ) -> Answer:
        headers = [*own, *self._headers]
        if set_cookie is not None:
            headers.append(("Set-Cookie", set_cookie))
        if visit.method == "HEAD":
            return Answer(status, tuple(headers), b"")
        headers.append(("Content-Length", str(len(body))))
        return Answer(status, tuple(headers), body)

    def _html(self, visit: Visit, place: Place, refresh: int, enter: str | None) -> bytes:
        fixed = _Fixed(
            place.event,
            visit.root,
            place.state,
            place.message,
            place.was_post,
            place.number is not None,
            place.position is not None,
        )
        return self._text(fixed) % {
            b"position": _escaped(self._position_text(place)),
            b"wait": _escaped(self._wait_text(place.wait_seconds)),
            b"refresh": b"%d" % max(2, refresh),
            b"target": _escaped(_own_url(visit)) if place.was_post else b"",
            b"place": _place_json(place, enter),
        }

    def _render(self, fixed: _Fixed) -> bytes:
        """The page as a bytes format. No event's name can forge a mark that nobody can guess."""
        urls = self._urls(fixed.root, fixed.event)
        html = self._waiting_template.render(
            **fixed._asdict(),
            urls=urls,
            facts={
                "event": fixed.event,
                "message": fixed.message,
                "poll": self._poll,
                "urls": urls,
            },
            words=self._words,
            style=self._style,
            script=self._script,
            **{name: f"{self._mark}-{name}-" for name in _figures},
        )
        marked = html.encode(errors="replace").replace(b"%", b"%%")
        return re.sub(self._mark.encode() + rb"-(\w+)-", rb"%(\1)b", marked)

    def _sample(self, state: str) -> bytes:
        text = self._render(_Fixed("event", "", state, "message", True, True, True))
        return text % {name.encode(): b"" for name in _figures}

    def _load(self, template: str | None) -> None:
        own = Path(template or _templates / "admitgate/waiting.html")
        env = _environment(own.parent)
        self._waiting_template = env.get_template(own.name)
        self._left_template = env.get_template("admitgate/left.html")
        self._words = vars(env.get_template("admitgate/words.jinja").module)["words"]

    def _good_bye(self, visit: Visit, event: str) -> bytes:
        return self._left_template.render(
            event=event, home=_local_url(visit.root + "/"), words=self._words, style=self._style
        ).encode(errors="replace")

    def _problem(self, visit: Visit, place: Place, retry_after: int, enter: str | None) -> bytes:
        heading = self._words["states"][place.state]["heading"]
        detail = self._words["problem"].format(heading=heading, n=retry_after)
        if place.was_post:
            detail += " " + self._words["problem_was_post"]
        urls = self._urls(visit.root, place.event)
        return _dump(
            {
                "type": f"urn:problem-type:admitgate:{place.state}",
                "title": heading,
                "status": self._status_code,
                "detail": detail,
                "event": place.event,
                "state": place.state,
                "number": place.number,
                "position": place.position,
                "wait_seconds": place.wait_seconds,
                "message": place.message,
                "poll_url": urls["status"],
                "check_in_url": urls["check_in"],
                "leave_url": urls["leave"],
                "retry_after": retry_after,
                **({"enter_url": enter} if enter else {}),
            }
        ).encode()

    def _urls(self, root: str, event: str) -> dict[str, str]:
        slug = event_slug(event)
        base = _local_url(root + self._mount)
        return {
            "status": f"{self._status_base or base}status/{slug}",
            "check_in": f"{base}check-in/{slug}",
            "leave": f"{base}leave/{slug}",
        }

    def _position_text(self, place: Place) -> str:
        if place.position is None:
            return ""
        is_about = place.is_about and place.position > 1
        words = self._words["about"] if is_about else "{n}"
        return words.replace("{n}", f"{place.position:,}")

    def _wait_text(self, wait_seconds: tuple[int, int] | None) -> str:
        form, low, high = wait_form(wait_seconds)
        words: str = self._words["wait"][form]
        return words.replace("{low}", f"{low:,}").replace("{high}", f"{high:,}")


def wait_form(wait_seconds: tuple[int, int] | None) -> tuple[str, int, int]:
    """Which words say this range, and the two figures in them. ``waiting.js`` has the same rule."""
    if wait_seconds is None:
        return "unknown", 0, 0
    low, high = wait_seconds
    if low >= 86_400:
        return "days", 0, 0
    if high <= 60:
        return "soon", 0, 0
    name, unit = ("minutes", 60) if high <= 5_400 else ("hours", 3_600)
    step = unit * 5 if unit == 60 and high > 1_200 else unit
    start, end = low // step * step // unit, -(-high // step) * step // unit
    if start == 0:
        return f"up_to_{name}", start, end
    return (f"about_{name}" if start == end else name), start, end


def wants_json(visit: Visit) -> bool:
    """Is this a program? A page's own fetch says so itself, whatever it accepts."""
    return visit.header("sec-fetch-dest") == "empty" or _prefers_json(visit.header("accept")[:400])


@lru_cache(maxsize=512)
def _prefers_json(accept: str) -> bool:
    """Cached because browsers know a handful of these headers, and reading one costs 40 µs."""
    offers = ("text/html", "application/json", "application/problem+json")
    return parse_accept_header(accept, MIMEAccept).best_match(offers, "text/html") != "text/html"


def _sane_seconds(seconds: float) -> float:
    """Between a second and an hour, also for what is no number at all."""
    return min(3600.0, max(1.0, seconds))


def _place_json(place: Place, enter: str | None) -> bytes:
    """The visitor's own figures, and an address in which nothing may end the script it stands in."""
    figures = _dump(
        {
            "state": place.state,
            "number": place.number,
            "position": place.position,
            "is_about": place.is_about,
            "wait_seconds": place.wait_seconds,
            "serving": place.serving,
            "issued": place.issued,
            "poll_seconds": _sane_seconds(place.poll_seconds),
            **({"enter": enter} if enter else {}),
        }
    )
    return figures.replace("<", "\\u003c").encode()


def _escaped(text: str) -> bytes:
    return escape(text).encode()


def _own_url(visit: Visit) -> str:
    query = quote(visit.query, safe="%/:?@!$&()*+,;=~", errors="replace")
    return _local_url(visit.root + visit.path) + (query and "?" + query)


def _local_url(path: str) -> str:
    """The path as a URL of this site: one slash in front, so that nobody reads a host into it."""
    return "/" + quote(path.lstrip("/\\"), safe="/:@!$&()*+,;=~", errors="replace")


def _environment(folder: Path) -> Environment:
    loaders = [FileSystemLoader(_templates), FileSystemLoader(folder)]
    return Environment(
        loader=ChoiceLoader(loaders), autoescape=True, trim_blocks=True, undefined=StrictUndefined
    )


def _asset(name: str) -> Markup:
    """A style or a script to stand in the page, without its comments: every visitor pays for it."""
    lines = map(str.strip, (_templates / "admitgate" / name).read_text("utf-8").splitlines())
    return Markup("\n".join(line for line in lines if line and not line.startswith(("//", "/*"))))


def _headers(samples: Iterable[bytes], status_url: str | None) -> tuple[tuple[str, str], ...]:
    return (
        ("Cache-Control", "no-store"),
        ("Vary", "Cookie, Accept, Accept-Language"),
        ("X-Robots-Tag", "noindex"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Content-Security-Policy", _content_policy(samples, status_url)),
    )


def _content_policy(samples: Iterable[bytes], status_url: str | None) -> str:
    """Allows what a page made for nobody has inline. What a visitor could smuggle in is not there."""
    hashes: dict[str, dict[str, None]] = {"style": {}, "script": {}}
    for sample in samples:
        for kind, text in _inline_block.findall(sample):
            digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
            hashes[kind.decode()][f"'sha256-{digest}'"] = None
    directives = (
        "default-src 'none'",
        " ".join(["style-src", *hashes["style"]]),
        " ".join(["script-src", *hashes["script"]]),
        " ".join(["connect-src 'self'", *_origins(status_url)]),
        "img-src data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    return "; ".join(directives)


def _origins(url: str | None) -> list[str]:
    parts = urlsplit(url or "")
    host = quote(parts.netloc.rpartition("@")[2], safe=":[]")
    return [f"{parts.scheme}://{host}"] if host else []
