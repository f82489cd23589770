"""What is answered below the mount, on every edge: the shared status, check-in, leave, a sign of life."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
import sites
from sites import CHECK_IN, CHECKOUT, JSON, LEAVE, STATUS, THANKS, Clock, Opener, Site

from admitgate.rules import event_slug

clock, open_site = sites.clock, sites.open_site

HEALTH = "/_admitgate/healthz"
FIELDS = {
    "event",
    "state",
    "serving",
    "issued",
    "ready",
    "waiting",
    "leases",
    "capacity",
    "admitted_per_minute",
    "message",
    "step",
    "grace",
    "poll",
    "updated",
}


@pytest.fixture
def open_alone(open_site: Opener, tmp_path: Any) -> Callable[..., Site]:
    """Opens sites whose Redis is not there."""
    return lambda **options: open_site(redis_url=f"unix://{tmp_path}/nobody.sock", **options)


# --- the shared status


def test_the_status_says_how_the_line_stands(open_site: Opener, clock: Clock) -> None:
    """Everything that a page needs to find its own place, and nothing of any visitor."""
    site = open_site(capacity=2, poll_floor_seconds=3)
    site.fill(), site.fill()
    numbers = [site.browser().place()["number"] for _ in range(4)]
    status = site.browser().get(STATUS).json
    assert set(status) == FIELDS
    assert (status["event"], status["state"], status["capacity"], status["leases"]) == (
        "gala",
        "waiting",
        2,
        2,
    )
    assert (status["serving"], status["issued"], status["waiting"]) == (numbers[0], numbers[-1], 3)
    assert status["poll"] == {"floor": 3, "ceiling": 30, "divisor": 10, "guarded": 6}
    assert status["updated"] == clock.now_ms


def test_every_visitor_gets_the_same_status(open_site: Opener) -> None:
    """So any cache can keep it: no cookie is read or set, and nothing varies by one."""
    site = open_site()
    inside, waiting = site.fill(), site.browser()
    waiting.place()
    answers = [
        browser.get(STATUS + query, headers=headers)
        for browser in (inside, waiting, site.browser())
        for query in ("", "?_=123")
        for headers in ({}, {"Accept": "text/html"}, {"Accept-Language": "de"})
    ]
    assert len({answer.data for answer in answers}) == 1
    for answer in answers:
        assert answer.headers["Cache-Control"] == "public, max-age=1"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.mimetype == "application/json"
        assert "Set-Cookie" not in answer.headers
        assert "Vary" not in answer.headers


def test_asking_costs_one_look_a_second(open_site: Opener, clock: Clock, redis_client: redis.Redis) -> None:
    """However many ask, with whatever query: this worker's memory answers."""
    site = open_site()
    site.fill()
    browser = site.browser()
    clock.forward(2)
    before = sites.script_calls(redis_client)
    for number in range(20):
        browser.get(f"{STATUS}?{number}")
    assert sites.script_calls(redis_client) == before + 1
    clock.forward(1.1)
    browser.get(STATUS), browser.get(STATUS)
    assert sites.script_calls(redis_client) == before + 2


def test_an_event_nobody_came_for_is_open_and_stays_unknown(
    open_site: Opener, redis_client: redis.Redis
) -> None:
    """Asking makes no keys."""
    status = open_site(capacity=3).browser().get(STATUS).json
    assert (status["state"], status["serving"], status["issued"], status["capacity"]) == ("open", 0, 0, 3)
    assert not redis_client.keys("admitgate:*")


def test_an_event_with_room_is_open(open_site: Opener) -> None:
    """Nobody waits."""
    site = open_site(capacity=3)
    site.fill()
    status = site.browser().get(STATUS).json
    assert (status["state"], status["leases"], status["waiting"]) == ("open", 1, 0)


def test_a_loss_shows_as_a_hold(open_site: Opener, clock: Clock, redis_client: redis.Redis) -> None:
    """Admissions pause while the old leases come back."""
    site = open_site(capacity=3)
    site.fill()
    sites.wipe(redis_client)
    clock.forward(2)
    assert site.browser().get(STATUS).json["state"] == "hold"


def test_an_operators_message_reaches_everybody(open_site: Opener, redis_client: redis.Redis) -> None:
    """Written live into the event's settings, whatever is in it."""
    site = open_site()
    site.fill()
    (key,) = [key for key in redis_client.keys("admitgate:*") if key.endswith(b":leases")]
    redis_client.hset(key.replace(b":leases", b":settings"), "message", "Sold out </script> — sorry")
    assert site.browser().place()["message"] == "Sold out </script> — sorry"
    assert site.browser().get(STATUS).json["message"] == "Sold out </script> — sorry"


def test_in_an_outage_the_status_says_so(open_alone: Callable[..., Site]) -> None:
    """It is still a 200: the page keeps its last good answer and asks again."""
    response = open_alone().browser().get(STATUS)
    assert (response.status_code, response.json["state"]) == (200, "outage")


# --- before an opening


def test_whoever_is_told_when_it_opens_is_told_the_time_as_well(
    open_site: Opener, clock: Clock, redis_client: redis.Redis
) -> None:
    """By the same clock, so that nobody has to trust their own: with a number, called, or too early."""
    site = open_site(capacity=1)
    site.fill()
    browser = site.browser()
    browser.place()
    (key,) = [key for key in redis_client.keys("admitgate:*") if key.endswith(b":leases")]
    opens_at = clock.now_ms + 60_000
    redis_client.hset(key.replace(b":leases", b":settings"), "opens_at", opens_at)
    clock.forward(2)
    told = [browser.post(CHECK_IN).json, browser.place(), site.browser().place(), browser.get(STATUS).json]
    assert [(said["state"], said["opens_at"], said["clock"]) for said in told] == [
        ("opens", opens_at, clock.now_ms)
    ] * 4
    redis_client.hset(key.replace(b":leases", b":settings"), "waiting_from", opens_at)
    clock.forward(2)
    early = site.browser().place()
    assert (early["state"], early["opens_at"], early["clock"]) == ("early", opens_at, clock.now_ms)


# --- check-in


def test_checking_in_as_somebody_invited_tells_the_rank(open_site: Opener) -> None:
    """Ready: position 1 is next."""
    site = open_site()
    site.fill()
    browser = site.browser()
    browser.place()
    answer = browser.post(CHECK_IN)
    assert answer.json["state"] == "ready"
    assert answer.json["position"] == 1
    assert answer.json["poll"] > 0
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


def test_checking_in_too_early_changes_nothing(open_site: Opener) -> None:
    """Waiting: the number isn't served yet."""
    site = open_site()
    site.fill()
    browsers = [site.browser() for _ in range(3)]
    numbers = [browser.place()["number"] for browser in browsers]
    assert browsers[2].check_in() == "waiting"
    assert browsers[2].place()["number"] == numbers[2]


def test_checking_in_twice_is_checking_in_once(open_site: Opener, clock: Clock) -> None:
    """A lost answer costs nothing: the second is told the same and holds the same slot."""
    site = open_site()
    first, second = site.fill(), site.browser()
    second.place()
    first.get(THANKS)
    clock.forward(6)
    ticket = second.token()
    assert second.check_in() == "admitted"
    second.carry(ticket)
    assert second.check_in() == "admitted"
    assert site.browser().get(STATUS).json["leases"] == 1
    assert site.is_in(second)


def test_checking_in_with_a_lease_renews_it(open_site: Opener, clock: Clock) -> None:
    """The page of a second tab whose first tab went in."""
    site = open_site(lease_seconds=60)
    browser = site.fill()
    clock.forward(30)
    assert browser.check_in() == "admitted"
    clock.forward(50)
    assert site.is_in(browser)
    assert not site.is_in()


def test_checking_in_without_a_cookie(open_site: Opener) -> None:
    """403: the browser refuses cookies, so the page can say so instead of asking for ever."""
    site = open_site()
    response = site.browser().post(CHECK_IN)
    assert (response.status_code, response.json["state"]) == (403, "no-ticket")


def test_checking_in_after_leaving_is_over(open_site: Opener) -> None:
    """410: the place was given up; the cookie goes, and the page comes back as a newcomer."""
    site = open_site()
    first, second = site.fill(), site.browser()
    lease = first.token()
    first.get(THANKS)
    second.carry(lease)
    response = second.post(CHECK_IN)
    assert (response.status_code, response.json["state"]) == (410, "gone")
    assert not second.tokens()


def test_checking_in_with_an_old_lease_is_over(open_site: Opener, clock: Clock) -> None:
    """410 as well: its time has run out."""
    site = open_site(lease_seconds=60)
    browser = site.fill()
    clock.forward(61)
    response = browser.post(CHECK_IN)
    assert (response.status_code, response.json["state"]) == (410, "gone")


def test_checking_in_during_an_outage(open_site: Opener, open_alone: Callable[..., Site]) -> None:
    """503 and when to ask again; the ticket stays."""
    site = open_site()
    site.fill()
    browser = site.browser()
    browser.place()
    browser.application = open_alone().app
    response = browser.post(CHECK_IN)
    assert (response.status_code, response.json["state"]) == (503, "outage")
    assert int(response.headers["Retry-After"]) >= 1
    assert browser.tokens()


@pytest.mark.parametrize("url", [CHECK_IN, LEAVE])
def test_another_sites_page_cannot_act_for_a_visitor(open_site: Opener, url: str) -> None:
    """Neither check in nor leave."""
    site = open_site()
    browser = site.fill()
    response = browser.post(url, headers={"Sec-Fetch-Site": "cross-site"})
    assert (response.status_code, response.json["state"]) == (403, "refused")
    assert site.is_in(browser)


# --- leave


def test_leaving_without_a_ticket_is_polite(open_site: Opener) -> None:
    """There is nothing to give up, and nothing to complain about."""
    response = open_site().browser().post(LEAVE, headers=JSON)
    assert (response.status_code, response.json) == (200, {"state": "left"})


def test_whoever_leaves_by_the_form_reads_a_page(open_site: Opener) -> None:
    """Small HTML, for a browser without JavaScript."""
    site = open_site(capacity=0)
    browser = site.browser()
    browser.place()
    response = browser.post(LEAVE)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert response.headers["Cache-Control"] == "no-store"
    assert not browser.tokens()


def test_whoever_left_comes_back_as_a_newcomer(open_site: Opener) -> None:
    """Leaving is for good."""
    site = open_site(capacity=0)
    browser = site.browser()
    number = browser.place()["number"]
    browser.post(LEAVE)
    assert browser.place()["number"] > number


def test_whoever_left_is_not_counted_as_present(open_site: Opener, clock: Clock) -> None:
    """The next in line need not wait for them."""
    site = open_site()
    site.fill()
    second = site.browser()
    second.place()
    assert second.check_in() == "ready"
    assert site.browser().get(STATUS).json["ready"] == 1
    second.post(LEAVE)
    clock.forward(1.1)
    assert site.browser().get(STATUS).json["ready"] == 0


# --- a sign of life, and everything else below the mount


def test_a_gate_with_its_redis_is_well(open_site: Opener) -> None:
    """200."""
    response = open_site().browser().get(HEALTH)
    assert (response.status_code, response.json) == (200, {"redis": "well"})
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("on_outage", "of_the_rule", "status"),
    [("hold", None, 503), ("open", None, 200), ("hold", "open", 200), ("open", "hold", 503)],
)
def test_a_gate_without_redis_is_well_only_if_it_opens(
    open_alone: Callable[..., Site], on_outage: str, of_the_rule: str | None, status: int
) -> None:
    """A load balancer shall take out a worker that turns everybody away, and no other."""
    rules = [{"path": "/events/<event>/checkout", "capacity": 1, "on_outage": of_the_rule}]
    response = open_alone(on_outage=on_outage, rules=rules).browser().get(HEALTH)
    assert (response.status_code, response.json["redis"]) == (status, "away")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", STATUS, "GET"), ("GET", CHECK_IN, "POST"), ("GET", LEAVE, "POST"), ("DELETE", STATUS, "GET")],
)
def test_the_wrong_method(open_site: Opener, method: str, path: str, allowed: str) -> None:
    """405 with Allow; a link can't check anybody in or out."""
    response = open_site().browser().open(path, method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/_admitgate/", id="the mount itself"),
        pytest.param("/_admitgate/status", id="a verb without an event"),
        pytest.param("/_admitgate/status/", id="a verb with an empty event"),
        pytest.param("/_admitgate/nothing/gala", id="no verb of ours"),
        pytest.param("/_admitgate/healthz/gala", id="a sign of life with an event"),
        pytest.param("/_admitgate/status/gala/../../x", id="dots"),
        pytest.param("/_admitgate/%00", id="NUL"),
    ],
)
def test_what_is_not_there_below_the_mount(open_site: Opener, path: str) -> None:
    """404 from the gate: the application is not asked."""
    site = open_site(rules=[sites.CHECKOUT_RULE | {"path": "/checkout", "release_on": None}])
    response = site.browser().get(path)
    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "no-store"
    assert not site.shop.seen


@pytest.mark.parametrize(
    "path", [STATUS, HEALTH, CHECK_IN, LEAVE, "/_admitgate/nothing", "/_admitgate/status/"]
)
def test_head_has_no_body(open_site: Opener, path: str) -> None:
    """Whatever the answer is: a body would be read as the next response on a kept connection."""
    assert open_site().browser().head(path).data == b""


@pytest.mark.parametrize("event", ["gala 2027", "Ünïcode", "a/b", "<b>", "~tilde", "..", "x" * 120])
def test_events_of_any_name_have_an_address(open_site: Opener, event: str) -> None:
    """The slug in the page's addresses leads back to the event."""
    path = "/events/<path:event>/checkout"
    site = open_site(rules=[{"path": path, "capacity": 0}])
    place = (
        site.browser().get("/", headers=JSON, environ_overrides=raw_path(f"/events/{event}/checkout")).json
    )
    assert place["event"] == event
    assert event_slug(event) in place["poll_url"]
    status = site.browser().get(place["poll_url"]).json
    assert (status["event"], status["issued"]) == (event, place["number"])


@pytest.mark.parametrize(
    "event",
    [
        pytest.param("x" * 10_000, id="ten kilobytes"),
        pytest.param("a\r\nSet-Cookie: b=c", id="line breaks"),
        pytest.param("a\x00b", id="NUL"),
    ],
)
def test_an_event_that_no_path_can_have_is_not_there(open_site: Opener, event: str) -> None:
    """A worker's memory must not be filled with names that only an attacker thinks of."""
    assert open_site().browser().get(f"/_admitgate/status/{event_slug(event)}").status_code == 404


def raw_path(path: str) -> dict[str, str]:
    """PATH_INFO as servers hand it over."""
    return {"PATH_INFO": path.encode().decode("latin-1")}


def test_a_visitor_in_line_is_told_by_the_gate_as_by_the_page(open_site: Opener) -> None:
    """Check-in, status and the check-out itself speak of the same line."""
    site = open_site()
    site.fill()
    browser = site.browser()
    place = browser.get(CHECKOUT, headers=JSON).json
    assert browser.post(CHECK_IN).json["position"] == place["position"]
    assert browser.get(STATUS).json["issued"] == place["number"]
