"""The Flask edge: ``AdmitGate(app)``, or ``gate.init_app(app)`` in a factory.

Reads ``app.config["ADMITGATE"]`` (upper-case names); the keys are the app's own SECRET_KEY and
SECRET_KEY_FALLBACKS unless ADMITGATE names others, and weak ones are refused unless ``app.debug`` is set by
then (``flask run --debug`` does). It wraps ``app.wsgi_app``, so the gate stands before sessions, blueprints
and the router; wrap ProxyFix around afterwards. In a request that was let in, ``g.admitgate`` is the
Admission; in any other it is None.

Rules for endpoints, and views decorated with ``gated``, are asked as the first of all ``before_request``
functions: by then the session is open and ``url_value_preprocessor`` has run. Put the decorators below
``@app.route``: what stands above it decorates nothing that Flask knows.

``IDENTITY`` is given Flask's request, within its context: ``session`` can be read there, and nothing is kept
that is written to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Flask, Request, Response, current_app, g, has_request_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.test import create_environ

from . import flask_signals
from .admission import Admission
from .config import Config
from .console.access import BY_LINK, asked
from .control import EventControl
from .cookies import show_new_cookie
from .edge import Edge
from .endpoints import Chosen, Route, faults_of
from .gating import gated as gated
from .gating import made, marks_on
from .gating import ungated as ungated
from .middleware import AdmitGate as WSGIGate
from .middleware import path_of, visit_of
from .operate.group import Shop, operation
from .visit import Answer, Visit

log = logging.getLogger("admitgate")
signals = flask_signals

_name = "admitgate"
_foreseen, _chosen, _turn, _is_out = (
    f"admitgate.{what}" for what in ("foreseen", "chosen", "turn", "is_out")
)


class AdmitGate:
    """The extension. One instance may serve several apps; options given here are defaults for all of them."""

    def __init__(self, app: Flask | None = None, **options: Any) -> None:
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Put the gate before ``app``. Raises ConfigError with every fault of the settings."""
        if _name in app.extensions:
            raise RuntimeError("admitgate is already set up for this app: call init_app once.")
        defaults = {
            "secret_key": app.config.get("SECRET_KEY"),
            "secret_key_fallbacks": app.config.get("SECRET_KEY_FALLBACKS") or (),
            "debug": app.debug,
            **self._options,
        }
        config = Config.from_mapping(app.config.get("ADMITGATE") or {}, has_router=True, **defaults)
        exempt = [_in_context(app, item) if callable(item) else item for item in config.exempt]
        config = replace(config, exempt=tuple(exempt))
        if config.identity is not None:
            config = replace(config, identity=_in_context(app, config.identity))
        if config.console is not None and config.console != BY_LINK:
            config = replace(config, console=_in_context(app, asked(config.console)))
        router = _FlaskRouter(app)
        edge = Edge(config, router)
        edge.signals.connect(partial(signals.send, app))
        if not config.enabled:
            app.extensions[_name] = WSGIGate(app.wsgi_app, edge=edge)
            _say_none(app)
            return
        _AtViews(edge, router).stand_before(app)
        app.cli.add_command(operation(Shop(lambda: edge, router.at)))
        gate = app.extensions[_name] = WSGIGate(app.wsgi_app, edge=edge)
        app.wsgi_app = gate  # type: ignore[method-assign]

    def release(self, event: str, sid: str | None) -> None:
        """Give back the slot of ``sid`` in the current app, such as from a payment's callback."""
        gate: WSGIGate = current_app.extensions[_name]
        gate.release(event, sid)

    def event(self, name: str) -> EventControl:
        """The levers of one event of the current app: ``gate.event("gala").close(message="Sold out")``."""
        gate: WSGIGate = current_app.extensions[_name]
        return gate.event(name)


def _say_none(app: Flask) -> None:
    """``g.admitgate`` is None in every request, at no cost for any: views read it all the same."""
    own = app.app_ctx_globals_class
    app.app_ctx_globals_class = type(own.__name__, (own,), {_name: None})  # type: ignore[assignment]


class _FlaskRouter:
    """An app's ``url_map`` and ``view_functions``."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._seen = 0
        self._routes: tuple[Route, ...] = ()

    def routes(self) -> Sequence[Route]:
        """Nothing is added to an app that has begun to answer."""
        views = self._app.view_functions
        if self._seen != len(views):
            self._routes = tuple(
                Route(views.get(rule.endpoint), (rule.endpoint,), frozenset(rule.arguments))
                for rule in self._app.url_map.iter_rules()
            )
            self._seen = len(views)
        return self._routes

    def foresee(self, environ: Any) -> Chosen | None:
        """Any doubt (a redirect, a method that the view doesn't have) is the gate's."""
        if _chosen in environ:
            return None
        environ[_foreseen] = path_of(environ)
        try:
            adapter = self._app.create_url_adapter(self._app.request_class(environ, populate_request=False))
            endpoint, values = adapter.match() if adapter else ("", {})
        except HTTPException:
            return None
        return self.chosen(environ, endpoint, values)

    def at(self, path: str, method: str) -> Chosen | None:
        """What it would choose for a request that nobody makes."""
        return self.foresee(create_environ(path, method=method))

    def chosen(self, environ: Any, endpoint: str, values: Any) -> Chosen:
        """The view of an endpoint."""
        return Chosen(
            self._app.view_functions.get(endpoint),
            values,
            lambda: (endpoint,),
            environ["REQUEST_METHOD"],
            path_of(environ),
        )


class _AtViews:
    """Asks again when Flask has chosen a view."""

    def __init__(self, edge: Edge, router: _FlaskRouter) -> None:
        self._edge, self._router = edge, router
        self._has_looked = False

    def stand_before(self, app: Flask) -> None:
        """Be the first before a request and the last after it."""
        app.teardown_request(self._end)  # and refuses an app that has begun to answer
        app.before_request_funcs.setdefault(None, []).insert(0, self._ask)
        app.after_request_funcs.setdefault(None, []).insert(0, self._conclude)

    def _ask(self) -> Response | None:
        current: Request = request._get_current_object()  # type: ignore[attr-defined]  # or each look costs
        environ, endpoint = current.environ, current.endpoint
        admission: Admission | None = environ.get(_name)
        g.admitgate = admission
        if not self._has_looked:
            self._look()
        if endpoint is None or (admission is not None and admission.settles):
            return None
        chosen = self._router.chosen(environ, endpoint, current.view_args or {})
        match = self._edge.match_view(chosen, environ.get(_foreseen))
        if match is None:
            return None
        environ[_chosen] = True
        visit = visit_of(environ, self._edge.config.trusted_proxies)
        if admission is not None:
            show_new_cookie(visit, admission.match, admission.set_cookie)
        outcome = self._edge.respond(visit, match)
        if isinstance(outcome, Answer):
            return Response(outcome.body, outcome.status, list(outcome.headers))
        if outcome is not None:
            environ[_turn] = visit, outcome
            g.admitgate = environ[_name] = outcome
        return None

    def _conclude(self, response: Response) -> Response:
        turn: tuple[Visit, Admission] | None = request.environ.get(_turn)
        if turn is None:
            return response
        visit, admission = turn
        headers = self._edge.headers(visit, admission, response.status_code, list(response.headers))
        response.headers.clear()
        response.headers.extend(headers)
        if admission.is_first and response.is_streamed and not response.direct_passthrough:
            self._watch(response, admission)
        request.environ[_is_out] = True
        return response

    def _watch(self, response: Response, admission: Admission) -> None:
        """The headers go out with the first piece: if there never is one, nobody has the slot's cookie."""
        pieces: Any = response.response
        if hasattr(pieces, "close"):
            response.call_on_close(pieces.close)
        response.response = self._until_it_is_out(pieces, admission)

    def _until_it_is_out(self, pieces: Iterable[Any], admission: Admission) -> Iterator[Any]:
        is_out = False
        try:
            for piece in pieces:
                is_out = is_out or bool(piece)
                yield piece
        except Exception:
            if not is_out:
                self._edge.give_up(admission)
            raise

    def _end(self, error: BaseException | None) -> None:
        """The app is done; where it let an error out, nothing was answered."""
        turn: tuple[Visit, Admission] | None = request.environ.pop(_turn, None)
        if turn is None:
            return
        self._edge.leave(turn[1])
        if _is_out not in request.environ:
            self._edge.give_up(turn[1])

    def _look(self) -> None:
        """Once all is there: what in the settings and decorators can't be meant so."""
        self._has_looked = True
        routes = self._router.routes()
        for fault in [*faults_of(self._edge.config, routes), *_above_the_route(routes)]:
            log.error("%s", fault)


def _in_context(app: Flask, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Asked before Flask has seen the request, it is given the request all the same, and an open session."""

    def ask(environ: Any) -> Any:
        is_inside = has_request_context() and request.environ is environ
        with nullcontext() if is_inside else app.request_context(environ):
            return call(request._get_current_object())  # type: ignore[attr-defined]

    return ask


def _above_the_route(routes: Sequence[Route]) -> list[str]:
    views = {route.view for route in routes}
    known = {mark for route in routes for mark in marks_on(route.view)}
    return [
        f"@gated in {mark.where}, stands above @app.route, so that nobody waits: put it below."
        for mark in made
        if mark not in known and mark.original and mark.original() in views
    ]
