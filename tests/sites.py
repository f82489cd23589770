"""One small shop behind the gate, on every edge: a new edge gets its tests by adding one adapter here.

The shop is the same for all frameworks; a test says with ``site.view`` what its check-out answers. Redis is
real. Its time stands still (``clock``) and goes on when a test says so: the scripts read the clock in one
place, which is replaced, and the workers' own clocks are moved along with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar
from wsgiref.validate import validator

import django
import pytest
import redis
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path as django_path
from flask import Flask, Response, g, request
from on_a_loop import OnALoop
from werkzeug.middleware.lint import InputStream, LintMiddleware
from werkzeug.test import Client, TestResponse

from admitgate import (
    AdmitGate,
    Rule,
    admission,
    asked,
    async_counter,
    connection,
    counter,
    health,
    known_events,
    leaving,
    memory,
    signals,
)
from admitgate.admission import Admission
from admitgate.asgi import AdmitGateASGI
from admitgate.flask import AdmitGate as FlaskGate
from admitgate.rules import cookie_name

CHECKOUT, THANKS, HOME = "/events/gala/checkout", "/events/gala/thanks", "/"
STATUS, CHECK_IN, LEAVE = (f"/_admitgate/{verb}/gala" for verb in ("status", "check-in", "leave"))
CHECKOUT_RULE = {
    "path": "/events/<event>/checkout",
    "capacity": 1,
    "lease_seconds": 60,
    "release_on": "/events/<event>/thanks",
}
KEY = "the shop's key, known to nobody outside"
OLD_KEY, NEW_KEY = "an old key, which signs no longer", "a new key, which signs from now on"
JSON = {"Accept": "application/json"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_rule_options = {option.name for option in fields(Rule)} - {"_", "on_outage"}
_now = (
    "(function() local us = tonumber(redis.call('GET', 'clock:us')); "
    "return {math.floor(us / 1000000), us % 1000000} end)()"
)

InputStream.readlines = lambda self, hint=-1: list(
    self
)  # PEP 3333 has it, and the other validator asks for it

settings.configure(
    SECRET_KEY=KEY,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["admitgate.django"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "admitgate.django.AdmitGateMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    LOGGING_CONFIG=None,
    USE_TZ=True,
)
django.setup()


@dataclass(frozen=True)
class Seen:
    """A request as the shop's view gets it."""

    method: str
    path: str
    admission: Admission | None
    body: bytes = b""
    environ: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What the shop's view answers. A list of chunks makes it a streaming response."""

    status: int = 200
    body: bytes | Iterable[bytes] = b"the checkout"
    headers: tuple[tuple[str, str], ...] = ()


View = Callable[[Seen], Said]


class Shop:
    """The application: a check-out that tests can change, and pages that nobody waits for."""

    def __init__(self) -> None:
        self.view: View = lambda seen: Said()
        self.seen: list[Seen] = []

    def __call__(self, seen: Seen) -> Said:
        self.seen.append(seen)
        if "/checkout" in seen.path.lower():
            return self.view(seen)
        return Said(body=b"thanks" if seen.path.endswith("/thanks") else b"a page")


@dataclass(frozen=True)
class Site:
    """The shop behind a gate, as a WSGI application."""

    app: Any
    shop: Shop

    def browser(self) -> Browser:
        """A new visitor."""
        return Browser(self.app)

    def show(self, cookies: str, path: str = CHECKOUT, **options: Any) -> TestResponse:
        """The answer to a visitor whose Cookie header reads exactly so."""
        environ = {"HTTP_COOKIE": cookies, **options.pop("environ_overrides", {})}
        return Browser(self.app, use_cookies=False).open(path, environ_overrides=environ, **options)

    def is_in(self, browser: Browser | None = None, path: str = CHECKOUT) -> bool:
        """Does the visitor see the check-out?"""
        return (browser or self.browser()).get(path).data == b"the checkout"

    def fill(self, path: str = CHECKOUT) -> Browser:
        """Somebody goes in, so that a gate with one slot is full."""
        browser = self.browser()
        assert self.is_in(browser, path)
        return browser


class Browser(Client):
    """A visitor with a cookie jar. Every response is read to its end and closed, as the validators demand."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        kwargs.setdefault("buffered", True)
        kwargs.setdefault("base_url", "http://shop.example")
        return super().open(*args, **kwargs)

    def place(self, path: str = CHECKOUT) -> dict[str, Any]:
        """What the visitor is told who asks for the check-out and has to wait."""
        response = self.get(path, headers=JSON)
        assert response.status_code == 503, response.data
        told: dict[str, Any] = response.json
        return told

    def check_in(self, slug: str = "gala") -> str:
        """The state that the page hears when it asks in person."""
        state: str = self.post(f"/_admitgate/check-in/{slug}").json["state"]
        return state

    def tokens(self) -> dict[str, str]:
        """The gate's cookies, by name."""
        jar = self._cookies or {}
        return {cookie.key: cookie.value for cookie in jar.values() if cookie.key.startswith("admitgate_")}

    def token(self) -> str:
        """The one cookie that the gate has set."""
        (token,) = self.tokens().values()
        return token

    def carry(self, token: str, **attributes: Any) -> None:
        """Put a token into the jar, in place of the one that is there."""
        (name,) = self.tokens() or (cookie_of("gala"),)
        self.set_cookie(name, token, domain="shop.example", **attributes)


def cookie_of(event: str) -> str:
    """The name of an event's cookie."""
    return cookie_name("admitgate", event)


class Adapter:
    """Puts the shop behind the gate of one edge. ``options`` are the settings in lower case."""

    name: ClassVar[str]

    def __init__(self, shop: Shop, options: dict[str, Any], guard: Callable[[Any], Any]) -> None:
        self.shop, self.options, self.guard = shop, options, guard

    def open(self) -> Any:
        """The whole as a WSGI application."""
        raise NotImplementedError

    def close(self) -> None:
        """Undo what open did."""


class PlainAdapter(Adapter):
    name = "plain WSGI"

    def open(self) -> Any:
        return AdmitGate(inside(self.guard, self._application), **self.options)

    def _application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        method, body = environ["REQUEST_METHOD"], environ["wsgi.input"].read(length)
        said = self.shop(Seen(method, environ["PATH_INFO"], environ.get("admitgate"), body, environ))
        content = [said.body] if isinstance(said.body, bytes) else said.body
        start_response(f"{said.status} Said", [("Content-Type", "text/plain"), *said.headers])
        return [] if method == "HEAD" else content


class FlaskAdapter(Adapter):
    name = "Flask"

    def open(self) -> Any:
        app = Flask("shop")
        app.config["SECRET_KEY"] = self.options.pop("secret_key")
        app.config["SECRET_KEY_FALLBACKS"] = self.options.pop("secret_key_fallbacks", None)
        app.config["ADMITGATE"] = in_upper_case(self.options)
        for rule in ("/", "/<path:path>"):
            app.add_url_rule(
                rule, view_func=self._view, methods=METHODS, provide_automatic_options=False, endpoint=rule
            )
        app.wsgi_app = inside(self.guard, app.wsgi_app)  # type: ignore[method-assign]
        FlaskGate().init_app(app)
        return app

    def _view(self, path: str = "") -> Response:
        said = self.shop(Seen(request.method, "/" + path, g.admitgate, request.get_data(), request.environ))
        response = Response(said.body, said.status, mimetype="text/plain")
        for name, value in said.headers:
            response.headers.add(name, value)
        return response


class DjangoAdapter(Adapter):
    name = "Django"

    def open(self) -> Any:
        keys = {
            "SECRET_KEY": self.options.pop("secret_key"),
            "SECRET_KEY_FALLBACKS": self.options.pop("secret_key_fallbacks", []),
        }
        patterns = (django_path("", self._view), django_path("<path:path>", self._view))
        self._settings = override_settings(
            ADMITGATE=in_upper_case(self.options), ROOT_URLCONF=patterns, **keys
        )
        self._settings.enable()
        return WSGIHandler()

    def close(self) -> None:
        self._settings.disable()

    def _view(self, request: Any, path: str = "") -> HttpResponse | StreamingHttpResponse:
        said = self.shop(Seen(request.method, "/" + path, request.admitgate, request.body, request.META))
        if isinstance(said.body, bytes):
            response: Any = HttpResponse(said.body, status=said.status, content_type="text/plain")
        else:
            pieces: Any = self._pieces(said.body)
            response = StreamingHttpResponse(pieces, status=said.status, content_type="text/plain")
        for name, value in said.headers:
            if name == "Set-Cookie":
                response.cookies.load(value)
            else:
                response[name] = value
        if request.method == "HEAD":
            response.content = b""
        return response

    def _pieces(self, body: Iterable[bytes]) -> Any:
        return body


class AsyncDjangoAdapter(DjangoAdapter):
    """The same views, which are no coroutines: Django runs them in a thread, the gate in the event loop."""

    name = "Django under ASGI"

    def open(self) -> Any:
        super().open()
        self._server = OnALoop(ASGIHandler())
        return self._server

    def close(self) -> None:
        self._server.close()
        super().close()

    async def _pieces(self, body: Iterable[bytes]) -> Any:
        for piece in body:
            yield piece


class ASGIAdapter(Adapter):
    name = "ASGI"

    def open(self) -> Any:
        self._server = OnALoop(AdmitGateASGI(self._application, **self.options))
        return self._server

    def close(self) -> None:
        self._server.close()

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        method, path = scope["method"], scope["path"].removeprefix(scope["root_path"])
        body = (await receive())["body"]
        seen = Seen(method, path, scope.get("admitgate"), body, scope)
        said = await asyncio.to_thread(self.shop, seen)
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in said.headers]
        headers.append((b"content-type", b"text/plain"))
        await send({"type": "http.response.start", "status": said.status, "headers": headers})
        for piece in [said.body] if isinstance(said.body, bytes) else said.body:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


ADAPTERS: tuple[type[Adapter], ...] = (
    PlainAdapter,
    FlaskAdapter,
    DjangoAdapter,
    AsyncDjangoAdapter,
    ASGIAdapter,
)


def in_upper_case(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as a settings file has them, rules included."""
    rules = [{name.upper(): value for name, value in rule.items()} for rule in options["rules"]]
    return {**{name.upper(): value for name, value in options.items()}, "RULES": rules}


def guarded(application: Any) -> Any:
    """The application between validators: what it is given and what it gives must be PEP 3333 to the letter.

    werkzeug's is left out for HEAD, as it asks for a body as long as Content-Length says.
    """
    strict, for_head = validator(LintMiddleware(application)), validator(application)
    return lambda environ, start: (for_head if environ["REQUEST_METHOD"] == "HEAD" else strict)(
        environ, start
    )


def inside(guard: Callable[[Any], Any], application: Any) -> Any:
    """The application with ``guard`` between it and the gate.

    The validator takes every name without a dot for one of CGI's, whose values are text: so the admission
    passes it under another name.
    """

    def under_its_name(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "shop.admission" in environ:
            environ["admitgate"] = environ.pop("shop.admission")
        result: Iterable[bytes] = application(environ, start_response)
        return result

    guarded_application = guard(under_its_name)

    def under_another(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "admitgate" in environ:
            environ["shop.admission"] = environ.pop("admitgate")
        result: Iterable[bytes] = guarded_application(environ, start_response)
        return result

    return under_another


def unguarded(application: Any) -> Any:
    """For requests that no server should make: the validators would refuse them first."""
    return application


class Opener:
    """Opens sites on one edge: ``open_site(capacity=2, exempt=[…])``, a rule's options and the gate's."""

    def __init__(self, adapter: type[Adapter], redis_url: str) -> None:
        self.name = adapter.name
        self._adapter, self._redis_url = adapter, redis_url
        self._opened: list[Adapter] = []

    def __call__(self, *, is_guarded: bool = True, **options: Any) -> Site:
        rule = {name: options.pop(name) for name in _rule_options & options.keys()}
        options.setdefault("rules", [CHECKOUT_RULE | rule])
        defaults = {"redis_url": self._redis_url, "redis_timeout_seconds": 10, "secret_key": KEY}
        options = defaults | options
        guard = guarded if is_guarded else unguarded
        adapter = self._adapter(shop := Shop(), options, guard)
        app = adapter.open()
        self._opened.append(adapter)
        return Site(guard(app), shop)

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()


@pytest.fixture(params=[pytest.param(adapter, id=adapter.name) for adapter in ADAPTERS])
def open_site(request: pytest.FixtureRequest, redis_url: str, clock: Clock) -> Iterator[Opener]:
    """Opens sites on each edge in turn, on an empty Redis whose time stands still."""
    opener = Opener(request.param, redis_url)
    yield opener
    opener.close()


@pytest.fixture
def open_plain(redis_url: str, clock: Clock) -> Opener:
    """Opens sites on the WSGI edge only, several at a time: workers of one fleet, for instance."""
    return Opener(PlainAdapter, redis_url)


class Clock:
    """Redis' time and the workers', which stand still until ``forward`` is called."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.now_ms = 1_700_000_000_000
        self.monotonic = 1000.0
        self.forward(0)

    def forward(self, seconds: float) -> None:
        """Time passes, for Redis and for the workers."""
        self.monotonic += seconds
        self.step(seconds)

    def step(self, seconds: float) -> None:
        """Redis' clock is put forward or back, while no time passes."""
        self.now_ms += round(seconds * 1000)
        self._client.set("clock:us", self.now_ms * 1000)


@pytest.fixture
def clock(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that stands still."""
    clock = Clock(redis_client)
    watched = (memory, counter, async_counter, connection, asked, known_events)
    for module in (*watched, admission, health, leaving, signals):
        monkeypatch.setattr(module, "monotonic", lambda: clock.monotonic)
    scripts = {
        verb: text.replace("redis.call('TIME')", _now) for verb, text in counter.load_scripts().items()
    }
    assert all(text.count(_now) == 1 for text in scripts.values())
    monkeypatch.setattr(counter, "load_scripts", lambda: scripts)
    return clock


def script_calls(client: redis.Redis) -> int:
    """How many scripts Redis has run for the gates so far."""
    stats = client.info("commandstats")
    return sum(
        stats[name]["calls"] - stats[name]["failed_calls"] - stats[name]["rejected_calls"]
        for name in ("cmdstat_evalsha", "cmdstat_eval")
        if name in stats
    )


def state_keys(client: redis.Redis) -> list[bytes]:
    """The keys that gates have left in Redis."""
    return sorted(client.scan_iter("admitgate:*"))


def wipe(client: redis.Redis) -> None:
    """Redis loses everything that gates have put there."""
    for key in state_keys(client):
        client.delete(key)
