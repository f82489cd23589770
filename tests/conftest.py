"""What the tests share: one private Redis, a clean client on it, a browser."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from admitgate import embedded
from admitgate.embedded import EmbeddedRedis
from admitgate.errors import AdmitgateError
from admitgate.start import StartCheck


@pytest.fixture(autouse=True)
def _own_settings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's shell may name a real Redis; no test may ever reach it."""
    monkeypatch.delenv("ADMITGATE_REDIS_URL", raising=False)


@pytest.fixture(autouse=True)
def _no_look_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread would ask Redis while a test counts the calls. ``test_start.py`` is about it."""
    monkeypatch.setattr(StartCheck, "once", lambda self: None)


def missing(what: str, *, cure: str) -> None:
    """A tool is not here: a developer loses the test, the build machine must not."""
    sentence = f"{what} is missing: {cure}"
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.fixture(scope="session", autouse=True)
def _server_under_test() -> None:
    """tox names one (``tox.ini``); else it is the newest here."""
    if path := os.environ.get("TEST_REDIS_SERVER"):
        server = embedded._probe(Path(path))
        assert server, f"TEST_REDIS_SERVER is {path}, which is no Redis"
        embedded.find_server = lambda: server


@pytest.fixture(scope="session")
def redis_server(_server_under_test: None) -> Iterator[EmbeddedRedis]:
    try:
        server = EmbeddedRedis()
    except AdmitgateError as error:
        missing("redis-server", cure=str(error))
        raise
    with server:
        yield server


@pytest.fixture
def redis_url(redis_client: redis.Redis, redis_server: EmbeddedRedis) -> str:
    """The address of an empty Redis."""
    return redis_server.url


@pytest.fixture
def redis_client(redis_server: EmbeddedRedis) -> Iterator[redis.Redis]:
    """A client on an empty Redis, which is proven to be ours before it is emptied."""
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.info("server")["process_id"] == redis_server.pid
        client.flushall()
        client.config_resetstat()
        yield client


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def chromium_path() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        missing("chromium", cure="'apt install chromium' (Debian), or Google Chrome")
    return str(path)
