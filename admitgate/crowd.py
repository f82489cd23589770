"""Simulated visitors for the demo: they arrive, wait, check in, and pay or wander off, all by HTTP.

Each has cookies of their own and does what the waiting page's script does. Everybody takes turns in
one thread, so that a large crowd asks more slowly instead of using up the machine.

    python -m admitgate.crowd http://127.0.0.1:8000 gala --size 200
"""

from __future__ import annotations

import json
import random
import re
import sched
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from html import unescape
from http.client import HTTPException
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

import click

from ._version import __version__
from .decision import PollPolicy

requests_per_second = 40
timeout_seconds = 10
share_that_pays = 0.97
share_with_patience = 0.85

_place_on_page = re.compile(r'<script type="application/json" id="admitgate">(.*?)</script>', re.S)
_hidden_fields = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')

Pauses = Iterator[float]


class Browser:
    """One visitor's cookies. Any answer is an answer, whatever its status."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
        self._opener.addheaders = [("User-Agent", f"admitgate-crowd/{__version__}")]

    def ask(
        self, url: str, *, form: dict[str, str] | None = None, accept: str = "text/html"
    ) -> tuple[int, str]:
        data = None if form is None else urlencode(form).encode()
        request = Request(urljoin(self._home, url), data=data, headers={"Accept": accept})
        try:
            with self._opener.open(request, timeout=timeout_seconds) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as answer:
            with answer:
                return answer.code, answer.read().decode()

    def ask_json(self, url: str, *, form: dict[str, str] | None = None) -> dict[str, Any]:
        facts = json.loads(self.ask(url, form=form, accept="application/json")[1])
        return facts if isinstance(facts, dict) else {}


def visitor(browser: Browser, event: str, dice: random.Random) -> Pauses:
    """One visit from the first click to the last. Yields how long the visitor does nothing."""
    browser.ask(f"/events/{event}")
    yield dice.uniform(1, 4)
    checkout = f"/events/{event}/checkout"
    status, page = browser.ask(checkout)
    while place := _place_on_page.search(page):
        if not (yield from _wait(browser, json.loads(place[1]), dice)):
            return
        status, page = browser.ask(checkout)
    if status == 200:
        yield dice.uniform(2, 6)  # fills in the form
        if dice.random() < share_that_pays:
            browser.ask(checkout, form=_filled_in(page, dice))


def _wait(browser: Browser, page: dict[str, Any], dice: random.Random) -> Generator[float, None, bool]:
    """Ask as the page's script does. True when it is time to go in, False for a change of mind."""
    urls, number = page["facts"]["urls"], page["place"]["number"]
    is_patient = dice.random() < share_with_patience
    leaves_at = float("inf") if is_patient else time.monotonic() + dice.uniform(10, 240)
    yield dice.uniform(1, 3)
    while time.monotonic() < leaves_at:
        line = browser.ask_json(urls["status"])
        pause = _poll_seconds(line, number)
        if number is not None and number <= line["serving"]:
            place = browser.ask_json(urls["check_in"], form={})
            if place["state"] not in ("ready", "waiting", "hold", "outage"):
                return True
            pause = place.get("poll", pause)
        yield pause * dice.uniform(0.8, 1.2)
        if number is None:  # the line was full
            return True
    if dice.random() < 0.5:  # the others just close the page
        browser.ask(urls["leave"], form={})
    return False


def _poll_seconds(line: dict[str, Any], number: int | None) -> float:
    ahead = 0 if number is None else number - line["serving"]
    per_second = line["admitted_per_minute"] / 60 or 1
    wait_seconds = (ahead + line["ready"]) / per_second
    return PollPolicy(**line["poll"]).seconds(
        wait_seconds, ahead=ahead, step=line["step"], grace=line["grace"]
    )


def _filled_in(page: str, dice: random.Random) -> dict[str, str]:
    hidden = {name: unescape(value) for name, value in _hidden_fields.findall(page)}
    name = dice.choice(("Alba", "Bram", "Chidi", "Dana", "Emre", "Freya", "Goro", "Hana"))
    seats = str(dice.randint(1, 4))
    return {**hidden, "name": name, "email": f"{name.lower()}@crowd.example", "seats": seats}


def run(home: str, event: str, *, size: int) -> None:
    """Keep ``size`` visitors about, for ever: whoever leaves is replaced after a while."""
    dice = random.Random()
    clock = sched.scheduler()

    def arrive() -> None:
        take_turn(visitor(Browser(home), event, dice))

    def take_turn(visit: Pauses) -> None:
        pause = None
        with suppress(OSError, HTTPException, ValueError, KeyError):
            pause = next(visit, None)
        if pause is None:
            clock.enter(dice.uniform(1, 8), 0, arrive)
        else:
            clock.enter(pause, 0, take_turn, (visit,))
        time.sleep(1 / requests_per_second)

    for _ in range(size):
        clock.enter(dice.uniform(0, size / 10), 0, arrive)
    clock.run()


@click.command()
@click.argument("home")
@click.argument("event")
@click.option("--size", type=click.IntRange(min=1), default=50, show_default=True)
def main(*, home: str, event: str, size: int) -> None:
    """Send SIZE visitors to EVENT of the demo shop at HOME, until interrupted."""
    with suppress(KeyboardInterrupt):
        run(home, event, size=size)


if __name__ == "__main__":
    main()
