"""How many requests of one visitor are inside the application at once, in this process.

A slot is for one visitor. Who shares its cookie, or lets a program loose with it, would otherwise have as
much of the application as they like: so beyond a number of requests the next is told to come again.
Counted until the application has answered; the body that follows is the server's to send.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from .admission import Admission
from .page import wants_json
from .visit import Answer, Visit

_parts = 256  # so that a part is short, however many are inside

_title, _detail = "Too many requests", "Too many requests of yours are being answered. Please try again."
_text = f"{_detail}\n".encode()
_problem = json.dumps({"type": "about:blank", "title": _title, "status": 429, "detail": _detail}).encode()
_same = (
    ("Retry-After", "1"),
    ("Cache-Control", "no-store"),
    ("Vary", "Accept"),
    ("X-Robots-Tag", "noindex"),
    ("X-Content-Type-Options", "nosniff"),
)


class InFlight:
    """Counts by sid. Without a lock, which would cost more than the rest: each step is a single one of a
    dict's, and who was written down first was there first.

    Who only observes turns nobody away, here neither.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._inside: list[dict[int, str]] = [{} for _ in range(_parts)]

    def enter(self, admission: Admission) -> bool:
        """One more, who has to leave again; False where there are enough."""
        lease, match, most = admission.lease, admission.match, self._most
        if lease is None or most is None or not match.is_gated or match.rule.mode != "on":
            return True
        inside = self._inside[hash(lease.sid) % _parts]
        inside[id(admission)] = lease.sid
        return len(inside) <= most or self._is_among_the_first(most, inside, admission)

    def leave(self, admission: Admission) -> None:
        """It has been answered. Who isn't counted may leave, too."""
        if admission.lease is not None:
            self._inside[hash(admission.lease.sid) % _parts].pop(id(admission), None)

    def _is_among_the_first(self, most: int, inside: dict[int, str], admission: Admission) -> bool:
        sid = inside[id(admission)]
        theirs = [key for key, other in inside.copy().items() if other == sid]
        if theirs.index(id(admission)) < most:
            return True
        self.leave(admission)
        return False

    def __len__(self) -> int:
        return sum(map(len, self._inside))


def too_many(visit: Visit, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """What is said to the next one; ``headers`` are this visitor's own."""
    kind, body = (
        ("application/problem+json", _problem) if wants_json(visit) else ("text/plain; charset=utf-8", _text)
    )
    length = ("Content-Length", str(len(body)))
    content = b"" if visit.method == "HEAD" else body
    return Answer(429, (("Content-Type", kind), length, *_same, *headers), content)
