"""A rule that knows its events: what isn't one of them never reaches Redis, nor the application."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pytest
import redis
import sites
from flask import Flask
from sites import CHECK_IN, CHECKOUT, JSON, KEY, LEAVE, STATUS, Clock, Opener

from admitgate import Config, ConfigError, Rule, known_events
from admitgate.flask import AdmitGate as FlaskGate
from admitgate.flask import gated
from admitgate.known_events import AskedEvents
from admitgate.rules import event_slug

clock, open_site, open_plain = sites.clock, sites.open_site, sites.open_plain

INVENTED = "/events/invented/checkout"
HOSTILE = [
    *(
        "<script>alert(1)</script>",
        "</title><h1>",
        '"onload="',
        "'; DROP",
        "{event}",
        "%s",
        "$(id)",
        "..",
        "é",
        "\U0001d524",
    ),
    *(
        "gala ",
        "Gala",
        "GALA",
        "gala\x00",
        "gala\u202e",
        "gala\r\nSet-Cookie: a=b",
        "x" * 120,
        "x" * 121,
        "x" * 9000,
    ),
]


class Catalogue:
    """The shop's own list of what is on sale; ``fail`` is raised instead of an answer."""

    def __init__(self, *events: Any) -> None:
        self.events: Any = list(events)
        self.fail: Exception | None = None
        self.asked = 0

    def __call__(self) -> Any:
        self.asked += 1
        if self.fail is not None:
            raise self.fail
        return self.events


def asked(source: Any, seconds: float = 60) -> AskedEvents:
    """What a rule keeps of such a source."""
    return AskedEvents(source, str, seconds, "'/events/<event>'")


# --- at the gate


@pytest.mark.parametrize("events", [["gala"], ("gala",), {"gala"}, lambda: ["gala"], lambda: iter({"gala"})])
def test_an_event_of_the_shops_is_gated(open_site: Opener, events: Any) -> None:
    """A list, a tuple, a set, a callable that gives a list or anything else to go through."""
    site = open_site(events=events)
    site.fill()
    assert site.browser().get(CHECKOUT).status_code == 503


def test_an_invented_event_is_answered_404(open_site: Opener, redis_client: redis.Redis) -> None:
    """Without the application, without Redis, without a cookie, and nobody may keep the answer."""
    site = open_site(events=["gala"], is_guarded=False)  # the validators know no BREW
    for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "BREW"):
        answer = site.browser().open(INVENTED, method=method)
        assert answer.status_code == 404
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers
    assert site.shop.seen == []
    assert sites.script_calls(redis_client) == 0
    assert sites.state_keys(redis_client) == []


def test_people_are_given_a_page_and_programs_a_problem(open_site: Opener) -> None:
    """RFC 9457; the page is small, and HEAD is told its length without it."""
    site = open_site(events=["gala"])
    page = site.browser().get(INVENTED, headers={"Accept": "text/html"})
    assert page.content_type == "text/html; charset=utf-8"
    assert "There is no such event." in page.text
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    problem = site.browser().get(INVENTED, headers=JSON)
    assert problem.content_type == "application/problem+json"
    assert json.loads(problem.data)["status"] == 404
    head = site.browser().head(INVENTED)
    assert (head.status_code, head.data) == (404, b"")


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:30]))
def test_no_name_is_reflected_or_known(open_site: Opener, redis_client: redis.Redis, name: str) -> None:
    """However it is written: every hostile name has the same answer, to the byte."""
    site = open_site(events=["gala"], is_guarded=False)
    plain = site.browser().get(INVENTED)
    for accept in ("text/html", "application/json"):
        plain = site.browser().get(INVENTED, headers={"Accept": accept})
        path = f"/events/{name}/checkout".encode().decode("latin-1")
        answer = site.browser().get("/", environ_overrides={"PATH_INFO": path}, headers={"Accept": accept})
        assert answer.status_code in (404, 200)
        if answer.status_code == 404:
            assert (answer.data, list(answer.headers)) == (plain.data, list(plain.headers))
        else:  # no path of the rule, so the application has it
            assert site.shop.seen
    assert sites.script_calls(redis_client) == 0


def test_the_answers_below_the_mount_know_the_same(open_site: Opener, redis_client: redis.Redis) -> None:
    """Status, check-in and leave of an invented event: 404, and nothing is remembered or asked."""
    site = open_site(events=["gala"])
    browser = site.fill()
    before = sites.script_calls(redis_client)
    for name in ("invented", *HOSTILE):
        slug = event_slug(name)
        for verb, method in (("status", "GET"), ("check-in", "POST"), ("leave", "POST"), ("wait", "GET")):
            answer = browser.open(f"/_admitgate/{verb}/{slug}", method=method)
            assert answer.status_code == 404
            assert "Set-Cookie" not in answer.headers
            assert answer.headers["Cache-Control"] == "no-store"
    assert sites.script_calls(redis_client) == before
    assert browser.get(STATUS).status_code == 200
    assert browser.post(CHECK_IN).status_code == 200
    assert browser.post(LEAVE).status_code == 200


def test_a_flood_of_invented_events_leaves_nothing(
    open_plain: Opener, redis_client: redis.Redis, clock: Clock
) -> None:
    """No key, no call, and the shop's list is not asked again and again."""
    catalogue = Catalogue("gala")
    site = open_plain(events=catalogue, is_guarded=False)
    browser = site.browser()
    for number in range(2000):
        assert browser.get(f"/events/invented-{number}/checkout").status_code == 404
        clock.monotonic += 0.001  # two seconds in all
    assert catalogue.asked == 1
    assert sites.script_calls(redis_client) == 0
    assert sites.state_keys(redis_client) == []
    assert site.is_in()


def test_an_event_taken_from_the_list_is_closed(open_site: Opener, clock: Clock) -> None:
    """Also to whoever is inside; and it opens again as it was."""
    catalogue = Catalogue("gala")
    site = open_site(events=catalogue)
    inside = site.fill()
    catalogue.events = []
    assert site.is_in(inside)
    clock.monotonic += 61  # the workers' time only: nobody's lease ends
    assert inside.get(CHECKOUT).status_code == 404
    catalogue.events = ["gala"]
    clock.monotonic += 6
    assert site.is_in(inside)
    assert site.browser().get(CHECKOUT).status_code == 503


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_a_rule_that_only_observes_refuses_nobody(
    open_site: Opener, redis_client: redis.Redis, mode: str
) -> None:
    """The application has it, as if there were no gate; Redis has not."""
    site = open_site(events=["gala"], mode=mode)
    assert site.browser().get(INVENTED).status_code == 200
    assert sites.script_calls(redis_client) == 0


def test_what_the_rule_does_not_mean_passes(open_site: Opener) -> None:
    """Other methods, exempt visitors, and the way out."""
    site = open_site(events=["gala"], methods=["POST"])
    assert site.browser().get(INVENTED).status_code == 200
    assert site.browser().post(INVENTED).status_code == 404
    assert site.browser().get("/events/invented/thanks").status_code == 200
    exempt = open_site(events=["gala"], exempt=[lambda request: True])
    assert exempt.browser().get(INVENTED).status_code == 200


def test_capitals_do_not_make_a_second_line(open_site: Opener, redis_client: redis.Redis) -> None:
    """In a shop that forgives capitals, each spelling of a name would have had a capacity of its own."""
    site = open_site(events=["gala"])
    site.fill()
    for name in ("Gala", "GALA", "gALA"):
        assert site.browser().get(f"/events/{name}/checkout").status_code == 404
    assert len({key.split(b"}")[0] for key in sites.state_keys(redis_client)}) == 1


def test_a_shop_s_numbers_are_names(open_site: Opener) -> None:
    """``Event.objects.values_list("pk", flat=True)``."""
    site = open_site(events=lambda: (5, 7))
    assert site.is_in(path="/events/5/checkout")
    assert site.browser().get("/events/6/checkout").status_code == 404


def test_a_name_too_long_to_be_used_is_known_as_what_it_becomes() -> None:
    """And so is one that can't be printed."""
    for name in ("x" * 500, "a\tb"):
        rule = Rule("/events/<event>", capacity=1, events=[name])
        assert rule.faults() == []
        assert rule.knows(rule.event_at({"event": name}))
        assert not rule.knows(rule.event_at({"event": name + "!"}))


def test_two_rules_may_each_know_their_own(open_plain: Opener) -> None:
    """The status of an event is answered for the rule that knows it, and not for the first that could."""
    rules = [
        {"path": "/events/<event>/checkout", "capacity": 1, "events": ["gala"]},
        {"path": "/raffles/<raffle>/checkout", "capacity": 7, "events": lambda: ["tombola"]},
    ]
    site = open_plain(rules=rules)
    assert site.browser().get("/_admitgate/status/gala").json["capacity"] == 1
    assert site.browser().get("/_admitgate/status/tombola").json["capacity"] == 7
    assert site.browser().get("/_admitgate/status/invented").status_code == 404


def test_decorated_views_know_their_own(redis_url: str, redis_client: redis.Redis, clock: Clock) -> None:
    """Rules that go by the view are asked the same, each about its own."""
    app = Flask("shop")
    app.config.update(SECRET_KEY=KEY, ADMITGATE={"REDIS_URL": redis_url, "REDIS_TIMEOUT_SECONDS": 10})
    app.config["ADMITGATE"]["RULES"] = [
        {"ENDPOINT": "cart", "CAPACITY": 3, "EVENTS": ["gala"], "EVENT": "{event}"}
    ]

    @app.get("/raffles/<name>/tickets")
    @gated(capacity=7, events=lambda: ["tombola"])
    def tickets(name: str) -> str:
        return "tickets"

    @app.get("/auctions/<name>/bids")
    @gated(capacity=9, events=["lamp"])
    def bids(name: str) -> str:
        return "bids"

    app.add_url_rule("/cart/<event>", "cart", lambda event: "cart")
    FlaskGate(app)
    browser, invented = sites.Browser(app), ("/cart/x", "/raffles/x/tickets", "/raffles/lamp/tickets")
    for path in invented:
        answer = browser.get(path)
        assert (answer.status_code, "There is no such event." in answer.text) == (404, True)
    assert sites.script_calls(redis_client) == 0
    for path in ("/cart/gala", "/raffles/tombola/tickets", "/auctions/lamp/bids"):
        assert browser.get(path).status_code == 200
    capacities = {
        name: browser.get(f"/_admitgate/status/{name}").json["capacity"] for name in ("gala", "lamp")
    }
    assert capacities == {"gala": 3, "lamp": 9}
    assert browser.get("/_admitgate/status/tombola").json["capacity"] == 7
    assert browser.get("/_admitgate/status/x").status_code == 404


# --- the callable


def test_it_is_asked_when_somebody_comes_and_not_before() -> None:
    """Settings are read before there is a database."""
    catalogue = Catalogue("gala")
    rule = Rule("/events/<event>", capacity=1, events=catalogue)
    Config.from_options({"rules": [rule], "secret_key": KEY, "redis_url": "redis://x"})
    assert catalogue.asked == 0
    assert rule.knows("gala")
    assert catalogue.asked == 1


def test_it_is_asked_once_in_its_time(clock: Clock) -> None:
    """Not for each request."""
    catalogue = Catalogue("gala")
    known = asked(catalogue, 60)
    for _ in range(59):
        assert "gala" in known
        clock.monotonic += 1
    assert catalogue.asked == 1
    clock.monotonic += 1
    assert "gala" in known
    assert catalogue.asked == 2


def test_a_new_event_is_found_early_and_a_flood_asks_no_more(clock: Clock) -> None:
    """The first name that isn't known has it asked again, once in five seconds."""
    catalogue = Catalogue("gala")
    known = asked(catalogue)
    assert "gala" in known
    catalogue.events.append("river")
    for _ in range(100):
        assert "river" not in known
    clock.monotonic += 5
    assert "river" in known
    assert catalogue.asked == 2
    for number in range(1200):
        assert f"invented-{number}" not in known
        clock.monotonic += 0.01  # twelve seconds in all
    assert catalogue.asked == 4


def test_until_it_has_answered_once_every_name_counts(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A shop whose list can't be read sells on; one line says so, and one when it is over."""
    catalogue = Catalogue("gala")
    catalogue.fail = RuntimeError("no such table: events")
    known = asked(catalogue)
    with caplog.at_level(logging.INFO, "admitgate"):
        for _ in range(20):
            assert "invented" in known
            clock.monotonic += 1
        assert len(caplog.messages) == 1
        assert "no such table: events" in caplog.messages[0]
        assert "'/events/<event>'" in caplog.messages[0]
        assert "every name counts as known" in caplog.messages[0]
        assert catalogue.asked == 4
        catalogue.fail = None
        clock.monotonic += 5
        assert "invented" not in known
        assert "named again" in caplog.messages[1]
    assert len(caplog.messages) == 2


def test_a_failure_leaves_the_last_good_answer(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """For as long as it lasts, and one line in the log for all of it."""
    catalogue = Catalogue("gala")
    known = asked(catalogue)
    assert "gala" in known
    catalogue.fail = OSError("gone\r\naway")
    with caplog.at_level(logging.INFO, "admitgate"):
        for _ in range(50):
            clock.monotonic += 60
            assert "gala" in known
            assert "invented" not in known
    (line,) = caplog.messages
    assert "those named before stay" in line
    assert "\n" not in line


@pytest.mark.parametrize("answer", [None, "gala", b"gala", 5, [object(), "gala"]], ids=repr)
def test_an_answer_that_is_no_list_of_names_is_a_failure_or_names(answer: Any, clock: Clock) -> None:
    """A text is one name and not its letters."""
    known = asked(lambda: answer)
    assert "gala" in known
    assert "g" in known or not isinstance(answer, str)


def test_an_empty_answer_means_that_nothing_is_on_sale() -> None:
    """It is an answer."""
    assert "gala" not in asked(list)


def test_an_answer_that_breaks_half_way_is_none(clock: Clock) -> None:
    """A query may fail while it is read."""

    def half() -> Iterable[str]:
        yield "gala"
        raise RuntimeError("connection lost")

    known, whole = asked(half), asked(source := Catalogue("river"))
    assert "invented" in known
    assert "river" in whole
    source.events = half()
    clock.monotonic += 61
    assert "river" in whole
    assert "gala" not in whole


def test_one_thread_asks_and_the_others_go_on() -> None:
    """With what was known before: a slow list holds up one request, not the site."""
    asking, answered = threading.Event(), threading.Event()
    count = []

    def slow() -> list[str]:
        count.append(1)
        asking.set()
        assert answered.wait(10)
        return ["gala"]

    known = asked(slow)
    first = threading.Thread(target=lambda: "gala" in known)
    first.start()
    assert asking.wait(10)
    assert "invented" in known  # nobody has answered yet
    others = [threading.Thread(target=lambda: "gala" in known) for _ in range(8)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(10)
    assert len(count) == 1
    answered.set()
    first.join(10)
    assert "invented" not in known
    assert len(count) == 1


def test_threads_that_find_it_due_together_ask_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever had to wait for the lock finds that it has been done."""
    catalogue = Catalogue("gala")
    known = asked(catalogue)
    assert "gala" in known
    clock.monotonic += 60
    seen = known._asked.asked_at
    assert "gala" in known
    known._asked.ask(seen)
    assert catalogue.asked == 2


def test_a_callable_may_ask_the_gate_itself() -> None:
    """It isn't asked again by its own question, and doesn't wait for itself."""
    rules: list[Rule] = []
    rule = Rule("/events/<event>", capacity=1, events=lambda: ["gala"] if rules[0].knows("gala") else [])
    rules.append(rule)
    assert rule.knows("gala")


# --- where it is to be imported from


@pytest.fixture
def shop_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the shop's."""
    module = ModuleType("shop_of_test_events")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.mark.parametrize("separator", [".", ":"])
@pytest.mark.parametrize("make", [lambda: lambda: ["gala"], lambda: ["gala"]], ids=["a callable", "a list"])
def test_a_place_is_looked_up_when_somebody_comes(
    shop_module: ModuleType, make: Callable[[], Any], separator: str
) -> None:
    """A settings file can't import the shop's models."""
    rule = Rule("/events/<event>", capacity=1, events=f"shop_of_test_events{separator}on_sale")
    assert rule.faults() == []
    shop_module.on_sale = make()  # type: ignore[attr-defined]
    assert rule.knows("gala")
    assert not rule.knows("invented")


@pytest.mark.parametrize("place", ["no_such_module.on_sale", "shop_of_test_events.nothing", "json.dumps"])
def test_a_place_where_nothing_is_fails_like_a_callable(
    shop_module: ModuleType, place: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, and every name counts."""
    known = asked(place)
    assert "invented" in known
    assert "invented" in known
    assert len(caplog.messages) == 1


# --- settings


@pytest.mark.parametrize(
    ("events", "is_good"),
    [
        (["gala"], True),
        ([1, 2], True),
        ("shop.events.on_sale", True),
        ("shop.events:on_sale", True),
        (list, True),
        ([], False),
        ([""], False),
        ([None], False),
        ([True], False),
        ([b"gala"], False),
        ({"gala": 1}, False),
        ("gala", False),
        ("shop events.on_sale", False),
        (".on_sale", False),
        ("shop.", False),
        (b"shop.events", False),
        (5, False),
    ],
    ids=repr,
)
def test_what_events_may_be(events: Any, is_good: bool) -> None:
    """Said at start, with what to give instead."""
    faults = Rule("/events/<event>", capacity=1, events=events).faults()
    assert (faults == []) is is_good
    assert all("give a list of names" in fault for fault in faults)


@pytest.mark.parametrize(
    ("rule", "is_good"),
    [
        pytest.param({"path": "/checkout", "events": ["checkout"]}, True, id="the rule's only event"),
        pytest.param({"path": "/checkout", "events": ["gala"]}, False, id="an event that no path comes to"),
        pytest.param({"path": "/<city>/<event>", "events": ["rome/gala"]}, True, id="of two placeholders"),
        pytest.param({"path": "/<city>/<event>", "events": ["gala"]}, False, id="half of two placeholders"),
        pytest.param(
            {"path": "/<event>", "event": "sale-{event}", "events": ["sale-5"]}, True, id="a template"
        ),
        pytest.param(
            {"path": "/<event>", "event": "sale-{event}", "events": ["5"]}, False, id="its value only"
        ),
    ],
)
def test_a_list_has_events_and_not_values(rule: dict[str, Any], is_good: bool) -> None:
    """A name that no request is for would close the shop: it is refused at start."""
    assert (Rule(**rule, capacity=1).faults() == []) is is_good


def test_rules_that_share_an_event_know_the_same() -> None:
    """Else one of them would let in what the other refuses."""
    rules = [
        {"path": "/events/<event>/checkout", "capacity": 1, "events": ["gala"]},
        {"path": "/events/<event>/cart", "capacity": 1},
    ]
    with pytest.raises(ConfigError, match="one has events"):
        Config.from_options({"rules": rules, "secret_key": KEY, "redis_url": "redis://x"})


def test_a_rule_without_events_knows_every_one() -> None:
    """As before."""
    assert Rule("/events/<event>", capacity=1).knows("whatever")
    assert known_events.known_events(["gala"], str, 60, "x") == {"gala"}
