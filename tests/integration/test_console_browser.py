"""The console in a real browser, during a sale: what it changes is seen by everybody who waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import chromium
import pytest
from page_shop import OPTIONS, RULE, Shop, open_shop
from playwright.sync_api import Browser, BrowserContext, Page, expect
from test_page_everybody import AXE, LOOK, RULES

from admitgate import Config, Rule
from admitgate.console.access import Access, enter_path
from admitgate.embedded import EmbeddedRedis

pytestmark = [pytest.mark.browser, pytest.mark.slow]
browser = chromium.browser

CONSOLE = "/_admitgate/console/"
SOON_MS = 10_000
EVIL = "http://evil.example/"
SMALL = """() => [...document.querySelectorAll("button, a, summary, input:not([type=checkbox]), textarea")]
    .filter((element) => element.checkVisibility())
    .map((element) => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
    .filter(([, box]) => box.height < 44 || box.width < 44).map(([text]) => text)"""
New = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def shop(redis_server: EmbeddedRedis) -> Iterator[Shop]:
    """Room for one at each event, and an operator who is known by a header."""
    options = {"key_prefix": "console", "console": lambda environ: environ.get("HTTP_OPERATOR")}
    with open_shop(redis_server.url, **options) as shop:
        yield shop


@pytest.fixture(scope="module")
def linked_shop(redis_server: EmbeddedRedis) -> Iterator[Shop]:
    """Where operators come by a link."""
    with open_shop(redis_server.url, key_prefix="linked", console="link") as shop:
        yield shop


@pytest.fixture
def new(browser: Browser) -> Iterator[New]:
    """Makes browsers: visitors', or an operator's, with cookies of their own."""
    contexts: list[BrowserContext] = []

    def make(operator: str = "", **options: Any) -> BrowserContext:
        headers = {"Operator": operator} if operator else {}
        contexts.append(browser.new_context(locale="en-GB", extra_http_headers=headers, **options))
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()


def console(shop: Shop, context: BrowserContext, event: str = "") -> Page:
    """The console's page of an event, or of all; whatever the browser complains of is an error."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{shop.address}{CONSOLE}{event and 'event/' + event}")
    assert complaints == []
    return page


def yes(page: Page) -> None:
    """Say that it is meant so."""
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("heading", name="Levers")).to_be_visible()


def in_state(page: Page, state: str) -> None:
    expect(page.locator("main")).to_have_attribute("data-state", state, timeout=SOON_MS)


def test_a_sale_is_steered_and_everybody_sees_it(shop: Shop, new: New) -> None:
    """More room lets somebody in; closing tells everybody who waits, within a poll; the log has both."""
    shop.occupy("gala")
    first, *others = [new().new_page() for _ in range(3)]
    for page in (first, *others):
        page.goto(shop.url("gala"))
        in_state(page, "ready")
    desk = console(shop, new("Anna"), "gala")
    expect(desk.locator("#now")).to_contain_text("1 of 1")
    desk.get_by_label("Capacity").fill("2")
    desk.get_by_role("button", name="Change dials").click()
    expect(desk.get_by_role("heading", name="Change this?")).to_be_visible()
    yes(desk)
    expect(first.get_by_role("heading", name="Check-out")).to_be_visible(timeout=SOON_MS)
    desk.get_by_label("To everybody who waits").fill("Sold out. Thank you all.")
    desk.get_by_role("button", name="Close with it").click()
    yes(desk)
    closed_at = time.monotonic()
    for page in others:
        in_state(page, "closed")
        expect(page.get_by_text("Sold out. Thank you all.", exact=True)).to_be_visible()
    assert shop.polls("gala", closed_at) <= 2 * len(others)  # one that was on its way, and one
    expect(desk.locator("#log")).to_contain_text("Anna Message: none → Sold out. Thank you all.")
    expect(desk.locator("#log")).to_contain_text("Capacity: the rule's → 2")


def test_it_refreshes_itself_and_leaves_a_form_alone(shop: Shop, new: New) -> None:
    """New figures come by themselves; what is half typed, and a table that is open, stay as they are."""
    desk = console(shop, new("Anna"), "fresh")
    expect(desk.locator("#now")).to_contain_text("Nobody has come yet")
    desk.get_by_label("Capacity").fill("17")
    desk.get_by_text("The same as a table").click()
    shop.occupy("fresh")
    expect(desk.locator("#now")).to_contain_text("1 of 1", timeout=SOON_MS)
    expect(desk.get_by_label("Capacity")).to_have_value("17")
    expect(desk.get_by_role("region", name="The last hour as a table")).to_be_visible()
    desk.get_by_role("button", name="Hold still").click()
    seen_at = desk.locator("#updated").inner_text()
    desk.wait_for_timeout(900)
    assert desk.locator("#updated").inner_text() == seen_at


def test_a_chart_tells_the_minute_under_the_pointer(shop: Shop, new: New) -> None:
    """The same figures as the table's row."""
    shop.occupy("chart")
    desk = console(shop, new("Anna"), "chart")
    box = desk.locator(".chart svg").first.bounding_box()
    assert box
    desk.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
    expect(desk.locator(".chart").first).to_contain_text(": 1 of 1")
    desk.mouse.move(0, 0)
    expect(desk.locator(".chart").first).to_contain_text("at most 1 in the last hour")


def test_it_works_without_a_script(shop: Shop, new: New) -> None:
    """Forms, a question and a link to refresh are all it takes."""
    shop.occupy("plain")
    desk = console(shop, new("Anna", java_script_enabled=False))
    desk.get_by_role("link", name="plain").click()
    expect(desk.locator("#now")).to_contain_text("1 of 1")
    desk.get_by_role("button", name="Pause").click()
    yes(desk)
    expect(desk.get_by_role("status")).to_have_text("Paused: nobody goes in.")
    expect(desk.locator("#now")).to_contain_text("Paused")
    desk.get_by_role("link", name="Refresh every 10 s").click()
    expect(desk.get_by_role("link", name="Hold still")).to_be_visible()


def test_a_stranger_finds_nothing(shop: Shop, new: New) -> None:
    """404, like any address that there isn't."""
    page = new().new_page()
    for path in (CONSOLE, f"{CONSOLE}event/gala"):
        answer = page.goto(shop.address + path)
        assert answer
        assert answer.status == 404


def test_another_sites_form_is_refused(shop: Shop, new: New) -> None:
    """With the operator's own browser and a token of theirs: 403, and nothing has changed."""
    shop.occupy("forged")
    operator = new("Anna")
    desk = console(shop, operator, "forged")
    token = desk.locator("[name=form_token]").first.input_value()
    form = f"""<form method="post" action="{shop.address}{CONSOLE}event/forged">
        <input name="action" value="close"><input name="sure" value="yes">
        <input name="form_token" value="{token}"><button>Win</button></form>"""
    operator.route(EVIL, lambda route: route.fulfill(body=form, content_type="text/html"))
    desk.goto(EVIL)
    with desk.expect_navigation(url=f"**{CONSOLE}event/forged") as navigation:
        desk.get_by_role("button", name="Win").click()
    assert navigation.value
    assert navigation.value.status == 403
    expect(desk.get_by_role("heading", name="This form is refused")).to_be_visible()
    desk = console(shop, operator, "forged")
    expect(desk.locator("#log")).to_contain_text("Nobody has changed anything yet.")


def test_a_form_with_a_made_up_token_is_refused(shop: Shop, new: New) -> None:
    """On the console's own page, too."""
    shop.occupy("made-up")
    desk = console(shop, new("Anna"), "made-up")
    desk.get_by_role("button", name="Hold still").click()
    desk.evaluate("document.querySelectorAll('[name=form_token]').forEach((field) => field.value += 'x')")
    with desk.expect_navigation() as navigation:
        desk.get_by_role("button", name="Pause").click()
    assert navigation.value
    assert navigation.value.status == 403


def test_a_link_in_a_mail_opens_the_console(linked_shop: Shop, new: New) -> None:
    """Though its cookie is one that comes along with no other site's link."""
    options = {"rules": [Rule("/<event>/buy", **RULE)], **OPTIONS, "redis_url": "redis://localhost"}
    config = Config.from_options({**options, "console": "link"})
    link = linked_shop.address + enter_path(config.mount, Access(config).link_token("Anna", 60))
    operator = new()
    operator.route(
        EVIL, lambda route: route.fulfill(body=f'<a href="{link}">Open</a>', content_type="text/html")
    )
    page = operator.new_page()
    page.goto(EVIL)
    page.get_by_role("link", name="Open").click()
    expect(page.get_by_role("heading", name="Events")).to_be_visible()
    assert "token" not in page.url
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    answer = page.goto(linked_shop.address + CONSOLE)
    assert answer
    assert answer.status == 404


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_in_anybodys_way(shop: Shop, new: New, width: int) -> None:
    """On no page, in neither scheme; nothing is too wide, and every target is large enough for a thumb."""
    shop.occupy("axe")
    gate = shop.gate.event("axe")
    gate.set(by="Tom", capacity=3)
    gate.message("Row A is sold out", by="Tom")
    operator = new("Anna", bypass_csp=True, viewport={"width": width, "height": 900})
    page = console(shop, operator)
    assert findings(page) == {}
    page = console(shop, operator, "axe")
    for summary in page.locator("summary").all():
        summary.click()
    assert findings(page) == {}
    page.get_by_role("button", name="Reset").click()
    assert findings(page) == {}
    page = console(shop, operator, "axe")
    page.get_by_role("button", name="Change dials").click()
    expect(page.get_by_role("heading", name="That can't be done")).to_be_visible()
    assert findings(page) == {}


def findings(page: Page) -> dict[str, Any]:
    """What is wrong, in either scheme."""
    page.evaluate(AXE)
    found: dict[str, Any] = {"small targets": page.evaluate(SMALL)}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        found[scheme] = page.evaluate(LOOK, RULES)
    found["too wide by"] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return {name: wrong for name, wrong in found.items() if wrong}
