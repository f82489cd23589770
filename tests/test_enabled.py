"""``enabled=False`` costs nothing: nothing is asked, started, read or wrapped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import flask
import pytest
import sites
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpResponse
from django.test import Client as DjangoClient
from django.test import override_settings
from django.urls import path
from werkzeug.test import Client

from admitgate import AdmitGate, ConfigError, bearers, connections
from admitgate.asgi import AdmitGateASGI
from admitgate.django import AdmitGateMiddleware, release
from admitgate.flask import AdmitGate as FlaskGate
from admitgate.start import StartCheck

NOWHERE = "unix:///nowhere/that/anybody/listens"  # to ask it would be an outage, and a line in the log
RULE = {"path": "/events/<event>/checkout", "capacity": 0}


@pytest.fixture(autouse=True)
def _nothing_happens(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No connection, no thread, no look at a cookie, no word in the log, whatever a test does."""

    def never(*_: object) -> None:
        raise AssertionError("Redis was asked, or a cookie read")

    monkeypatch.setattr(connections.Connections, "ask", never)
    monkeypatch.setattr(bearers.Bearers, "token", never)
    monkeypatch.setattr(StartCheck, "once", never)
    before = threading.active_count()
    yield
    assert threading.active_count() == before
    assert not [record for record in caplog.records if record.name == "admitgate"]


def upper(**options: object) -> dict[str, object]:
    """The settings of a gate that isn't enabled, as a settings file has them."""
    rule = {name.upper(): value for name, value in RULE.items()}
    return {"ENABLED": False, "REDIS_URL": NOWHERE, "RULES": [rule], **options}


def test_a_wsgi_application_sees_every_request_as_it_came() -> None:
    """Not even the environ has a word of the gate."""
    seen = []

    def shop(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append("admitgate" in environ)
        start_response("200 OK", [])
        return [b"the checkout"]

    gated = AdmitGate(shop, enabled=False, secret_key=sites.KEY, redis_url=NOWHERE, rules=[RULE])
    answer = Client(gated).get(sites.CHECKOUT, headers={"Cookie": f"{sites.cookie_of('gala')}=l1.x"})
    assert (answer.status_code, answer.headers.get("Vary"), seen) == (200, None, [False])
    gated.release("gala", "AAAAAAAAAAAAAAAA")


def test_what_is_below_the_mount_is_the_applications() -> None:
    """The gate answers nothing by itself."""
    gated = AdmitGate(unknowing, enabled=False, secret_key=sites.KEY, redis_url=NOWHERE, rules=[RULE])
    assert Client(gated).get(sites.STATUS).data == b"nothing of the shop's"


def unknowing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A shop that knows no page."""
    start_response("404 Not Found", [])
    return [b"nothing of the shop's"]


def test_a_flask_application_is_not_wrapped() -> None:
    """Nothing stands before or after a request; ``g.admitgate`` is None, as where no rule means it."""
    app = flask.Flask("shop")
    app.config["SECRET_KEY"] = sites.KEY
    app.config["ADMITGATE"] = upper()
    extension = FlaskGate(app)
    assert "wsgi_app" not in vars(app)
    assert not any((app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs))
    app.add_url_rule("/events/<event>/checkout", view_func=lambda event: repr(flask.g.admitgate))
    assert app.test_client().get(sites.CHECKOUT).text == "None"
    with app.app_context():
        extension.release("gala", "AAAAAAAAAAAAAAAA")


def test_django_leaves_the_middleware_out() -> None:
    """``request.admitgate`` is None, as in any request that isn't gated."""
    urls = (path("events/<event>/checkout", lambda request, event: HttpResponse(repr(request.admitgate))),)
    with override_settings(ADMITGATE=upper(), ROOT_URLCONF=urls):
        with pytest.raises(MiddlewareNotUsed):
            AdmitGateMiddleware(lambda request: HttpResponse())
        visitor = DjangoClient()
        assert visitor.get(sites.CHECKOUT).content == b"None"
        assert not any(isinstance(part, AdmitGateMiddleware) for part in visitor.handler._view_middleware)
        release("gala", "AAAAAAAAAAAAAAAA")


def test_an_asgi_application_sees_every_request_as_it_came() -> None:
    """Its scope has no word of the gate, and the loop no task."""
    seen = []

    async def shop(scope: Any, receive: Any, send: Any) -> None:
        seen.append(("admitgate" in scope, len(asyncio.all_tasks())))

    gated = AdmitGateASGI(shop, enabled=False, secret_key=sites.KEY, redis_url=NOWHERE, rules=[RULE])
    scope = {"type": "http", "method": "GET", "path": sites.CHECKOUT, "headers": [(b"cookie", b"a=b")]}
    asyncio.run(gated(scope, None, None))  # type: ignore[arg-type]  # nobody is to ask them
    assert seen == [(False, 1)]


def test_wrong_settings_are_refused_all_the_same() -> None:
    """A fault in them isn't met on the day alone."""
    with pytest.raises(ConfigError, match="capacity is missing"):
        AdmitGate(unknowing, enabled=False, secret_key=sites.KEY, redis_url=NOWHERE, rules=[{"path": "/a"}])
