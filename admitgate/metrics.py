"""Figures for Prometheus, read from Redis when they are asked for: ``metrics_token`` in the settings.

    GET /_admitgate/metrics          with "Authorization: Bearer <metrics_token>"
    admitgate metrics                on a port of its own, beside the waiting room for instance
    REGISTRY.register(Collector(gate.control))        among the figures of an application that has some

All workers read the same Redis, so whichever of them is asked says the same; ``admitgate_up`` is 0 where it
couldn't be asked, and then nothing else is said. An event is a label: those that a rule can have, the first
``EVENTS_MOST`` by name, and all others together. Needs prometheus_client (``admitgate[metrics]``).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from functools import cache, reduce
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector as PrometheusCollector
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from .config import Config, config_from_environment
from .control import Control, Listing
from .errors import ConfigError, Outage
from .history import WAIT_BOUNDS, Totals
from .levels import STATES, Levels
from .visit import Answer, Visit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EVENTS_MOST = 100
OTHERS = "(all others)"
_read_most = 1000
_search_seconds = 10.0
_levels = (
    ("admitgate_capacity_slots", "capacity", "How many may be inside at a time."),
    ("admitgate_in_use_slots", "in_use", "How many are inside: leases that haven't ended."),
    ("admitgate_free_slots", "free", "Slots that nobody has."),
    ("admitgate_waiting_visitors", "waiting", "Visitors in line: not called yet, or called and here."),
    ("admitgate_present_visitors", "present", "Visitors who have been called and are here."),
)
_totals = (
    ("admitgate_joined", "joined", "Visitors who got a number."),
    ("admitgate_admitted", "admitted", "Visitors who were let in."),
    ("admitgate_released", "released", "Slots given back."),
    ("admitgate_expired", "expired", "Slots that came free because nobody renewed their lease."),
    ("admitgate_absent", "absent", "Visitors who were called and have gone again."),
)


_added = ("capacity", "in_use", "waiting", "present")


class _Row(NamedTuple):
    label: str
    levels: Levels


class Collector(PrometheusCollector):
    """Reads every event's state at each scrape, in one round trip per event, and changes nothing."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._events = Listing(control, _search_seconds)

    def describe(self) -> Iterable[Metric]:
        """Nothing: who registers this must not have to reach Redis."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families; only ``admitgate_up`` where Redis is away."""
        up = GaugeMetricFamily("admitgate_up", "1 if this process could ask Redis just now.")
        try:
            rows, unread = self._rows()
        except Outage:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from _families(rows)
        text = f"Events that aren't told of: beyond {_read_most:,}, or unreadable."
        left = GaugeMetricFamily("admitgate_unread_events", text)
        left.add_metric([], unread)
        yield left

    def _rows(self) -> tuple[list[_Row], int]:
        """What there is to tell, and of how many events nothing is."""
        names = self._events.names()
        found = {name: self._levels(name) for name in names[:_read_most]}
        read = [(name, levels) for name, levels in found.items() if levels is not None]
        rows = [_Row(name, levels) for name, levels in read[:EVENTS_MOST]]
        others = [levels for _, levels in read[EVENTS_MOST:]]
        if others:
            rows.append(_Row(OTHERS, reduce(_together, others)))
        return rows, len(names) - len(read)

    def _levels(self, name: str) -> Levels | None:
        """None for one event that can't be read, because somebody else wrote to its keys for instance."""
        try:
            return self._control.event(name).levels()
        except Outage:
            if self._control.is_redis_away:
                raise
            return None


def _families(rows: list[_Row]) -> Iterator[Metric]:
    for name, field, text in _levels:
        gauge = GaugeMetricFamily(name, text, labels=["event"])
        for label, levels in rows:
            gauge.add_metric([label], getattr(levels, field))
        yield gauge
    for name, field, text in _totals:
        counter = CounterMetricFamily(name, text, labels=["event"])
        for label, levels in rows:
            counter.add_metric([label], getattr(levels.totals, field))
        yield counter
    yield _waits(rows)
    yield from _of_single_events([row for row in rows if row.label != OTHERS])


def _waits(rows: list[_Row]) -> Metric:
    """The admitted by how long they had waited. Nobody keeps how long all together had: there is no sum."""
    text = "How long the admitted had waited; 0 is at once."
    histogram = HistogramMetricFamily("admitgate_wait_seconds", text, labels=["event"])
    for label, levels in rows:
        buckets, count = [], 0
        for bound, waited in zip((*map(str, WAIT_BOUNDS), "+Inf"), levels.totals.waits, strict=True):
            count += waited
            buckets.append((bound, count))
        histogram.add_metric([label], buckets, sum_value=None)
    return histogram


def _of_single_events(rows: list[_Row]) -> Iterator[Metric]:
    """What can't be added up."""
    state = GaugeMetricFamily("admitgate_state", "1 for what the event is doing.", labels=["event", "state"])
    hold = GaugeMetricFamily("admitgate_hold_seconds", "What is left of a hold.", labels=["event"])
    ramp = GaugeMetricFamily(
        "admitgate_ramp_slots", "How many slots the application's health leaves.", labels=["event"]
    )
    called = GaugeMetricFamily(
        "admitgate_last_call_timestamp_seconds", "When a worker last asked for the event.", labels=["event"]
    )
    for label, levels in rows:
        for name in STATES:
            state.add_metric([label, name], levels.state == name)
        hold.add_metric([label], levels.hold_left_ms / 1000)
        called.add_metric([label], levels.last_ms / 1000)
        if levels.ramp is not None:
            ramp.add_metric([label], levels.ramp)
    yield from (state, hold, ramp, called)


def _together(one: Levels, other: Levels) -> Levels:
    """What can be added up of both."""
    totals: Totals = one.totals.plus(other.totals)
    added = {name: getattr(one, name) + getattr(other, name) for name in _added}
    return one._replace(**added, totals=totals)


class Metrics:
    """The answer below the mount, for who knows the token."""

    def __init__(self, config: Config, control: Control) -> None:
        self._path = f"{config.mount}metrics"
        self._token = config.metrics_token
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Collector(control))

    def means(self, path: str) -> bool:
        """True for our address."""
        return path == self._path

    def answer(self, visit: Visit) -> Answer:
        """The figures. An outage is among them, and no error: who watches must hear of it."""
        if visit.method.upper() not in ("GET", "HEAD"):
            return _text(405, "GET, please.\n", ("Allow", "GET"))
        if self._token is not None and not _is_bearer(visit.header("authorization"), self._token):
            return _text(401, "Whose token is that?\n", ("WWW-Authenticate", 'Bearer realm="metrics"'))
        encode, kind = choose_encoder(visit.header("accept"))
        body: bytes = encode(self._registry)
        headers = (("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"))
        return Answer(200, headers, body)


def _is_bearer(header: str, token: str) -> bool:
    scheme, _, shown = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), token.encode())


def _text(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    body = text.encode()
    kind, length = ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))
    return Answer(status, (kind, length, ("Cache-Control", "no-store"), *headers), body)


class MetricsServer:
    """A WSGI application that answers its every path with the figures."""

    def __init__(self, config: Config) -> None:
        self._metrics = Metrics(config, Control.of(config))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        from .middleware import send, visit_of  # an edge, which knows us

        return send(self._metrics.answer(visit_of(environ)), environ, start_response)


@cache
def metrics_server() -> MetricsServer:
    """The one of this process, made at its first request."""
    config = config_from_environment()
    if config.metrics_token is None:
        raise ConfigError(
            ["metrics_token is missing: anybody could read the figures. Give a long random text."]
        )
    return MetricsServer(config)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The figures on servers of their own, as plain WSGI: ``gunicorn admitgate.metrics:application``.

    The settings are the shop's, from the environment (see ``config_from_environment``).
    """
    return metrics_server()(environ, start_response)


class _Quiet(WSGIRequestHandler):
    """Nobody wants a line in the log every fifteen seconds."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...


def serve(settings: str | None, host: str, port: int) -> BaseWSGIServer:
    """A server for them, which ``serve_forever`` runs. Without a token only this machine may ask."""
    config = config_from_environment(settings)
    if config.metrics_token is None and host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError(
            [f"host is {host!r}, but metrics_token is missing: anybody could read the figures. Give one."]
        )
    return make_server(host, port, MetricsServer(config), threaded=True, request_handler=_Quiet)
