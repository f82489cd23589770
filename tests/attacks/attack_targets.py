"""The shop that is attacked: plain WSGI, Flask or Django behind the gate, as a server imports it.

    SHOP_FRAMEWORK=Flask SHOP_REDIS=unix:///… gunicorn attack_targets:application

Its router is as forgiving as any: whatever somebody could take for the check-out is the check-out. So what
the gate lets through on an odd path shows. Below the check-out the last segment says what the view does.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock
from urllib.parse import unquote

import redis
from attack_words import CAPACITIES, IN_FLIGHT, KEY, MOUNTED_AT, OLD_KEY, ORDINARY_METHODS, THE_DESK
from werkzeug.test import create_environ, run_wsgi_app

from admitgate import AdmitGate
from admitgate.gating import gated, ungated
from admitgate.start import StartCheck

Answer = tuple[int, list[tuple[str, str]], Iterable[bytes]]

_redis_url = os.environ["SHOP_REDIS"]
_framework = os.environ["SHOP_FRAMEWORK"]
_patience_seconds = 20.0
_areas = "events|strict|post|differs|few|rotated|listed|numbered"
_checkouts = re.compile(rf"/checkout/|/({_areas})/[^/]*/checkout/|/any/.*/checkout/", re.I).match


def account_of(request: Any) -> str | None:
    """Visitors simply say who they are."""
    environ = request if isinstance(request, dict) else getattr(request, "META", None) or request.environ
    account: str | None = environ.get("HTTP_X_ACCOUNT")
    return account


OPTIONS: dict[str, Any] = {
    "redis_url": _redis_url,
    "redis_timeout_seconds": 10,
    "trusted_proxies": ["unix"],
    "identity": account_of,
    "requests_in_flight": IN_FLIGHT,
    "rules": [
        {"path": "/checkout", "capacity": 0, "event": "shut"},
        {
            "path": "/events/<event>/checkout",
            "capacity": 1,
            "lease_seconds": 60,
            "release_on": "/events/<event>/thanks",
        },
        {
            "path": "/strict/<event>/checkout",
            "event": "strict-{event}",
            "capacity": 1,
            "lease_seconds": 60,
            "verify_every_request": True,
            "release_on": "/strict/<event>/thanks",
        },
        {"path": "/any/<path:event>/checkout", "event": "any-{event}", "capacity": 0},
        {"path": "/post/<event>/checkout", "event": "post-{event}", "capacity": 0, "methods": ["POST"]},
        {
            "path": "/differs/<event>/checkout",
            "event": "differs-{event}",
            "capacity": CAPACITIES[os.environ["SHOP_SERVER"]],
        },
        {"path": "/few/<event>/checkout", "event": "few-{event}", "capacity": 20, "places_per_client": 2},
        {
            "path": "/rotated/<event>/checkout",
            "event": "rotated-{event}",
            "capacity": 1,
            "lease_seconds": 60,
            "lease_overlap_seconds": 1,
            "verify_every_request": True,
        },
        {
            "path": "/listed/<event>/checkout",
            "event": "listed-{event}",
            "capacity": 0,
            "events": ["listed-gala"],
        },
        {"path": "/numbered/<int:event>/checkout", "event": "numbered-{event}", "capacity": 0},
    ],
}
if _framework != "plain WSGI":
    OPTIONS["rules"].append({"endpoint": "desk", "event": "desk-{event}", "capacity": 0})


def shop(method: str, path: str) -> Answer:
    """What the application answers."""
    plain = _forgiving(path)
    headers = [("Content-Type", "text/plain"), ("X-Worker", str(os.getpid()))]
    if ":" in plain:
        return 404, headers, [b"no such page"]
    if _checkouts(plain + "/"):
        return _checkout(plain.rpartition("/")[2], plain, headers)
    if plain.endswith("/thanks"):
        return 200, headers, [b"thanks"]
    return 200, headers, [b"a page"]


def _checkout(deed: str, path: str, headers: list[tuple[str, str]]) -> Answer:
    if deed == "missing":
        return 404, headers, [b"no such event"]
    if deed == "release":
        return 200, [*headers, ("Admitgate-Release", "1")], [b"paid"]
    if deed == "raise":
        raise RuntimeError("the shop broke before it answered")
    if deed == "break":
        return 200, headers, _breaking()
    if deed == "stream":
        return 200, headers, _endless()
    if deed == "hold":
        return 200, headers, _held(path.split("/")[2])
    return 200, headers, [b"the checkout"]


def _breaking() -> Iterator[bytes]:
    yield b"the beginning"
    raise RuntimeError("the shop broke after it had begun")


def _endless() -> Iterator[bytes]:
    for _ in range(10_000):
        yield b"x" * 1024
        time.sleep(0.001)


def _held(event: str) -> list[bytes]:
    """Says that it has begun, and goes on when it is told to."""
    with redis.Redis.from_url(_redis_url) as client:
        client.rpush(f"shop:begun:{event}", os.getpid())
        client.blpop(f"shop:go-on:{event}", _patience_seconds)
    return [b"the checkout"]


def _forgiving(path: str) -> str:
    for _ in range(4):
        path = unquote(path, errors="replace")
    path = re.sub(r";[^/]*", "", path.replace("\\", "/"))
    path = "".join(char for char in path if char.isprintable()).strip().lower()
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept[-1:] = []
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept)


def plain() -> Any:
    """The shop as a WSGI callable behind the WSGI edge."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        status, headers, body = shop(environ["REQUEST_METHOD"], path)
        start_response(f"{status} Said", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body

    return AdmitGate(application, secret_key=KEY, secret_key_fallbacks=[OLD_KEY], **OPTIONS)


def flask() -> Any:
    """The same behind Flask's."""
    from flask import Flask, Response, request

    from admitgate.flask import AdmitGate as FlaskGate

    app = Flask("shop")
    app.url_map.merge_slashes = False
    app.add_url_rule("/desk/<event>", "desk", lambda event: THE_DESK)
    window = gated(capacity=0, event="window-{event}")(_window)
    app.add_url_rule("/window/<event>", "window", window, methods=ORDINARY_METHODS)
    app.add_url_rule("/checkout/help", "help", ungated(_help))
    app.config.update(SECRET_KEY=KEY, SECRET_KEY_FALLBACKS=[OLD_KEY], ADMITGATE=_in_upper_case())

    def view(path: str = "") -> Response:
        status, headers, body = shop(request.method, request.path)
        return Response(body, status, headers)

    for rule in ("/", "/<path:path>"):
        app.add_url_rule(
            rule, rule, view, methods=[*ORDINARY_METHODS, "OPTIONS"], provide_automatic_options=False
        )
    FlaskGate().init_app(app)
    return app


def django() -> Any:
    """The same behind Django's."""
    import django as package
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import re_path

    def view(request: Any) -> Any:
        status, headers, body = shop(request.method, request.path_info)
        is_whole = isinstance(body, list)
        kind: Any = HttpResponse if is_whole else StreamingHttpResponse
        response = kind(b"".join(body) if is_whole else body, status=status)
        for name, value in headers:
            response[name] = value
        return response

    settings.configure(
        SECRET_KEY=KEY,
        SECRET_KEY_FALLBACKS=[OLD_KEY],
        ALLOWED_HOSTS=["*"],
        ADMITGATE=_in_upper_case(),
        ROOT_URLCONF=(
            re_path(r"^desk/(?P<event>[^/]+)$", lambda request, event: HttpResponse(THE_DESK), name="desk"),
            re_path(
                r"^window/(?P<event>[^/]+)$",
                gated(capacity=0, event="window-{event}")(lambda request, event: HttpResponse(THE_DESK)),
            ),
            re_path(r"^checkout/help$", ungated(lambda request: HttpResponse(_help()))),
            re_path("(?s:.*)", view),
        ),
        INSTALLED_APPS=["admitgate.django"],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "admitgate.django.AdmitGateMiddleware",
            "django.middleware.common.CommonMiddleware",
        ],
        LOGGING_CONFIG=None,
        USE_TZ=True,
    )
    package.setup()
    return WSGIHandler()


def _window(event: str) -> str:
    return THE_DESK


def _help() -> str:
    return "the help"


def _in_upper_case() -> dict[str, Any]:
    rules = [{name.upper(): value for name, value in rule.items()} for rule in OPTIONS["rules"]]
    return {**{name.upper(): value for name, value in OPTIONS.items()}, "RULES": rules}


def reached(application: Any) -> Any:
    """Marks every answer, so that what a server refuses by itself shows; and mounts it a second time.

    There the check-out's path is the SCRIPT_NAME, and what follows the path within the application.
    """

    def outermost(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == MOUNTED_AT or path.startswith(MOUNTED_AT + "/"):
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + MOUNTED_AT
            environ["PATH_INFO"] = path[len(MOUNTED_AT) :]

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, ("X-Reached", "1")], *error)

        result: Iterable[bytes] = application(environ, start)
        return result

    return outermost


def warm_up(application: Any) -> Any:
    """A first visitor before the server forks: the connection to Redis is made, and must not be shared.

    Without the look at start, which is a thread: it may hold a lock in the moment of the fork.
    """
    with mock.patch.object(StartCheck, "once"):
        _, status, _ = run_wsgi_app(application, create_environ("/checkout"), buffered=True)
    assert status.startswith("503"), status
    return application


def _log_by_name() -> None:
    """So that the gate's own lines can be told from the server's."""
    logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("admitgate").setLevel(logging.WARNING)  # that a line has formed is nobody's attack


_log_by_name()
_make: Callable[[], Any] = {"plain WSGI": plain, "Flask": flask, "Django": django}[_framework]
application = warm_up(reached(_make()))
