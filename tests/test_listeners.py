"""Who is told, on every edge: ``on_event``, Django's signals, Flask's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
import sites
from flask import Flask
from sites import CHECKOUT, CHECKOUT_RULE, KEY, STATUS, Clock, Opener

import admitgate.django.signals
from admitgate import Config
from admitgate.async_client import connect_async
from admitgate.edge import Edge
from admitgate.errors import Outage
from admitgate.flask import AdmitGate as FlaskGate
from admitgate.flask import signals as flask_signals
from admitgate.signals import KINDS, Occurrence


def in_time(is_so: Callable[[], bool]) -> bool:
    """Under ASGI a thread tells, so that no event loop waits for a listener."""
    ends_at = time.monotonic() + 10
    while not is_so() and time.monotonic() < ends_at:
        time.sleep(0.005)
    return is_so()


clock, open_site, open_plain = sites.clock, sites.open_site, sites.open_plain


def test_on_event_is_called_on_every_edge(open_site: Opener) -> None:
    """Whatever the framework: the one callable of the settings."""
    heard: list[Occurrence] = []
    site = open_site(on_event=heard.append)
    site.fill()
    for _ in range(2):
        site.browser().place()
    assert in_time(lambda: [(told.kind, told.event) for told in heard] == [("queueing_started", "gala")])


def test_an_outage_is_told_when_it_begins_and_when_it_is_over(
    open_site: Opener, clock: Clock, redis_client: redis.Redis
) -> None:
    """Of the worker, and so of no event; it ends with the first answer."""
    heard: list[Occurrence] = []
    site = open_site(on_event=heard.append)
    site.fill()
    redis_client.acl_setuser("default", enabled=True, commands=["-evalsha", "-eval"])
    try:
        site.browser().get(CHECKOUT)
        site.browser().get(CHECKOUT)
    finally:
        redis_client.acl_setuser("default", enabled=True, commands=["+@all"])
    clock.forward(5)
    site.browser().get(STATUS)
    expected = [("outage_began", ""), ("outage_ended", "")]
    assert in_time(lambda: [(told.kind, told.event) for told in heard[:2]] == expected)
    assert heard[1].details == {"seconds": 5.0}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_node_of_a_cluster_has_outages_of_its_own(is_async: bool, free_port: int) -> None:
    """Told with its name: the events of the others go on."""
    heard: list[Occurrence] = []
    options = {"rules": [CHECKOUT_RULE], "secret_key": KEY, "on_event": heard.append}
    edge = Edge(Config.from_options({**options, "redis_url": f"redis+cluster://127.0.0.1:{free_port}"}))
    if is_async:
        client: Any = connect_async(f"redis+cluster://127.0.0.1:{free_port}", 0.25)
        edge.signals.listen_to(client)
        with pytest.raises(Outage):
            client._cluster.ping()
    else:
        with pytest.raises(Outage):
            edge.event("gala").levels()
    (told,) = heard
    assert (told.kind, told.details) == ("outage_began", {"node": f"127.0.0.1:{free_port}"})


def test_a_listener_that_raises_costs_no_visitor_their_answer(
    open_site: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the shop's code, and a visitor's request."""

    def broken(occurrence: Occurrence) -> None:
        raise Outage("the pager's own database")

    site = open_site(on_event=broken)
    site.fill()
    for _ in range(2):
        site.browser().place()
    assert in_time(lambda: "a listener failed" in caplog.text)


def test_django_has_signals(redis_url: str, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Receivers connect as to any other; one that raises is Django's to log, and the next is told."""
    heard: list[Occurrence] = []

    def broken(**kwargs: Any) -> None:
        raise ZeroDivisionError("a receiver")

    def receive(sender: Any, occurrence: Occurrence, **kwargs: Any) -> None:
        heard.append(occurrence)

    started = admitgate.django.signals.queueing_started
    started.connect(broken)
    started.connect(receive)
    opener = Opener(sites.DjangoAdapter, redis_url)
    try:
        site = opener()
        site.fill()
        for _ in range(2):
            site.browser().place()
    finally:
        opener.close()
        started.disconnect(broken)
        started.disconnect(receive)
    assert [told.kind for told in heard] == ["queueing_started"]


def flask_app(redis_url: str) -> Flask:
    """A shop with one slot."""
    app = Flask("shop")
    app.config["SECRET_KEY"] = KEY
    rules = sites.in_upper_case({"rules": [CHECKOUT_RULE]})["RULES"]
    app.config["ADMITGATE"] = {"RULES": rules, "REDIS_URL": redis_url}
    app.add_url_rule("/events/<event>/checkout", "checkout", lambda event: "the checkout")
    FlaskGate(app)
    return app


def test_flask_has_signals_by_app(redis_url: str, clock: Clock) -> None:
    """A receiver hears of its own app, and not of another in the same process."""
    mine, other = flask_app(redis_url), flask_app(redis_url)
    heard: list[tuple[Flask, Occurrence]] = []

    @flask_signals.queueing_started.connect_via(mine)
    def receive(app: Flask, occurrence: Occurrence) -> None:
        heard.append((app, occurrence))

    for app in (mine, other):
        for _ in range(3):
            app.test_client().get(CHECKOUT)
    assert [(app, told.kind) for app, told in heard] == [(mine, "queueing_started")]


@pytest.mark.parametrize("module", [admitgate.django.signals, flask_signals], ids=["Django", "Flask"])
def test_there_is_a_signal_for_each_kind(module: Any) -> None:
    """Under its own name."""
    assert set(module._signals) == set(KINDS)
    assert all(getattr(module, kind) is module._signals[kind] for kind in KINDS)
