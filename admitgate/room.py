"""The waiting room on its own servers: what stands below the mount, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from .config import Config, config_from_environment
from .edge import Edge
from .middleware import path_of, send, visit_of
from .rules import OURS
from .visit import Answer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_nothing = Answer(
    404, (("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "13")), b"Nothing here."
)


class WaitingRoom:
    """A WSGI application that answers status, check-in, leave, wait and healthz for a shop elsewhere."""

    def __init__(self, config: Config) -> None:
        self._edge = Edge(config)
        self._mount = config.mount
        self._proxies = config.trusted_proxies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = None
        if path_of(environ).startswith(self._mount):
            answer = self._edge.respond(visit_of(environ, self._proxies), OURS)
        return send(answer if isinstance(answer, Answer) else _nothing, environ, start_response)


@cache
def waiting_room() -> WaitingRoom:
    """The one of this process, made at its first request."""
    return WaitingRoom(config_from_environment())
