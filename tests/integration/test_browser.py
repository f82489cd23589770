"""A real browser before the real shops: two visitors, room for one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import chromium
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from admitgate.memory import monotonic

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"
# A grace, a poll and the two loads of a page, on a slow machine.
SOON_MS = 30_000

NewVisitor = Callable[..., BrowserContext]


browser = chromium.browser


@pytest.fixture(
    params=[
        pytest.param(("flask_site",), id="Flask"),
        pytest.param(("django_site",), id="Django"),
        pytest.param(("django_site", "asgi"), id="Django under uvicorn"),
        pytest.param(("fastapi_site",), id="FastAPI"),
    ]
)
def shop(request: pytest.FixtureRequest, free_port: int, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """An example as its README starts it, with room for one; its address."""
    site, *words = request.param
    process = subprocess.Popen(
        [sys.executable, "run.py", str(free_port), *words],
        cwd=EXAMPLES / site,
        env={
            **os.environ,
            "ADMITGATE_REDIS_URL": redis_url,
            "ADMITGATE_DEMO_CAPACITY": "1",
            "DATABASE_PATH": str(tmp_path / "shop.sqlite3"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{free_port}"
    try:
        wait_for_answer(f"{address}/", process)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def new_visitor(browser: Browser) -> Iterator[NewVisitor]:
    """Makes visitors: each with cookies of their own."""
    contexts: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()


def wait_for_answer(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 30
    while monotonic() < deadline:
        assert process.poll() is None, "the shop ended at its start"
        try:
            with urlopen(address, timeout=2):
                return
        except (URLError, OSError):
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    pytest.fail("the shop did not answer within 30 s")


def at_checkout(page: Page) -> None:
    expect(page.get_by_role("heading", name="Check-out")).to_be_visible(timeout=SOON_MS)


def in_line(page: Page) -> None:
    expect(page.get_by_text("Leave the line", exact=True)).to_be_visible(timeout=SOON_MS)


def open_checkout(visitor: BrowserContext, shop: str) -> Page:
    page = visitor.new_page()
    page.goto(f"{shop}/events/gala/checkout")
    return page


def pay(page: Page) -> None:
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_role("button", name="Pay").click()
    expect(page).to_have_url(re.compile("/thanks$"))


def leave(page: Page) -> None:
    page.get_by_text("Leave the line", exact=True).click()
    page.get_by_role("button", name="Yes, leave the line").click()
    expect(page.get_by_role("heading", name="left the line")).to_be_visible(timeout=SOON_MS)


def test_the_second_goes_in_by_itself_when_the_first_has_paid(shop: str, new_visitor: NewVisitor) -> None:
    """Nobody touches the second browser meanwhile. What else visitors do: test_page_visits.py."""
    first, second = (open_checkout(new_visitor(), shop) for _ in range(2))
    at_checkout(first)
    in_line(second)
    pay(first)
    at_checkout(second)
    pay(second)
