"""One visitor's requests inside the application: so many at once, and no count that stays behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Event
from typing import Any

import pytest
import sites
from django.test import override_settings
from django.urls import path as django_path
from flask import Flask
from on_a_loop import OnALoop
from sites import CHECKOUT, JSON, KEY, THANKS, Clock, Opener, Said, Seen, Site, guarded
from werkzeug.test import TestResponse

from admitgate import AdmitGate, Config, ConfigError, Rule
from admitgate.admission import Admission
from admitgate.flask import AdmitGate as FlaskGate
from admitgate.flask import gated
from admitgate.in_flight import InFlight
from admitgate.rules import Match
from admitgate.tokens import Lease

clock, open_site = sites.clock, sites.open_site


class Crowd:
    """What one visitor's requests are answered that come in the middle of another one of theirs."""

    def __init__(self, open_site: Opener, **options: Any) -> None:
        self.site = open_site(**options)
        self._server = getattr(open_site._opened[-1], "_server", None)

    def nested(self, cookies: str, depth: int, **options: Any) -> list[TestResponse]:
        """The answers to ``depth`` requests, each in the middle of the one before; the last one's first."""
        answers: list[TestResponse] = []
        left = [depth]

        def view(seen: Seen) -> Said:
            left[0] -= 1
            if left[0]:
                answers.append(self.inner(cookies, **options))
            return Said()

        self.site.shop.view = view
        answers.append(self.site.show(cookies))
        self.site.shop.view = lambda seen: Said()
        return answers

    def inner(self, cookies: str, path: str = CHECKOUT, **options: Any) -> TestResponse:
        """The answer to a request from within the application, in a thread and an event loop of its own."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._show, cookies, path, **options).result()

    def _show(self, cookies: str, path: str, **options: Any) -> TestResponse:
        if self._server is None:
            return self.site.show(cookies, path, **options)
        loop = OnALoop(self._server._app)
        try:
            return Site(guarded(loop), self.site.shop).show(cookies, path, **options)
        finally:
            loop.close()


def cookies_of(site: Site) -> str:
    """Somebody goes in: their Cookie header."""
    browser = site.fill()
    return "; ".join(f"{name}={value}" for name, value in browser.tokens().items())


# --- too many


def test_beyond_so_many_at_once_the_next_is_told_to_come_again(open_site: Opener) -> None:
    """Two go in, the third is refused without the application; when they are through, so is all of it."""
    crowd = Crowd(open_site, requests_in_flight=2)
    cookies = cookies_of(crowd.site)
    refused, *let_in = crowd.nested(cookies, 3)
    assert [response.data for response in let_in] == [b"the checkout"] * 2
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Cache-Control"] == "no-store"
    assert refused.mimetype == "text/plain"
    assert "Please try again" in refused.text
    assert crowd.site.show(cookies).data == b"the checkout"


def test_a_program_is_told_in_its_own_way(open_site: Opener) -> None:
    """A problem document."""
    crowd = Crowd(open_site, requests_in_flight=1)
    refused = crowd.nested(cookies_of(crowd.site), 2, headers=JSON)[0]
    assert refused.mimetype == "application/problem+json"
    assert refused.json["status"] == 429


def test_others_are_not_counted_along(open_site: Opener) -> None:
    """Neither another visitor's requests, nor those that no rule means or that wait."""
    crowd = Crowd(open_site, requests_in_flight=1, capacity=2)
    cookies, other = cookies_of(crowd.site), cookies_of(crowd.site)
    answers: list[int] = []

    def view(seen: Seen) -> Said:
        crowd.site.shop.view = lambda seen: Said()
        asked = ((other, CHECKOUT), (cookies, "/"), ("", CHECKOUT), (cookies, "/_admitgate/status/gala"))
        answers.extend(crowd.inner(shown, path).status_code for shown, path in asked)
        return Said()

    crowd.site.shop.view = view
    assert crowd.site.show(cookies).status_code == 200
    assert answers == [200, 200, 503, 200]


def test_a_renewed_token_goes_out_with_the_refusal(open_site: Opener, clock: Clock) -> None:
    """Or the one that the visitor has would look like a copy in the end."""
    crowd = Crowd(open_site, requests_in_flight=1, verify_every_request=True)
    refused = crowd.nested(cookies_of(crowd.site), 2)[0]
    assert refused.status_code == 429
    assert "admitgate_" in refused.headers["Set-Cookie"]


def test_an_observing_gate_refuses_nobody(open_site: Opener) -> None:
    """It changes nothing but cookies."""
    crowd = Crowd(open_site, requests_in_flight=1, mode="observe")
    answers = crowd.nested(cookies_of(crowd.site), 3)
    assert [response.status_code for response in answers] == [200, 200, 200]


def test_none_means_any_number(open_site: Opener) -> None:
    """Nothing is counted."""
    crowd = Crowd(open_site, requests_in_flight=None)
    answers = crowd.nested(cookies_of(crowd.site), 20)
    assert [response.status_code for response in answers] == [200] * 20


# --- no count stays behind


def raising(seen: Seen) -> Said:
    raise ZeroDivisionError


def streaming(seen: Seen) -> Said:
    return Said(body=[b"the ", b"checkout"])


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous")
@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda seen: Said(), id="answers"),
        pytest.param(lambda seen: Said(404), id="knows no such page"),
        pytest.param(lambda seen: Said(500), id="answers with an error"),
        pytest.param(streaming, id="streams"),
        pytest.param(lambda seen: Said(headers=(("Admitgate-Release", "1"),)), id="gives the slot back"),
        pytest.param(raising, id="raises"),
    ],
)
def test_whatever_the_application_does_the_request_is_over(
    open_site: Opener, view: Callable[[Seen], Said]
) -> None:
    """Three times, with room for one at a time."""
    site = open_site(requests_in_flight=1, is_guarded=False)
    browser = site.fill()
    for _ in range(3):
        site.shop.view = view
        with suppress(ZeroDivisionError):
            assert browser.get(CHECKOUT).status_code != 429
        site.shop.view = lambda seen: Said()
        assert site.is_in(browser)
    browser.get(THANKS)
    assert site.is_in(browser)


def test_an_endpoints_requests_are_counted_too(redis_url: str, clock: Clock) -> None:
    """In Flask, by the view that the router chose; also where it breaks."""
    app, answers = Flask("shop"), []
    app.secret_key = KEY
    app.config["ADMITGATE"] = {
        "REDIS_URL": redis_url,
        "REDIS_TIMEOUT_SECONDS": 10,
        "RULES": [],
        "REQUESTS_IN_FLIGHT": 1,
    }

    @app.get("/desk")
    @gated(capacity=1)
    def desk() -> str:
        if not answers:
            answers.append(0)
            answers[0] = site.show(cookies, "/desk").status_code
        return str(1 / (len(answers) % 2))

    FlaskGate().init_app(app)
    site = Site(guarded(app), sites.Shop())
    answers.append(0)
    browser = site.browser()
    assert browser.get("/desk").status_code == 200
    cookies = "; ".join(f"{name}={value}" for name, value in browser.tokens().items())
    answers.clear()
    assert site.show(cookies, "/desk").status_code == 200
    assert answers == [429]
    answers.append(0)
    assert site.show(cookies, "/desk").status_code == 500
    answers.append(0)
    assert site.show(cookies, "/desk").status_code == 200


def test_a_django_views_requests_are_counted_too(redis_url: str, clock: Clock) -> None:
    """By the view that the router chose."""
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse

    answers: list[int] = [0]

    def desk(request: Any) -> HttpResponse:
        if not answers:
            answers.append(0)
            answers[0] = site.show(cookies, "/desk").status_code
        return HttpResponse("the desk")

    given = {"REDIS_URL": redis_url, "REDIS_TIMEOUT_SECONDS": 10, "REQUESTS_IN_FLIGHT": 1}
    urls = (django_path("desk", gated(capacity=1)(desk)),)
    with override_settings(ADMITGATE={**given, "RULES": []}, ROOT_URLCONF=urls):
        site = Site(guarded(WSGIHandler()), sites.Shop())
        browser = site.browser()
        assert browser.get("/desk").status_code == 200
        cookies = "; ".join(f"{name}={value}" for name, value in browser.tokens().items())
        answers.clear()
        assert site.show(cookies, "/desk").status_code == 200
        assert answers == [429]
        assert site.show(cookies, "/desk").status_code == 200


def test_threads_are_counted_exactly(redis_url: str) -> None:
    """Twenty at once, room for seven: thirteen are refused, and then nobody is inside."""
    everybody_is_here, go_on = Barrier(20), Event()

    def shop(environ: dict[str, Any], start: Any) -> list[bytes]:
        go_on.wait(20)
        start("200 OK", [])
        return [b"the checkout"]

    options: dict[str, Any] = {"secret_key": KEY, "redis_url": redis_url, "redis_timeout_seconds": 10}
    rules = [Rule("/events/<event>/checkout", capacity=1)]
    gate = AdmitGate(shop, rules=rules, requests_in_flight=7, **options)
    go_on.set()
    site = Site(gate, sites.Shop())
    cookies = cookies_of(site)
    go_on.clear()
    refused: list[int] = []

    def visit(_: int) -> int:
        everybody_is_here.wait(20)
        status = site.show(cookies).status_code
        if status == 429:
            refused.append(status)
            if len(refused) == 13:
                go_on.set()
        return status

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(visit, range(20)))
    assert sorted(statuses) == [200] * 7 + [429] * 13
    assert len(gate._edge._in_flight) == 0


def test_a_leave_too_many_is_no_harm() -> None:
    """Whoever never entered can leave: the count of the others stays."""
    match = Match(Rule("/", capacity=1), "gala", "c", is_gated=True, is_releasing=False)
    one, same, other = (Admission(match, Lease(sid * 16, 2, 1)) for sid in "aab")
    counts = InFlight(1)
    counts.leave(one)
    assert counts.enter(one)
    counts.leave(other)
    counts.leave(same)
    assert not counts.enter(same)
    counts.leave(one)
    assert len(counts) == 0
    assert counts.enter(same)


@pytest.mark.parametrize("given", [0, -1, 1.5, True, "16", 10_001])
def test_impossible_numbers_are_refused_with_a_sentence(given: Any) -> None:
    """At start."""
    options = {"secret_key": KEY, "redis_url": "redis://localhost", "rules": [Rule("/", capacity=1)]}
    with pytest.raises(ConfigError, match=r"requests_in_flight is .*or None for any number"):
        Config.from_options({**options, "requests_in_flight": given})
