"""The road of a request, the same on every edge: who goes in, who waits, what a slot's life is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
import redis
import sites
from sites import (
    CHECK_IN,
    CHECKOUT,
    HOME,
    JSON,
    LEAVE,
    NEW_KEY,
    OLD_KEY,
    THANKS,
    Clock,
    Opener,
    Said,
    Seen,
)
from werkzeug.test import TestResponse

from admitgate import AdmitGate, Config, Rule
from admitgate.asgi import AdmitGateASGI
from admitgate.gate import Gate
from admitgate.memory import Memories
from admitgate.tokens import Lease
from admitgate.visit import Visit

clock, open_site = sites.clock, sites.open_site


def is_waiting_page(response: TestResponse) -> bool:
    """Is this the gate's own answer to somebody who waits?"""
    return response.status_code == 503 and response.headers["Cache-Control"] == "no-store"


# --- admit, wait, pass


def test_as_many_go_in_as_there_are_slots(open_site: Opener) -> None:
    """Three see the check-out, two see the waiting page, and the shop never hears of those."""
    site = open_site(capacity=3)
    responses = [site.browser().get(CHECKOUT) for _ in range(5)]
    assert [response.status_code for response in responses] == [200, 200, 200, 503, 503]
    assert len(site.shop.seen) == 3


def test_a_path_without_a_rule_costs_nothing(open_site: Opener, redis_client: redis.Redis) -> None:
    """No Redis call, no cookie, no key, no Vary."""
    site = open_site()
    response = site.browser().get(HOME)
    assert response.data == b"a page"
    assert "Set-Cookie" not in response.headers
    assert "Vary" not in response.headers
    assert site.shop.seen[0].admission is None
    assert sites.script_calls(redis_client) == 0
    assert not redis_client.keys("admitgate:*")


def test_the_admission_tells_the_application_who_it_lets_in(open_site: Opener, clock: Clock) -> None:
    """Event, the lease's name and its end by Redis' clock."""
    site = open_site(lease_seconds=60)
    browser = site.fill()
    admission = site.shop.seen[0].admission
    assert admission is not None
    assert admission.event == "gala"
    assert admission.sid == browser.token().split(".")[1]
    assert admission.expires_at == datetime.fromtimestamp(clock.now_ms / 1000 + 60, timezone.utc)


def test_the_waiting_page_is_for_nobody_else(open_site: Opener) -> None:
    """It is a 503 that no cache keeps, no robot indexes, no other site frames."""
    site = open_site(capacity=0)
    response = site.browser().get(CHECKOUT)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Cache-Control"] == "no-store"
    assert {"Cookie", "Accept"} <= {part.strip() for part in response.headers["Vary"].split(",")}
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
    assert response.mimetype == "text/html"


@pytest.mark.parametrize("status_code", [200, 202, 429, 503])
def test_the_waiting_pages_status_is_the_sites_choice(open_site: Opener, status_code: int) -> None:
    """Setting status_code."""
    assert open_site(capacity=0, status_code=status_code).browser().get(CHECKOUT).status_code == status_code


def test_a_program_is_told_the_same_in_json(open_site: Opener) -> None:
    """application/problem+json with the place in line and where to ask."""
    site = open_site(capacity=0)
    browser = site.browser()
    response = browser.get(CHECKOUT, headers=JSON)
    assert response.mimetype == "application/problem+json"
    assert response.json["event"] == "gala"
    assert response.json["position"] == 1
    assert browser.get(response.json["poll_url"]).json["event"] == "gala"


def test_everybody_below_a_rules_path_shares_its_line(open_site: Opener) -> None:
    """Steps of a check-out are the check-out."""
    site = open_site()
    browser = site.fill()
    assert site.is_in(browser, f"{CHECKOUT}/address/2")
    assert not site.is_in(path=f"{CHECKOUT}/address/2")


def test_events_do_not_share_slots(open_site: Opener) -> None:
    """One gate, one line, one capacity for each; their cookies live side by side."""
    site = open_site()
    browser = site.fill()
    assert site.is_in(browser, "/events/opera/checkout")
    assert len(browser.tokens()) == 2
    assert site.is_in(browser)


def test_somebody_in_line_keeps_the_number_they_have(open_site: Opener, clock: Clock) -> None:
    """Coming back, reloading or a second tab gives no new number."""
    site = open_site()
    site.fill()
    visitors = [site.browser() for _ in range(3)]
    numbers = [visitor.place()["number"] for visitor in visitors]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    clock.forward(30)
    assert [visitor.place()["number"] for visitor in reversed(visitors)] == numbers[::-1]


def test_positions_count_who_is_ahead(open_site: Opener) -> None:
    """People see 1, 2, 3, never the ticket's number; who is invited counts once they are present."""
    site = open_site()
    site.fill()
    first = site.browser()
    first.place()
    assert first.check_in() == "ready"
    assert [site.browser().place()["position"] for _ in range(5)] == [2, 3, 4, 5, 6]
    assert first.place()["position"] == 1


def test_waiting_costs_no_redis_call(open_site: Opener, clock: Clock, redis_client: redis.Redis) -> None:
    """A ticket above the numbers served is answered from this worker's memory for a second."""
    site = open_site()
    site.fill()
    visitors = [site.browser() for _ in range(40)]
    places = [visitor.place() for visitor in visitors]
    before = sites.script_calls(redis_client)
    assert [visitors[-1].place()["position"] for _ in range(5)] == [places[-1]["position"]] * 5
    assert sites.script_calls(redis_client) == before
    clock.forward(1.5)
    visitors[-1].place()
    assert sites.script_calls(redis_client) == before + 1


# --- from the line into the shop


def test_the_next_in_line_goes_in_when_somebody_pays(open_site: Opener, clock: Clock) -> None:
    """Wait, check in, claim a short lease, make the request, hold a full lease."""
    site = open_site(claim_seconds=20, lease_seconds=60)
    first, second = site.fill(), site.browser()
    assert second.place()["position"] == 1
    assert second.check_in() == "ready"
    first.get(THANKS)
    clock.forward(6)
    assert second.check_in() == "admitted"
    claim = second.token()
    assert site.is_in(second)
    assert deadline_of(claim) == clock.now_ms + 20_000
    assert deadline_of(second.token()) == clock.now_ms + 60_000


def test_a_claim_that_nobody_makes_good_ends(open_site: Opener, clock: Clock) -> None:
    """Whoever closed the page while being admitted keeps the slot for claim_seconds only."""
    site = open_site(claim_seconds=20, lease_seconds=600)
    first, second, third = site.fill(), site.browser(), site.browser()
    second.place(), third.place()
    first.get(THANKS)
    clock.forward(6)
    assert second.check_in() == "admitted"
    assert third.check_in() == "ready"
    clock.forward(20.001)
    assert third.check_in() == "admitted"


def test_without_javascript_a_reload_does_the_same(open_site: Opener, clock: Clock) -> None:
    """A request for the check-out checks in by itself, and is answered with the check-out."""
    site = open_site()
    first, second = site.fill(), site.browser()
    assert second.place()["state"] == "ready"
    assert second.place()["position"] == 1
    first.get(THANKS)
    clock.forward(6)
    assert site.is_in(second)
    assert deadline_of(second.token()) == clock.now_ms + 60_000


def test_a_newcomer_never_overtakes_who_waits(open_site: Opener, clock: Clock) -> None:
    """A slot that came free belongs to the line, not to whoever reloads at the right moment."""
    site = open_site()
    first, second = site.fill(), site.browser()
    second.place()
    first.get(THANKS)
    assert not site.is_in()
    clock.forward(6)
    assert not site.is_in()
    assert site.is_in(second)


# --- the life of a lease


def test_an_admitted_request_asks_redis_once_in_a_third_of_the_lease(
    open_site: Opener, clock: Clock, redis_client: redis.Redis
) -> None:
    """Until then the signed lease is the reservation; then one call renews it, with a new cookie."""
    site = open_site(lease_seconds=60)
    browser = site.fill()
    before, token = sites.script_calls(redis_client), browser.token()
    clock.forward(19.9)
    response = browser.get(CHECKOUT)
    assert response.data == b"the checkout"
    assert "Set-Cookie" not in response.headers
    assert sites.script_calls(redis_client) == before
    clock.forward(0.2)
    assert site.is_in(browser)
    assert sites.script_calls(redis_client) == before + 1
    assert deadline_of(browser.token()) == clock.now_ms + 60_000
    assert browser.token() != token


def test_a_rule_can_ask_every_time(open_site: Opener, redis_client: redis.Redis) -> None:
    """verify_every_request pays a round trip for each request."""
    site = open_site(verify_every_request=True)
    browser = site.fill()
    before = sites.script_calls(redis_client)
    assert site.is_in(browser)
    assert site.is_in(browser)
    assert sites.script_calls(redis_client) == before + 2


def test_an_active_visitor_is_never_thrown_out(open_site: Opener, clock: Clock) -> None:
    """Each renewal is a whole lease, however long they have been inside."""
    site = open_site(lease_seconds=60)
    browser = site.fill()
    for _ in range(20):
        clock.forward(45)
        assert site.is_in(browser)
        assert not site.is_in()


def test_an_abandoned_slot_is_free_when_its_lease_ends(open_site: Opener, clock: Clock) -> None:
    """Whoever crashed or wandered off holds nobody up for longer than that, and comes back as a newcomer."""
    site = open_site(lease_seconds=60)
    gone, waiting = site.fill(), site.browser()
    clock.forward(59.9)
    assert waiting.place()["state"] == "ready"
    assert not site.is_in(waiting)
    clock.forward(0.2)
    assert not site.is_in(gone)
    clock.forward(6)
    assert site.is_in(waiting)


def test_extend_lets_a_lease_end_later(open_site: Opener, clock: Clock) -> None:
    """For a bank's page that takes longer than a lease; the new end is in the cookie and in Redis."""
    site = open_site(lease_seconds=60)
    browser = site.fill()

    def pay(seen: Seen) -> Said:
        assert seen.admission is not None
        seen.admission.extend(300)
        return Said()

    site.shop.view = pay
    site.is_in(browser)
    assert deadline_of(browser.token()) == clock.now_ms + 300_000
    clock.forward(200)
    assert not site.is_in()
    assert site.is_in(browser)


# --- giving the slot back


def by_call(seen: Seen) -> Said:
    """The application says so."""
    assert seen.admission is not None
    seen.admission.release()
    return Said(body=b"paid")


def by_call_twice(seen: Seen) -> Said:
    """A signal and the view both say so."""
    by_call(seen)
    return by_call(seen)


def by_header(seen: Seen) -> Said:
    """The response says so."""
    return Said(body=b"paid", headers=(("Admitgate-Release", "1"), ("X-Order", "17")))


@pytest.mark.parametrize("pay", [by_call, by_call_twice, by_header])
def test_a_paid_order_gives_the_slot_back(open_site: Opener, clock: Clock, pay: Any) -> None:
    """The cookie goes, the next one can come in, and the header stays inside."""
    site = open_site()
    browser = site.fill()
    site.shop.view = pay
    response = browser.get(CHECKOUT)
    assert response.data == b"paid"
    assert "Admitgate-Release" not in response.headers
    assert not browser.tokens()
    site.shop.view = lambda seen: Said()
    assert site.is_in()


def test_the_release_header_leaves_the_others_alone(open_site: Opener) -> None:
    """Only our own header is stripped."""
    site = open_site()
    site.shop.view = by_header
    assert site.browser().get(CHECKOUT).headers["X-Order"] == "17"


def test_a_release_header_with_another_value_is_stripped_and_means_nothing(open_site: Opener) -> None:
    """Admitgate-Release: 0."""
    site = open_site()
    site.shop.view = lambda seen: Said(headers=(("Admitgate-Release", "0"),))
    assert "Admitgate-Release" not in site.browser().get(CHECKOUT).headers
    assert not site.is_in()


@pytest.mark.parametrize(
    ("status", "frees"),
    [
        pytest.param(200, True, id="a thank-you page gives the slot back"),
        pytest.param(303, True, id="a redirect to it gives the slot back"),
        pytest.param(402, False, id="a refused payment keeps the slot"),
        pytest.param(500, False, id="an error keeps the slot"),
    ],
)
def test_release_on_a_gated_path(open_site: Opener, status: int, frees: bool) -> None:
    """A successful response to a path under release_on says that the order is paid."""
    site = open_site(release_on="/events/<event>/checkout/pay")
    browser = site.fill()
    site.shop.view = lambda seen: Said(status=status if seen.path.endswith("/pay") else 200)
    browser.post(f"{CHECKOUT}/pay")
    assert site.is_in() is frees


def test_release_on_another_path_is_not_gated(open_site: Opener) -> None:
    """Nobody waits for the thank-you page; whoever has a lease leaves it there."""
    site = open_site()
    browser = site.fill()
    assert site.browser().get(THANKS).data == b"thanks"
    assert site.shop.seen[-1].admission is None
    assert browser.get(THANKS).data == b"thanks"
    assert not browser.tokens()
    assert site.is_in()


def test_a_ticket_is_not_lost_on_the_thank_you_page(open_site: Opener) -> None:
    """Only a lease is given back there: somebody in line may look at an old order."""
    site = open_site()
    site.fill()
    waiting = site.browser()
    number = waiting.place()["number"]
    waiting.get(THANKS)
    assert waiting.place()["number"] == number


def test_a_released_lease_cannot_be_shown_again(open_site: Opener, clock: Clock) -> None:
    """The cookie was copied before the order was paid: it opens nothing."""
    site = open_site()
    browser = site.fill()
    copied = browser.token()
    browser.get(THANKS)
    site.fill()
    browser.carry(copied)
    assert not site.is_in(browser)


def test_leaving_the_line_gives_the_place_up(open_site: Opener, clock: Clock) -> None:
    """The cookie goes; whoever was behind is next."""
    site = open_site()
    first, second, third = site.fill(), site.browser(), site.browser()
    second.place(), third.place()
    assert second.post(LEAVE, headers=JSON).json == {"state": "left"}
    assert not second.tokens()
    first.get(THANKS)
    clock.forward(6)
    assert third.check_in() == "ready"
    clock.forward(6)
    assert third.check_in() == "admitted"


def test_leaving_with_a_lease_frees_the_slot(open_site: Opener) -> None:
    """Leave is for whoever is inside, too."""
    site = open_site()
    browser = site.fill()
    browser.post(LEAVE)
    assert site.is_in()


# --- visits that come to nothing


@pytest.mark.parametrize("status", [404, 410])
def test_a_first_visit_to_nothing_leaves_nothing(
    open_site: Opener, clock: Clock, redis_client: redis.Redis, status: int
) -> None:
    """The slot goes back at once; no cookie, no key, and no memory that would look like a loss."""
    site = open_site()
    site.shop.view = lambda seen: Said(status=status, body=b"no such event")
    for _ in range(3):
        response = site.browser().get("/events/nothing/checkout")
        assert response.data == b"no such event"
        assert "Set-Cookie" not in response.headers
    assert not redis_client.keys("admitgate:*")
    site.shop.view = lambda seen: Said()
    assert site.is_in(path="/events/nothing/checkout")


def test_a_404_in_the_middle_of_a_check_out_keeps_the_slot(open_site: Opener) -> None:
    """Only a first visit can be a mistake in the address."""
    site = open_site()
    browser = site.fill()
    site.shop.view = lambda seen: Said(status=404)
    browser.get(f"{CHECKOUT}/missing.png")
    site.shop.view = lambda seen: Said()
    assert site.is_in(browser)
    assert not site.is_in()


def test_a_404_does_not_forget_an_event_others_are_at(open_site: Opener, redis_client: redis.Redis) -> None:
    """The slot goes back; the others' leases stay."""
    site = open_site(capacity=2)
    browser = site.fill()
    site.shop.view = lambda seen: Said(status=404)
    site.browser().get(f"{CHECKOUT}/missing.png")
    site.shop.view = lambda seen: Said()
    assert redis_client.keys("admitgate:*")
    assert site.is_in()
    assert not site.is_in()
    assert site.is_in(browser)


def test_a_real_event_is_missed_when_redis_forgets_it(open_site: Opener, redis_client: redis.Redis) -> None:
    """The other side of leaving no marks: a loss shows, newcomers are held, the admitted go on."""
    site = open_site(capacity=3)
    browser = site.fill()
    sites.wipe(redis_client)
    assert site.browser().place()["state"] == "hold"
    assert site.is_in(browser)


# --- modes


def test_observe_never_blocks(
    open_site: Opener, clock: Clock, caplog: pytest.LogCaptureFixture, redis_client: redis.Redis
) -> None:
    """It decides, counts and logs who would have waited, in a line every few seconds and not one for each."""
    site = open_site(mode="observe")
    with caplog.at_level(logging.INFO, logger="admitgate"):
        browsers = [site.fill() for _ in range(5)]
        clock.forward(11)
        assert all(site.is_in(browser) for browser in browsers)
    assert [seen.admission.would_wait for seen in site.shop.seen[:5]] == [False, True, True, True, True]  # type: ignore[union-attr]
    lines = [record.getMessage() for record in caplog.records if "would have waited" in record.getMessage()]
    assert len(lines) == 2
    assert redis_client.keys("admitgate:*")


def test_off_is_no_rule_at_all(open_site: Opener, redis_client: redis.Redis) -> None:
    """Nothing is asked, nothing is kept."""
    site = open_site(mode="off", capacity=0)
    assert site.is_in()
    assert site.shop.seen[0].admission is None
    assert sites.script_calls(redis_client) == 0


def test_a_gate_that_is_not_enabled_stands_open(open_site: Opener, redis_client: redis.Redis) -> None:
    """enabled=False, for a developer's machine or in haste."""
    site = open_site(enabled=False, capacity=0)
    assert site.is_in()
    assert sites.script_calls(redis_client) == 0


def test_a_full_line_gives_no_number(open_site: Opener) -> None:
    """Beyond max_waiting the page says so, and sets no cookie."""
    site = open_site(max_waiting=2)
    site.fill()
    first, second, late = site.browser(), site.browser(), site.browser()
    first.place()
    assert first.check_in() == "ready"
    second.place()
    place = late.place()
    assert (place["state"], place["number"], place["position"]) == ("full", None, None)
    assert not late.tokens()


# --- who is not meant


@pytest.mark.parametrize(
    ("method", "waits"),
    [
        pytest.param("GET", False, id="a method that isn't listed passes"),
        pytest.param("HEAD", False, id="HEAD goes with GET"),
        pytest.param("POST", True, id="a method that is listed waits"),
        pytest.param("PUT", False, id="another that isn't listed passes"),
    ],
)
def test_a_rule_can_mean_some_methods_only(open_site: Opener, method: str, waits: bool) -> None:
    """methods=["POST"]."""
    site = open_site(capacity=0, methods=["POST"])
    response = site.browser().open(CHECKOUT, method=method)
    assert is_waiting_page(response) is waits


def test_head_is_meant_where_get_is(open_site: Opener) -> None:
    """methods=["GET"] can't be walked round with HEAD."""
    site = open_site(capacity=0, methods=["GET"])
    assert is_waiting_page(site.browser().head(CHECKOUT))
    assert not is_waiting_page(site.browser().post(CHECKOUT))


def test_exempt_paths_pass(open_site: Opener) -> None:
    """A callback of the payment provider below the check-out; the rest still waits."""
    site = open_site(capacity=0, exempt=["/events/<event>/checkout/callback"])
    assert site.is_in(path=f"{CHECKOUT}/callback")
    assert site.is_in(path=f"{CHECKOUT}/callback/9")
    assert not site.is_in()
    assert not site.is_in(path=f"{CHECKOUT}/callbackx")


@pytest.mark.parametrize(
    "path",
    [
        "//events/gala/checkout/callback/..",
        "/x/../events/gala/checkout/callback",
        "/events/gala/checkout/callback/../pay",
    ],
)
def test_an_exemption_cannot_be_reached_by_an_odd_path(open_site: Opener, path: str) -> None:
    """What is exempt has to be asked for by its plain name."""
    site = open_site(capacity=0, exempt=["/events/<event>/checkout/callback"], is_guarded=False)
    assert is_waiting_page(site.browser().get("/", environ_overrides={"PATH_INFO": path}))


def test_exempt_callables_see_the_frameworks_request(open_site: Opener) -> None:
    """A health check, the box office's own staff."""

    def is_staff(request: Any) -> bool:
        if isinstance(request, dict) and "headers" in request:  # ASGI's scope
            return (b"x-staff", b"1") in request["headers"]
        if isinstance(request, dict):  # WSGI's environ
            return request.get("HTTP_X_STAFF") == "1"
        return request.headers.get("X-Staff") == "1"  # a request of Flask's or Django's

    site = open_site(capacity=0, exempt=[is_staff])
    assert site.browser().get(CHECKOUT, headers={"X-Staff": "1"}).data == b"the checkout"
    assert not site.is_in()


@pytest.mark.parametrize(
    "header", [("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch"), ("X-Moz", "prefetch")]
)
def test_a_prefetch_takes_nothing(
    open_site: Opener, redis_client: redis.Redis, header: tuple[str, str]
) -> None:
    """Nobody is looking: no slot, no number, no cookie, no Redis call."""
    site = open_site()
    response = site.browser().get(CHECKOUT, headers=dict([header]))
    assert is_waiting_page(response)
    assert "Set-Cookie" not in response.headers
    assert sites.script_calls(redis_client) == 0
    assert site.is_in()


def test_a_prefetch_with_a_ticket_does_not_check_in(open_site: Opener, clock: Clock) -> None:
    """A browser's guess must not take the slot of somebody who looks."""
    site = open_site()
    first, second = site.fill(), site.browser()
    second.place()
    first.get(THANKS)
    clock.forward(6)
    assert is_waiting_page(second.get(CHECKOUT, headers={"Sec-Purpose": "prefetch"}))
    assert site.is_in(second)


def test_a_prefetch_of_the_admitted_is_answered(open_site: Opener) -> None:
    """Whoever is inside may look ahead."""
    site = open_site()
    browser = site.fill()
    assert browser.get(CHECKOUT, headers={"Sec-Purpose": "prefetch"}).data == b"the checkout"


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Origin": "http://app.example"}


@pytest.mark.parametrize(
    ("headers", "body", "passes"),
    [
        pytest.param(PREFLIGHT, b"", True, id="a pre-flight passes"),
        pytest.param({}, b"", False, id="another OPTIONS waits"),
        pytest.param(PREFLIGHT | {"Cookie": "other=1"}, b"", False, id="one with a cookie is none"),
        pytest.param(
            PREFLIGHT | {"Authorization": "Basic eA=="}, b"", False, id="one with a password is none"
        ),
        pytest.param(PREFLIGHT, b"card=1", False, id="one with a body is none"),
        pytest.param(
            PREFLIGHT | {"X-HTTP-Method-Override": "GET"}, b"", False, id="one that wants to be a GET is none"
        ),
    ],
)
def test_only_a_real_preflight_passes(
    open_site: Opener, headers: dict[str, str], body: bytes, passes: bool
) -> None:
    """A browser sends it without anything that is the visitor's, and expects the shop's own answer."""
    site, headers = open_site(capacity=0), dict(headers)
    response = site.show(headers.pop("Cookie", ""), method="OPTIONS", headers=headers, data=body)
    assert is_waiting_page(response) is not passes


# --- methods of those who wait


def test_head_is_answered_with_headers_only(open_site: Opener) -> None:
    """The same status and headers as GET."""
    site = open_site(capacity=0)
    response = site.browser().head(CHECKOUT)
    assert is_waiting_page(response)
    assert response.data == b""


def test_a_form_sent_while_waiting_is_not_replayed(open_site: Opener) -> None:
    """The same answer; the page says that it was not sent, and goes back to the form by GET."""
    site = open_site(capacity=0)
    response = site.browser().post(f"{CHECKOUT}?step=2", data={"seats": "4"})
    assert is_waiting_page(response)
    assert f'url={CHECKOUT}?step=2"' in response.text
    assert not site.shop.seen


def test_a_form_of_the_admitted_arrives_whole(open_site: Opener) -> None:
    """The gate reads no body."""
    site = open_site()
    browser = site.fill()
    browser.post(CHECKOUT, data=b"seats=4&name=Jo", content_type="application/x-www-form-urlencoded")
    assert site.shop.seen[-1].body == b"seats=4&name=Jo"


def test_a_refused_form_does_not_take_a_step_ahead(open_site: Opener, clock: Clock) -> None:
    """A POST keeps the ticket's number, like any request."""
    site = open_site()
    site.fill()
    browser = site.browser()
    number = browser.place()["number"]
    assert browser.post(CHECKOUT, headers=JSON).json["number"] == number


# --- cookies


@pytest.fixture
def gate() -> Gate:
    """The story alone, which asks nobody."""
    rules = [Rule("/events/<event>/checkout", capacity=1)]
    config = Config.from_options({"rules": rules, "secret_key": sites.KEY, "redis_url": "redis://nowhere"})
    return Gate(config, Memories())


def test_cookies_that_were_read_for_one_event_are_not_taken_for_another(gate: Gate) -> None:
    """A visitor's requests show the same header: what was found in it is remembered, for each event."""
    gala, opera = gate.match("/events/gala/checkout"), gate.match("/events/opera/checkout")
    lease = Lease("s" * 16, 2**50, 2**50)
    header = "; ".join(f"{match.cookie}={gate.tokens.write('gala', lease)}" for match in (gala, opera))
    for _ in range(2):
        assert gate.bearers.token(visit_with(header), gala) == lease
        assert gate.bearers.token(visit_with(header), opera) is None


def test_the_cookies_that_are_remembered_are_bounded(gate: Gate) -> None:
    """In number and in length; and those without a token of ours push nothing out."""
    gala = gate.match("/events/gala/checkout")
    ours = f"{gala.cookie}={gate.tokens.write('gala', Lease('s' * 16, 2**50, 2**50))}"
    for number in range(5000):
        assert gate.bearers.token(visit_with(f"theirs={number}; {ours}"), gala)
    assert 0 < len(gate.bearers._shown) <= 4096
    before = dict(gate.bearers._shown)
    assert gate.bearers.token(visit_with(f"theirs={'x' * 1000}; {ours}"), gala)
    assert gate.bearers.token(visit_with(f"theirs=1; {ours}x"), gala) is None
    assert gate.bearers._shown == before


def visit_with(cookies: str) -> Visit:
    return Visit("GET", "/", "", "", bool, cookies, lambda name: "")


def set_cookies(response: TestResponse) -> list[str]:
    """The gate's Set-Cookie headers."""
    return [header for header in response.headers.getlist("Set-Cookie") if "admitgate_" in header]


def flags(header: str) -> set[str]:
    """A Set-Cookie header's attributes."""
    return {part.strip().lower() for part in header.split(";")[1:]}


@pytest.mark.parametrize("capacity", [pytest.param(1, id="a lease"), pytest.param(0, id="a ticket")])
def test_the_cookies_flags(open_site: Opener, capacity: int) -> None:
    """No script reads it, no other site's form sends it, it survives a restart of the browser."""
    (header,) = set_cookies(open_site(capacity=capacity).browser().get(CHECKOUT))
    assert {"httponly", "samesite=lax", "path=/", "max-age=86400"} <= flags(header)
    assert "secure" not in flags(header)
    assert "domain" not in header.lower()


def test_the_cookie_is_secure_where_the_request_is(open_site: Opener) -> None:
    """Over https it never goes out in the clear."""
    (header,) = set_cookies(open_site().browser().get(CHECKOUT, base_url="https://shop.example"))
    assert "secure" in flags(header)


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        pytest.param({"cookie_secure": True}, "secure", id="cookie_secure"),
        pytest.param({"cookie_samesite": "Strict"}, "samesite=strict", id="cookie_samesite"),
        pytest.param({"cookie_domain": "shop.example"}, "domain=shop.example", id="cookie_domain"),
    ],
)
def test_the_cookies_settings(open_site: Opener, options: dict[str, Any], flag: str) -> None:
    """What a site may choose for itself."""
    (header,) = set_cookies(open_site(**options).browser().get(CHECKOUT))
    assert flag in flags(header)


def test_a_forged_proxy_header_makes_nothing_secure(open_site: Opener) -> None:
    """X-Forwarded-Proto is believed only where the site says that its proxy sets it."""
    browser = open_site().browser()
    (header,) = set_cookies(browser.get(CHECKOUT, headers={"X-Forwarded-Proto": "https"}))
    assert "secure" not in flags(header)


def test_the_cookies_name_is_the_sites_choice(open_site: Opener) -> None:
    """cookie_prefix, for two gates under one domain."""
    (header,) = open_site(cookie_prefix="shop").browser().get(CHECKOUT).headers.getlist("Set-Cookie")
    assert header.strip().startswith("shop_")


def test_the_applications_own_cookies_stay(open_site: Opener) -> None:
    """Ours is one more."""
    site = open_site()
    site.shop.view = lambda seen: Said(headers=(("Set-Cookie", "basket=7; Path=/; HttpOnly"),))
    headers = site.browser().get(CHECKOUT).headers.getlist("Set-Cookie")
    assert len(headers) == 2
    assert any("basket=7" in header for header in headers)


def test_the_admitted_responses_vary_by_cookie(open_site: Opener) -> None:
    """A shared cache must not hand one visitor's way in to the next."""
    site = open_site()
    site.shop.view = lambda seen: Said(headers=(("Vary", "Accept-Encoding"),))
    vary = site.browser().get(CHECKOUT).headers.getlist("Vary")
    assert {part.strip() for line in vary for part in line.split(",")} >= {"Cookie", "Accept-Encoding"}


# --- where the site lives


def test_the_mount_can_be_moved(open_site: Opener) -> None:
    """Everything below the old one is the application's again."""
    site = open_site(mount="/queue/")
    assert site.browser().get("/queue/status/gala").json["event"] == "gala"
    assert site.browser().get("/_admitgate/status/gala").data == b"a page"
    site.fill()
    assert site.browser().place()["check_in_url"] == "/queue/check-in/gala"


def test_a_site_below_a_prefix(open_site: Opener, clock: Clock) -> None:
    """SCRIPT_NAME is part of the cookie's path and of the page's addresses, and no part of the rules."""
    site = open_site(capacity=1)
    at = {"base_url": "http://shop.example/box/office"}
    first, second = site.browser(), site.browser()
    (header,) = set_cookies(first.get(CHECKOUT, **at))
    assert "path=/box/office/" in flags(header)
    place = second.get(CHECKOUT, headers=JSON, **at).json
    assert place["check_in_url"] == "/box/office/_admitgate/check-in/gala"
    assert first.get(THANKS, **at).data == b"thanks"
    clock.forward(6)
    assert second.post(CHECK_IN, **at).json["state"] == "admitted"
    assert second.get(CHECKOUT, **at).data == b"the checkout"


def test_a_prefix_with_an_accent(open_site: Opener) -> None:
    """The cookie's path is the one that browsers see in the address."""
    browser = open_site().browser()
    prefix = {"SCRIPT_NAME": "/café".encode().decode("latin-1")}
    (header,) = set_cookies(browser.get(CHECKOUT, environ_overrides=prefix))
    assert "path=/caf%c3%a9/" in flags(header)


# --- keys


@pytest.mark.parametrize(
    ("fallbacks", "goes_on"),
    [
        pytest.param([OLD_KEY], True, id="a retired key still verifies"),
        pytest.param(
            ["an older key, which signs no longer", OLD_KEY, "the oldest key of all, long retired"],
            True,
            id="wherever it stands in the list",
        ),
        pytest.param([], False, id="a key that nobody lists is unknown"),
    ],
)
def test_keys_can_be_changed_under_visitors(
    open_site: Opener, clock: Clock, fallbacks: list[str], goes_on: bool
) -> None:
    """Whoever is inside stays inside, and is given a cookie signed with the new key."""
    browser = open_site(secret_key=OLD_KEY).fill()
    rotated = open_site(secret_key=NEW_KEY, secret_key_fallbacks=fallbacks)
    browser.application = rotated.app
    assert rotated.is_in(browser) is goes_on
    clock.forward(21)
    rotated.is_in(browser)
    browser.application = open_site(secret_key=NEW_KEY).app
    assert rotated.is_in(browser) is goes_on


# --- without Redis


@pytest.fixture
def open_alone(open_site: Opener, tmp_path: Any) -> Callable[..., sites.Site]:
    """Opens sites whose Redis is not there."""
    return lambda **options: open_site(redis_url=f"unix://{tmp_path}/nobody.sock", **options)


def test_in_an_outage_everybody_waits(open_alone: Callable[..., sites.Site]) -> None:
    """on_outage="hold": the page says so and asks again; no number, no cookie."""
    browser = open_alone().browser()
    place = browser.place()
    assert (place["state"], place["number"]) == ("outage", None)
    assert not browser.tokens()


@pytest.mark.parametrize("where", ["gate", "rule"])
def test_in_an_outage_a_site_may_open(open_alone: Callable[..., sites.Site], where: str) -> None:
    """on_outage="open", for all or for one rule: everybody goes in, and nobody is counted."""
    rule = {"path": "/events/<event>/checkout", "capacity": 0}
    options = {"on_outage": "open"} if where == "gate" else {"rules": [rule | {"on_outage": "open"}]}
    site = open_alone(**options)
    assert site.is_in()
    admission = site.shop.seen[0].admission
    assert admission is not None
    assert (admission.sid, admission.expires_at) == (None, None)
    admission.release()


def test_in_an_outage_the_admitted_go_on(open_site: Opener, tmp_path: Any, clock: Clock) -> None:
    """Their signature is enough, even for a worker that was just started."""
    browser = open_site().fill()
    alone = open_site(redis_url=f"unix://{tmp_path}/nobody.sock")
    browser.application = alone.app
    assert alone.is_in(browser)
    assert not alone.is_in()


def test_in_an_outage_a_release_is_not_an_error(open_site: Opener, tmp_path: Any) -> None:
    """The slot ends with its lease instead."""
    browser = open_site().fill()
    alone = open_site(redis_url=f"unix://{tmp_path}/nobody.sock")
    browser.application = alone.app
    alone.shop.view = by_call
    assert browser.get(CHECKOUT).data == b"paid"
    assert not browser.tokens()


def deadline_of(token: str) -> int:
    """When the lease in a cookie ends."""
    kind, _, deadline_ms, *_ = token.split(".")
    assert kind == "l1", f"{token} is no lease"
    return int(deadline_ms)


# --- what only a gate can know


@pytest.mark.parametrize("sid", ["*", "", "a b", "x" * 400])
def test_only_a_sid_can_be_given_back(redis_url: str, redis_client: redis.Redis, sid: str) -> None:
    """What an application passes on by mistake must not reach the keys: '*' is the leases' own sentinel."""
    rules = [Rule("/<event>", capacity=1)]
    gate = AdmitGate(lambda *_: [], secret_key=sites.KEY, redis_url=redis_url, rules=rules)
    with pytest.raises(ValueError, match="sid"):
        gate.release("gala", sid)
    assert not redis_client.keys("*")


def test_a_payment_is_no_error_when_its_rule_has_been_switched_off(open_site: Opener, redis_url: str) -> None:
    """Who was inside before still pays, and the slot comes free for when the rule is on again."""
    site = open_site()
    sid = site.fill().token().split(".")[1]
    off: Any = {"path": "/events/<event>/checkout", "capacity": 1, "mode": "off"}
    gate = AdmitGate(lambda *_: [], secret_key=sites.KEY, redis_url=redis_url, rules=[off])
    gate.release("gala", sid)
    assert site.is_in()
    with pytest.raises(LookupError):
        gate.release("", sid)


def test_who_went_in_uncounted_has_nothing_to_give_back(redis_url: str, redis_client: redis.Redis) -> None:
    """An order keeps ``admission.sid``, which is None then; its payment's callback must not break on it."""
    options: Any = {"secret_key": sites.KEY, "redis_url": redis_url, "rules": [Rule("/<event>", capacity=1)]}
    AdmitGate(lambda *_: [], **options).release("gala", None)
    asyncio.run(AdmitGateASGI(lambda *_: [], **options).release("gala", None))
    assert not redis_client.keys("*")


def test_a_number_that_redis_has_lost_is_told_to_it(open_site: Opener, redis_client: redis.Redis) -> None:
    """Given out by a worker before a fail-over: asking nobody, its visitor would wait for ever."""
    site = open_site()
    site.fill()
    browser = site.browser()
    number = browser.place()["number"]
    (line,) = redis_client.keys("*:line")
    redis_client.hset(line, mapping={"issued": number - 1, "serving": number - 1})
    other = open_site()  # a worker that knows nothing of it
    other.browser().get("/_admitgate/status/gala")
    browser_there = other.browser()
    browser_there.carry(browser.token())
    browser_there.get(CHECKOUT)
    assert int(redis_client.hget(line, "issued") or 0) >= number
