"""An opening in a real browser: too early, in a draw, after it; and visitors who share an address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
import redis
import test_page_visits
from page_shop import Shop, open_shop
from playwright.sync_api import Page, expect
from test_page_visits import NewVisitor, in_state, inside, reference

from admitgate.counter import event_keys
from admitgate.draw import place_in_draw, seed_hash
from admitgate.embedded import EmbeddedRedis
from admitgate.verify import verified

pytestmark = [pytest.mark.browser, pytest.mark.slow]

playwright, browser = test_page_visits.playwright, test_page_visits.browser
new_visitor, keys = test_page_visits.new_visitor, test_page_visits.keys

SEED = "5eed0fada7ab1e0ff1ce5eed0fada7ab"
NO_ANSWER = "No answer just now. You keep your place. This page tries again by itself."


@pytest.fixture(scope="module")
def shop(redis_server: EmbeddedRedis) -> Iterator[Shop]:
    """One for all: every test has an event of its own."""
    with open_shop(redis_server.url, key_prefix="draw") as shop:
        yield shop


def schedule(keys: redis.Redis, event: str, in_seconds: float, name: str = "opens_at", **more: str) -> None:
    """What an operator would set, by Redis' clock."""
    seconds, microseconds = keys.time()
    at_ms = int((seconds + in_seconds) * 1000) + microseconds // 1000
    keys.hset(event_keys("draw", event).settings, mapping={name: str(at_ms), **more})


def everybody_has_heard(keys: redis.Redis, event: str) -> None:
    """The half minute is over in which a draw gets about."""
    keys.hset(event_keys("draw", event).line, "moved_at", 0)


def drawn(page: Page) -> tuple[int, int]:
    """Which place of how many the page says it drew."""
    line = page.locator("[data-admitgate=drawn]")
    expect(line).to_have_text(re.compile(r"^Your place was drawn: \d+ of \d+$"), timeout=10_000)
    place, people = re.findall(r"\d+", line.inner_text())
    return int(place), int(people)


def test_too_early_there_is_no_number_and_then_one_by_itself(
    shop: Shop, new_visitor: NewVisitor, keys: redis.Redis
) -> None:
    """The page says when the room opens, asks seldom, and joins."""
    schedule(keys, "early", 3600, "waiting_from")
    visitor = new_visitor()
    page = visitor.new_page()
    page.goto(shop.url("early"))
    in_state(page, "early")
    expect(page.get_by_role("heading", name="waiting room")).to_be_visible()
    expect(page.locator("[data-admitgate=opens]")).to_be_visible()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^1:00:00|59:\d\d$"))
    expect(page.get_by_text("Leave the line", exact=True)).to_have_count(0)
    assert visitor.cookies() == []
    schedule(keys, "early", 0, "waiting_from")
    inside(page)


def test_the_countdown_goes_by_the_events_clock(
    shop: Shop, new_visitor: NewVisitor, keys: redis.Redis
) -> None:
    """The visitor's is years off. It runs on without answers; and no screen reader hears each second."""
    schedule(keys, "countdown", 3 * 86_400)
    page = new_visitor().new_page()
    page.clock.install(time="2020-02-02")
    page.goto(shop.url("countdown"))
    in_state(page, "opens")
    countdown = page.get_by_role("timer")
    expect(countdown).to_have_text("in 3 days")
    schedule(keys, "countdown", 600)
    expect(countdown).to_have_text(re.compile(r"^9:5\d$"))
    page.route("**/status/**", lambda route: route.abort())
    page.clock.run_for(20_000)
    expect(countdown).to_have_text(re.compile(r"^9:[23]\d$"))
    assert page.get_by_role("status").inner_text() in ("", NO_ANSWER)
    page.clock.run_for(600_000)
    expect(countdown).to_have_text("One moment, please.")
    page.unroute("**/status/**")
    schedule(keys, "countdown", 0)
    inside(page)


def test_everybody_sees_the_place_that_python_reckons(
    shop: Shop, new_visitor: NewVisitor, keys: redis.Redis
) -> None:
    """Before the opening the seed's hash, after it the place; and the best of those present goes in first."""
    event = "lottery"
    sid = shop.occupy(event)
    schedule(keys, event, 3600, shuffle="1", seed=SEED)
    shop.join_and_go_away(event, 20)
    pages = [new_visitor().new_page() for _ in range(3)]
    for page in pages:
        page.goto(shop.url(event))
        in_state(page, "opens")
        expect(page.get_by_text("is put into a random order")).to_be_visible()
        expect(page.locator("[data-admitgate=position]")).to_be_hidden()
        expect(page.get_by_role("timer")).to_have_text(re.compile(r"^1:00:00|59:\d\d$"))
        page.get_by_text("Check the draw").click()
        expect(page.get_by_text(f"SHA-256: {seed_hash(SEED)}")).to_be_visible()
    shop.join_and_go_away(event, 20)
    schedule(keys, event, 1)
    status = f"{shop.address}/_admitgate/status/{event}"
    places = {}
    for arrival, page in enumerate(pages, 21):
        place, people = drawn(page)
        found = verified(status, reference=reference(page), hash=seed_hash(SEED))
        assert (people, place) == (43, place_in_draw(SEED, 43, arrival))
        assert (found["is_right"], found["ordinal"], found["place"]) == (True, arrival, place)
        check = page.locator("[data-admitgate=draw_check]").inner_text()
        assert check == (
            f"admitgate verify --seed {SEED} --count 43 --ordinal {arrival} --hash {seed_hash(SEED)}"
        )
        places[place] = page
    everybody_has_heard(keys, event)
    for page in pages:
        in_state(page, "ready")
    shop.make_room(event, sid)
    first, *others = (places[place] for place in sorted(places))
    inside(first)
    for page in others:
        in_state(page, "ready")


def test_whoever_comes_after_the_draw_stands_behind_it(
    shop: Shop, new_visitor: NewVisitor, keys: redis.Redis
) -> None:
    """And is told nothing of a draw that they were not in."""
    event = "late"
    shop.occupy(event)
    schedule(keys, event, 3600, shuffle="1", seed=SEED)
    early = new_visitor().new_page()
    early.goto(shop.url(event))
    in_state(early, "opens")
    schedule(keys, event, 0)
    drawn(early)
    page = new_visitor().new_page()
    page.goto(shop.url(event))
    expect(page.locator("main")).to_have_attribute("data-state", re.compile("waiting|ready"))
    expect(page.get_by_text("drawn")).to_have_count(0)
    expect(page.get_by_text("Check the draw")).to_have_count(0)


def test_a_draw_is_told_without_javascript(shop: Shop, new_visitor: NewVisitor, keys: redis.Redis) -> None:
    """Before it the hash, after it the place: all of it is text, and the page loads itself again."""
    event = "plain"
    shop.occupy(event)
    schedule(keys, event, 3600, shuffle="1", seed=SEED)
    page = new_visitor(java_script_enabled=False).new_page()
    page.goto(shop.url(event))
    in_state(page, "opens")
    expect(page.get_by_text("is put into a random order")).to_be_visible()
    assert seed_hash(SEED) in page.content()
    schedule(keys, event, 0)
    assert drawn(page) == (1, 1)
    assert f"--seed {SEED} --count 1 --ordinal 1" in page.content()


def test_who_shares_an_address_waits_for_the_others_there(
    redis_server: EmbeddedRedis, new_visitor: NewVisitor
) -> None:
    """There is room, but their connection has as many places as it may have; then they go in."""
    rule = {"capacity": 5, "places_per_client": 1}
    with open_shop(redis_server.url, key_prefix="shared", rule=rule) as shop:
        sid = shop.occupy("shared")
        page = new_visitor().new_page()
        page.goto(shop.url("shared"))
        in_state(page, "shared")
        expect(page.get_by_text("once one of them is through").first).to_be_visible()
        expect(page.locator("[data-admitgate=position]")).to_be_hidden()
        shop.make_room("shared", sid)
        inside(page)


def test_a_status_that_nobody_writes_any_more_is_an_outage(
    shop: Shop, new_visitor: NewVisitor, keys: redis.Redis
) -> None:
    """The page keeps its place and says that it can't look up the line. (Its clock runs fast.)"""
    shop.occupy("dead")
    keys.hset(event_keys("draw", "dead").settings, "state", "paused")
    page = new_visitor().new_page()
    page.clock.install()
    page.goto(shop.url("dead"))
    in_state(page, "paused")
    with urlopen(f"{shop.address}/_admitgate/status/dead") as answer:
        body = answer.read()
    page.route("**/status/**", lambda route: route.fulfill(body=body, content_type="application/json"))
    before = reference(page)
    for _ in range(120):
        page.clock.run_for(1_000)
        page.wait_for_timeout(10)
        if page.locator("main").get_attribute("data-state") == "outage":
            break
    in_state(page, "outage")
    assert reference(page) == before
