"""What is Django's own: settings that change, system checks, request.admitgate, its cookies and proxies.

The rest is in test_gate.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sites
from django.core import checks
from django.core.exceptions import PermissionDenied
from django.core.handlers.wsgi import WSGIHandler
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from sites import CHECKOUT, KEY, NEW_KEY, Browser, Clock, guarded

from admitgate import ConfigError
from admitgate.django import AdmitGateMiddleware, release

clock = sites.clock

SECURITY = "django.middleware.security.SecurityMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
GATE = "admitgate.django.AdmitGateMiddleware"
View = Callable[..., Any]


class Shop:
    """A project's URLs, whose check-out a test may change."""

    def __init__(self) -> None:
        self.view: View = lambda request, event: HttpResponse(f"the checkout of {request.admitgate.event}")
        self.urls = (
            path("events/<str:event>/checkout", lambda request, event: self.view(request, event=event)),
            path("", lambda request: HttpResponse(str(request.admitgate))),
        )


@pytest.fixture
def shop(redis_url: str, clock: Clock) -> Iterator[Shop]:
    """The project, with room for one at each check-out."""
    shop = Shop()
    with override_settings(ROOT_URLCONF=shop.urls, ADMITGATE=settings_for(redis_url)):
        yield shop


def settings_for(redis_url: str, **options: Any) -> dict[str, Any]:
    """ADMITGATE as a settings file has it."""
    rule = {"PATH": "/events/<event>/checkout", "CAPACITY": 1, "LEASE_SECONDS": 60}
    return {"REDIS_URL": redis_url, "REDIS_TIMEOUT_SECONDS": 10, "RULES": [rule], **options}


def test_djangos_own_test_client_keeps_the_cookie(shop: Shop) -> None:
    """Projects test their check-out with it."""
    first, second = Client(), Client()
    assert first.get(CHECKOUT).content == b"the checkout of gala"
    assert second.get(CHECKOUT).status_code == 503
    assert first.get(CHECKOUT).content == b"the checkout of gala"


def test_request_admitgate_is_none_where_no_rule_is_meant(shop: Shop) -> None:
    """It is always there to be asked."""
    assert Client().get("/").content == b"None"


def copy_of(client: Client) -> Client:
    """Another client with the same cookies: what the gate sets anew stays in one of them."""
    copy = Client()
    copy.cookies.load({name: cookie.value for name, cookie in client.cookies.items()})
    return copy


# --- settings


def test_override_settings_is_honoured_mid_process(shop: Shop, redis_url: str) -> None:
    """Tests of projects change settings all the time, back and forth."""
    client = Client()
    assert client.get(CHECKOUT).status_code == 200
    with override_settings(ADMITGATE=settings_for(redis_url, STATUS_CODE=429)):
        assert Client().get(CHECKOUT).status_code == 429
        with override_settings(ADMITGATE=settings_for(redis_url, ENABLED=False)):
            shop.view = lambda request, event: HttpResponse(str(request.admitgate))
            assert Client().get(CHECKOUT).content == b"None"
        assert Client().get(CHECKOUT).status_code == 429
    assert Client().get(CHECKOUT).status_code == 503


def test_a_running_site_sees_changed_settings(shop: Shop, redis_url: str) -> None:
    """The middleware is made once; the gate is not."""
    site = guarded(WSGIHandler())
    assert Browser(site).get(CHECKOUT).status_code == 200
    with override_settings(ADMITGATE=settings_for(redis_url, MOUNT="/queue/")):
        assert Browser(site).get("/queue/status/gala").json["event"] == "gala"
    assert Browser(site).get("/queue/status/gala").status_code == 404


def test_changed_keys_are_honoured(shop: Shop) -> None:
    """SECRET_KEY and its fallbacks are Django's own."""
    client = Client()
    client.get(CHECKOUT)
    with override_settings(SECRET_KEY=NEW_KEY):
        assert copy_of(client).get(CHECKOUT).status_code == 503
    with override_settings(SECRET_KEY=NEW_KEY, SECRET_KEY_FALLBACKS=[KEY]):
        assert client.get(CHECKOUT).status_code == 200


def test_settings_that_do_not_concern_us_change_nothing(shop: Shop) -> None:
    """The gate, with its memory and connections, stays."""
    client = Client()
    client.get(CHECKOUT)
    from admitgate.django.settings import current_edge

    edge = current_edge()
    with override_settings(APPEND_SLASH=False):
        assert current_edge() is edge


def test_wrong_settings_stop_the_server_at_start(redis_url: str) -> None:
    """Every fault, before the first visitor."""
    with override_settings(ADMITGATE={"RULES": [{"PATH": "x", "CAPACITY": -1}]}):
        with pytest.raises(ConfigError) as caught:
            WSGIHandler()
        assert len(caught.value.faults) == 3
        with pytest.raises(ConfigError):
            AdmitGateMiddleware(lambda request: HttpResponse())


def test_no_settings_at_all_are_wrong_settings() -> None:
    """A middleware without ADMITGATE."""
    with pytest.raises(ConfigError, match="rules is empty"):
        WSGIHandler()


# --- system checks


def run_checks() -> dict[str | None, checks.CheckMessage]:
    """What ``manage.py check`` says of the gate, by id."""
    messages = [message for message in checks.run_checks() if (message.id or "").startswith("admitgate")]
    assert all(message.hint for message in messages)
    return {message.id: message for message in messages}


def test_good_settings_pass_the_checks(shop: Shop) -> None:
    """Not a word."""
    assert run_checks() == {}


def test_every_wrong_setting_is_a_message_of_its_own() -> None:
    """admitgate.E001, with the sentence of ConfigError."""
    with override_settings(ADMITGATE={"RULES": [{"PATH": "x", "CAPACITY": -1}], "STATUS_CODE": 1}):
        messages = [message for message in checks.run_checks() if message.id == "admitgate.E001"]
    assert len(messages) == 4
    assert all(message.is_serious() and "README" in str(message.hint) for message in messages)
    assert any("status_code is 1" in message.msg for message in messages)


def test_a_missing_middleware_is_noticed(shop: Shop) -> None:
    """admitgate.W001."""
    with override_settings(MIDDLEWARE=[SECURITY]):
        assert set(run_checks()) == {"admitgate.W001"}


def test_dear_middleware_before_the_gate_is_noticed(shop: Shop) -> None:
    """admitgate.W002: it would run for everybody who waits."""
    with override_settings(MIDDLEWARE=[SECURITY, SESSIONS, GATE]):
        messages = run_checks()
    assert set(messages) == {"admitgate.W002"}
    assert SESSIONS in messages["admitgate.W002"].msg


def test_security_behind_the_gate_is_noticed(shop: Shop) -> None:
    """admitgate.W003: the waiting page would go out over http."""
    with override_settings(MIDDLEWARE=[GATE, SECURITY, SESSIONS]):
        assert set(run_checks()) == {"admitgate.W003"}


def test_a_project_without_security_middleware_may_be(shop: Shop) -> None:
    """That is somebody else's check."""
    with override_settings(MIDDLEWARE=[GATE]):
        assert run_checks() == {}


# --- views that break or refuse


def raising(request: HttpRequest, event: str) -> HttpResponse:
    raise ZeroDivisionError


def refusing(request: HttpRequest, event: str) -> HttpResponse:
    raise PermissionDenied


def not_found(request: HttpRequest, event: str) -> HttpResponse:
    raise Http404


@pytest.mark.parametrize(
    ("view", "status", "keeps"),
    [
        pytest.param(raising, 500, True, id="an error keeps the slot: the visitor tries again from inside"),
        pytest.param(refusing, 403, True, id="a refusal keeps the slot: perhaps they log in"),
        pytest.param(not_found, 404, False, id="an event that isn't there gives it back"),
    ],
)
def test_a_first_view_that_raises(shop: Shop, view: View, status: int, keeps: bool) -> None:
    """Django turns exceptions into responses before the gate sees them."""
    shop.view = view
    client = Client(raise_request_exception=False)
    assert client.get(CHECKOUT).status_code == status
    shop.view = lambda request, event: HttpResponse("ok")
    assert Client().get(CHECKOUT).status_code == (503 if keeps else 200)


def broken(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


def test_an_error_that_gets_out_on_a_first_visit_gives_the_slot_back(shop: Shop) -> None:
    """Where something else than Django calls the middleware: the cookie was never sent."""
    with pytest.raises(ZeroDivisionError):
        AdmitGateMiddleware(broken)(RequestFactory().get(CHECKOUT))
    assert Client().get(CHECKOUT).status_code == 200


def test_an_error_that_gets_out_on_a_later_visit_keeps_the_slot(shop: Shop) -> None:
    """Its visitor has the cookie and tries again."""
    client = Client()
    client.get(CHECKOUT)
    again = RequestFactory(headers={"Cookie": client.cookies.output(attrs=[], header="", sep=";").strip()})
    with pytest.raises(ZeroDivisionError):
        AdmitGateMiddleware(broken)(again.get(CHECKOUT))
    assert Client().get(CHECKOUT).status_code == 503
    assert client.get(CHECKOUT).status_code == 200


def test_an_unknown_method_reaches_no_view(shop: Shop) -> None:
    """Django's function views answer any; a rule for POST must not be walked round with PAST."""
    with override_settings(
        ADMITGATE=settings_for("redis://x")
        | {"REDIS_URL": "unix:///nobody", "RULES": [{"PATH": "/events", "CAPACITY": 0, "METHODS": ["POST"]}]}
    ):
        assert Client().generic("PAST", CHECKOUT).status_code == 503
        shop.view = lambda request, event: HttpResponse("form")
        assert Client().get(CHECKOUT).content == b"form"


# --- responses


def test_our_cookie_and_djangos_go_out_together(shop: Shop) -> None:
    """Sessions, messages, CSRF: each in its own header."""

    def view(request: HttpRequest, event: str) -> HttpResponse:
        response = HttpResponse("ok")
        response.set_cookie("sessionid", "s1", httponly=True)
        response.set_cookie("csrftoken", "c1")
        return response

    shop.view = view
    cookies = Browser(guarded(WSGIHandler())).get(CHECKOUT).headers.getlist("Set-Cookie")
    assert sorted(cookie.strip().split("=")[0].split("_")[0] for cookie in cookies) == [
        "admitgate",
        "csrftoken",
        "sessionid",
    ]
    (ours,) = [cookie for cookie in cookies if "admitgate_" in cookie]
    assert "HttpOnly" in ours
    assert "HttpOnly" not in next(cookie for cookie in cookies if "csrftoken" in cookie)


def test_taking_the_cookie_away_leaves_djangos(shop: Shop) -> None:
    """A response that releases."""

    def view(request: Any, event: str) -> HttpResponse:
        request.admitgate.release()
        response = HttpResponse("paid")
        response.set_cookie("sessionid", "s1")
        return response

    shop.view = view
    browser = Browser(guarded(WSGIHandler()))
    assert browser.get(CHECKOUT).data == b"paid"
    assert browser.get_cookie("sessionid", domain="shop.example") is not None
    assert not browser.tokens()


def test_the_release_header_works_and_stays_inside(shop: Shop) -> None:
    """Set as Django's headers are set."""
    shop.view = lambda request, event: HttpResponse("paid", headers={"Admitgate-Release": "1"})
    response = Client().get(CHECKOUT)
    assert "Admitgate-Release" not in response.headers
    shop.view = lambda request, event: HttpResponse("ok")
    assert Client().get(CHECKOUT).status_code == 200


def test_a_streaming_response_is_not_buffered(shop: Shop) -> None:
    """The first chunk is out before the second is made."""
    made: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"%d" % number

    shop.view = lambda request, event: StreamingHttpResponse(chunks())
    response = Client().get(CHECKOUT)
    stream = iter(response.streaming_content)
    assert (next(stream), made) == (b"0", [0])
    assert (next(stream), made) == (b"1", [0, 1])
    response.close()


def test_vary_is_added_to_not_replaced(shop: Shop) -> None:
    """One header, each name once."""

    def view(request: HttpRequest, event: str) -> HttpResponse:
        return HttpResponse("ok", headers={"Vary": "Accept-Language, Cookie"})

    shop.view = view
    assert Client().get(CHECKOUT).headers["Vary"] == "Accept-Language, Cookie"


# --- proxies and prefixes


@pytest.mark.parametrize(
    ("setting", "headers", "secure"),
    [
        pytest.param(None, {"X-Forwarded-Proto": "https"}, False, id="a header that nobody vouches for"),
        pytest.param(
            ("HTTP_X_FORWARDED_PROTO", "https"), {"X-Forwarded-Proto": "https"}, True, id="https at the proxy"
        ),
        pytest.param(
            ("HTTP_X_FORWARDED_PROTO", "https"), {"X-Forwarded-Proto": "http"}, False, id="http at the proxy"
        ),
    ],
)
def test_secure_follows_djangos_proxy_setting(
    shop: Shop, setting: tuple[str, str] | None, headers: dict[str, str], secure: bool
) -> None:
    """SECURE_PROXY_SSL_HEADER: Django knows best."""
    with override_settings(SECURE_PROXY_SSL_HEADER=setting):
        response = Client().get(CHECKOUT, headers=headers)
    (cookie,) = response.cookies.values()
    assert bool(cookie["secure"]) is secure


def test_the_waiting_page_is_secured_like_every_page(shop: Shop) -> None:
    """SecurityMiddleware stands before the gate and sees its answers."""
    Client().get(CHECKOUT)
    with override_settings(SECURE_SSL_REDIRECT=True):
        assert Client().get(CHECKOUT).status_code == 301
    response = Client().get(CHECKOUT)
    assert (response.status_code, response.headers["X-Content-Type-Options"]) == (503, "nosniff")
    assert response.headers["Referrer-Policy"] == "same-origin"


def test_a_forced_script_name_is_no_part_of_the_rules(shop: Shop) -> None:
    """FORCE_SCRIPT_NAME: paths in rules are Django's path_info."""
    with override_settings(FORCE_SCRIPT_NAME="/box"):
        response = Browser(guarded(WSGIHandler())).get(CHECKOUT)
    assert response.data == b"the checkout of gala"
    assert "Path=/box/" in response.headers["Set-Cookie"]


def test_releasing_from_a_payments_callback(shop: Shop) -> None:
    """By the sid that was kept with the order."""
    sids: list[str] = []
    shop.view = lambda request, event: HttpResponse(sids.append(request.admitgate.sid))
    Client().get(CHECKOUT)
    release("gala", sids[0])
    assert Client().get(CHECKOUT).status_code == 200
