"""The same request through Flask-Limiter, django-ratelimit and limits, each before a view that says hello.

They count requests and the gate counts visitors, so this compares costs, not uses. What is not installed is
left out, with a line that says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from stage import Stage, full, key, room, rules
from timing import Contender
from visitors import Environ, answered, get, no_op, request

from admitgate import Rule

plenty, nothing_left = "1000000/hour", "1/hour"


def at(rule: Rule) -> str:
    """The path of a rule's event."""
    return rule.path.replace("<event>", "gala")


@dataclass(frozen=True)
class Host:
    """A framework with a view that says hello."""

    name: str
    hello: Any

    def contender(self) -> Contender:
        return Contender(f"{self.name} hello", answered(self.hello), fresh(request("/")))


@dataclass(frozen=True)
class Peer:
    """Something that lets requests in before a host's view, and turns others away."""

    package: str
    host: Host
    application: Any
    let_in: Environ
    turned_away: Environ
    alone: Environ | None = None  # the view's own address, where it isn't that of ``let_in``

    @property
    def name(self) -> str:
        return f"{self.package} ({self.host.name})"

    def contenders(self) -> list[Contender]:
        assert get(self.application, dict(self.let_in))[0] == 200
        run = answered(self.application)
        return [
            Contender(f"{self.name} alone", answered(self.host.hello), fresh(self.alone or self.let_in)),
            Contender(f"{self.name} in", run, fresh(self.let_in)),
            Contender(f"{self.name} away", run, fresh(self.turned_away), self.refuse),
        ]

    def refuse(self) -> None:
        """Uses up what is left, and lets the gate look at the line as it does once a second."""
        statuses = [get(self.application, dict(self.turned_away))[0] for _ in range(2)]
        assert statuses[-1] in (403, 429, 503), statuses


def fresh(environ: Environ) -> Callable[[int], Iterable[Environ]]:
    """A request for each call, as frameworks leave things in it."""
    return lambda size: [dict(environ) for _ in range(size)]


def peers(stage: Stage, say: Callable[[str], None]) -> Iterator[Peer]:
    """All that can be compared here."""
    for make in (_wsgi, _flask, _django):
        try:
            yield from make(stage)
        except ImportError as error:
            say(f"left out, as {error.name} is missing: pip install -r benchmarks/requirements.txt")


def _wsgi(stage: Stage) -> Iterator[Peer]:
    host = Host("WSGI", no_op)
    yield Peer("admitgate", host, stage.gate, stage.admitted(), stage.waiting())
    from limits import parse  # type: ignore[import-not-found,unused-ignore]
    from limits.storage import storage_from_string  # type: ignore[import-not-found,unused-ignore]
    from limits.strategies import FixedWindowRateLimiter  # type: ignore[import-not-found,unused-ignore]

    limiter = FixedWindowRateLimiter(storage_from_string(_limits_url(stage.url)))
    items = {at(room): parse(plenty), at(full): parse(nothing_left)}

    def limited(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if limiter.hit(items[environ["PATH_INFO"]], environ["REMOTE_ADDR"]):
            return no_op(environ, start_response)
        start_response("429 Too Many Requests", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return [b"wait"]

    yield Peer("limits", host, limited, request(at(room)), request(at(full)))


def _flask(stage: Stage) -> Iterator[Peer]:
    from admitgate.flask import AdmitGate

    host = flask_host()
    app = _flask_app(room.path, full.path)
    app.config["ADMITGATE"] = {"REDIS_URL": stage.url, "RULES": rules}
    AdmitGate(app)
    yield Peer("admitgate", host, app.wsgi_app, stage.admitted(), stage.waiting())
    from flask_limiter import Limiter  # type: ignore[import-not-found,unused-ignore]
    from flask_limiter.util import get_remote_address  # type: ignore[import-not-found,unused-ignore]

    app = _flask_app()
    limiter = Limiter(get_remote_address, app=app, storage_uri=_limits_url(stage.url))
    for rule, rate in ((room, plenty), (full, nothing_left)):
        app.add_url_rule(rule.path, endpoint=rule.event, view_func=limiter.limit(rate)(_say_hello))
    yield Peer("flask-limiter", host, app.wsgi_app, request(at(room)), request(at(full)))


def flask_host() -> Host:
    """Flask's hello world."""
    return Host("Flask", _flask_app("/", room.path).wsgi_app)


def _flask_app(*paths: str) -> Any:
    from flask import Flask

    app = Flask("benchmark")
    app.config["SECRET_KEY"] = key
    for number, path in enumerate(paths):
        app.add_url_rule(path, endpoint=f"hello {number}", view_func=_say_hello)
    return app


def _say_hello(event: str = "") -> str:
    return "Hello, World!"


def _django(stage: Stage) -> Iterator[Peer]:
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpRequest, HttpResponse
    from django.test.utils import override_settings
    from django.urls import path

    def hello(request: HttpRequest, event: str = "") -> HttpResponse:
        return HttpResponse("Hello, World!")

    urls: Any = ModuleType("urls")
    urls.urlpatterns = [path("", hello), *(path(rule.path.lstrip("/"), hello) for rule in (room, full))]
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY=key,
        LOGGING_CONFIG=None,
        ROOT_URLCONF=urls,
        CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": stage.url}},
        ADMITGATE={"REDIS_URL": stage.url, "RULES": rules},
    )
    django.setup()
    logging.getLogger("django.request").setLevel(logging.CRITICAL)  # nobody's refusals are to be written down
    host = Host("Django", WSGIHandler())
    with override_settings(MIDDLEWARE=["admitgate.django.AdmitGateMiddleware"]):
        gated = WSGIHandler()
    yield Peer("admitgate", host, gated, stage.admitted(), stage.waiting())
    from django_ratelimit.decorators import ratelimit  # type: ignore[import-not-found,unused-ignore]

    for rule, rate in ((room, plenty), (full, "0/hour")):
        urls.urlpatterns.append(path("limited" + rule.path, ratelimit(key="ip", rate=rate)(hello)))
    let_in, turned_away = (request("/limited" + at(rule)) for rule in (room, full))
    yield Peer("django-ratelimit", host, host.hello, let_in, turned_away, request(at(room)))


def _limits_url(url: str) -> str:
    return url.replace("unix:", "redis+unix:", 1)
