"""The waiting page for everybody: axe-core finds nothing in any state; what no tool can judge is measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest
from playwright.sync_api import Browser, Page
from screenshots import open_scene, preview

from admitgate import languages
from admitgate.languages import LANGUAGES, Language
from admitgate.preview import SCENES

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = (Path(__file__).parents[1] / "vendor/axe-core/axe.min.js").read_text("utf-8")
WIDTHS = {"320 px": 320, "desktop": 1280}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOK = """(rules) => axe.run(document, { runOnly: rules, resultTypes: ["violations"] }).then((found) =>
    found.violations.map((v) => v.id + ": " + v.help + " " + v.nodes.map((node) => node.html).join(" | ")))"""
TARGETS = """() => [...document.querySelectorAll("button, a, summary, input")]
    .filter((element) => element.checkVisibility())
    .map((element) => [element.textContent.trim(), element.getBoundingClientRect()])
    .filter(([, box]) => box.height < 44 || box.width < 44).map(([text]) => text)"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with preview() as address:
        yield address


browser = chromium.browser


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One page for all scenes, whose clock runs as fast as we like. axe comes past the page's own policy."""
    with browser.new_context(bypass_csp=True, reduced_motion="reduce") as context:
        page = context.new_page()
        page.clock.install()
        yield page


def findings(page: Page) -> dict[str, Any]:
    """What is wrong, by width and scheme."""
    page.evaluate(AXE)
    found: dict[str, Any] = {}
    for width, pixels in WIDTHS.items():
        page.set_viewport_size({"width": pixels, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found[f"{width}, {scheme}"] = page.evaluate(LOOK, RULES)
        found[f"{width}, small targets"] = page.evaluate(TARGETS)
        found[f"{width}, too wide by"] = (
            page.evaluate("document.documentElement.scrollWidth - innerWidth") or []
        )
    return {name: wrong for name, wrong in found.items() if wrong}


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_in_anybodys_way(page: Page, address: str, scene: str) -> None:
    """In no state, at no width, in neither scheme; and every target is 44 pixels high and wide."""
    open_scene(page, address, scene)
    assert findings(page) == {}


@pytest.mark.parametrize("scene", ["waiting", "message", "opens", "admitted"])
def test_nothing_is_in_the_way_of_who_reads_from_the_right(
    page: Page, address: str, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole page is turned round, not only its text."""
    arabic = LANGUAGES.get("ar", Language("ar", "rtl", {"one": 1, "other": 5}))
    monkeypatch.setattr(languages, "of", lambda visit: arabic)
    open_scene(page, address, scene)
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert findings(page) == {}
    page.set_viewport_size({"width": 1280, "height": 900})
    heading, card = (page.locator(name).bounding_box() for name in ("h1", "main"))
    assert heading
    assert card
    assert heading["x"] + heading["width"] > card["x"] + card["width"] * 0.9


def test_nothing_moves_for_who_wants_no_motion(page: Page, address: str) -> None:
    """The dots stand still."""
    open_scene(page, address, "waiting")
    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate("document.getAnimations().length") > 0
    page.emulate_media(reduced_motion="reduce")


def test_forced_colours_leave_nothing_unseen(page: Page, address: str) -> None:
    """Where a system paints everything in its own colours, edges stand for what was a background."""
    page.emulate_media(forced_colors="active")
    open_scene(page, address, "admitted")
    assert findings(page) == {}
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).borderStyle") == "solid"
    page.emulate_media(forced_colors="none")


def test_a_screen_reader_hears_sentences_and_only_at_sensible_moments(page: Page, address: str) -> None:
    """One polite region: silent while nothing happens, a sentence or two when something does."""
    open_scene(page, address, "waiting")
    region = page.get_by_role("status")
    for _ in range(30):
        page.clock.run_for(2000)
    assert region.inner_text() == ""
    open_scene(page, address, "admitted")
    said = region.inner_text().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    assert said.startswith("It's your turn. There is room for you now. You go in by yourself in ")
    before = region.inner_text()
    page.clock.run_for(5_000)
    assert region.inner_text() == before
    assert page.get_by_role("main").count() == 1


def test_everything_can_be_reached_by_keyboard_in_order(page: Page, address: str) -> None:
    """And focus can be seen."""
    open_scene(page, address, "admitted")
    reached = []
    for _ in range(2):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert reached == ["Enter now", "I need more time"]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
