"""Nine servers, one Redis, an event for each test; and the table of how it went."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import redis
from attack_hosts import Host, missing, nine_hosts
from attack_site import Refused, Site
from attack_table import FAILED, HELD, NOT_APPLICABLE, REFUSED, Table, is_kept
from attack_words import FRAMEWORKS, SERVERS

from admitgate.embedded import EmbeddedRedis
from admitgate.errors import AdmitgateError

_table = pytest.StashKey[Table]()
_refused = pytest.StashKey[str]()
_numbers = count(1)
_combinations = [(framework, server) for server in SERVERS for framework in FRAMEWORKS]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_table] = Table()


@pytest.fixture(scope="session")
def attack_redis() -> Iterator[EmbeddedRedis]:
    try:
        server = EmbeddedRedis()
    except AdmitgateError as error:
        _is_missing("redis-server", str(error))
        raise
    with server:
        yield server


@pytest.fixture(scope="session")
def hosts(attack_redis: EmbeddedRedis) -> Iterator[dict[str, Host]]:
    """Every server that is installed, each in front of each framework's shop."""
    with nine_hosts(attack_redis.url) as started:
        yield started


@pytest.fixture(
    params=[pytest.param(pair, id=f"{pair[0]} behind {pair[1]}") for pair in _combinations],
)
def host(request: pytest.FixtureRequest) -> Host:
    """One host after the other."""
    framework, server = request.param
    reason = missing(server)
    if reason and server == "uWSGI":
        pytest.skip(reason)
    if reason:
        _is_missing(server, reason)
    hosts: dict[str, Host] = request.getfixturevalue("hosts")
    host = hosts[f"{framework} behind {server}"]
    if not host.is_running():
        host.start()
    return host


@pytest.fixture
def site(request: pytest.FixtureRequest, host: Host, attack_redis: EmbeddedRedis) -> Iterator[Site]:
    """The host with an event that is the test's own; whatever is tried, the gate's own log stays quiet."""
    with redis.Redis.from_url(attack_redis.url) as client:
        before = len(host.log())
        yield Site(host, client, f"e{os.getpid()}-{next(_numbers)}")
        if not request.node.get_closest_marker("may_log"):
            said = [line for line in host.log()[before:].splitlines() if line.startswith("admitgate")]
            assert said == []


def _is_missing(what: str, cure: str) -> None:
    """A developer loses the test, the build machine must not."""
    sentence = f"{what} is missing: {cure}"
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Where a server may refuse, that is an answer too, and told as such."""
    try:
        return (yield)
    except Refused as refusal:
        if pyfuncitem.get_closest_marker("may_be_refused") is None:
            raise
        pyfuncitem.stash[_refused] = str(refusal)
        return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    about, host = item.get_closest_marker("about"), _host_of(item)
    is_last_word = report.when == "call" or (report.when == "setup" and not report.passed)
    if about and host and is_last_word:
        outcome = REFUSED if _refused in item.stash else HELD
        outcome = {"passed": outcome, "skipped": NOT_APPLICABLE}.get(report.outcome, FAILED)
        item.config.stash[_table].note(*host, about.args, outcome)
    return report


def _host_of(item: pytest.Item) -> tuple[str, str] | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("host") if callspec else None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table, and whether SECURITY.md has it."""
    table = config.stash[_table]
    if not len(table) or config.option.keyword:
        return
    rows = list(table.rows())
    terminalreporter.section("cases, by framework and server")
    for row in rows:
        terminalreporter.write_line(row)
    if table.is_whole():
        same = "That is the table" if is_kept(rows) else "Not the table"
        terminalreporter.write_line(f"\n{same} in SECURITY.md.")
