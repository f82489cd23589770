"""Who may operate, under which name, and whether a form is truly theirs.

``console`` in the settings says who: a callable that knows the site's own log-in, or ``"link"`` for signed
links that ``admitgate console-link`` makes. Whoever isn't an operator is told what anybody is told below an
address that doesn't exist.

Each operator's browser has a cookie with their name and a random mark. A form carries a signature over that
mark, so one that was made for another browser or another person is worth nothing; and a browser says itself
which site a request comes from. Both must hold.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeSerializer, want_bytes
from werkzeug.http import dump_cookie

from ..asked import found_at
from ..config import Config, Operators
from ..cookies import cookie_values
from ..visit import Visit

log = logging.getLogger("admitgate")

BY_LINK = "link"
FORM_FIELD = "form_token"
session_seconds = 8 * 3600
_name_longest = 80


class Operator(NamedTuple):
    """Somebody who may operate. ``mark`` is their browser's; a new one has to be set as a cookie."""

    name: str
    mark: str
    is_new: bool = False


class Access:
    """Knows operators. Made once for an application; safe in threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._cookie = f"{config.cookie_prefix}_console"
        self.is_by_link: bool = config.console == BY_LINK
        """True where the site has no log-in that we could ask."""
        self._ask = asked(config.console or BY_LINK)
        keys = list(map(want_bytes, config.keys))
        self._signer = URLSafeSerializer(keys, signer_kwargs={"digest_method": hashlib.sha256})

    def operator(self, visit: Visit) -> Operator | None:
        """Whose visit it is; None for anybody else's."""
        session = self._session(visit)
        if self.is_by_link:
            return session
        name = self._name_of(visit.request)
        if name is None:
            return None
        return session if session and session.name == name else self.begin(name)

    def begin(self, name: str) -> Operator:
        """A session of a browser that has none."""
        return Operator(_clean(name), secrets.token_urlsafe(16), is_new=True)

    def link_token(self, name: str, seconds: float) -> str:
        """What a link says: who, and until when it is good."""
        return self._signed("link", seconds, _clean(name))

    def of_link(self, token: str) -> Operator | None:
        """A new session of whom the link names; None for one that isn't ours or whose time is over."""
        said = self._said("link", token)
        return self.begin(*said) if said else None

    def set_cookie(self, visit: Visit, operator: Operator | None) -> str:
        """The cookie of a session, as a header; None takes it away.

        A link's cookie is a key, and must not come along with another site's link. Beside a log-in of the
        site's it only marks the browser, and must be there too when somebody comes from a mail.
        """
        secure = self._config.cookie_secure
        value = self._signed("session", session_seconds, operator.name, operator.mark) if operator else ""
        return dump_cookie(
            self._cookie,
            value,
            max_age=session_seconds if operator else 0,
            path=f"{visit.root}{self._config.mount}console/",
            secure=visit.is_secure() if secure is None else secure,
            httponly=True,
            samesite="Strict" if self.is_by_link else "Lax",
            sync_expires=False,
        )

    def form_token(self, operator: Operator) -> str:
        """What each form carries."""
        return self._signed(_form_of(operator), session_seconds)

    def is_genuine(self, visit: Visit, operator: Operator, token: str) -> bool:
        """True for a form that we made for this very operator's browser, sent by a page of our own."""
        return (
            not operator.is_new and is_from_here(visit) and self._said(_form_of(operator), token) is not None
        )

    def _session(self, visit: Visit) -> Operator | None:
        for raw in cookie_values(visit.cookies, self._cookie):
            said = self._said("session", raw)
            if said is not None:
                name, mark = said
                return Operator(name, mark)
        return None

    def _signed(self, purpose: str, seconds: float, *words: str) -> str:
        """Good for one purpose and so many seconds. The end is in it, as a server's clock may be ahead."""
        return str(self._signer.dumps([int(time.time() + seconds), *words], salt=_salt(purpose)))

    def _said(self, purpose: str, token: str) -> list[str] | None:
        """The words of a token of ours that is still good."""
        try:
            until, *words = self._signer.loads(token, salt=_salt(purpose))
        except BadData:
            return None
        return words if until > time.time() else None

    def _name_of(self, request: Any) -> str | None:
        """By the site's own callable. Whatever it breaks on lets nobody in."""
        try:
            answer = self._ask(request)
        except Exception:  # by the site's own code, so it may be anything
            log.exception("console: who operates could not be asked, so nobody may")
            return None
        name = _clean(answer) if isinstance(answer, str) else ""
        if answer and not name:
            log.error("console: %.80s is no operator's name: give the name as text, or None", ascii(answer))
        return name or None


def asked(operators: Operators) -> Callable[[Any], Any]:
    """The callable that knows operators. A place is looked up when somebody comes: now may be too early."""
    if not isinstance(operators, str):
        return operators
    return lambda request: found_at(operators)(request)


def enter_path(mount: str, token: str) -> str:
    """Where a link leads to."""
    return f"{mount}console/enter?token={token}"


def is_from_here(visit: Visit) -> bool:
    """True where the browser says that a page of this very site sends it, in one way or the other."""
    site, origin = visit.header("sec-fetch-site"), visit.header("origin")
    if site:
        return site == "same-origin"
    try:
        return bool(origin) and urlsplit(origin).netloc.lower() == visit.header("host").lower()
    except ValueError:
        return False


def _form_of(operator: Operator) -> str:
    return f"form:{operator.mark}"


def _salt(purpose: str) -> bytes:
    return f"admitgate.console.{purpose}".encode("utf-8", "surrogatepass")


def _clean(name: str) -> str:
    """A name as the log can show it."""
    return "".join(char for char in name if char.isprintable()).strip()[:_name_longest]
