"""The operator's console: what is below ``{mount}console/``, for those who may.

It asks Redis as often as a page needs, and waits for each answer: an edge that awaits runs it in a thread.
To everybody who isn't an operator it is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Any
from urllib.parse import parse_qsl, quote

from ..config import Config
from ..control import Control, EventControl, Listing
from ..errors import Outage
from ..figures import now_ms
from ..live import local
from ..names import event_slug, slug_event
from ..visit import Answer, Visit
from . import pages
from .access import FORM_FIELD, Access, Operator
from .forms import ACTIONS
from .sight import look, state_of

_events_on_a_page = 25
_search_seconds = 5.0  # every open page asks
_refresh_seconds = (5, 10, 30, 60)


class Console:
    """Answers for one application. Safe in threads."""

    def __init__(self, config: Config, control: Control) -> None:
        self._control = control
        self._path = config.mount + "console/"
        self._shop = (config.shop_url or "").rstrip("/")
        self.access: Access = Access(config)
        self._events = Listing(control, _search_seconds)

    def means(self, path: str) -> bool:
        """True for what is below the console's own address."""
        return path.startswith(self._path)

    def answer(self, visit: Visit) -> Answer | None:
        """The answer to a visit below that address; None: there is nothing here, for this visitor."""
        answer = self._answer(visit)
        return replace(answer, body=b"") if answer and visit.method.upper() == "HEAD" else answer

    def _answer(self, visit: Visit) -> Answer | None:
        name, _, rest = visit.path[len(self._path) :].partition("/")
        if name == "enter" and self.access.is_by_link:
            return self._enter(visit)
        operator = self.access.operator(visit)
        if operator is None:
            return None
        answer = self._for_operator(visit, operator, name, slug_event(rest))
        if not operator.is_new:
            return answer
        cookie = ("Set-Cookie", self.access.set_cookie(visit, operator))
        return Answer(answer.status, (*answer.headers, cookie), answer.body)

    def _for_operator(self, visit: Visit, operator: Operator, name: str, event: str) -> Answer:
        common, method = self._common(visit, operator), visit.method.upper()
        try:
            if method in ("GET", "HEAD"):
                return self._shown(visit, common, name, event)
            if method == "POST":
                return self._done(visit, common, operator, name, event)
            return self._say(405, common, "That can't be asked", "A console is looked at or operated.")
        except LookupError:
            return self._say(
                404, common, "Nothing here", "There is no such page, or no rule has such an event."
            )
        except Outage as outage:
            text = f"{outage.reason}. Whatever was set before still holds."
            return self._say(503, common, "Redis can't be asked", text)

    def _shown(self, visit: Visit, common: Mapping[str, Any], name: str, event: str) -> Answer:
        if name == "":
            return self._list(visit, common)
        if name == "event":
            return self._show(visit, common, self._control.event(event))
        raise LookupError(name)

    def _done(
        self, visit: Visit, common: Mapping[str, Any], operator: Operator, name: str, event: str
    ) -> Answer:
        form = visit.form(visit.request)
        if not self.access.is_genuine(visit, operator, form.get(FORM_FIELD, "")):
            return self._refuse(common)
        if name == "event":
            return self._act(common, operator, self._control.event(event), form)
        if name == "leave" and self.access.is_by_link:
            return self._leave(visit, common)
        raise LookupError(name)

    def _common(self, visit: Visit, operator: Operator | None) -> dict[str, Any]:
        """What every page is told."""
        return {
            "base": "/" + quote((visit.root + self._path).lstrip("/\\")),
            "shop": self._shop or quote(visit.root),
            "operator": operator,
            "token": self.access.form_token(operator) if operator else "",
            "can_leave": self.access.is_by_link,
            "refresh": 0,
            "onward": False,
        }

    # --- looking

    def _list(self, visit: Visit, common: Mapping[str, Any]) -> Answer:
        asked = _query(visit)
        query = asked.get("q", "")[:120]
        events = [event for event in self._events.names() if query.casefold() in event.casefold()]
        last = max(1, ceil(len(events) / _events_on_a_page))
        number = min(last, max(1, _whole(asked.get("page", "1"))))
        rows = []
        for name in events[(number - 1) * _events_on_a_page : number * _events_on_a_page]:
            control = self._control.event(name)
            snapshot = control.snapshot()
            rows.append((name, snapshot, state_of(snapshot, control.settings())))
        shown = {**common, **_living(asked)}
        paging = {"count": len(events), "number": number, "pages": last, "query": query}
        return pages.page(200, "events.html", {**shown, **paging, "rows": rows})

    def _show(self, visit: Visit, common: Mapping[str, Any], control: EventControl) -> Answer:
        asked = _query(visit)
        done = ACTIONS[asked["done"]].done if asked.get("done") in ACTIONS else ""
        return pages.event_page({**common, **_living(asked)}, look(control), done)

    # --- operating

    def _act(
        self, common: Mapping[str, Any], operator: Operator, control: EventControl, form: Mapping[str, str]
    ) -> Answer:
        here = f"{common['base']}event/{event_slug(control.name)}"
        action = ACTIONS.get(name := form.get("action", ""))
        try:
            if action is None:
                raise ValueError("This form asks for nothing that there is.")
            given = action.reads(form)
            if form.get("sure") == "yes" and (name != "reset" or form.get("all") == "yes"):
                made = action.pull(control, given, operator.name)
                if name != "pass" or not isinstance(made, list):
                    return _see(f"{here}?done={name}")
                links = [common["shop"] + link for link in made]
                return pages.passes_page({**common, "back": here}, control, links)
            facts = action.pull(control.trial(), given, operator.name)
        except ValueError as error:
            return self._say(422, {**common, "back": here}, "That can't be done", str(error))
        kept = {field: form[field] for field in action.fields if field in form}
        changes = facts if isinstance(facts, list) else []
        return pages.question_page(common, look(control), name, kept, changes)

    # --- coming and going

    def _enter(self, visit: Visit) -> Answer | None:
        """By a link. No redirect: after one a browser would keep a strict cookie to itself."""
        operator = self.access.of_link(_query(visit).get("token", ""))
        if operator is None:
            return None
        cookie = ("Set-Cookie", self.access.set_cookie(visit, operator))
        common = {**self._common(visit, None), "onward": True}
        title = f"Good to see you, {operator.name}"
        return self._say(200, common, title, "The console opens.", cookie, ("Referrer-Policy", "no-referrer"))

    def _leave(self, visit: Visit, common: Mapping[str, Any]) -> Answer:
        cookie = ("Set-Cookie", self.access.set_cookie(visit, None))
        gone = {**common, "operator": None}
        return self._say(200, gone, "You are signed out", "A new link lets you in again.", cookie)

    def _refuse(self, common: Mapping[str, Any]) -> Answer:
        text = (
            "It wasn't sent by a page that was made for you, that page is too old, or your browser keeps no "
            "cookies. Nothing was changed."
        )
        return self._say(403, common, "This form is refused", text)

    def _say(
        self, status: int, common: Mapping[str, Any], title: str, text: str, *more: tuple[str, str]
    ) -> Answer:
        return pages.said_page(status, {"back": common["base"], **common}, title, text, *more)


def _see(address: str) -> Answer:
    """Look there, with a GET that can be reloaded without doing anything again."""
    kind, length = ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "0")
    return Answer(303, (("Location", address), ("Cache-Control", "no-store"), kind, length), b"")


def _living(asked: Mapping[str, str]) -> dict[str, Any]:
    """What a page that refreshes needs to know."""
    seconds = _whole(asked.get("refresh", "0"))
    now = now_ms()
    return {
        "at_ms": now,
        "server_clock": f"{local(now):%H:%M, UTC%z}",
        "refresh": seconds if seconds in _refresh_seconds else 0,
    }


def _query(visit: Visit) -> dict[str, str]:
    return dict(parse_qsl(visit.query[:4000], errors="replace"))


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
