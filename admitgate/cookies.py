"""An event's cookie: its name, where to find it in a request, how to set it in a response."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from werkzeug.http import dump_cookie

from .config import Config
from .rules import Match
from .visit import Visit

_a_day = 24 * 3600


def set_cookie(config: Config, visit: Visit, match: Match, value: str | None) -> str:
    """The Set-Cookie header of a token; an empty value takes the cookie away.

    The cookie lives longer than a lease does: what it still says is Redis' to judge, and a place must
    survive a closed browser.
    """
    secure = visit.is_secure() if config.cookie_secure is None else config.cookie_secure
    max_age = max(_a_day, int(match.rule.lease_seconds)) if value else 0
    attributes = _attributes(max_age, visit.root, config.cookie_domain, secure, config.cookie_samesite)
    return f"{match.cookie}={value or ''}{attributes}"


@lru_cache(maxsize=256)
def _attributes(max_age: int, root: str, domain: str | None, secure: bool, samesite: str) -> str:
    """What follows name and value. No Expires: it would be this worker's clock that the browser obeys."""
    written = dump_cookie(
        "name",
        "",
        max_age=max_age,
        path=root + "/",
        domain=domain,
        secure=secure,
        httponly=True,
        samesite=samesite,
        sync_expires=False,
    )
    return written.removeprefix("name=")


def show_new_cookie(visit: Visit, match: Match, value: str | None) -> None:
    """Have a visit that is asked for twice show what it was given the first time: it is one visitor."""
    if value:
        visit.cookies = f"{match.cookie}={value}; {visit.cookies}"


def cookie_values(header: str, name: str) -> Iterator[str]:
    """Every value that a Cookie header gives ``name``, in order.

    Parsing the whole header costs more than verifying the token in it, and a cookie of the same name set for
    a parent domain must not hide ours: so we search, and look at all of them.
    """
    wanted = name + "="
    start = header.find(wanted)
    while start >= 0:
        if (
            start == 0 or header[start - 1] in "; "
        ):  # asked first: a flood of names must not be copied each time
            end = header.find(";", start)
            value = header[start + len(wanted) : end if end >= 0 else len(header)]
            yield value.strip(' "')
        start = header.find(wanted, start + len(wanted))
