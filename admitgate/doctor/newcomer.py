"""A visit to the site as a browser makes it: redirects, the answer, and the cookie of ours in it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from .._version import __version__
from ..config import Config
from ..rules import OURS, Match, event_slug
from .findings import ERROR, Finding

REDIRECTS = (301, 302, 303, 307, 308)

_wait_seconds = 10.0
_redirects_most = 5
_body_most = 1_000_000
_like_a_browser = {
    "Accept": "text/html,application/xhtml+xml",
    "User-Agent": f"Mozilla/5.0 (compatible; admitgate-doctor/{__version__})",
}


@dataclass(frozen=True)
class Heard:
    """One answer."""

    url: SplitResult
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """All of a header's values, in lower case."""
        return ", ".join(value for key, value in self.headers if key.lower() == name).lower()


@dataclass(frozen=True)
class Cookie:
    """A Set-Cookie header of ours."""

    name: str
    value: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class Newcomer:
    """A visit: the answer, whose event it was about, where the application is mounted, and our cookie."""

    heard: Heard
    root: str
    match: Match
    cookie: Cookie


class NotSeen(Exception):
    """The site can't be looked at. The finding says why."""

    def __init__(self, text: str, cure: str) -> None:
        super().__init__(text)
        self.finding = Finding("site", ERROR, text, cure)


def visit(config: Config, url: str, headers: dict[str, str]) -> Newcomer:
    """Follow the site's redirects to the first answer that sets a cookie of ours."""
    for _ in range(_redirects_most):
        heard = fetch("GET", url, headers)
        for root, match in _matches(config, heard.url.path):
            for cookie in _cookies(heard):
                if cookie.name == match.cookie:
                    return Newcomer(heard, root, match, cookie)
        location = next((value for name, value in heard.headers if name.lower() == "location"), "")
        if heard.status not in REDIRECTS or not location:
            raise _no_cookie(config, heard)
        url = _joined(url, location)
    raise NotSeen(f"{url} leads from one redirect to the next.", "Give the address where it ends.")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise NotSeen(f"{url} redirects to {location!r} ({error}).", "Correct the redirect.") from error


def _no_cookie(config: Config, heard: Heard) -> NotSeen:
    where, known = heard.url.geturl(), [match for _, match in _matches(config, heard.url.path)]
    if not known:
        paths = ", ".join(repr(rule.path) for rule in config.rules if rule.path and rule.mode != "off")
        if not paths:
            text = f"No rule is for a path, so nobody can tell from outside whose page {where} is."
            return NotSeen(text, "Visit it twice in two browsers.")
        return NotSeen(f"No rule means {where}.", f"Give the address of a page below one of {paths}.")
    text = f"{where} answered {heard.status} and set no cookie of ours, {known[0].cookie}."
    if heard.status in (404, 410):
        return NotSeen(text, "The gate takes nothing from a page that isn't there: give one that is.")
    if heard.header("x-robots-tag") == "noindex":
        return NotSeen(text, "It is a waiting page without a place: there is an outage, or the line is full.")
    if heard.header("age") or "hit" in heard.header("x-cache"):
        return NotSeen(text, "A cache answered: it must let gated pages through (Vary: Cookie, no-store).")
    return NotSeen(text, "See that the application is wrapped, with these settings, and isn't exempt.")


def _matches(config: Config, path: str) -> Iterator[tuple[str, Match]]:
    """What the path may come to: the application may be mounted at any of its first parts."""
    parts = unquote(path).split("/")
    for count in range(1, len(parts)):
        match = config.compiled_rules().match("/" + "/".join(parts[count:]))
        if match is not None and match is not OURS and match.is_gated:
            yield "/".join(parts[:count]), match


def _cookies(heard: Heard) -> Iterator[Cookie]:
    for key, value in heard.headers:
        if key.lower() == "set-cookie":
            (name, _, token), *rest = (part.strip().partition("=") for part in value.split(";"))
            attributes = {word.strip().lower(): said.strip() for word, _, said in rest}
            yield Cookie(name.strip(), token.strip(), attributes)


def fetch(method: str, url: str, headers: dict[str, str]) -> Heard:
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        where = urlsplit(url)
        if where.scheme not in kinds or not where.hostname:
            raise ValueError("it is no http or https address")
        connection = kinds[where.scheme](where.hostname, where.port, timeout=_wait_seconds)
        try:
            path = (where.path or "/") + (f"?{where.query}" if where.query else "")
            connection.request(method, path, headers=_like_a_browser | headers)
            answer = connection.getresponse()
            return Heard(where, answer.status, tuple(answer.getheaders()), answer.read(_body_most))
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        cure = "See that the site runs, and that its name and certificate are right."
        raise NotSeen(f"{url} can't be visited ({type(error).__name__}: {error}).", cure) from error


def give_back(config: Config, newcomer: Newcomer) -> None:
    """The slot, if it was one. If that fails, it comes free by itself."""
    try:
        cookie = f"{newcomer.cookie.name}={newcomer.cookie.value}"
        fetch("POST", below_the_mount(config, newcomer, "leave"), {"Cookie": cookie, "Content-Length": "0"})
    except NotSeen:
        pass


def below_the_mount(config: Config, newcomer: Newcomer, verb: str) -> str:
    site, slug = newcomer.heard.url, event_slug(newcomer.match.event)
    return f"{site.scheme}://{site.netloc}{newcomer.root}{config.mount}{verb}/{slug}"
