"""A waiting room on servers of its own: the shop sends people there, and they come back by themselves."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit
from wsgiref.validate import validator

import pytest
import redis
from werkzeug.test import Client, TestResponse

from admitgate import AdmitGate, Config, ConfigError, Rule
from admitgate.config import config_from_environment
from admitgate.road import own_path
from admitgate.room import WaitingRoom

SHOP, ROOM = "https://shop.example/", "https://queue.example/"
CHECKOUT = "/events/gala/checkout"
BASE: dict[str, Any] = {
    "secret_key": "the shop's key, known to nobody outside",
    "rules": [Rule("/events/<event>/checkout", capacity=1, grace_seconds=1)],
    "cookie_samesite": "Lax",
}


@pytest.fixture
def shop(redis_url: str) -> AdmitGate:
    def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
        return [b"inside"]

    return AdmitGate(page, redis_url=redis_url, waiting_url=f"{ROOM}_admitgate/", **BASE)


@pytest.fixture
def room(redis_url: str) -> Any:
    return validator(WaitingRoom(Config.from_options({"redis_url": redis_url, "shop_url": SHOP, **BASE})))


class Visitor:
    """A browser whose cookies both hosts share, as ``cookie_domain`` would have it."""

    def __init__(self, shop: Any, room: Any) -> None:
        self.shop, self.room = Client(shop, use_cookies=False), Client(room, use_cookies=False)
        self.cookies: dict[str, str] = {}

    def ask(self, client: Client, url: str, **options: Any) -> TestResponse:
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Accept": "text/html",
            **options.pop("headers", {}),
        }
        answer = client.open(url, headers=headers, buffered=True, **options)
        for header in answer.headers.getlist("Set-Cookie"):
            name, _, value = header.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer


@pytest.fixture
def visitors(shop: AdmitGate, room: Any) -> list[Visitor]:
    return [Visitor(shop, room) for _ in range(3)]


def test_an_excess_visitor_is_sent_to_the_waiting_room_with_a_ticket(visitors: list[Visitor]) -> None:
    """303, so that even a POST becomes a GET there; the way back is in the address."""
    first, second, _ = visitors
    assert first.ask(first.shop, CHECKOUT).status_code == 200
    sent = second.ask(second.shop, f"{CHECKOUT}?seats=2")
    assert sent.status_code == 303
    assert sent.headers["Cache-Control"] == "no-store"
    where = urlsplit(sent.location)
    assert f"{where.scheme}://{where.netloc}{where.path}" == f"{ROOM}_admitgate/wait/gala"
    assert parse_qs(where.query) == {"back": [f"{CHECKOUT}?seats=2"]}
    assert second.cookies


def test_the_room_shows_the_place_and_the_shops_address(
    visitors: list[Visitor], redis_client: redis.Redis
) -> None:
    """The ticket that the shop gave is the one the room shows; nobody is counted twice."""
    first, second, _ = visitors
    first.ask(first.shop, CHECKOUT)
    sent = second.ask(second.shop, CHECKOUT)
    page = second.ask(second.room, sent.location)
    assert page.status_code == 503
    assert f'"enter":"{SHOP.rstrip("/")}{CHECKOUT}"' in page.text
    assert '"position":1' in page.text
    line = redis_client.hgetall(redis_client.keys("*:line")[0])
    assert int(line[b"issued"]) - int(line[b"born"]) == 1


def test_whoever_is_admitted_in_the_room_goes_back_and_in(visitors: list[Visitor]) -> None:
    """By the page's check-in as well as by a reload without JavaScript."""
    first, second, third = visitors
    first.ask(first.shop, CHECKOUT)
    places = [visitor.ask(visitor.shop, CHECKOUT).location for visitor in (second, third)]
    first.ask(first.room, "/_admitgate/leave/gala", method="POST")
    while True:
        answer = second.ask(second.room, "/_admitgate/check-in/gala", method="POST")
        if answer.json["state"] == "admitted":
            break
    assert second.ask(second.shop, CHECKOUT).text == "inside"
    second.ask(second.room, "/_admitgate/leave/gala", method="POST")
    while (answer := third.ask(third.room, places[1])).status_code == 503:
        assert "wait/gala" in places[1]
    assert (answer.status_code, answer.location) == (303, SHOP.rstrip("/") + CHECKOUT)
    assert third.ask(third.shop, CHECKOUT).text == "inside"


def test_a_program_is_answered_by_the_shop(visitors: list[Visitor]) -> None:
    """It would not know a page; its problem+json says where to ask."""
    first, second, _ = visitors
    first.ask(first.shop, CHECKOUT)
    answer = second.ask(second.shop, CHECKOUT, headers={"Accept": "application/json"})
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"


def test_a_post_that_is_turned_away_says_so_in_the_room(visitors: list[Visitor]) -> None:
    """Nothing was sent; the way back is the form."""
    first, second, _ = visitors
    first.ask(first.shop, CHECKOUT)
    sent = second.ask(second.shop, CHECKOUT, method="POST", data={"seats": 2})
    assert sent.status_code == 303
    assert "nothing was ordered" in second.ask(second.room, sent.location).text


def test_the_room_answers_nothing_but_its_own(visitors: list[Visitor]) -> None:
    """The shop's paths are not there, and take no slot."""
    visitor = visitors[0]
    for path in ("/", CHECKOUT, "/_admitgate", "/_admitgate/wait/", "/_admitgate/wait/no%00name"):
        assert visitor.ask(visitor.room, path).status_code == 404, path
    assert visitor.ask(visitor.room, "/_admitgate/healthz").status_code == 200
    assert visitor.ask(visitor.room, "/_admitgate/wait/gala", method="HEAD").data == b""
    assert visitor.ask(visitor.room, "/_admitgate/wait/gala", method="POST").status_code == 405


@pytest.mark.parametrize(
    ("back", "goes_to"),
    [
        pytest.param("/checkout?a=b&c=d", "/checkout?a=b&c=d", id="a path of the shop"),
        pytest.param("//evil.example/x", "/", id="two slashes"),
        pytest.param("/\\evil.example", "/", id="a backslash"),
        pytest.param("https:evil.example", "/", id="a scheme"),
        pytest.param("javascript:alert(1)", "/", id="a script"),
        pytest.param("/a\r\nSet-Cookie: x=y", "/", id="line breaks"),
        pytest.param("/\t/evil.example", "/", id="a tab"),
        pytest.param("/a b", "/", id="a space"),
        pytest.param("@evil.example", "/", id="a host behind an at"),
        pytest.param("/é", "/", id="letters that no URL has"),
        pytest.param("/" + "x" * 5000, "/", id="too long"),
        pytest.param("", "/", id="nothing"),
    ],
)
def test_the_way_back_never_leaves_the_shop(back: str, goes_to: str) -> None:
    """Whatever stands in the address."""
    assert own_path(back) == goes_to


def test_an_address_in_the_page_cannot_end_its_script(visitors: list[Visitor]) -> None:
    """It stands in a block of JSON."""
    first, second, _ = visitors
    first.ask(first.shop, CHECKOUT)
    page = second.ask(second.room, "/_admitgate/wait/gala?back=/</script><script>alert(1)</script>")
    assert "<script>alert" not in page.text


def test_too_many_parameters_are_no_error(visitors: list[Visitor]) -> None:
    """They lead to the start page."""
    first, second, _ = visitors
    first.ask(first.shop, CHECKOUT)
    assert second.ask(second.room, "/_admitgate/wait/gala?" + "&".join("abcdefghij" * 9)).status_code == 503


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON where it is JSON."""
    monkeypatch.setenv("ADMITGATE_SECRET_KEY", "a key that comes from the environment")
    monkeypatch.setenv("ADMITGATE_REDIS_URL", "redis://redis.example")
    monkeypatch.setenv("ADMITGATE_RULES", json.dumps([{"PATH": "/checkout", "CAPACITY": 5}]))
    monkeypatch.setenv("ADMITGATE_COOKIE_DOMAIN", "example.com")
    monkeypatch.setenv("ADMITGATE_TRUSTED_PROXIES", "1")
    config = config_from_environment()
    assert (config.rules[0].capacity, config.cookie_domain, config.trusted_proxies) == (5, "example.com", 1)


def test_settings_come_from_a_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Such as the shop's own, with its keys; the environment comes first."""
    (tmp_path / "shop_settings_of_a_test.py").write_text(
        "SECRET_KEY = 'the framework s own key for the shop'\n"
        "ADMITGATE = {'REDIS_URL': 'redis://a', 'RULES': [{'PATH': '/checkout', 'CAPACITY': 5}]}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ADMITGATE_SETTINGS", "shop_settings_of_a_test")
    monkeypatch.setenv("ADMITGATE_REDIS_URL", "redis://b")
    config = config_from_environment()
    assert (config.secret_key, config.redis_url) == ("the framework s own key for the shop", "redis://b")


@pytest.mark.parametrize("name", ["no_such_module", "json:nothing", "", ".", "json:dumps"])
def test_settings_that_are_not_there_are_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With the name and the cure."""
    monkeypatch.setenv("ADMITGATE_SETTINGS", name)
    with pytest.raises(ConfigError):
        config_from_environment()


def test_a_room_that_cannot_read_the_cookie_is_refused(redis_url: str) -> None:
    """Everybody would be a newcomer there, for ever."""
    options = {
        "redis_url": redis_url,
        **BASE,
        "cookie_domain": "shop.example",
        "waiting_url": "https://queue.example/_admitgate/",
    }
    with pytest.raises(ConfigError, match="common domain"):
        Config.from_options(options)
    assert Config.from_options({**options, "cookie_domain": "example"}).waiting_url
