"""A shop that demands a proof at check-in, in a real browser: the page reckons, and goes in by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import chromium
import pytest
from page_shop import Shop, open_shop
from playwright.sync_api import Browser, Page, expect

from admitgate.challenge import Altcha
from admitgate.embedded import EmbeddedRedis

pytestmark = [pytest.mark.browser, pytest.mark.slow]

browser = chromium.browser

SOON_MS = 10_000
SOLVER = """{% extends "admitgate/waiting.html" %}{% block head %}<script>
globalThis.admitgateProof = (challenge) => new Promise((found) => {
  document.addEventListener("click", () => found(challenge.question + "!"));
});
</script>{% endblock %}"""


class Password:
    """A challenge of the site's own, which a person solves by a click."""

    def ask(self, event: str, sid: str, now_ms: int) -> Mapping[str, Any]:
        return {"question": event}

    def verify(self, event: str, sid: str, answer: str, now_ms: int) -> bool:
        return answer == event + "!"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new visitor's, which has nothing to complain of: neither a script that failed nor the policy."""
    context = browser.new_context(locale="en-US")
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "503" not in said.text else None)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def shop(redis_server: EmbeddedRedis) -> Iterator[Shop]:
    with open_shop(redis_server.url, key_prefix="proof", challenge=Altcha(hashes=20_000)) as shop:
        yield shop


def in_state(page: Page, state: str) -> None:
    expect(page.locator("main")).to_have_attribute("data-state", state, timeout=SOON_MS)


def inside(page: Page) -> None:
    expect(page.get_by_role("heading", name="Check-out")).to_be_visible(timeout=SOON_MS)


def check_ins(shop: Shop, event: str) -> int:
    return sum(path == f"/_admitgate/check-in/{event}" for path, _ in shop.asked)


def test_the_page_finds_the_proof_and_goes_in(shop: Shop, page: Page) -> None:
    """Nobody has to do anything, and a reload costs another reckoning, no place."""
    sid = shop.occupy("proof")
    page.goto(shop.url("proof"))
    in_state(page, "ready")
    page.wait_for_function("() => performance.getEntriesByType('resource').length > 2", timeout=SOON_MS)
    page.reload()
    in_state(page, "ready")
    shop.make_room("proof", sid)
    inside(page)
    assert check_ins(shop, "proof") > 3


def test_whoever_is_behind_has_the_proof_before_they_are_called(shop: Shop, page: Page) -> None:
    """The first check-in is answered by the challenge, and no later one is."""
    sid = shop.occupy("behind")
    shop.join_and_go_away("behind", 60)
    answers: list[str] = []
    page.on(
        "response",
        lambda answer: answers.append(answer.json()["state"]) if "/check-in/" in answer.url else None,
    )
    page.goto(shop.url("behind"))
    in_state(page, "waiting")
    in_state(page, "ready")
    page.wait_for_timeout(800)
    shop.make_room("behind", sid)
    inside(page)
    assert answers[0] == "challenge"
    assert "challenge" not in answers[1:]


def test_without_javascript_the_page_says_whom_to_ask_and_lets_nobody_in(
    shop: Shop, browser: Browser
) -> None:
    """Or everybody would turn it off."""
    sid = shop.occupy("plain")
    context = browser.new_context(locale="en-US", java_script_enabled=False)
    page = context.new_page()
    page.goto(shop.url("plain"))
    assert "ask the organisers for a link that takes you in" in page.content()
    shop.make_room("plain", sid)
    for _ in range(3):
        page.wait_for_timeout(700)
        page.reload()
        in_state(page, "ready")
    context.close()


def test_a_challenge_of_the_sites_own_has_its_own_solver(
    redis_server: EmbeddedRedis, page: Page, tmp_path: Path
) -> None:
    """In a page of the site's own; while it takes its time the page says why nothing happens."""
    template = tmp_path / "waiting.html"
    template.write_text(SOLVER)
    options = {"challenge": Password(), "template": str(template), "key_prefix": "password"}
    with open_shop(redis_server.url, **options) as shop:
        sid = shop.occupy("own")
        page.goto(shop.url("own"))
        calculating = page.get_by_text("Your browser is doing a short calculation")
        expect(calculating).to_be_visible(timeout=SOON_MS)
        page.get_by_role("heading").click()
        in_state(page, "ready")
        expect(calculating).to_be_hidden()
        shop.make_room("own", sid)
        inside(page)
