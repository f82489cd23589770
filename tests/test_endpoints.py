"""Rules for endpoints, and decorated views: the gate sees what the framework's own router chose."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, ClassVar
from uuid import UUID

import django.views
import flask.views
import pytest
import redis
import sites
from django.core import checks
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import include, re_path
from django.urls import path as django_path
from django.utils.decorators import method_decorator
from flask import Blueprint, Flask, g, session
from sites import HOME, JSON, KEY, Browser, Clock, guarded, script_calls, state_keys, wipe
from test_rules import ODD

from admitgate import AdmitGate, ConfigError, Rule
from admitgate.django import gated, release, ungated
from admitgate.flask import AdmitGate as FlaskGate
from admitgate.flask import gated as flask_gated
from admitgate.gating import made
from admitgate.rules import event_slug

clock = sites.clock

CHECKOUT, THANKS, HELP = "/events/gala/checkout", "/events/gala/thanks", "/events/gala/checkout/help"
OK = "the checkout"
View = Callable[..., Any]


@dataclass
class At:
    """A URL of the shop: what it answers is a text, a text with a status, or with a status and headers."""

    path: str
    name: str = "checkout"
    says: Callable[..., Any] = lambda **arguments: OK
    decorate: Callable[[View], View] = lambda view: view


class Shop:
    """A shop on one framework, whose URLs are named below ``shop``."""

    name: ClassVar[str]
    dot: ClassVar[str]

    def __init__(self, client: redis.Redis, clock: Clock) -> None:
        self.clock = clock
        self.defaults = {"redis_client": client, "secret_key": KEY}

    def __call__(self, *urls: At, rules: list[dict[str, Any]] | None = None, **options: Any) -> Shop:
        """Open it. Endpoints in rules are named without ``shop``."""
        rules = [self._rule(rule) for rule in ([{"endpoint": "checkout"}] if rules is None else rules)]
        settings = sites.in_upper_case({**self.defaults, **options, "rules": rules})
        self.bare = self.open(urls or (At("/events/<event>/checkout"),), settings)
        self.app = guarded(self.bare)
        return self

    def _rule(self, rule: dict[str, Any]) -> dict[str, Any]:
        named = {
            option: f"shop{self.dot}{rule[option]}"
            for option in ("endpoint", "release_on")
            if option in rule and not rule[option].startswith("/")
        }
        return {"capacity": 1, "lease_seconds": 60, **rule, **named}

    def open(self, urls: tuple[At, ...], settings: dict[str, Any]) -> Any:
        raise NotImplementedError

    def add(self, url: At) -> None:
        """Another URL, after the gate was made."""
        raise NotImplementedError

    def view(self, url: At) -> View:
        """What the framework calls."""
        raise NotImplementedError

    def close(self) -> None:
        """Undo what open did."""

    def browser(self) -> Browser:
        """A new visitor."""
        return Browser(self.app)

    def answer_to(self, path: str, **options: Any) -> Any:
        """What a new visitor gets for a PATH_INFO that a validator wouldn't let through, at the end."""
        response = Browser(self.bare).get("/", environ_overrides={"PATH_INFO": path}, **options)
        return Browser(self.bare).get(response.location) if response.location else response

    def is_in(self, path: str = CHECKOUT, browser: Browser | None = None, **options: Any) -> bool:
        """Does the visitor see the check-out?"""
        return (browser or self.browser()).open(path, **options).data == OK.encode()

    def waits(self, path: str = CHECKOUT, **options: Any) -> bool:
        """Does a new visitor get the waiting page?"""
        return self.browser().open(path, **options).status_code == 503

    def event(self, path: str) -> str:
        """The event that a visitor waits for."""
        response = self.browser().get(path, headers=JSON)
        assert response.status_code == 503, response.data
        event: str = response.json["event"]
        return event

    def status(self, event: str) -> dict[str, Any]:
        """The shared status of an event."""
        told: dict[str, Any] = self.browser().get(f"/_admitgate/status/{event_slug(event)}").json
        return told

    def fill(self, path: str = CHECKOUT) -> Browser:
        """Somebody goes in."""
        browser = self.browser()
        assert self.is_in(path, browser)
        return browser


class FlaskShop(Shop):
    name, dot = "Flask", "."

    def open(self, urls: tuple[At, ...], settings: dict[str, Any]) -> Any:
        self._views: dict[str, View] = {}
        self.flask = Flask("shop")
        self.flask.secret_key = KEY
        self.flask.config["ADMITGATE"] = settings
        FlaskGate().init_app(self.flask)  # before its views, as factories may
        blueprint = Blueprint("shop", __name__)
        for url in urls:
            self._add(blueprint, url, url.name)
        self.flask.register_blueprint(blueprint)
        return self.flask

    def add(self, url: At) -> None:
        self._add(self.flask, url, f"shop.{url.name}")

    def _add(self, to: Any, url: At, endpoint: str) -> None:
        view, methods = self._views.setdefault(url.name, self.view(url)), ("GET", "POST", "OPTIONS")
        to.add_url_rule(url.path, endpoint, view, methods=methods, provide_automatic_options=False)

    def view(self, url: At) -> View:
        def shop_view(**arguments: Any) -> Any:
            return url.says(**arguments)

        return url.decorate(shop_view)


class DjangoShop(Shop):
    name, dot = "Django", ":"

    def open(self, urls: tuple[At, ...], settings: dict[str, Any]) -> Any:
        self._urls = [self._pattern(url) for url in urls]
        self._settings = override_settings(
            ADMITGATE=settings, ROOT_URLCONF=(django_path("", include((self._urls, "shop"))),)
        )
        self._settings.enable()
        return WSGIHandler()

    def add(self, url: At) -> None:
        """A project that lives on gets no new URLs: this is one whose URLconf is imported now."""
        self._settings.disable()
        settings = self._settings.options["ADMITGATE"]
        self._urls = [*self._urls, self._pattern(url)]
        self._settings = override_settings(
            ADMITGATE=settings, ROOT_URLCONF=(django_path("", include((self._urls, "shop"))),)
        )
        self._settings.enable()

    def _pattern(self, url: At) -> Any:
        return django_path(url.path.lstrip("/"), self.view(url), name=url.name)

    def view(self, url: At) -> View:
        def shop_view(request: HttpRequest, **arguments: Any) -> HttpResponse:
            said = url.says(**arguments)
            body, status, headers = (*said, {})[:3] if isinstance(said, tuple) else (said, 200, {})
            return HttpResponse(body, status=status, headers=headers)

        return url.decorate(shop_view)

    def close(self) -> None:
        self._settings.disable()


@pytest.fixture(autouse=True)
def _no_marks_of_other_tests() -> Iterator[None]:
    """The system check knows every decorated view of the process."""
    made.clear()
    yield
    made.clear()


@pytest.fixture(params=[pytest.param(kind, id=kind.name) for kind in (FlaskShop, DjangoShop)])
def shop(request: pytest.FixtureRequest, redis_client: redis.Redis, clock: Clock) -> Iterator[Shop]:
    """The shop on each framework, to be opened by the test."""
    shop: Shop = request.param(redis_client, clock)
    yield shop
    shop.close()


@pytest.fixture
def flask_shop(redis_client: redis.Redis, clock: Clock) -> FlaskShop:
    """The shop on Flask only."""
    return FlaskShop(redis_client, clock)


@pytest.fixture
def django_shop(redis_client: redis.Redis, clock: Clock) -> Iterator[DjangoShop]:
    """The shop on Django only."""
    shop = DjangoShop(redis_client, clock)
    yield shop
    shop.close()


# --- a rule for an endpoint


def test_one_goes_in_and_the_next_waits(shop: Shop) -> None:
    """The endpoint of a blueprint, the view name of a namespace; its argument is the event."""
    shop()
    first = shop.fill()
    assert shop.event(CHECKOUT) == "gala"
    assert shop.is_in(CHECKOUT, first)
    assert shop.is_in("/events/other/checkout")


def test_status_check_in_and_leave_know_the_event(shop: Shop) -> None:
    """The page of who waits asks by the event's name alone."""
    shop()
    first, second = shop.fill(), shop.browser()
    second.place(CHECKOUT)
    assert second.get("/_admitgate/status/gala").json["leases"] == 1
    assert first.post("/_admitgate/leave/gala").status_code == 200
    shop.clock.forward(7)
    assert second.check_in() == "admitted"
    assert shop.is_in(CHECKOUT, second)


@pytest.mark.parametrize("path", ODD)
def test_an_odd_path_comes_to_the_gate_or_to_nothing(shop: Shop, path: str) -> None:
    """Whatever the router makes of it."""
    shop()
    shop.fill()
    assert shop.answer_to(path).status_code in (404, 503)


@pytest.mark.parametrize("path", ODD)
def test_a_router_that_forgives_everything_is_no_way_round(shop: Shop, path: str) -> None:
    """Where nearly every path comes to the view, it comes to the gate."""
    urls = (At("/events/<event>/checkout"), At("/<path:anything>"), At("/"))
    shop(*urls, rules=[{"endpoint": "checkout", "event": "one for all"}])
    shop.fill()
    assert shop.answer_to(path).status_code in (404, 503)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({name: value}, id=name)
        for name, value in (
            *(("X-Original-URL", "/"), ("X-Rewrite-URL", "/"), ("X-Forwarded-Prefix", CHECKOUT)),
            *(("X-Script-Name", CHECKOUT), ("X-HTTP-Method-Override", "OPTIONS")),
        )
    ],
)
def test_a_header_is_no_way_round(shop: Shop, headers: dict[str, str]) -> None:
    """The router doesn't look at them, so the gate doesn't."""
    shop()
    shop.fill()
    assert shop.waits(headers=headers)


def test_head_waits_without_a_body(shop: Shop) -> None:
    """And keeps its length and the cookie."""
    shop()
    shop.fill()
    response = shop.browser().head(CHECKOUT)
    assert (response.status_code, response.data) == (503, b"")
    assert "Set-Cookie" in response.headers


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("OPTIONS", {"Access-Control-Request-Method": "POST"}, 200, id="a pre-flight passes"),
        pytest.param("OPTIONS", {}, 503, id="another OPTIONS waits"),
        pytest.param("POST", {}, 503, id="POST waits"),
    ],
)
def test_methods(shop: Shop, method: str, headers: dict[str, str], status: int) -> None:
    """As for a path's rule."""
    shop()
    shop.fill()
    assert shop.browser().open(CHECKOUT, method=method, headers=headers).status_code == status


def test_a_rule_may_mean_some_methods_only(shop: Shop) -> None:
    """``methods``."""
    shop(rules=[{"endpoint": "checkout", "capacity": 0, "methods": ["POST"]}])
    assert shop.is_in()
    assert shop.waits(method="POST")


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_a_mode_that_lets_everybody_in(shop: Shop, mode: str) -> None:
    """``mode``."""
    shop(rules=[{"endpoint": "checkout", "capacity": 0, "mode": mode}])
    assert shop.is_in()


def test_a_gate_that_is_not_enabled(shop: Shop) -> None:
    """``enabled``."""
    shop(rules=[{"endpoint": "checkout", "capacity": 0}], enabled=False)
    assert shop.is_in()


@pytest.mark.parametrize(
    "exempt", [pytest.param("/events/<event>/checkout", id="a path"), pytest.param(bool, id="a callable")]
)
def test_the_exempt_go_in(shop: Shop, exempt: Any) -> None:
    """``exempt``."""
    shop(rules=[{"endpoint": "checkout", "capacity": 0}], exempt=[exempt])
    assert shop.is_in()


@pytest.mark.parametrize(("option", "calls"), [(False, 0), (True, 1)], ids=["unasked", "asked"])
def test_each_request_may_be_verified(
    shop: Shop, redis_client: redis.Redis, option: bool, calls: int
) -> None:
    """``verify_every_request``."""
    shop(rules=[{"endpoint": "checkout", "verify_every_request": option}])
    browser = shop.fill()
    before = script_calls(redis_client)
    assert shop.is_in(CHECKOUT, browser)
    assert script_calls(redis_client) - before == calls


@pytest.mark.parametrize(
    ("decorate", "rules"),
    [
        pytest.param(lambda view: view, [{"endpoint": "checkout", "events": ["gala"]}], id="a rule's"),
        pytest.param(lambda view: gated(capacity=1, events=["gala"])(view), [], id="a decorator's"),
    ],
)
def test_an_event_that_there_is_not(
    shop: Shop, redis_client: redis.Redis, decorate: Any, rules: list[dict[str, Any]]
) -> None:
    """``events``: any other name is nothing."""
    shop(At("/events/<event>/checkout", decorate=decorate), rules=rules)
    assert shop.browser().get("/events/invented/checkout").status_code == 404
    assert shop.browser().get("/_admitgate/status/invented").status_code == 404
    assert state_keys(redis_client) == []
    assert shop.is_in()
    assert shop.status("gala")["leases"] == 1


# --- the event's name


@pytest.mark.parametrize(
    ("path", "event", "asked", "name"),
    [
        pytest.param("/events/<event>/buy", None, "/events/gala/buy", "gala", id="its argument"),
        pytest.param("/<event>/<int:day>/buy", None, "/gala/7/buy", "gala/7", id="its arguments"),
        pytest.param("/<event>/<int:day>/buy", "{day}", "/gala/7/buy", "7", id="a number among them"),
        pytest.param(
            "/<uuid:id>/buy", "{id}", f"/{UUID(int=5)}/buy", str(UUID(int=5)), id="a UUID among them"
        ),
        pytest.param("/<event>/buy", "the {event}", "/gala/buy", "the gala", id="a template"),
        pytest.param("/buy", "all", "/buy", "all", id="a word"),
        pytest.param("/<event>/buy", "{typo}", "/gala/buy", "shop?checkout", id="an argument it hasn't"),
        pytest.param("/buy", None, "/buy", "shop?checkout", id="the endpoint, where it has none"),
    ],
)
def test_the_event_is_made_of_the_views_arguments(
    shop: Shop, path: str, event: str | None, asked: str, name: str
) -> None:
    """And can be asked for by its name."""
    shop(At(path), rules=[{"endpoint": "checkout", "capacity": 0, "event": event}])
    name = name.replace("?", shop.dot)
    assert shop.event(asked) == name
    assert shop.status(name)["event"] == name


def test_an_empty_argument_is_no_event(django_shop: DjangoShop) -> None:
    """Nobody could ask for it by its name: those who come so share the endpoint's."""
    django_shop(At("/x"), rules=[{"endpoint": "x"}])
    rule = {"ENDPOINT": "checkout", "CAPACITY": 0, "EVENT": "{event}"}
    urls = (re_path(r"^any/(?P<event>.*)$", dotted_view, name="checkout"),)
    with override_settings(ROOT_URLCONF=urls, ADMITGATE={**sites.settings.ADMITGATE, "RULES": [rule]}):
        assert [django_shop.event(f"/any/{event}") for event in ("gala", "")] == ["gala", "checkout"]


def test_two_endpoints_without_arguments_have_an_event_each(shop: Shop) -> None:
    """Each by its name, with its own capacity, also where the page asks."""
    rules = [{"endpoint": "login", "capacity": 0}, {"endpoint": "pay", "capacity": 7}]
    shop(At("/login", "login"), At("/pay", "pay"), rules=rules)
    assert [shop.status(f"shop{shop.dot}{name}")["capacity"] for name in ("login", "pay")] == [0, 7]


# --- the end of a visit


def release_by_header(**arguments: Any) -> Any:
    return "paid", 200, {"Admitgate-Release": "1"}


def test_a_response_header_releases_and_stays_inside(shop: Shop) -> None:
    """``Admitgate-Release``."""
    shop(At("/events/<event>/checkout", says=release_by_header))
    for _ in range(2):
        response = shop.browser().get(CHECKOUT)
        assert response.data == b"paid"
        assert "Admitgate-Release" not in response.headers


@pytest.mark.parametrize("release_on", ["thanks", "/events/<event>/thanks"], ids=["an endpoint", "a path"])
@pytest.mark.parametrize(("status", "is_free"), [(200, True), (500, False)], ids=["good", "not good"])
def test_another_view_releases(shop: Shop, release_on: str, status: int, is_free: bool) -> None:
    """``release_on``, where the answer is good."""
    thanks = At("/events/<event>/thanks", "thanks", lambda event: ("thanks", status))
    rule = {"endpoint": "checkout", "event": "{event}", "release_on": release_on}
    shop(At("/events/<event>/checkout"), thanks, rules=[rule])
    browser = shop.fill()
    assert browser.get(THANKS).status_code == status
    assert shop.is_in() is is_free
    assert bool(browser.tokens()) is not is_free


def test_the_gated_view_itself_may_release(shop: Shop) -> None:
    """``release_on`` at the rule's own endpoint: in and out with one request."""
    shop(rules=[{"endpoint": "checkout", "release_on": "checkout"}])
    for _ in range(2):
        assert shop.is_in()


@pytest.mark.parametrize("status", [404, 410])
def test_a_first_visit_to_nothing_leaves_nothing(shop: Shop, redis_client: redis.Redis, status: int) -> None:
    """An invented event."""
    shop(At("/events/<event>/checkout", says=lambda event: ("nothing", status)))
    response = shop.browser().get(CHECKOUT)
    assert (response.status_code, response.headers.get("Set-Cookie")) == (status, None)
    assert state_keys(redis_client) == []


def breaks(**arguments: Any) -> Any:
    raise ZeroDivisionError


def test_a_view_that_raises_keeps_the_slot(shop: Shop) -> None:
    """The visitor has the cookie and tries again from inside."""
    broken = [True]
    shop(At("/events/<event>/checkout", says=lambda event: breaks() if broken else OK))
    browser = shop.browser()
    assert browser.get(CHECKOUT).status_code == 500
    broken.clear()
    assert shop.waits()
    assert shop.is_in(CHECKOUT, browser)


def test_an_error_that_gets_out_gives_the_slot_back(flask_shop: FlaskShop) -> None:
    """No cookie was ever sent. (Django lets none out.)"""
    broken = [True]
    flask_shop(At("/events/<event>/checkout", says=lambda event: breaks() if broken else OK))
    flask_shop.flask.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(ZeroDivisionError):
        flask_shop.browser().get(CHECKOUT)
    broken.clear()
    assert flask_shop.is_in()


@pytest.mark.parametrize(("pieces", "is_free"), [(0, True), (1, False)], ids=["none", "one"])
def test_a_body_that_breaks_after_so_many_pieces(flask_shop: FlaskShop, pieces: int, is_free: bool) -> None:
    """Headers go out with the first: without it there is no cookie."""

    def body() -> Iterator[str]:
        yield from ["piece"] * pieces
        raise ZeroDivisionError

    says = [body]
    flask_shop(At("/events/<event>/checkout", says=lambda event: says[0]() if says else OK))
    with pytest.raises(ZeroDivisionError):
        flask_shop.browser().get(CHECKOUT)
    says.clear()
    assert flask_shop.is_in() is is_free


def test_a_body_is_closed_that_nobody_reads(flask_shop: FlaskShop) -> None:
    """As without the gate."""
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def close(self) -> None:
            closed.append(True)

    flask_shop(At("/events/<event>/checkout", says=lambda event: flask.Response(Body())))
    assert flask_shop.browser().head(CHECKOUT).status_code == 200
    assert closed == [True]


def test_the_session_and_the_gate_set_their_cookies_side_by_side(flask_shop: FlaskShop) -> None:
    """Flask saves the session last of all."""

    def says(event: str) -> str:
        session["basket"] = [event]
        return OK

    flask_shop(At("/events/<event>/checkout", says=says))
    cookies = flask_shop.browser().get(CHECKOUT).headers.getlist("Set-Cookie")
    assert sorted(cookie.split("=")[0].split("_")[0] for cookie in cookies) == ["admitgate", "session"]


def test_the_views_admission(flask_shop: FlaskShop) -> None:
    """``g.admitgate``, with its levers."""

    def says(event: str) -> str:
        g.admitgate.release()
        return str(g.admitgate.event)

    flask_shop(At("/events/<event>/checkout", says=says))
    assert [flask_shop.browser().get(CHECKOUT).text for _ in range(2)] == ["gala", "gala"]


# --- together with rules for paths


def test_a_path_rule_is_asked_first_and_is_enough(shop: Shop, redis_client: redis.Redis) -> None:
    """One visitor, one slot, one call."""
    path_rule = {"path": "/events/<event>/checkout", "event": "by path"}
    shop(rules=[{"endpoint": "checkout", "event": "by endpoint"}, path_rule])
    shop.fill()
    assert script_calls(redis_client) == 1
    assert shop.event(CHECKOUT) == "by path"


@pytest.mark.parametrize("event", ["site", "{event}"], ids=["another event", "the same event"])
def test_a_path_rule_that_observes_leaves_a_view_gated(
    shop: Shop, redis_client: redis.Redis, event: str
) -> None:
    """Who tries out a rule opens nothing by it; and one visitor is one place, asked for twice."""
    rule = {"path": "/events/<event>/checkout", "event": event, "mode": "observe"}
    shop(At("/events/<event>/checkout", decorate=gated(capacity=1, lease_seconds=60)), rules=[rule])
    first, second = shop.fill(), shop.browser()
    number = second.place(CHECKOUT)["number"]
    assert second.place(CHECKOUT)["number"] == number
    assert shop.is_in(CHECKOUT, first)
    assert {redis_client.zcard(key) for key in redis_client.scan_iter("*:leases")} == {2}  # and the sentinel
    first.post("/_admitgate/leave/gala")
    shop.clock.forward(7)
    assert second.check_in() == "admitted"
    assert shop.is_in(CHECKOUT, second)
    assert shop.is_in(CHECKOUT, second)


def test_where_a_path_rule_means_something_else_the_endpoint_is_asked(shop: Shop) -> None:
    """A rule for POST alone, a path that only releases: neither lets anybody in."""
    rules = [
        {"path": "/events/<event>/checkout", "event": "x", "methods": ["POST"]},
        {"path": "/elsewhere", "event": "y", "release_on": CHECKOUT},
        {"endpoint": "checkout", "capacity": 0},
    ]
    shop(rules=rules)
    assert shop.event(CHECKOUT) == "gala"


def test_with_django_middleware_runs_for_who_waits_at_an_endpoint(
    django_shop: DjangoShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is its price; at a path they never get so far."""
    ran: list[str] = []
    monkeypatch.setattr(
        "django.middleware.common.CommonMiddleware.process_request",
        lambda self, request: ran.append(request.path),
    )
    django_shop(At("/a"), At("/b", "b"), rules=[{"endpoint": "checkout", "capacity": 0}, {"path": "/b"}])
    assert django_shop.waits("/a")
    assert ran == ["/a"]
    django_shop.browser().get("/b")
    ran.clear()
    assert django_shop.waits("/b")
    assert ran == []


def test_with_flask_the_gate_is_the_first_before_a_request(redis_url: str, clock: Clock) -> None:
    """Also before functions that were there before it, and before a blueprint's."""
    ran: list[str] = []
    app, blueprint = Flask("shop"), Blueprint("shop", __name__)
    app.before_request(lambda: ran.append("the app's"))
    blueprint.before_request(lambda: ran.append("the blueprint's"))
    blueprint.add_url_rule("/x", "checkout", lambda: OK)
    app.register_blueprint(blueprint)
    app.secret_key = KEY
    FlaskGate(app, redis_url=redis_url, rules=[{"endpoint": "shop.checkout", "capacity": 0}])
    assert Browser(app).get("/x").status_code == 503
    assert ran == []


# --- decorated views


def test_a_gated_view_needs_no_rule(shop: Shop) -> None:
    """An empty list of rules will do. Its event is known to status and check-in."""
    shop(At("/events/<event>/checkout", decorate=gated(capacity=1, lease_seconds=60)), rules=[])
    first, second = shop.fill(), shop.browser()
    assert second.place(CHECKOUT)["event"] == "gala"
    assert second.get("/_admitgate/status/gala").json["capacity"] == 1
    first.post("/_admitgate/leave/gala")
    shop.clock.forward(7)
    assert second.check_in() == "admitted"
    assert shop.is_in(CHECKOUT, second)


def test_a_decorator_that_is_off(shop: Shop) -> None:
    """``mode``, for a view that is to be gated another day."""
    shop(At("/events/<event>/checkout", decorate=gated(capacity=0, mode="off")), rules=[])
    assert shop.is_in()
    assert shop.browser().get("/_admitgate/status/gala").status_code == 404


def test_its_event_is_known_before_anybody_came_to_it(shop: Shop, redis_client: redis.Redis) -> None:
    """A worker that has just started is asked by the pages of who waits at the others."""
    shop(At("/events/<event>/checkout", decorate=gated(capacity=3)), rules=[])
    assert shop.browser().get("/_admitgate/status/gala").json["capacity"] == 3


def test_a_view_may_be_decorated_after_the_gate_was_made(shop: Shop) -> None:
    """And after it was asked in vain for its event: that isn't held against it."""
    shop(At("/", "home"), rules=[])
    assert shop.browser().get("/_admitgate/status/late").status_code == 404
    shop.add(At("/late", "late", decorate=gated(capacity=1, event="late")))
    shop.fill("/late")
    assert shop.event("/late") == "late"
    assert shop.browser().get("/_admitgate/status/late").json["leases"] == 1


def test_the_event_of_a_gated_view_without_arguments_is_its_dotted_name(shop: Shop) -> None:
    """It may stand at several URLs, and has one line."""
    gate = gated(capacity=0)
    shop(At("/a", "a", decorate=gate), At("/b", "b", decorate=gate), rules=[])
    assert shop.event("/a") == shop.event("/b")
    assert shop.event("/a").startswith("test_endpoints.")
    assert shop.event("/a").endswith(".shop_view")


class Says:
    def __init__(self, what: str) -> None:
        self.what = what

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return HttpResponse(self.what) if args else self.what


class SaysTwice(Says):
    pass


def test_views_that_are_objects_have_an_event_each(shop: Shop) -> None:
    """By their class; and partials by the function in them."""
    gate = gated(capacity=0)
    says = Says(OK)
    views: list[View] = [says, SaysTwice(OK), partial(logged_in(says)), partial(Says.__call__, says)]
    urls = [At(f"/{n}", f"v{n}", decorate=lambda _, view=view: gate(view)) for n, view in enumerate(views)]
    shop(*urls, rules=[])
    events = [shop.event(url.path) for url in urls]
    assert len(set(events)) == 4, events
    assert events[:2] == ["test_endpoints.Says", "test_endpoints.SaysTwice"]


def test_the_decorator_wins_over_the_rule_for_its_endpoint(shop: Shop) -> None:
    """The view knows best."""
    url = At("/events/<event>/checkout", decorate=gated(capacity=0, event="its own"))
    shop(url, rules=[{"endpoint": "checkout", "event": "by rule"}])
    assert shop.event(CHECKOUT) == "its own"


def logged_in(view: View) -> View:
    @wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return checked


@pytest.mark.parametrize(
    "decorate",
    [
        pytest.param(lambda view: logged_in(gated(capacity=0)(view)), id="below another decorator"),
        pytest.param(lambda view: gated(capacity=0)(logged_in(view)), id="above another decorator"),
        pytest.param(lambda view: gated(capacity=0)(ungated(view)), id="above ungated"),
        pytest.param(lambda view: partial(gated(capacity=0)(view)), id="in a partial"),
        pytest.param(lambda view: gated(capacity=0)(partial(view)), id="around a partial"),
    ],
)
def test_a_gated_view_stays_gated(shop: Shop, decorate: Callable[[View], View]) -> None:
    """Whatever stands around it."""
    shop(At("/events/<event>/checkout", decorate=decorate), rules=[])
    assert shop.waits()


def test_a_view_is_gated_only_where_it_is_decorated(shop: Shop) -> None:
    """The same function at another URL is another view, for both decorators."""
    shared = {"says": lambda **arguments: OK}
    plain: list[View] = []

    def keep(view: View) -> View:
        plain.append(view)
        return view

    urls = [
        At("/plain", "plain", decorate=keep, **shared),
        At("/gated", "gated", decorate=lambda view: gated(capacity=0)(plain[0]), **shared),
        At("/ungated", "ungated", decorate=lambda view: ungated(plain[0]), **shared),
    ]
    shop(
        *urls, rules=[{"endpoint": "plain", "capacity": 0, "event": "x"}, {"path": "/ungated", "capacity": 0}]
    )
    assert shop.waits("/plain")
    assert shop.waits("/gated")
    assert shop.is_in("/ungated")


def test_a_gated_views_options_are_checked_where_it_is_written() -> None:
    """Every fault, with the place."""
    with pytest.raises(ConfigError) as caught:
        gated(capacity=-1, event="{x.y}", mode="maybe")
    (only,) = caught.value.faults
    assert "names may stand in braces" in only
    with pytest.raises(ConfigError) as caught:
        gated(capacity=-1, mode="maybe")
    assert len(caught.value.faults) == 2
    assert all("test_endpoints.py, line " in fault for fault in caught.value.faults)
    with pytest.raises(ConfigError, match="its own endpoint"):
        gated(capacity=1, path="/x")
    with pytest.raises(TypeError):
        gated(capacity=1, capacty=1)


def test_a_class_is_refused_with_the_cure() -> None:
    """Decorating it would change it wherever it is used."""
    for decorate in (gated(capacity=1), ungated):
        with pytest.raises(ConfigError, match=r"Checkout is a class: decorate .*as_view\(\)"):
            decorate(type("Checkout", (), {}))


class Plain(django.views.View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(OK)

    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(OK)


def test_djangos_class_based_views(django_shop: DjangoShop) -> None:
    """``as_view()``, ``dispatch``, or single methods of it: HEAD is a GET."""
    by_dispatch = method_decorator(gated(capacity=0), name="dispatch")(type("ByDispatch", (Plain,), {}))
    by_method = method_decorator(gated(capacity=0), name="get")(type("ByMethod", (Plain,), {}))
    undecorated = type("Itself", (Plain,), {"get": gated(capacity=0)(Plain.get)})
    urls = [
        django_path("view", gated(capacity=0)(Plain.as_view())),
        django_path("dispatch", by_dispatch.as_view()),
        django_path("method", by_method.as_view()),
        django_path("itself", undecorated.as_view()),
        django_path("plain", Plain.as_view()),
    ]
    django_shop(At("/x"), rules=[])
    with override_settings(ROOT_URLCONF=tuple(urls)):
        assert [django_shop.waits(f"/{url}") for url in ("view", "dispatch", "method", "itself")] == [
            True
        ] * 4
        assert django_shop.waits("/method", method="HEAD")
        assert django_shop.is_in("/method", method="POST")
        assert django_shop.is_in("/plain")
        assert django_shop.event("/dispatch") == "test_endpoints.ByDispatch"


class PlainMethods(flask.views.MethodView):
    def get(self) -> str:
        return OK

    def post(self) -> str:
        return OK


def test_flasks_class_based_views(flask_shop: FlaskShop) -> None:
    """``as_view()``, ``decorators``, or single methods."""
    by_list = type("ByList", (PlainMethods,), {"decorators": [flask_gated(capacity=0)]})
    by_method = type("ByMethod", (PlainMethods,), {"get": flask_gated(capacity=0)(PlainMethods.get)})
    flask_shop(At("/x"), rules=[])
    for name, view in (
        ("view", flask_gated(capacity=0)(PlainMethods.as_view("view"))),
        ("list", by_list.as_view("list")),
        ("method", by_method.as_view("method")),
        ("plain", PlainMethods.as_view("plain")),
    ):
        flask_shop.flask.add_url_rule(f"/{name}", name, view)
    assert [flask_shop.waits(f"/{url}") for url in ("view", "list", "method")] == [True] * 3
    assert flask_shop.waits("/method", method="HEAD")
    assert flask_shop.is_in("/method", method="POST")
    assert flask_shop.is_in("/plain")


def test_an_asynchronous_view_stays_one(django_shop: DjangoShop) -> None:
    """Django looks at whether it is before it calls it."""

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse(OK)

    django_shop(At("/x"), rules=[])
    with override_settings(ROOT_URLCONF=(django_path("", gated(capacity=1, event="x")(view)),)):
        assert django_shop.is_in(HOME)
        assert django_shop.waits(HOME)


def test_the_slot_of_a_gated_view_is_given_back_from_elsewhere(django_shop: DjangoShop) -> None:
    """In a process that never saw a request: a payment's callback, a task."""
    sids: list[str] = []

    def note(view: View) -> View:
        def noting(request: Any, event: str) -> HttpResponse:
            sids.append(request.admitgate.sid)
            return HttpResponse(OK)

        return gated(capacity=1)(noting)

    django_shop(At("/events/<event>/checkout", decorate=note), rules=[])
    django_shop.fill()
    django_shop.add(At("/y", "y"))  # a new gate, which knows nothing yet
    release("gala", sids[0])
    assert django_shop.is_in()


def test_a_view_outside_of_the_root_urlconf_is_known_once_it_was_met(django_shop: DjangoShop) -> None:
    """A middleware may give a request a URLconf of its own."""
    own = (django_path("", gated(capacity=0, event="tenant")(lambda request: HttpResponse(OK))),)

    def tenant(get_response: Any) -> Any:
        def middleware(request: Any) -> Any:
            request.urlconf = own
            return get_response(request)

        return middleware

    globals()["tenant_middleware"] = tenant
    sites_own = list(sites.settings.MIDDLEWARE)
    django_shop(At("/x"), rules=[])
    with override_settings(MIDDLEWARE=[*sites_own, "test_endpoints.tenant_middleware"]):
        site = guarded(WSGIHandler())
        assert Browser(site).get("/_admitgate/status/tenant").status_code == 404
        assert Browser(site).get("/").status_code == 503
        assert Browser(site).get("/_admitgate/status/tenant").json["event"] == "tenant"


# --- ungated views


def test_nobody_waits_for_an_ungated_view(shop: Shop) -> None:
    """Neither by a rule for its path nor by one for its endpoint."""
    urls = (
        At("/events/<event>/checkout"),
        At("/events/<event>/checkout/help", "help", lambda event: "help", ungated),
        At("/named", "named", lambda: "named", ungated),
    )
    rules = [{"path": "/events/<event>/checkout", "capacity": 0}, {"endpoint": "named", "capacity": 0}]
    shop(*urls, rules=rules)
    assert shop.browser().get(HELP).data == b"help"
    assert shop.browser().get("/named").data == b"named"
    assert shop.waits()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param(CHECKOUT, {}, id="its neighbour"),
        pytest.param("/events/gala/checkout/help/../", {}, id="up from it"),
        pytest.param("/events/gala/checkout/help/../../checkout", {}, id="up and down from it"),
        pytest.param("/events/gala/checkout/help;/../", {}, id="with a parameter"),
        pytest.param("/events/gala/checkout/help%2f..", {}, id="encoded"),
        pytest.param("/events/gala/checkout/help\x00", {}, id="NUL behind it"),
        pytest.param("/events/gala/checkout//help", {}, id="two slashes"),
        pytest.param(CHECKOUT, {"X-Original-URL": HELP}, id="its path in a header"),
    ],
)
def test_no_odd_path_goes_through_an_ungated_view_into_a_gated_one(
    shop: Shop, path: str, headers: dict[str, str]
) -> None:
    """The router itself is asked, with the path as it will see it; in doubt the gate is closed."""
    urls = (
        At("/events/<event>/checkout/help", "help", lambda event: "help", ungated),
        At("/events/<event>/checkout", "a"),
        At("/events/<event>/checkout/<path:below>", "b"),
    )
    shop(*urls, rules=[{"path": "/events/<event>/checkout", "capacity": 0}])
    assert shop.answer_to(path, headers=headers).status_code == 503


def test_a_path_that_is_changed_behind_the_gate_is_looked_at_again(flask_shop: FlaskShop) -> None:
    """It looked like the ungated view's, and came to another one."""
    flask_shop.flask = Flask("shop")
    urls = (At("/events/<event>/checkout/help", "help", lambda event: "help", ungated), At(CHECKOUT))
    flask_shop(*urls, rules=[])
    app = Flask("shop")
    app.config.update(
        SECRET_KEY=KEY,
        ADMITGATE=sites.in_upper_case(
            {**flask_shop.defaults, "rules": [{"path": "/events/<event>/checkout", "capacity": 0}]}
        ),
    )
    inner = app.wsgi_app

    def rewriting(environ: Any, start_response: Any) -> Any:
        return inner({**environ, "PATH_INFO": environ["PATH_INFO"].removesuffix("/help")}, start_response)

    app.wsgi_app = rewriting  # type: ignore[method-assign]
    FlaskGate(app)
    app.add_url_rule(CHECKOUT, view_func=lambda: OK)
    app.add_url_rule(HELP, "help", ungated(lambda: "help"))
    assert Browser(app).get(HELP).status_code == 503


def test_a_urlconf_that_is_changed_behind_the_gate_is_looked_at_again(django_shop: DjangoShop) -> None:
    """The same with Django: the path's rule stands."""
    own = (re_path("", lambda request: HttpResponse(OK)),)

    def changing(get_response: Any) -> Any:
        def middleware(request: Any) -> Any:
            request.urlconf = own
            return get_response(request)

        return middleware

    globals()["changing_middleware"] = changing
    urls = (At("/events/<event>/checkout/help", "help", lambda event: "help", ungated),)
    django_shop(*urls, rules=[{"path": "/events/<event>/checkout", "capacity": 0}])
    with override_settings(MIDDLEWARE=[*sites.settings.MIDDLEWARE, "test_endpoints.changing_middleware"]):
        assert Browser(guarded(WSGIHandler())).get(HELP).status_code == 503


def test_an_ungated_view_may_still_release(shop: Shop) -> None:
    """``release_on`` below the gated path: who has paid and comes again isn't asked to wait."""
    thanks = At("/events/<event>/checkout/thanks", "thanks", lambda event: "thanks", ungated)
    rule = {"path": "/events/<event>/checkout", "release_on": "/events/<event>/checkout/thanks"}
    shop(At("/events/<event>/checkout"), thanks, rules=[rule])
    browser = shop.fill()
    for _ in range(2):
        assert browser.get(f"{CHECKOUT}/thanks").data == b"thanks"
    assert not browser.tokens()
    assert shop.is_in()


def test_the_router_is_asked_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has chosen it need not foresee."""
    asked: list[Any] = []
    monkeypatch.setattr("admitgate.django.routes.resolve", lambda *args, **kwargs: asked.append(args))
    monkeypatch.setattr(Flask, "create_url_adapter", _noting(asked, Flask.create_url_adapter))
    shop(At("/events/<event>/checkout"), At("/help", "help", decorate=ungated))
    shop.fill()
    asked.clear()
    assert shop.waits()
    assert len(asked) == (1 if shop.dot == "." else 0)  # Flask's own question is among them


def _noting(asked: list[Any], method: View) -> View:
    def noting(self: Any, request: Any) -> Any:
        if request is not None:
            asked.append(request)
        return method(self, request)

    return noting


# --- Django's names


@pytest.mark.parametrize(
    ("endpoint", "waits"),
    [
        pytest.param("vip:checkout", [True, False], id="the instance's namespace: one of them"),
        pytest.param("shop:checkout", [True, True], id="the application's namespace: each of them"),
        pytest.param("test_endpoints.dotted_view", [True, True], id="the view's dotted path: each of them"),
        pytest.param("checkout", [False, False], id="a name without its namespace: none"),
    ],
)
def test_a_django_view_goes_by_more_names_than_one(
    django_shop: DjangoShop, endpoint: str, waits: list[bool]
) -> None:
    """An application may be there twice."""
    inner = ([django_path("", dotted_view, name="checkout")], "shop")
    urls = (django_path("vip", include(inner, namespace="vip")), django_path("all", include(inner)))
    django_shop(At("/x"), rules=[])
    rules = [{"ENDPOINT": endpoint, "CAPACITY": 0}]
    settings = {**sites.settings.ADMITGATE, "RULES": rules}
    with override_settings(ROOT_URLCONF=urls, ADMITGATE=settings):
        assert [django_shop.waits("/vip"), django_shop.waits("/all")] == waits


def dotted_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(OK)


# --- what can't be meant so


def test_plain_wsgi_has_no_endpoints() -> None:
    """With the cure."""
    rule = Rule(endpoint="shop.checkout", capacity=1)
    sentence = r"'shop.checkout', but plain WSGI and ASGI have no endpoints: give a path"
    with pytest.raises(ConfigError, match=sentence):
        AdmitGate(lambda environ, start: [], secret_key=KEY, redis_url="redis://x", rules=[rule])


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        pytest.param([{}], "path is missing: give it, or an endpoint", id="neither"),
        pytest.param([{"path": "/", "endpoint": "x"}], "give one of them, or make two", id="both"),
        pytest.param([{"endpoint": "/x"}], "endpoint is '/x': give the name", id="a path for an endpoint"),
        pytest.param([{"endpoint": 5}], "endpoint is 5: give the name", id="no text"),
        pytest.param(
            [{"endpoint": "x", "release_on": ""}], "release_on is '': give a path, or", id="no release"
        ),
        pytest.param([{"endpoint": "x"}] * 2, "'x' has 2 rules, of which the first alone", id="twice"),
    ],
)
def test_a_wrong_rule_is_refused(rules: list[dict[str, Any]], fault: str) -> None:
    """In sentences."""
    app = Flask("shop")
    app.secret_key = KEY
    with pytest.raises(ConfigError) as caught:
        FlaskGate(app, redis_url="redis://x", rules=[{"capacity": 1, **rule} for rule in rules])
    (only,) = caught.value.faults
    assert fault in only


WRONG = [
    pytest.param(
        [{"endpoint": "chekout"}],
        "endpoint is 'shop?chekout', but no URL has that name: did you mean",
        id="a typo",
    ),
    pytest.param(
        [{"endpoint": "checkout", "release_on": "thank"}], "release_on is 'shop?thank'", id="no such release"
    ),
    pytest.param(
        [{"endpoint": "checkout", "event": "{evnt}"}],
        "a URL of 'shop?checkout' has no <evnt>",
        id="no argument",
    ),
    pytest.param(
        [{"path": "/x", "event": "g", "capacity": 9}],
        "share the event 'g', but one has capacity 9",
        id="no accord",
    ),
]


def opened_wrongly(shop: Shop, rules: list[dict[str, Any]]) -> None:
    """The shop with such rules, and a decorated view that is well."""
    decorate = gated(capacity=1, lease_seconds=60, event="g")
    shop(At("/events/<event>/checkout"), At("/g", "g", decorate=decorate), rules=rules)


@pytest.mark.parametrize(("rules", "fault"), WRONG)
def test_a_django_check_says_what_the_urlconf_does_not_have(
    django_shop: DjangoShop, rules: list[dict[str, Any]], fault: str
) -> None:
    """admitgate.E002."""
    opened_wrongly(django_shop, rules)
    (message, *_) = [message for message in checks.run_checks() if message.id == "admitgate.E002"]
    assert fault.replace("?", ":") in message.msg
    assert message.hint


@pytest.mark.parametrize(("rules", "fault"), WRONG)
def test_flask_says_it_in_the_log_when_the_first_request_comes(
    flask_shop: FlaskShop, caplog: pytest.LogCaptureFixture, rules: list[dict[str, Any]], fault: str
) -> None:
    """Only then is all of the app there. Once."""
    opened_wrongly(flask_shop, rules)
    for _ in range(2):
        flask_shop.browser().get("/nowhere")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert fault.replace("?", ".") in record.getMessage()


def test_good_rules_and_decorators_pass_the_check(django_shop: DjangoShop) -> None:
    """Not a word."""
    opened_wrongly(django_shop, [{"endpoint": "checkout", "release_on": "g", "event": "{event}"}])
    assert [message for message in checks.run_checks() if (message.id or "").startswith("admitgate")] == []


def test_a_gated_view_that_no_url_has_is_noticed(django_shop: DjangoShop) -> None:
    """admitgate.W005: such as one whose other decorator forgets ``functools.wraps``."""
    forgetful = gated(capacity=1)

    def forgets(view: View) -> View:
        return lambda *args, **kwargs: forgetful(view)(*args, **kwargs)

    django_shop(At("/x", decorate=forgets), rules=[])
    (message,) = [message for message in checks.run_checks() if message.id == "admitgate.W005"]
    assert "test_endpoints.py, line " in message.msg
    assert message.hint


def test_a_decorator_above_the_route_is_noticed(
    flask_shop: FlaskShop, caplog: pytest.LogCaptureFixture
) -> None:
    """Flask has the view without it."""
    flask_shop(At("/x"), rules=[])
    kept = flask_gated(capacity=0)(flask_shop.flask.get("/y")(lambda: OK))
    assert flask_shop.is_in("/y")
    assert "stands above @app.route, so that nobody waits: put it below" in caplog.text
    del kept


def test_a_waiting_room_elsewhere_does_not_know_decorators(django_shop: DjangoShop) -> None:
    """It reads the settings: admitgate.E002 says what to do."""
    url = At("/x", decorate=gated(capacity=1))
    django_shop(url, rules=[], waiting_url="https://queue.example/_admitgate/")
    (message,) = [message for message in checks.run_checks() if message.id == "admitgate.E002"]
    assert message.msg.startswith("waiting_url is set")


def test_events_that_turn_out_to_be_shared_are_told_once(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Which the names of the arguments don't show before somebody comes."""
    rules = [{"endpoint": "a", "capacity": 5, "event": "{event}"}, {"endpoint": "b", "capacity": 9}]
    shop(At("/a/<event>", "a"), At("/b/<event>", "b"), rules=rules)
    for _ in range(2):
        assert shop.is_in("/b/gala")
    told = [
        record.getMessage() for record in caplog.records if "share the event 'gala'" in record.getMessage()
    ]
    assert len(told) == 1


def test_after_a_wipe_the_visitor_inside_goes_on(shop: Shop, redis_client: redis.Redis) -> None:
    """Leases of an endpoint's event are leases like all others."""
    shop()
    browser = shop.fill()
    wipe(redis_client)
    assert shop.is_in(CHECKOUT, browser)
