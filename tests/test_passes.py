"""Passes: signed links that let their holder go in before the line, or past it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis
import sites
from sites import CHECKOUT, JSON, KEY, Browser, Clock, Opener, Site

from admitgate import Config
from admitgate.passes import pass_link
from admitgate.tokens import Lease, Ticket, Tokens, good_until, is_pass

clock, open_plain, open_site = sites.clock, sites.open_plain, sites.open_site

A_DAY = 86_400
SHOP = "http://shop.example/"

Opened = Callable[..., Site]


@pytest.fixture
def open_shop(open_site: Opener) -> Opened:
    """Opens shops that know their own address, as WSGI's validators want it in a Location."""
    return partial(open_site, shop_url=SHOP)


@pytest.fixture
def open_plain_shop(open_plain: Opener) -> Opened:
    """The same on the WSGI edge only."""
    return partial(open_plain, shop_url=SHOP)


def link(clock: Clock, *, event: str = "gala", seconds: float = A_DAY, **options: Any) -> str:
    """A new pass."""
    config = Config.from_options(
        {"rules": [sites.CHECKOUT_RULE], "redis_url": "redis://x", "secret_key": KEY}
    )
    options = {"is_counted": True, **options}
    return pass_link(config, event, now_ms=clock.now_ms, valid_seconds=seconds, **options)


def opened(site: Site, url: str) -> Browser:
    """Somebody who has opened a pass."""
    browser = site.browser()
    assert browser.get(url).status_code == 303
    return browser


def test_a_counted_pass_takes_the_next_slot(open_shop: Opened, clock: Clock) -> None:
    """Before everybody who has been in line for longer, and not before it is free."""
    site = open_shop(capacity=1)
    inside = site.fill()
    earlier, holder = site.browser(), opened(site, link(clock))
    earlier.place()
    for _ in range(2):
        assert holder.place()["state"] == "ready"
        clock.forward(3)
    inside.post("/_admitgate/leave/gala")
    assert not site.is_in(earlier)
    assert site.is_in(holder)
    assert not site.is_in(earlier)


def test_a_pass_is_never_a_slot_above_the_capacity(open_shop: Opened, clock: Clock) -> None:
    """Ten of them share what there is."""
    site = open_shop(capacity=2)
    holders = [opened(site, link(clock)) for _ in range(10)]
    clock.forward(6)
    assert sum(site.is_in(holder) for holder in holders) == 2


def test_an_uncounted_pass_takes_no_slot(open_shop: Opened, clock: Clock, redis_client: redis.Redis) -> None:
    """Its holder goes in though the gate is full, and Redis hears nothing of it."""
    site = open_shop(capacity=1)
    site.fill()
    guest = opened(site, link(clock, is_counted=False))
    calls = sites.script_calls(redis_client)
    assert all(site.is_in(guest) for _ in range(3))
    assert sites.script_calls(redis_client) == calls
    assert guest.get(sites.STATUS).json["leases"] == 1


def test_a_guest_of_a_gate_that_asks_every_time(open_shop: Opened, clock: Clock) -> None:
    """There is nothing that Redis could say of them."""
    site = open_shop(capacity=0, verify_every_request=True)
    guest = opened(site, link(clock, is_counted=False))
    assert site.is_in(guest)
    assert guest.get(sites.STATUS).json["leases"] == 0


def test_a_guest_goes_in_at_a_worker_that_is_new(open_plain_shop: Opened, clock: Clock) -> None:
    """It asks what time it is, as it must not take its own clock's word."""
    guest = opened(open_plain_shop(capacity=0), link(clock, is_counted=False))
    new = Site(open_plain_shop(capacity=0).app, sites.Shop())
    assert new.show(f"{sites.cookie_of('gala')}={guest.token()}").status_code == 200


@pytest.mark.parametrize("is_counted", [True, False])
def test_a_pass_ends_when_it_said(open_shop: Opened, clock: Clock, is_counted: bool) -> None:
    """Whether it was opened before or not; then its holder is one of those who come."""
    site = open_shop(capacity=1)
    site.fill()
    url = link(clock, seconds=30, is_counted=is_counted)
    holder = opened(site, url)
    clock.forward(31)
    site.fill() if site.is_in() else None
    late = opened(site, url)
    assert late.tokens() == {}
    told = holder.place()
    assert (told["state"], told["number"] != 0) == ("waiting", True)


def test_who_waits_with_a_pass_that_ends_is_told(open_shop: Opened, clock: Clock) -> None:
    """The page asks again for the check-out, and lines up."""
    site = open_shop(capacity=0)
    holder = opened(site, link(clock, seconds=30))
    assert holder.check_in() == "ready"
    clock.forward(31)
    response = holder.post(sites.CHECK_IN)
    assert (response.status_code, response.json) == (410, {"state": "gone"})
    assert holder.tokens() == {}


def test_a_guest_who_asks_by_the_page_takes_no_slot(open_shop: Opened, clock: Clock) -> None:
    """An older tab may still show the waiting page."""
    site = open_shop(capacity=1)
    guest = opened(site, link(clock, is_counted=False))
    assert guest.check_in() == "admitted"
    assert site.is_in()


def test_a_guest_gives_nothing_back(open_shop: Opened, clock: Clock) -> None:
    """The order is paid: the pass is gone from the browser, and the link still good for another."""
    site = open_shop(capacity=1)
    url = link(clock, is_counted=False)
    guest = opened(site, url)
    site.shop.view = lambda seen: sites.Said(headers=(("Admitgate-Release", "1"),))
    assert guest.get(CHECKOUT).status_code == 200
    assert guest.tokens() == {}
    assert opened(site, url).get(CHECKOUT).status_code == 200


def test_a_guest_cannot_make_it_longer(open_shop: Opened, clock: Clock) -> None:
    """extend() is for leases that Redis knows."""
    site = open_shop(capacity=1)
    site.shop.view = lambda seen: (seen.admission and seen.admission.extend(9000), sites.Said())[1]
    guest = opened(site, link(clock, is_counted=False))
    assert guest.get(CHECKOUT).status_code == 200
    assert guest.get(sites.STATUS).json["leases"] == 0


def test_a_link_is_opened_as_often_as_one_likes(open_shop: Opened, clock: Clock) -> None:
    """By the holder, their other devices, and whatever looks at links in mails: it is one place, one slot."""
    site = open_shop(capacity=2)
    url = link(clock)
    first, second = opened(site, url), opened(site, url)
    clock.forward(6)
    assert site.is_in(first)
    assert site.is_in(second)
    assert first.get(sites.STATUS).json["leases"] == 1


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("HEAD", {}, 303, id="a scanner's HEAD"),
        pytest.param("GET", {"Sec-Purpose": "prefetch"}, 503, id="a prefetch"),
        pytest.param("GET", {"Sec-Purpose": "prefetch;prerender"}, 503, id="a prerender"),
        pytest.param("POST", {}, 404, id="a POST"),
    ],
)
def test_what_is_no_opening(
    open_shop: Opened, clock: Clock, method: str, headers: dict[str, str], status: int
) -> None:
    """Nobody is looking, so nobody gets a cookie."""
    site = open_shop(capacity=1)
    response = site.browser().open(link(clock), method=method, headers=headers)
    assert response.status_code == status
    assert "Set-Cookie" not in response.headers
    assert "no-store" in response.headers["Cache-Control"]


def test_to_open_a_pass_leaves_nothing_in_redis(
    open_shop: Opened, clock: Clock, redis_client: redis.Redis
) -> None:
    """A mail scanner that opens every link uses up nothing."""
    opened(open_shop(capacity=1), link(clock))
    assert sites.state_keys(redis_client) == []


def test_where_a_link_leads_to(open_shop: Opened, clock: Clock) -> None:
    """To the shop's start, or a page of it; never to another site."""
    site = open_shop(capacity=1)
    assert site.browser().get(link(clock)).headers["Location"] == SHOP
    url = link(clock, back="/events/gala")
    assert site.browser().get(url).headers["Location"] == SHOP + "events/gala"
    elsewhere = url.replace("back=/events/gala", "back=//evil.example/")
    assert site.browser().get(elsewhere).headers["Location"] == SHOP


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda url: url[:-1] + ("A" if url[-1] != "A" else "B"), id="a changed signature"),
        pytest.param(lambda url: url.replace("/p1.", "/g1."), id="a counted one made uncounted"),
        pytest.param(lambda url: url.replace("/gala/", "/other/"), id="another event's"),
        pytest.param(lambda url: url.replace("/p1.", "/t1."), id="a pass made a ticket"),
        pytest.param(lambda url: url[: url.rindex("/") + 1] + "nonsense", id="nonsense"),
        pytest.param(lambda url: url[: url.rindex("/") + 1], id="nothing"),
    ],
)
def test_a_pass_that_we_did_not_make_is_none(open_shop: Opened, clock: Clock, spoil: Any) -> None:
    """Whoever opens it comes to the shop as everybody does, and learns nothing."""
    site = open_shop(capacity=1)
    response = site.browser().get(spoil(link(clock)))
    assert (response.status_code, response.headers["Location"]) == (303, SHOP)
    assert "Set-Cookie" not in response.headers


def test_a_ticket_of_the_line_is_no_pass(open_shop: Opened, clock: Clock) -> None:
    """A visitor's own token in a link brings nobody else their place."""
    site = open_shop(capacity=0)
    browser = site.browser()
    browser.place()
    response = site.browser().get(f"/_admitgate/pass/gala/{browser.token()}")
    assert "Set-Cookie" not in response.headers


def test_who_is_inside_keeps_their_slot(open_shop: Opened, clock: Clock) -> None:
    """A pass in its place would take them a second one."""
    site = open_shop(capacity=2)
    browser = site.fill()
    token = browser.token()
    browser.get(link(clock))
    assert browser.token() == token


def test_a_pass_without_redis(open_plain_shop: Opened, clock: Clock, tmp_path: Any) -> None:
    """It is given to the browser as it is, and looked at when it is shown."""
    site = open_plain_shop(redis_url=f"unix://{tmp_path}/nobody.sock")
    url = link(clock)
    holder = opened(site, url)
    assert holder.token() in url
    assert holder.get(CHECKOUT, headers=JSON).json["state"] == "outage"


def test_an_event_that_there_is_not(open_shop: Opened, clock: Clock) -> None:
    """404, as for everything below the mount."""
    site = open_shop(events=["gala"])
    assert site.browser().get(link(clock, event="other")).status_code == 404


def test_a_pass_as_text() -> None:
    """It is read as it was written, and says until when it is good."""
    tokens = Tokens([KEY])
    counted = Ticket("a" * 16, 0, 1000, 5000)
    guest = Lease("a" * 16, 5000, 5000, is_guest=True)
    for token, kind in ((counted, "p1."), (guest, "g1.")):
        raw = tokens.write("gala", token)
        assert raw.startswith(kind)
        assert tokens.read("gala", raw) == token
        assert (is_pass(token), good_until(token)) == (True, 5000)
    assert not is_pass(Ticket("a" * 16, 7, 1000))
    assert not is_pass(Lease("a" * 16, 5000, 0))
