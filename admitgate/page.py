"""What a visitor sees who is not let in: the waiting page, its JSON twin, and a good-bye.

A site that is overrun shows this page more often than any other, so it is made in two steps. The
template is rendered once for all that stays the same, with marks where a visitor's own figures go;
an answer is that text with the figures filled in. How many texts are kept is bounded, whatever
events are invented.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache, partial
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import TemplateError
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup, escape
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from . import figures, languages, policy, template, words
from .brand import Brand
from .decision import Place, PollPolicy
from .draw import Draw, published
from .errors import ConfigError
from .languages import Language
from .rules import event_slug
from .visit import Answer, Visit

_default_poll = PollPolicy()
_default_brand = Brand()
_states = (
    "waiting", "ready", "shared", "hold", "paused", "opens", "early", "closed", "full", "outage", "prefetch",
)  # fmt: skip
_figures = (
    "position",
    "ahead",
    "wait",
    "waited",
    "updated",
    "opens",
    "drawn",
    "draw_check",
    "reference",
    "refresh",
    "target",
    "place",
)
_dump = json.JSONEncoder(separators=(",", ":")).encode
_readable_dump = partial(json.dumps, separators=(",", ":"), ensure_ascii=False)
_Text = tuple[bytes, ...]  # by turns a piece of the page and the name of the figure that follows it
_seldom = 60  # seconds between refreshes of what will hardly change


class _Fixed(NamedTuple):
    """What one rendered text is good for: everything on the page but the visitor's own figures."""

    language: Language
    event: str
    root: str
    state: str
    message: str
    was_post: bool
    has_number: bool
    has_position: bool
    has_waited: bool
    has_opens: bool
    has_draw: bool
    is_drawn: bool


class Page:
    """Makes the answers to visits that are turned away. One per configuration, for all threads.

    ``template`` is the path of a Jinja file that extends ``admitgate/waiting.html``, or a function that
    renders a context. It is tried with every state at once: a fault in it is met at start and not by the
    first who has to wait. With ``ask_first`` a visitor whose turn it is has to say so; else they go in by
    themselves, after ``enter_seconds`` in which they may ask for more time.
    """

    def __init__(
        self,
        *,
        status_code: int = 503,
        mount: str = "/_admitgate/",
        status_url: str | None = None,
        poll: PollPolicy = _default_poll,
        template: str | template.Render | None = None,
        brand: Brand = _default_brand,
        ask_first: bool = False,
        enter_seconds: float = 5,
        demands_proof: bool = False,
    ) -> None:
        self._status_code = status_code
        self._mount = "/" + mount.strip("/") + "/"
        self._status_base = status_url and status_url.rstrip("/") + "/"
        self._poll = asdict(poll)
        self._brand = brand
        self._ask_first, self._enter_seconds = ask_first, enter_seconds
        self._demands_proof = demands_proof
        self._mark = secrets.token_hex(16)
        self._text = lru_cache(maxsize=256)(self._render)
        try:
            self._load(template)
            self._headers = policy.headers(map(self._sample, _states), status_url)
        except (TemplateError, OSError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            raise ConfigError([f"template: {template!r} can't be used ({why})."]) from error

    def answer(
        self, visit: Visit, place: Place, set_cookie: str | None = None, *, enter: str | None = None
    ) -> Answer:
        """The waiting page, or for a program ``application/problem+json`` (RFC 9457).

        ``enter`` is where to go when admitted, if that is not where the page is.
        """
        language = languages.of(visit)
        retry_after = math.ceil(_sane_seconds(place.poll_seconds))
        if wants_json(visit):
            kind, body = "application/problem+json", self._problem(language, visit, place, retry_after, enter)
        else:
            kind, body = "text/html; charset=utf-8", self._html(language, visit, place, retry_after, enter)
        own = [("Content-Type", kind), ("Retry-After", str(retry_after))]
        return self._complete(visit, language, self._status_code, own, body, set_cookie)

    def left(self, visit: Visit, event: str) -> Answer:
        """What whoever left the line is told."""
        language = languages.of(visit)
        if wants_json(visit):
            kind, body = "application/json", b'{"state":"left"}'
        else:
            kind, body = "text/html; charset=utf-8", self._good_bye(language, visit, event)
        return self._complete(visit, language, 200, [("Content-Type", kind)], body)

    def _complete(
        self,
        visit: Visit,
        language: Language,
        status: int,
        own: list[tuple[str, str]],
        body: bytes,
        set_cookie: str | None = None,
    ) -> Answer:
        headers = [*own, ("Content-Language", language.code), *self._headers]
        if set_cookie is not None:
            headers.append(("Set-Cookie", set_cookie))
        if visit.method == "HEAD":
            return Answer(status, tuple(headers), b"")
        headers.append(("Content-Length", str(len(body))))
        return Answer(status, tuple(headers), body)

    def _html(self, language: Language, visit: Visit, place: Place, refresh: int, enter: str | None) -> bytes:
        now_ms, drawn = figures.now_ms(), figures.drawn(language, place)
        fixed = _Fixed(
            language,
            place.event,
            visit.root,
            place.state,
            place.message,
            place.was_post,
            place.number is not None,
            place.position is not None,
            place.waited_seconds is not None,
            place.state in ("opens", "early") and place.opens_at > 0,
            place.seed != "" and not (place.draw and not drawn),
            drawn != "",
        )
        return _filled(
            self._text(fixed),
            {
                b"position": _escaped(figures.position(language, place)),
                b"ahead": _escaped(figures.ahead(language, place)),
                b"wait": _escaped(figures.wait(language, place.wait_seconds)),
                b"waited": _escaped(figures.waited(language, place.waited_seconds)),
                b"updated": figures.moment(now_ms // 60_000),
                b"opens": figures.moment(place.opens_at // 60_000) if fixed.has_opens else b"",
                b"drawn": _escaped(drawn),
                b"draw_check": _escaped(figures.draw_check(place)) if fixed.has_draw else b"",
                b"reference": figures.reference(place.number).encode() if place.number else b"",
                b"refresh": b"%d" % max(_seldom if place.state == "closed" else 2, refresh),
                b"target": _escaped(_own_url(visit)) if place.was_post else b"",
                b"place": _place_json(place, enter, now_ms),
            },
        )

    def _render(self, fixed: _Fixed) -> _Text:
        """The page in pieces. No event's name can forge a mark that nobody can guess."""
        html = self._waiting({**self._context(fixed), **{name: self._marked(name) for name in _figures}})
        return tuple(re.split(self._mark.encode() + rb"-(\w+)-", html.encode(errors="replace")))

    def _context(self, fixed: _Fixed) -> dict[str, Any]:
        """What a template may print, but for the figures."""
        said = words.in_language(fixed.language)
        heading = said["states"][fixed.state]["heading"]
        is_asked = self._ask_first and fixed.state == "waiting"
        return {
            **self._in_language(fixed.language),
            **fixed._asdict(),
            "language": fixed.language.code,
            "heading": heading,
            "text": said["waiting_asked"] if is_asked else said["states"][fixed.state]["text"],
            "title": said["title"].replace("{heading}", heading).replace("{event}", _short(fixed.event, 80)),
            "event_name": _short(fixed.event, 200),
            "message": fixed.message or self._brand.message,
            "urls": self._urls(fixed.root, fixed.event),
            "updated_text": _around(said["updated"], "time"),
            "reference_text": _around(said["reference"], "code"),
            "data": self._data(fixed),
            "demands_proof": self._demands_proof,
            "script": self._script,
        }

    def _in_language(self, language: Language) -> dict[str, Any]:
        """What every page has."""
        return {
            "words": words.in_language(language),
            "language": language.code,
            "direction": language.direction,
            "style": self._style,
            "brand": {"name": self._brand.name, "logo": self._logo, "contact": self._brand.contact},
        }

    def _data(self, fixed: _Fixed) -> Markup:
        """All that the script knows, in which nothing may end the script it stands in."""
        said = words.for_script(fixed.language)
        if self._ask_first:
            text = words.in_language(fixed.language)["waiting_asked"]
            waiting = {**said["states"]["waiting"], "text": text}
            said = {**said, "states": {**said["states"], "waiting": waiting}}
        if not self._ask_first:
            states = {state: text for state, text in said["states"].items() if state != "called"}
            said = {**said, "states": states}
        facts = {
            "event": fixed.event,
            "message": fixed.message,
            "standing": self._brand.message,
            "poll": self._poll,
            "urls": self._urls(fixed.root, fixed.event),
            "ask_first": self._ask_first,
            "enter_seconds": self._enter_seconds,
            **({"demands_proof": True} if self._demands_proof else {}),
        }
        known = htmlsafe_json_dumps({"facts": facts, "words": said}, dumps=_readable_dump)
        known = known.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return Markup(f'{known[:-1]},"place":{self._marked("place")}}}')

    def _marked(self, name: str) -> str:
        return f"{self._mark}-{name}-"

    def _sample(self, state: str) -> bytes:
        text = self._render(_Fixed(languages.ENGLISH, "event", "", state, "message", *[True] * 7))
        return _filled(text, {name.encode(): b"" for name in _figures})

    def _load(self, of_site: str | template.Render | None) -> None:
        self._style = template.style(self._brand.style)
        self._script = template.script(demands_proof=self._demands_proof)
        self._logo = self._brand.logo_url
        self._waiting, self._left = template.renderer(of_site), template.good_bye()

    def _good_bye(self, language: Language, visit: Visit, event: str) -> bytes:
        known = self._in_language(language)
        said = known["words"]["states"]["left"]
        home = _local_url(visit.root + "/")
        return self._left({**known, **said, "event_name": _short(event, 200), "home": home}).encode(
            errors="replace"
        )

    def _problem(
        self, language: Language, visit: Visit, place: Place, retry_after: int, enter: str | None
    ) -> bytes:
        urls = self._urls(visit.root, place.event)
        return _dump(
            {
                "type": f"urn:problem-type:admitgate:{place.state}",
                "title": language.gettext(words.STATES[place.state][0]),
                "status": self._status_code,
                "detail": figures.problem(language, place, retry_after),
                "event": place.event,
                "state": place.state,
                "number": place.number,
                "position": place.position,
                "wait_seconds": place.wait_seconds,
                "message": place.message or self._brand.message,
                "reference": figures.reference(place.number) if place.number else None,
                "poll_url": urls["status"],
                "check_in_url": urls["check_in"],
                "leave_url": urls["leave"],
                "retry_after": retry_after,
                **({"demands_proof": True} if self._demands_proof else {}),
                **({"opens_at": place.opens_at, "clock": place.clock_ms} if place.opens_at else {}),
                **({"draw": published(place.draw, place.seed)} if place.seed else {}),
                **({"drawn_number": place.counting} if place.draw and place.number else {}),
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


def _place_json(place: Place, enter: str | None, now_ms: int) -> bytes:
    """The visitor's own figures, and an address in which nothing may end the script it stands in.

    Written by hand, as an encoder would take a third of the time that the whole page does.
    """
    wait = "null" if place.wait_seconds is None else "[{},{}]".format(*place.wait_seconds)
    known = (
        f'{{"state":"{place.state}","number":{_or_null(place.number)},"position":{_or_null(place.position)},'
        f'"is_about":{"true" if place.is_about else "false"},"wait_seconds":{wait},'
        f'"waited_seconds":{_or_null(place.waited_seconds)},"serving":{place.serving},'
        f'"issued":{place.issued},"poll_seconds":{_sane_seconds(place.poll_seconds)},'
        f'"opens_at":{place.opens_at},"clock":{place.clock_ms},"now":{now_ms}'
    )
    draw = f',"draw":{_draw_json(place.draw, place.seed)}' if place.seed else ""
    address = f',"enter":{_dump(enter)}'.replace("<", "\\u003c") if enter else ""
    return f"{known}{draw}{address}}}".encode()


@lru_cache(maxsize=256)
def _draw_json(draw: Draw | None, seed: str) -> str:
    return _dump(published(draw, seed)).replace("<", "\\u003c")


def _or_null(figure: int | None) -> int | str:
    return "null" if figure is None else figure


def _filled(text: _Text, values: Mapping[bytes, bytes]) -> bytes:
    """Joined, as a format would be read sign by sign, and the page has thirty thousand."""
    pieces = list(text)
    pieces[1::2] = [values[name] for name in text[1::2]]
    return b"".join(pieces)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _around(text: str, name: str) -> tuple[str, str]:
    """What stands before and after a figure that has an element of its own."""
    before, _, after = text.partition("{" + name + "}")
    return before, after


def _escaped(text: str) -> bytes:
    return escape(text).encode()


def _own_url(visit: Visit) -> str:
    query = quote(visit.query, safe="%/:?@!$&()*+,;=~", errors="replace")
    return _local_url(visit.root + visit.path) + (query and "?" + query)


def _local_url(path: str) -> str:
    """The path as a URL of this site: one slash in front, so that nobody reads a host into it."""
    return "/" + quote(path.lstrip("/\\"), safe="/:@!$&()*+,;=~", errors="replace")
