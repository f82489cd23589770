"""Figures for Prometheus: true, bounded, and nobody's but who has the token's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import sites
from click.testing import CliRunner
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families
from sites import CHECKOUT_RULE, KEY, Clock, Opener
from werkzeug.test import Client

from admitgate import Config, ConfigError, config, metrics
from admitgate.cli import main
from admitgate.control import Control
from admitgate.counter import event_keys
from admitgate.history import Totals
from admitgate.metrics import Collector, MetricsServer, application, metrics_server, serve

clock, open_site, open_plain = sites.clock, sites.open_site, sites.open_plain

TOKEN = "Prometheus alone may read this"
METRICS = "/_admitgate/metrics"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

Samples = dict[tuple[str, ...], float]


def samples(text: str) -> Samples:
    """Each sample by its name and its labels' values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(text)
        for sample in family.samples
    }


def scrape(site: sites.Site) -> Samples:
    """What Prometheus reads."""
    response = site.browser().get(METRICS, headers=BEARER)
    assert response.status_code == 200
    return samples(response.text)


def control(redis_url: str, **options: Any) -> Control:
    """One that stands alone."""
    usual = {"rules": [CHECKOUT_RULE], "secret_key": KEY, "redis_url": redis_url}
    return Control.of(Config.from_options(usual | options))


def collected(collector: Collector) -> Samples:
    """What a registry gets of it."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def test_a_scrape_tells_how_an_event_does(open_site: Opener, clock: Clock) -> None:
    """On every edge: two slots of three are taken, one visitor has paid, two wait at a pause."""
    site = open_site(capacity=3, metrics_token=TOKEN)
    for _ in range(2):
        site.fill()
    site.fill().get("/events/gala/thanks")
    seen = scrape(site)
    assert seen["admitgate_up",] == 1
    assert seen["admitgate_capacity_slots", "gala"] == 3
    assert seen["admitgate_in_use_slots", "gala"] == 2
    assert seen["admitgate_free_slots", "gala"] == 1
    assert seen["admitgate_admitted_total", "gala"] == 3
    assert seen["admitgate_released_total", "gala"] == 1
    assert seen["admitgate_state", "gala", "open"] == 1
    assert seen["admitgate_state", "gala", "paused"] == 0
    assert seen["admitgate_last_call_timestamp_seconds", "gala"] == clock.now_ms / 1000


def test_those_who_wait_and_for_how_long(open_plain: Opener, clock: Clock) -> None:
    """The buckets are the scripts' own; there is no sum, as nobody keeps one."""
    site = open_plain(capacity=1, metrics_token=TOKEN, lease_seconds=600)
    inside = site.fill()
    visitor = site.browser()
    visitor.place()
    for _ in range(5):
        site.browser().place()
    seen = scrape(site)
    assert seen["admitgate_waiting_visitors", "gala"] == 5
    assert seen["admitgate_state", "gala", "waiting"] == 1
    assert seen["admitgate_joined_total", "gala"] == 6
    inside.get("/events/gala/thanks")
    clock.forward(30)
    visitor.check_in()
    clock.forward(7)
    assert visitor.check_in() == "admitted"
    seen = scrape(site)
    assert [seen["admitgate_wait_seconds_bucket", "gala", le] for le in ("0.0", "20.0", "40.0", "+Inf")] == [
        1,
        1,
        2,
        2,
    ]
    assert ("admitgate_wait_seconds_sum", "gala") not in seen


def test_every_worker_says_the_same(open_plain: Opener) -> None:
    """Each reads Redis, whoever it was that let somebody in."""
    one, other = (open_plain(capacity=5, metrics_token=TOKEN) for _ in range(2))
    one.fill()
    other.fill()
    assert scrape(one) == scrape(other)
    assert scrape(one)["admitgate_in_use_slots", "gala"] == 2


def test_a_scrape_keeps_no_event_alive(open_plain: Opener, redis_client: redis.Redis) -> None:
    """Nor makes one: what nobody comes to any more ends, though Prometheus asks for ever."""
    site = open_plain(metrics_token=TOKEN)
    scrape(site)
    assert sites.state_keys(redis_client) == []
    site.fill()
    keys = {key: redis_client.dump(key) for key in sites.state_keys(redis_client)}
    scrape(site)
    assert {key: redis_client.dump(key) for key in sites.state_keys(redis_client)} == keys


def test_redis_away_is_a_figure_and_no_error(open_plain: Opener, tmp_path: Any) -> None:
    """Who watches must hear of it: 200, up is 0, and nothing else is claimed."""
    site = open_plain(metrics_token=TOKEN, redis_url=f"unix://{tmp_path}/nobody", redis_timeout_seconds=0.05)
    assert scrape(site) == {("admitgate_up",): 0}


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": TOKEN}, id="without a scheme"),
        pytest.param({"Authorization": f"Basic {TOKEN}"}, id="another scheme"),
        pytest.param({"Authorization": f"Bearer {TOKEN}x"}, id="a longer one"),
        pytest.param({"Authorization": "Bearer "}, id="an empty one"),
        pytest.param({"Authorization": "Bearer \xff"}, id="no ASCII"),
    ],
)
def test_nobody_reads_them_without_the_token(open_site: Opener, header: dict[str, str]) -> None:
    """401, and Redis isn't asked."""
    site = open_site(metrics_token=TOKEN)
    response = site.browser().get(METRICS, headers=header)
    assert response.status_code == 401
    assert b"admitgate_" not in response.data
    assert response.headers["Cache-Control"] == "no-store"


def test_they_are_off_unless_configured(open_site: Opener) -> None:
    """An address like any other that there isn't."""
    assert open_site().browser().get(METRICS, headers=BEARER).status_code == 404


def test_other_methods_are_refused(open_plain: Opener) -> None:
    """And HEAD gets headers only."""
    site = open_plain(metrics_token=TOKEN)
    assert site.browser().post(METRICS, headers=BEARER).status_code == 405
    head = site.browser().head(METRICS, headers=BEARER)
    assert (head.status_code, head.data) == (200, b"")


def test_open_metrics_where_it_is_asked_for(open_plain: Opener) -> None:
    """In either format, and readable by its own parser."""
    site = open_plain(metrics_token=TOKEN)
    site.fill()
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    response = site.browser().get(METRICS, headers=BEARER | accept)
    assert response.content_type.startswith("application/openmetrics-text")
    names = {family.name for family in open_families(response.text)}
    assert {"admitgate_up", "admitgate_admitted", "admitgate_wait_seconds"} <= names


def test_the_number_of_labels_is_bounded(
    redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many events the others are one line; what can't be added up is left out of it."""
    monkeypatch.setattr(metrics, "EVENTS_MOST", 3)
    for nth in range(7):
        keys = event_keys("admitgate", f"event-{nth}")
        redis_client.hset(
            keys[0], mapping={"event": f"event-{nth}", "born": 1, "issued": 3, "serving": 1, "joined": 2}
        )
    seen = collected(Collector(control(redis_url)))
    labels = {labels[0] for name, *labels in seen if labels}
    assert labels == {"event-0", "event-1", "event-2", metrics.OTHERS}
    assert seen["admitgate_joined_total", metrics.OTHERS] == 2 * 4
    assert seen["admitgate_waiting_visitors", metrics.OTHERS] == 2 * 4
    assert ("admitgate_hold_seconds", metrics.OTHERS) not in seen
    assert seen["admitgate_unread_events",] == 0


def test_events_beyond_all_bounds_are_counted(
    redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape stays short, and says what it left out."""
    monkeypatch.setattr(metrics, "_read_most", 5)
    for nth in range(7):
        redis_client.hset(event_keys("admitgate", f"event-{nth}").line, mapping={"event": f"event-{nth}"})
    assert collected(Collector(control(redis_url)))["admitgate_unread_events",] == 2


def test_names_come_from_rules_only(redis_url: str, redis_client: redis.Redis) -> None:
    """Another shop's events on the same Redis are none of ours; nor is what no path can be."""
    redis_client.hset(event_keys("admitgate", "theirs").line, mapping={"event": "theirs"})
    rule = CHECKOUT_RULE | {"events": ["gala"]}
    seen = collected(Collector(control(redis_url, rules=[rule])))
    assert {labels[0] for name, *labels in seen if labels} == {"gala"}


def test_a_name_cannot_break_a_line(redis_url: str, redis_client: redis.Redis) -> None:
    """Names come from URLs."""
    odd = 'a"b\\c{}'
    slug = "~" + __import__("base64").urlsafe_b64encode(odd.encode()).decode().rstrip("=")
    redis_client.hset(event_keys("admitgate", odd).line, mapping={"event": slug, "joined": 4})
    registry = CollectorRegistry()
    registry.register(Collector(control(redis_url)))
    seen = samples(metrics.choose_encoder("")[0](registry).decode())
    assert seen["admitgate_joined_total", odd] == 4


def test_an_event_that_cannot_be_read_leaves_the_others(redis_url: str, redis_client: redis.Redis) -> None:
    """Somebody else wrote to one of its keys: that one is left out, and counted."""
    for name in ("broken", "gala"):
        redis_client.hset(event_keys("admitgate", name).line, mapping={"event": name, "joined": 4})
    redis_client.set(event_keys("admitgate", "broken").leases, "not a sorted set")
    seen = collected(Collector(control(redis_url)))
    assert seen["admitgate_up",] == 1
    assert seen["admitgate_joined_total", "gala"] == 4
    assert ("admitgate_joined_total", "broken") not in seen
    assert seen["admitgate_unread_events",] == 1


def test_events_are_searched_now_and_then(
    redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis full of other things isn't gone through for each scrape."""
    now = 100.0
    monkeypatch.setattr("admitgate.control.monotonic", lambda: now)
    collector = Collector(control(redis_url))
    collected(collector)
    redis_client.hset(event_keys("admitgate", "gala").line, mapping={"event": "gala"})
    assert ("admitgate_joined_total", "gala") not in collected(collector)
    now += 10
    assert ("admitgate_joined_total", "gala") in collected(collector)


def test_a_ramp_shows(open_plain: Opener) -> None:
    """For rules that have one."""
    site = open_plain(capacity=3, metrics_token=TOKEN, ramp_seconds=1)
    site.fill()
    assert scrape(site)["admitgate_ramp_slots", "gala"] == 3
    site = open_plain(capacity=3, metrics_token=TOKEN)
    assert ("admitgate_ramp_slots", "gala") not in scrape(site)


def test_registering_reaches_for_no_redis(tmp_path: Any) -> None:
    """An application that has figures of its own registers ours where it starts."""
    registry = CollectorRegistry(auto_describe=True)
    registry.register(Collector(control(f"unix://{tmp_path}/nobody")))


class TestOnItsOwn:
    """Beside the waiting room: a WSGI application, and a command."""

    @pytest.fixture
    def environment(self, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[pytest.MonkeyPatch]:
        """The shop's settings."""
        monkeypatch.setenv("ADMITGATE_RULES", '[{"path": "/checkout", "capacity": 5}]')
        monkeypatch.setenv("ADMITGATE_SECRET_KEY", KEY)
        monkeypatch.setenv("ADMITGATE_REDIS_URL", redis_url)
        metrics_server.cache_clear()
        yield monkeypatch
        metrics_server.cache_clear()

    def test_as_a_wsgi_application(self, environment: pytest.MonkeyPatch) -> None:
        """``gunicorn admitgate.metrics:application``; on whatever path, with the token."""
        environment.setenv("ADMITGATE_METRICS_TOKEN", TOKEN)
        client = Client(application)
        assert client.get("/metrics").status_code == 401
        seen = samples(client.get("/metrics", headers=BEARER).text)
        assert seen["admitgate_capacity_slots", "checkout"] == 5

    def test_it_does_not_start_without_a_token(self, environment: pytest.MonkeyPatch) -> None:
        """Anybody could read the figures."""
        with pytest.raises(ConfigError, match="metrics_token is missing"):
            Client(application).get("/metrics")

    def test_the_command_serves_this_machine_without_one(self, environment: pytest.MonkeyPatch) -> None:
        """On loopback; the server is the library's own."""
        server = serve(None, "127.0.0.1", 0)
        try:
            assert server.server_address[0] == "127.0.0.1"
            assert isinstance(server.app, MetricsServer)
            assert Client(server.app).get("/metrics").status_code == 200
        finally:
            server.server_close()

    def test_and_nobody_else(self, environment: pytest.MonkeyPatch) -> None:
        """One sentence, and 2."""
        result = CliRunner().invoke(main, ["metrics", "--host", "0.0.0.0"])
        assert result.exit_code == 2
        assert "host is '0.0.0.0', but metrics_token is missing" in result.output


@pytest.mark.parametrize("token", ["short", "", 5, "x" * 15, "naïve, but long enough"])
def test_a_token_that_anybody_could_guess_is_refused(token: Any) -> None:
    """At start."""
    with pytest.raises(ConfigError, match="metrics_token is"):
        Config.from_options(
            {"rules": [CHECKOUT_RULE], "secret_key": KEY, "redis_url": "redis://h", "metrics_token": token}
        )


def test_without_the_library_it_says_so_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """And names the extra."""
    monkeypatch.setattr(config, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'admitgate\[metrics\]'"):
        Config.from_options(
            {"rules": [CHECKOUT_RULE], "secret_key": KEY, "redis_url": "redis://h", "metrics_token": TOKEN}
        )


def test_the_names_are_as_prometheus_wants_them(redis_url: str, redis_client: redis.Redis) -> None:
    """One prefix, units in base units, and counters that say they are totals."""
    redis_client.hset(event_keys("admitgate", "gala").line, mapping={"event": "gala"})
    all_families = list(Collector(control(redis_url)).collect())
    assert all(family.name.startswith("admitgate_") and family.documentation for family in all_families)
    assert not any(word in family.name for family in all_families for word in ("_ms", "_total", "_minutes"))
    counters = [family for family in all_families if family.type == "counter"]
    assert len(counters) == len(Totals._fields) - 1
    sampled = itertools.chain.from_iterable(family.samples for family in counters)
    assert all(sample.name.endswith("_total") for sample in sampled)
