"""The waiting page in a real browser, before the real gate and a real Redis: whatever visitors do to it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import redis
from chromium import CHROMIUM_FLAGS
from page_shop import Shop, open_shop
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
from test_browser import leave

from admitgate.embedded import EmbeddedRedis

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# A browser that is driven from outside shows all of its tabs: whether it is seen has to be said.
HIDDEN = """
    window.seen = false;
    Object.defineProperty(document, "hidden", { get: () => !window.seen });
    window.look = () => { window.seen = true; document.dispatchEvent(new Event("visibilitychange")); };
"""
SOON_MS = 10_000
NewVisitor = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium_path: str) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def new_visitor(browser: Browser) -> Iterator[NewVisitor]:
    """Makes visitors: each with cookies of their own."""
    contexts: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        contexts.append(browser.new_context(locale="en-US", **options))  # type: ignore[arg-type]
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def shop(redis_server: EmbeddedRedis) -> Iterator[Shop]:
    """One for all: every test has an event of its own."""
    with open_shop(redis_server.url, key_prefix="page", brand_message="Doors at eight") as shop:
        yield shop


@pytest.fixture(scope="module")
def patient_shop(redis_server: EmbeddedRedis) -> Iterator[Shop]:
    """Where the door opens after a countdown."""
    with open_shop(redis_server.url, key_prefix="patient", enter_seconds=20) as shop:
        yield shop


@pytest.fixture(scope="module")
def asking_shop(redis_server: EmbeddedRedis) -> Iterator[Shop]:
    """Where visitors are asked first."""
    with open_shop(redis_server.url, key_prefix="asking", ask_first=True, enter_seconds=20) as shop:
        yield shop


@pytest.fixture(scope="module")
def keys(redis_server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.info("server")["process_id"] == redis_server.pid
        yield client


def open_page(visitor: BrowserContext, url: str, state: str = "ready") -> Page:
    """A page in line, which in a short one is called at once."""
    page = visitor.new_page()
    page.goto(url)
    in_state(page, state)
    return page


def in_state(page: Page, state: str) -> None:
    expect(page.locator("main")).to_have_attribute("data-state", state, timeout=SOON_MS)


def inside(page: Page) -> None:
    expect(page.get_by_role("heading", name="Check-out")).to_be_visible(timeout=SOON_MS)


def operate(keys: redis.Redis, event: str, **changes: str) -> None:
    """What an operator changes live; nothing takes it all back."""
    (line,) = (key for key in keys.keys("page:*:line") if keys.hget(key, "event") == event.encode())
    settings = line.replace(b":line", b":settings")
    keys.delete(settings)
    if changes:
        keys.hset(settings, mapping=changes)


def reference(page: Page) -> str:
    return page.locator(".reference").inner_text()


def test_everything_is_told_and_stays_true_while_the_line_moves(
    shop: Shop, new_visitor: NewVisitor, keys: redis.Redis
) -> None:
    """Place, people ahead, time in line, reference, standing message, and an operator's within one poll."""
    sid = shop.occupy("told")
    shop.join_and_go_away("told", 60)
    page = open_page(new_visitor(), shop.url("told"), "waiting")
    expect(page.get_by_text("Doors at eight")).to_be_visible()
    expect(page.get_by_text("Just joined")).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\(\d+\) You.re in line · told$"))
    expect(page.get_by_text(re.compile(r"^About \d+ people are ahead of you$"))).to_be_visible()
    assert re.fullmatch(r"\w{3}-\w{3}", reference(page))
    in_state(page, "ready")
    expect(page.get_by_text("Nobody is ahead of you")).to_be_visible()
    operate(keys, "told", message="Row A is sold out")
    expect(page.get_by_text("Row A is sold out").first).to_be_visible()
    shop.make_room("told", sid)
    inside(page)


def test_a_hidden_tab_takes_its_turn(shop: Shop, new_visitor: NewVisitor) -> None:
    """Nobody looks at it, and it goes in all the same."""
    sid, visitor = shop.occupy("hidden"), new_visitor()
    visitor.add_init_script(HIDDEN)
    page = open_page(visitor, shop.url("hidden"))
    shop.make_room("hidden", sid)
    inside(page)


def test_a_hidden_tab_that_is_looked_at_asks_at_once(shop: Shop, new_visitor: NewVisitor) -> None:
    """It has hardly asked while it was hidden."""
    shop.occupy("looked-at")
    shop.join_and_go_away("looked-at", 5000)
    visitor = new_visitor()
    visitor.add_init_script(HIDDEN)
    page = open_page(visitor, shop.url("looked-at"), "waiting")
    page.wait_for_timeout(400)  # no more often than the floor
    before = time.monotonic()
    with page.expect_request(re.compile("/(status|check-in)/looked-at"), timeout=250):
        page.evaluate("look()")
    assert shop.polls("looked-at", before) <= 2


def test_two_tabs_share_their_questions_and_both_go_in(shop: Shop, new_visitor: NewVisitor) -> None:
    """One visitor has one place, whatever the number of tabs."""
    sid, visitor = shop.occupy("tabs"), new_visitor()
    first, second = (open_page(visitor, shop.url("tabs")) for _ in range(2))
    assert reference(first) == reference(second)
    shop.make_room("tabs", sid)
    inside(first)
    inside(second)


def test_whoever_leaves_in_one_tab_has_left_in_all(shop: Shop, new_visitor: NewVisitor) -> None:
    """And can join again by a button, as a newcomer."""
    shop.occupy("leaving")
    visitor = new_visitor()
    first, second = (open_page(visitor, shop.url("leaving")) for _ in range(2))
    before = reference(first)
    leave(first)
    in_state(second, "left")
    first.get_by_role("button", name="Join the line again").click()
    expect(first.get_by_text("Leave the line", exact=True)).to_be_visible(timeout=SOON_MS)
    assert reference(first) != before


def test_reloading_and_going_back_keep_the_place(shop: Shop, new_visitor: NewVisitor) -> None:
    """Also the progress that was made."""
    sid = shop.occupy("back")
    page = open_page(new_visitor(), shop.url("back"))
    before = reference(page)
    page.reload()
    assert reference(page) == before
    page.goto(f"{shop.address}/home")
    page.go_back()
    expect(page.get_by_text("Leave the line", exact=True)).to_be_visible(timeout=SOON_MS)
    assert reference(page) == before
    shop.make_room("back", sid)
    inside(page)


def test_half_a_minute_without_a_network_costs_nothing(shop: Shop, new_visitor: NewVisitor) -> None:
    """The page says so, keeps what it knew, and goes in when the network is back. (Its clock runs fast.)"""
    sid, visitor = shop.occupy("offline"), new_visitor()
    page = visitor.new_page()
    page.clock.install()
    page.goto(shop.url("offline"))
    before = reference(page)
    visitor.set_offline(True)
    page.clock.run_for(30_000)
    in_state(page, "offline")
    expect(page.locator("[data-admitgate=position]")).to_be_visible()
    assert reference(page) == before
    shop.make_room("offline", sid)
    visitor.set_offline(False)
    page.clock.resume()
    inside(page)


def test_a_phone_that_slept_through_its_turn_kept_its_place(shop: Shop, new_visitor: NewVisitor) -> None:
    """For an hour not one of its timers runs. Others went in meanwhile; it takes the very next slot."""
    sid, visitor = shop.occupy("asleep"), new_visitor()
    page = visitor.new_page()
    page.clock.install()
    page.goto(shop.url("asleep"))
    in_state(page, "ready")
    page.clock.pause_at(datetime.now(timezone.utc) + timedelta(seconds=1))
    shop.make_room("asleep", sid)
    sid = shop.occupy_later("asleep")
    page.clock.fast_forward(3_600_000)
    page.clock.resume()
    # Which of the two depends on what it hears first when it wakes; "missed" itself is reached in tests/js.
    expect(page.locator("main")).to_have_attribute("data-state", re.compile("missed|ready"))
    shop.make_room("asleep", sid)
    inside(page)


def test_without_javascript_the_page_tells_the_same_and_goes_in(shop: Shop, new_visitor: NewVisitor) -> None:
    """Place, people ahead, wait, time in line, reference, message: all of it is text."""
    sid = shop.occupy("plain")
    page = open_page(new_visitor(java_script_enabled=False), shop.url("plain"))
    for said in (
        "Your place in line",
        "Nobody is ahead of you",
        "Expected wait",
        "Just joined",
        "UTC",
        "Doors at eight",
    ):
        expect(page.get_by_text(said).first).to_be_visible()
    for name in ("Enter now", "I need more time", "Alert me"):
        expect(page.get_by_role("button", name=name)).to_be_hidden()
    shop.make_room("plain", sid)
    inside(page)


def test_leaving_works_without_javascript(shop: Shop, new_visitor: NewVisitor) -> None:
    """The button is a form, and the way on is the shop's start page."""
    shop.occupy("plain-leaving")
    page = open_page(new_visitor(java_script_enabled=False), shop.url("plain-leaving"))
    leave(page)
    page.get_by_role("link", name="Go to the start page").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


def test_a_browser_that_refuses_cookies_is_told_and_takes_no_number_twice(
    shop: Shop, playwright: Playwright, chromium_path: str, tmp_path: Path
) -> None:
    """It asks for nothing any more until a person does something about it."""
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default/Preferences").write_text(json.dumps(blocked), "utf-8")
    shop.occupy("cookies")
    context = playwright.chromium.launch_persistent_context(
        tmp_path, executable_path=chromium_path, args=CHROMIUM_FLAGS, locale="en-US"
    )
    try:
        page = open_page(context, shop.url("cookies"), "cookies")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        page.wait_for_timeout(700)
        assert shop.polls("cookies") <= 1
    finally:
        context.close()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_browser_whose_clock_is_an_hour_off_shows_the_right_time(
    shop: Shop, new_visitor: NewVisitor, hours: int
) -> None:
    """Times on the page are the server's; and the page asks and goes in as ever."""
    event = f"clock{hours}"
    sid, visitor = shop.occupy(event), new_visitor(timezone_id="UTC")
    page = visitor.new_page()
    page.clock.install(time=datetime.now(timezone.utc) + timedelta(hours=hours))
    page.clock.resume()
    page.goto(shop.url(event))
    in_state(page, "ready")
    shown = page.locator("[data-admitgate=updated]").inner_text()
    told = datetime.strptime(shown.replace("\u202f", " "), "%I:%M:%S %p")
    real = datetime.now(timezone.utc)
    away = (real.hour * 3600 + real.minute * 60 + real.second) - (
        told.hour * 3600 + told.minute * 60 + told.second
    )
    assert min(away % 86_400, -away % 86_400) < 60
    shop.make_room(event, sid)
    inside(page)


def test_the_door_opens_with_a_countdown_and_a_button(patient_shop: Shop, new_visitor: NewVisitor) -> None:
    """Title and icon say so in the tab bar; *more time* gives a minute, *enter now* goes in."""
    sid = patient_shop.occupy("door")
    page = open_page(new_visitor(), patient_shop.url("door"))
    icon = page.locator("link[rel=icon]").get_attribute("href")
    patient_shop.make_room("door", sid)
    in_state(page, "admitted")
    expect(page).to_have_title(re.compile("^● It.s your turn"))
    assert page.locator("link[rel=icon]").get_attribute("href") != icon
    expect(page.get_by_text(re.compile("by yourself in 1?[0-9] seconds")).first).to_be_visible()
    page.get_by_role("button", name="I need more time").click()
    expect(page.get_by_text(re.compile("by yourself in (60|5[0-9]|29|30) seconds")).first).to_be_visible()
    page.get_by_role("button", name="Enter now").click()
    inside(page)


def test_a_shop_that_asks_first_keeps_the_place_until_there_is_an_answer(
    asking_shop: Shop, new_visitor: NewVisitor
) -> None:
    """Whoever doesn't answer holds no slot, and loses nothing."""
    sid = asking_shop.occupy("ask")
    asking_shop.join_and_go_away("ask", 60)
    page = open_page(new_visitor(), asking_shop.url("ask"), "waiting")
    expect(page.get_by_text("asks you to come in").first).to_be_visible()
    in_state(page, "called")
    asking_shop.make_room("ask", sid)
    page.wait_for_timeout(900)
    in_state(page, "called")
    page.get_by_role("button", name="Enter now").click()
    in_state(page, "admitted")
    page.get_by_role("button", name="Enter now").click()
    inside(page)


def test_a_form_that_was_turned_away_comes_back_by_get(shop: Shop, new_visitor: NewVisitor) -> None:
    """And is told that nothing was sent. Nothing is: the form is empty."""
    sid = shop.occupy("form")
    page = new_visitor().new_page()
    page.goto(f"{shop.address}/home")
    page.set_content(f'<form method="post" action="{shop.url("form")}"><button>Buy</button></form>')
    page.get_by_role("button").click()
    expect(page.get_by_text("nothing was ordered or changed")).to_be_visible()
    shop.make_room("form", sid)
    with page.expect_request(lambda request: request.url == shop.url("form")) as entered:
        inside(page)
    assert entered.value.method == "GET"


def test_a_page_loaded_ahead_of_time_joins_when_it_is_looked_at(
    shop: Shop, new_visitor: NewVisitor, keys: redis.Redis
) -> None:
    """Until then it has no number and asks nothing."""
    shop.occupy("ahead")
    visitor = new_visitor(extra_http_headers={"Sec-Purpose": "prefetch"})
    visitor.add_init_script(HIDDEN)
    page = open_page(visitor, shop.url("ahead"), "prefetch")
    visitor.set_extra_http_headers({})
    page.wait_for_timeout(700)
    assert shop.polls("ahead") == 0
    page.evaluate("look()")
    in_state(page, "ready")


def test_a_full_line_gives_no_number_and_asks_again(
    redis_server: EmbeddedRedis, new_visitor: NewVisitor
) -> None:
    """Until there is room in the line again."""
    with open_shop(redis_server.url, key_prefix="full", rule={"max_waiting": 1, "grace_seconds": 3}) as shop:
        sid = shop.occupy("few")
        first = open_page(new_visitor(), shop.url("few"))
        first.wait_for_event("response", lambda response: "/check-in/" in response.url)
        second = open_page(new_visitor(), shop.url("few"), "full")
        expect(second.get_by_text("Leave the line")).to_have_count(0)
        shop.make_room("few", sid)
        inside(first)
        expect(second.get_by_text("Leave the line", exact=True)).to_be_visible(timeout=SOON_MS)


def test_an_outage_and_a_loss_are_told_and_waited_out(new_visitor: NewVisitor) -> None:
    """Redis goes away, comes back empty, and the line rests until the old leases have come back or ended."""
    with (
        EmbeddedRedis() as server,
        open_shop(server.url, rule={"lease_seconds": 3}, redis_timeout_seconds=0.25) as shop,
    ):
        shop.occupy("lost")
        page = open_page(new_visitor(), shop.url("lost"))
        before = reference(page)
        with redis.Redis.from_url(server.url) as client:
            client.client_pause(2500, all=True)
        in_state(page, "outage")
        newcomer = open_page(new_visitor(), shop.url("lost"), "outage")
        expect(newcomer.get_by_text("Leave the line")).to_have_count(0)
        expect(page.get_by_role("heading", level=1)).to_have_attribute("data-admitgate", "heading")
        in_state(page, "ready")
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        in_state(page, "hold")
        assert reference(page) == before
        inside(page)
        expect(newcomer.get_by_text("Leave the line", exact=True)).to_be_visible(timeout=SOON_MS)


def test_a_site_that_answers_nothing_is_asked_again(shop: Shop, new_visitor: NewVisitor) -> None:
    """By a page that says so and keeps what it knew."""
    sid, visitor = shop.occupy("silent"), new_visitor()
    page = open_page(visitor, shop.url("silent"))
    page.route("**/_admitgate/**", lambda route: route.abort())
    in_state(page, "retrying")
    expect(page.locator("[data-admitgate=position]")).to_be_visible()
    page.unroute("**/_admitgate/**")
    shop.make_room("silent", sid)
    inside(page)


def test_the_alert_is_off_until_somebody_wants_it(shop: Shop, new_visitor: NewVisitor) -> None:
    """No permission is asked for and no sound made before."""
    shop.occupy("alert")
    visitor = new_visitor(permissions=["notifications"])
    visitor.add_init_script("window.asked = 0; Notification.requestPermission = async () => { asked += 1; };")
    page = open_page(visitor, shop.url("alert"))
    button = page.get_by_role("button", name="Alert me")
    assert (button.get_attribute("aria-pressed"), page.evaluate("asked")) == ("false", 0)
    button.click()
    assert (button.get_attribute("aria-pressed"), page.evaluate("asked")) == ("true", 1)
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("state", ["paused", "closed"])
def test_an_operator_stops_the_line_and_it_goes_on(
    shop: Shop, new_visitor: NewVisitor, keys: redis.Redis, state: str
) -> None:
    """Both hear it within one poll: who stands in line, and who comes then."""
    event = f"is-{state}"
    sid = shop.occupy(event)
    page = open_page(new_visitor(), shop.url(event))
    before = reference(page)
    operate(keys, event, state=state, message="The rain is too heavy")
    in_state(page, state)
    expect(page.get_by_text("The rain is too heavy").first).to_be_visible()
    newcomer = open_page(new_visitor(), shop.url(event), state)
    expect(newcomer.get_by_text("The rain is too heavy").first).to_be_visible()
    if state == "closed":
        return
    operate(keys, event)
    in_state(page, "ready")
    assert reference(page) == before
    shop.make_room(event, sid)
    inside(page)


def test_a_line_that_opens_later_tells_when(shop: Shop, new_visitor: NewVisitor, keys: redis.Redis) -> None:
    """At the visitor's own time, wherever they are; and it opens by itself."""
    shop.make_room("later", shop.occupy("later"))
    opens_at = datetime.now(timezone.utc) + timedelta(hours=1)
    operate(keys, "later", opens_at=str(int(opens_at.timestamp() * 1000)))
    page = open_page(new_visitor(timezone_id="Asia/Tokyo"), shop.url("later"), "opens")
    there = opens_at + timedelta(hours=9)
    shown = page.locator("[data-admitgate=opens]").inner_text().replace("\u202f", " ")
    assert shown == f"{there:%b} {there.day}, {there.year}, {there.hour % 12 or 12}:{there:%M %p}"
    operate(keys, "later", opens_at=str(int(time.time() * 1000)))
    inside(page)
