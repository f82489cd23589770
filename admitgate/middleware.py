"""The WSGI edge: ``AdmitGate(application, …)`` around any WSGI callable.

    application = AdmitGate(
        application,
        secret_key=KEY,
        redis_url="redis://localhost:6379/0",
        rules=[Rule("/events/<event>/checkout", capacity=5000)],
    )

Put it outside of anything that is dear (sessions, authentication), and inside of what rewrites the request
(werkzeug's ProxyFix): the gate believes PATH_INFO, SCRIPT_NAME and wsgi.url_scheme. Not for ASGI servers,
nor for Django or Flask, which have edges of their own that know the framework's settings.

A request that no rule means costs one look-up. What the gate decided is in ``environ["admitgate"]`` of the
requests that were let in (an ``Admission``); it is missing from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from .admission import Admission
from .clients import Trusted, is_https
from .config import Config
from .control import EventControl
from .edge import Edge
from .endpoints import refuse
from .matching import remembered
from .rules import Match
from .visit import Answer, Visit, cgi_header, form_in, form_length

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_lines = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class AdmitGate:
    """A WSGI application that lets ``application`` see only whom the gate admits.

    Options are the settings in lower case (see ``Config``); wrong ones raise ConfigError, all faults at once.
    """

    def __init__(
        self,
        application: WSGIApplication,
        config: Config | None = None,
        *,
        edge: Edge | None = None,
        **options: Any,
    ) -> None:
        self._application = application
        self._edge = edge or Edge(refuse(config or Config.from_options(options)))
        self._match = remembered(self._find)  # by the path as it comes: most need no decoding
        self._proxies = self._edge.config.trusted_proxies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match = self._match(environ.get("PATH_INFO", ""))
        if match is None:
            return self._application(environ, start_response)
        visit = visit_of(environ, self._proxies)
        outcome = self._edge.respond(visit, match)
        if outcome is None:
            return self._application(environ, start_response)
        if isinstance(outcome, Answer):
            return send(outcome, environ, start_response)
        try:
            return self._let_in(environ, start_response, visit, outcome)
        finally:
            self._edge.leave(outcome)

    def release(self, event: str, sid: str | None) -> None:
        """Give back the slot of ``sid``, which ``environ["admitgate"].sid`` told and an order kept.

        For a payment's callback, a task. One Redis call; without Redis the slot comes free when its lease
        ends. None, the sid of who went in uncounted, is nothing to give back. Raises LookupError for an
        event that no rule can have.
        """
        self._edge.release_sid(event, sid)

    def event(self, name: str) -> EventControl:
        """The levers of one event: ``gate.event("gala").close(message="Sold out")`` from a view or a task.

        Raises LookupError for an event that no rule can have, and each lever Outage without Redis.
        """
        return self._edge.event(name)

    def _find(self, raw: str) -> Match | None:
        return self._edge.find(_as_text(raw))

    def _let_in(
        self, environ: WSGIEnvironment, start_response: StartResponse, visit: Visit, admission: Admission
    ) -> Iterable[bytes]:
        environ["admitgate"] = admission
        edge = self._edge

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            outgoing = edge.headers(visit, admission, int(status[:3]), headers)
            return (
                start_response(status, outgoing, exc_info) if exc_info else start_response(status, outgoing)
            )

        if admission.is_first:
            return _FirstVisit(start, lambda: edge.give_up(admission)).run(self._application, environ)
        return self._application(environ, start)


class _FirstVisit:
    """A response whose cookie isn't out yet: until it is, an application that breaks leaves a slot to nobody.

    The headers go out with the first piece of the body. An application that has called start_response by the
    time it returns gets its body through untouched; another one's is watched until it does.
    """

    def __init__(self, start: Callable[..., Any], give_up: Callable[[], None]) -> None:
        self._start, self._give_up = start, give_up
        self._is_started = self._is_out = False

    def run(self, application: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        try:
            body = application(environ, self._start_response)
        except BaseException:
            self._break()
            raise
        if self._is_started:
            return body
        self._body, self._pieces = body, iter(body)
        return self

    def _start_response(self, *answer: Any) -> Callable[[bytes], Any]:
        self._is_started = True
        write = self._start(*answer)

        def write_out(piece: bytes) -> Any:
            self._is_out = True
            return write(piece)

        return write_out

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece = next(self._pieces)
        except StopIteration:
            raise
        except BaseException:
            self._break()
            raise
        self._is_out = self._is_out or bool(piece)
        return piece

    def close(self) -> None:
        if not self._is_started:
            self._break()
        close = getattr(self._body, "close", None)
        if close:
            close()

    def _break(self) -> None:
        if not self._is_out:
            self._give_up()


def send(answer: Answer, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """An answer of ours, as it is; to HEAD without its body."""
    start_response(_lines[answer.status], list(answer.headers))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def path_of(environ: WSGIEnvironment) -> str:
    """PATH_INFO as text: PEP 3333 hands over its bytes as latin-1."""
    return _as_text(environ.get("PATH_INFO", ""))


def _as_text(raw: str) -> str:
    return raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "replace")


def visit_of(environ: WSGIEnvironment, trusted_proxies: Trusted = 0) -> Visit:
    """The Visit of a WSGI environ."""
    get, header = environ.get, cgi_header(environ)
    address = get("REMOTE_ADDR") or ""
    return Visit(  # by place: names would take as long as finding the token does
        environ["REQUEST_METHOD"],
        path_of(environ),
        _as_text(get("SCRIPT_NAME") or ""),
        get("QUERY_STRING") or "",
        lambda: environ["wsgi.url_scheme"] == "https" or is_https(header, address, trusted_proxies),
        get("HTTP_COOKIE") or "",
        header,
        environ,
        address=address,
        form=form_of,
    )


def form_of(environ: WSGIEnvironment) -> Mapping[str, str]:
    """What a small form sent."""
    length = form_length(cgi_header(environ))
    return form_in(environ["wsgi.input"].read(length)) if length else {}
