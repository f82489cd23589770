"""The look at Redis as a site starts: said in words, once a process, and in nobody's way."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from sites import KEY
from werkzeug.test import Client

from admitgate import AdmitGate, Rule, start
from admitgate.config import Config
from admitgate.embedded import EmbeddedRedis
from admitgate.start import StartCheck

once = StartCheck.once  # before conftest puts it to sleep
pytestmark = pytest.mark.usefixtures("redis_server")


@pytest.fixture(autouse=True)
def _awake(monkeypatch: pytest.MonkeyPatch, _no_look_at_start: None) -> None:
    """These tests are about it."""
    monkeypatch.setattr(StartCheck, "once", once)
    monkeypatch.setattr(start, "_first_pause_seconds", 0)


def page(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


def config_of(url: str) -> Config:
    rules = [Rule("/sale", capacity=5)]
    return Config.from_options({"secret_key": KEY, "redis_url": url, "rules": rules})


def visit(config: Config, times: int = 1) -> AdmitGate:
    """A site, and its first visitors."""
    gate = AdmitGate(page, config)
    for _ in range(times):
        Client(gate).get("/sale")
    return gate


def lookers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "admitgate-start"]


def has_looked() -> None:
    """Wait until nobody looks any more."""
    for thread in lookers():
        thread.join(15)
        assert not thread.is_alive()


def until(is_so: Callable[[], object], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.01)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_redis_that_is_well_is_not_spoken_of(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nor one that keeps nothing on disk, which may be meant."""
    visit(config_of(redis_url))
    has_looked()
    assert not caplog.records


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(
            ["--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"], "allkeys-lru", id="evicts"
        ),
        pytest.param(["--maxmemory", "500kb"], "memory is full", id="is full"),
        pytest.param(["--replicaof", "127.0.0.1", "1"], "a replica of 127.0.0.1:1", id="is read-only"),
        pytest.param(["--rename-command", "ZMSCORE", ""], "calls: ZMSCORE", id="lacks a command"),
    ],
)
def test_what_is_wrong_is_said_once_in_words(
    options: list[str], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the cure, however many visitors come, and though none of them gets an answer from Redis."""
    with EmbeddedRedis(extra=options) as server:
        visit(config_of(server.url), times=5)
        has_looked()
    (said,) = (text for text in warnings(caplog) if text.startswith("Redis: "))
    assert says in said
    assert len(said.split(". ")) >= 2


def test_building_a_site_looks_at_nothing(redis_url: str, redis_client: redis.Redis) -> None:
    """It may fork afterwards."""
    before = redis_client.info("stats")["total_connections_received"]
    AdmitGate(page, config_of(redis_url))
    assert not lookers()
    assert redis_client.info("stats")["total_connections_received"] == before


def test_each_process_looks_for_itself(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of the parent's doesn't live in the child."""
    looks: list[int] = []
    monkeypatch.setattr(StartCheck, "_look_until_seen", lambda self: looks.append(os.getpid()))
    check = StartCheck(config_of(redis_url))
    for _ in range(3):
        check.once()
    has_looked()
    monkeypatch.setattr(start.os, "getpid", lambda: -1)
    check.once()
    has_looked()
    assert len(looks) == 2


def test_a_redis_that_is_away_is_looked_at_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, free_port: int
) -> None:
    """Until then only the breaker speaks of it."""
    monkeypatch.setattr(start, "_pause_seconds", 0.01)
    visit(config_of(f"redis://127.0.0.1:{free_port}/0"))
    until(lambda: any("outage" in record.getMessage() for record in caplog.records))
    assert lookers()
    assert not any(text.startswith("Redis: ") for text in warnings(caplog))
    with EmbeddedRedis(port=free_port, extra=["--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"]):
        has_looked()
    assert any("allkeys-lru" in text for text in warnings(caplog))


def test_a_look_that_fails_harms_nobody(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a Redis of tomorrow answers."""

    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("maxmemory")

    monkeypatch.setattr("admitgate.doctor.looking.look", fail)
    visit(config_of(redis_url))
    has_looked()
    assert not warnings(caplog)


def test_a_process_that_can_start_no_thread_serves_all_the_same(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the interpreter's end, or where they are counted."""

    def fail(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    gate = AdmitGate(page, config_of(redis_url))
    assert Client(gate).get("/sale").status_code == 200
