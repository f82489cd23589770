"""What an edge has to do, in one table. A new one gets it, and test_gate.py, by an adapter in sites.py.

Each line is one story, told by visitors over HTTP; the fine print of each has tests of its own elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sites
from sites import ADAPTERS, CHECK_IN, CHECKOUT, HOME, JSON, STATUS, THANKS, Clock, Opener, Said, Seen

clock, open_site = sites.clock, sites.open_site

Story = Callable[[Opener, Clock, Path], None]


def admits(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
    """as many go in as there are slots, and stay in"""
    site = open_site(capacity=2)
    first, second = site.fill(), site.fill()
    assert [site.is_in(), site.is_in(first), site.is_in(second)] == [False, True, True]
    assert site.browser().get(HOME).data == b"a page"


def has_them_wait(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
    """the next gets the waiting page, and keeps their place"""
    site = open_site()
    site.fill()
    browser = site.browser()
    page = browser.get(CHECKOUT)
    assert (page.status_code, page.mimetype) == (503, "text/html")
    assert page.headers["Cache-Control"] == "no-store"
    assert int(page.headers["Retry-After"]) > 0
    assert browser.place()["number"] == browser.place()["number"]
    assert len(site.shop.seen) == 1


def checks_them_in(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
    """who waits is told when it is their turn, and goes in"""
    site = open_site()
    inside, waiting = site.fill(), site.browser()
    waiting.place()
    clock.forward(10)
    assert waiting.check_in() == "ready"
    inside.get(THANKS)
    assert waiting.check_in() == "admitted"
    assert site.is_in(waiting)


def renews(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
    """who is active keeps the slot; who isn't loses it"""
    site = open_site(lease_seconds=60)
    browser = site.fill()
    for _ in range(3):
        before = browser.token()
        clock.forward(40)
        assert site.is_in(browser)
        assert browser.token() != before
    clock.forward(61)
    assert site.is_in()


def _by_the_admission(seen: Seen) -> Said:
    seen.admission.release()  # type: ignore[union-attr]
    return Said()


def releases(view: Any) -> Story:
    """An order that is paid in this way gives the slot to the next, and takes the cookie away."""

    def story(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
        site = open_site()
        browser = site.fill()
        if view is not None:
            site.shop.view = view
        answer = browser.get(CHECKOUT if view is not None else THANKS)
        assert answer.status_code == 200
        assert "Admitgate-Release" not in answer.headers
        assert not browser.tokens()
        site.shop.view = lambda seen: Said()
        assert site.is_in()

    return story


def stands_an_outage(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
    """without Redis the admitted go on, the others wait, and nobody sees an error"""
    inside = open_site().fill()
    alone = open_site(redis_url=f"unix://{tmp_path}/nobody.sock")
    inside.application = alone.app
    assert [alone.is_in(inside) for _ in range(3)] == [True] * 3
    assert alone.browser().place()["state"] == "outage"
    assert alone.browser().get("/_admitgate/healthz").status_code == 503
    assert open_site(redis_url=f"unix://{tmp_path}/nobody.sock", on_outage="open").is_in()


def observes(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
    """mode="observe" blocks nobody, and tells the application who would have waited"""
    site = open_site(mode="observe")
    assert [site.is_in() for _ in range(3)] == [True] * 3
    assert [seen.admission.would_wait for seen in site.shop.seen if seen.admission] == [False, True, True]


def tells_its_status(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
    """the status is everybody's: no cookie, and a second's cache"""
    site = open_site()
    site.fill()
    site.browser().place()
    answer = site.browser().get(STATUS)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "public, max-age=1")
    assert (answer.json["event"], answer.json["capacity"], answer.json["leases"]) == ("gala", 1, 1)
    assert "Set-Cookie" not in answer.headers
    assert site.browser().post(STATUS).status_code == 405
    assert site.browser().get(CHECK_IN).status_code == 405


def speaks_json(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
    """a program is told in JSON what people are shown"""
    site = open_site()
    site.fill()
    answer = site.browser().get(CHECKOUT, headers=JSON)
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert answer.json["poll_url"] == STATUS
    head = site.browser().head(CHECKOUT, headers=JSON)
    assert (head.status_code, head.data) == (503, b"")


def gives_back_what_led_to_nothing(open_site: Opener, clock: Clock, tmp_path: Path) -> None:
    """a first visit that the application answers with 404 takes no slot"""
    site = open_site()
    site.shop.view = lambda seen: Said(404)
    answer = site.browser().get(CHECKOUT)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (404, False)
    site.shop.view = lambda seen: Said()
    assert site.is_in()


BEHAVIOURS = [
    *(admits, has_them_wait, checks_them_in, renews),
    pytest.param(releases(_by_the_admission), id="an order releases by the admission"),
    pytest.param(
        releases(lambda seen: Said(headers=(("Admitgate-Release", "1"),))),
        id="an order releases by the header",
    ),
    pytest.param(releases(None), id="an order releases by the page that thanks for it"),
    *(stands_an_outage, observes, tells_its_status, speaks_json, gives_back_what_led_to_nothing),
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__doc__)
def test_every_edge(open_site: Opener, clock: Clock, tmp_path: Path, behaviour: Story) -> None:
    """The same on each: no edge has a policy of its own."""
    behaviour(open_site, clock, tmp_path)


def test_the_table_has_every_edge() -> None:
    """WSGI, Flask, Django under either kind of server, ASGI."""
    assert [adapter.name for adapter in ADAPTERS] == [
        "plain WSGI",
        "Flask",
        "Django",
        "Django under ASGI",
        "ASGI",
    ]
