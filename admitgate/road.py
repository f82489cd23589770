"""The way of those who wait: the page here, or the waiting room's, and from there back to the shop."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

from .config import Config
from .cookies import set_cookie
from .decision import Wait
from .page import Page, wants_json
from .rules import Match, event_slug
from .visit import Answer, Visit

_longest_path = 2000


class Road:
    """Where a visitor is sent. The same for the shop and for the waiting room, which both answer with it."""

    def __init__(self, config: Config, page: Page) -> None:
        self._config = config
        self._page = page

    def waiting(self, visit: Visit, match: Match, wait: Wait) -> Answer:
        """What the shop says: the waiting page, or the way to the waiting room where there is one.

        Programs are answered here: they are told where to ask, and would not know a page.
        """
        if self._config.waiting_url is None or wants_json(visit):
            return self._page.answer(visit, wait.place, self._cookie(visit, match, wait.set_cookie))
        query = {"back": visit.root + visit.path + (f"?{visit.query}" if visit.query else "")}
        if wait.place.was_post:
            query["posted"] = "1"
        where = f"{self._config.waiting_url}wait/{event_slug(match.event)}?{urlencode(query)}"
        return self._see_other(visit, match, where, wait.set_cookie)

    def page(self, visit: Visit, match: Match, wait: Wait) -> Answer:
        """The waiting page at an address of its own."""
        back, was_post = self._back(visit)
        place = replace(wait.place, was_post=was_post)
        return self._page.answer(visit, place, self._cookie(visit, match, wait.set_cookie), enter=back)

    def to_the_shop(self, visit: Visit, match: Match, token: str | None) -> Answer:
        """Admitted: back to where the visitor came from."""
        return self._see_other(visit, match, self._back(visit)[0], token)

    def _back(self, visit: Visit) -> tuple[str, bool]:
        """The address in the shop that the visitor came from, and whether something was sent there."""
        try:
            query = dict(parse_qsl(visit.query, max_num_fields=8))
        except ValueError:
            query = {}
        return (self._config.shop_url or "").rstrip("/") + own_path(query.get("back", "/")), "posted" in query

    def _see_other(self, visit: Visit, match: Match, where: str, token: str | None) -> Answer:
        headers = [
            ("Location", where),
            ("Cache-Control", "no-store"),
            ("Vary", "Cookie"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", "0"),
        ]
        cookie = self._cookie(visit, match, token)
        if cookie:
            headers.append(("Set-Cookie", cookie))
        return Answer(303, tuple(headers), b"")

    def _cookie(self, visit: Visit, match: Match, token: str | None) -> str | None:
        return set_cookie(self._config, visit, match, token) if token else None


def own_path(path: str) -> str:
    """``path`` if it stays on the site it is appended to, else the start page: no way to another site."""
    is_plain = path.isascii() and path.isprintable() and " " not in path and len(path) <= _longest_path
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and "\\" not in path
    return path if is_plain and is_ours else "/"
