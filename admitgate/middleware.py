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

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from .admission import Admission
from .config import Config
from .edge import Edge
from .visit import Answer, Visit, cgi_header

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_lines = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class AdmitGate:
    """A WSGI application that lets ``application`` see only whom the gate admits.

    Options are the settings in lower case (see ``Config``); wrong ones raise ConfigError, all faults at once.
    """

    def __init__(self, application: WSGIApplication, config: Config | None = None, **options: Any) -> None:
        self._application = application
        self._edge = Edge(config or Config.from_options(options))
        self._match = self._edge.match
        self._proxies = self._edge.config.trusted_proxies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        match = self._match(path if path.isascii() else path_of(environ))
        if match is None:
            return self._application(environ, start_response)
        visit = visit_of(environ, self._proxies)
        outcome = self._edge.respond(visit, match)
        if outcome is None:
            return self._application(environ, start_response)
        if isinstance(outcome, Answer):
            start_response(_lines[outcome.status], list(outcome.headers))
            return [outcome.body]
        return self._let_in(environ, start_response, visit, outcome)

    def release(self, event: str, sid: str) -> None:
        """Give back the slot of ``sid``, which ``environ["admitgate"].sid`` told and an order kept.

        For a payment's callback, a task. One Redis call; without Redis the slot comes free when its lease
        ends. Raises LookupError for an event that no rule can have.
        """
        self._edge.release_sid(event, sid)

    def _let_in(
        self, environ: WSGIEnvironment, start_response: StartResponse, visit: Visit, admission: Admission
    ) -> Iterable[bytes]:
        environ["admitgate"] = admission
        started = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal started
            started = True
            outgoing = self._edge.headers(visit, admission, int(status[:3]), headers)
            return start_response(status, outgoing, *((exc_info,) if exc_info else ()))

        try:
            body = self._application(environ, start)
        except BaseException:
            if not started:
                self._edge.give_up(admission)
            raise
        if started:
            return body

        def on_error() -> None:
            if not started:
                self._edge.give_up(admission)

        return _Unstarted(body, on_error)


class _Unstarted:
    """A body whose application calls start_response only when it is iterated, and may break before that."""

    def __init__(self, body: Iterable[bytes], on_error: Callable[[], None]) -> None:
        self._body = body
        self._chunks = iter(body)
        self._on_error = on_error

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            raise
        except BaseException:
            self._on_error()
            raise

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close:
            close()


def path_of(environ: WSGIEnvironment) -> str:
    """PATH_INFO as text: PEP 3333 hands over its bytes as latin-1."""
    return _as_text(environ.get("PATH_INFO", ""))


def _as_text(raw: str) -> str:
    return raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "replace")


def visit_of(environ: WSGIEnvironment, trusted_proxies: int = 0) -> Visit:
    """The Visit of a WSGI environ."""
    is_secure = environ["wsgi.url_scheme"] == "https" or (
        trusted_proxies > 0 and _was_secure(environ, trusted_proxies)
    )
    return Visit(  # by place: names would take as long as finding the token does
        environ["REQUEST_METHOD"],
        path_of(environ),
        _as_text(environ.get("SCRIPT_NAME", "")),
        environ.get("QUERY_STRING", ""),
        is_secure,
        environ.get("HTTP_COOKIE", ""),
        cgi_header(environ),
        environ,
    )


def _was_secure(environ: WSGIEnvironment, trusted_proxies: int) -> bool:
    """What the outermost trusted proxy says of its client's scheme; what is further left is hearsay."""
    schemes = [scheme.strip().lower() for scheme in environ.get("HTTP_X_FORWARDED_PROTO", "").split(",")]
    return len(schemes) >= trusted_proxies and schemes[-trusted_proxies] == "https"
