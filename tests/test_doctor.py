"""The doctor: what it finds is true, it says how to cure it, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result
from werkzeug.serving import WSGIRequestHandler, make_server

from admitgate import AdmitGate, Rule, cli
from admitgate.config import Config
from admitgate.counter import load_scripts
from admitgate.doctor import examination as doctor
from admitgate.doctor import replication, weakness
from admitgate.doctor.diagnosis import at_start, of_redis
from admitgate.doctor.facts import Facts, Node, Sentinel
from admitgate.doctor.findings import Finding, size, span, worst
from admitgate.doctor.looking import TRIALS, look
from admitgate.doctor.outside import of_site
from admitgate.embedded import EmbeddedRedis, Server, _candidates, _probe, oldest_version

KEY = "p9Zk4WqY0sT7uL2vB6xN8cR1mD3fG5hJ-aQeSoIi"
RULES = '[{"path": "/events/<event>/checkout", "capacity": 1}]'
WELL: dict[str, Any] = {
    "redis_version": "7.2.5",
    "redis_mode": "standalone",
    "role": "master",
    "connected_slaves": 0,
    "maxmemory_policy": "noeviction",
    "maxmemory": 100_000_000,
    "used_memory": 2_000_000,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "loading": 0,
}
REPLICA = {"ip": "10.0.0.2", "port": 6379, "state": "online", "offset": 1, "lag": 0}


def of_node(node: Node, kind: str = "single") -> list[Finding]:
    """What is said of a Redis of one server."""
    return of_redis(Facts(kind, [node]))


def wrong(findings: Iterable[Finding]) -> list[Finding]:
    """What is neither good nor a note."""
    return [finding for finding in findings if finding.level in ("warning", "error")]


# --- from facts to findings


def test_a_redis_that_is_well_is_told_so() -> None:
    """Every line is good, and each check that matters has one."""
    findings = of_node(Node("here", info=WELL, config={"appendfsync": "everysec"}, refused={}))
    assert worst(findings) == "ok"
    assert {finding.check for finding in findings} >= {"version", "role", "memory", "persistence", "commands"}


@pytest.mark.parametrize(
    ("info", "level", "says"),
    [
        pytest.param({"redis_version": "5.0.7"}, "error", "Redis 5.0.7, too old", id="too old"),
        pytest.param({"redis_version": "6.0.16"}, "error", "too old", id="just too old"),
        pytest.param({"redis_version": "6.2.0"}, "ok", "Redis 6.2.0", id="just new enough"),
        pytest.param({"redis_version": "10.0.0"}, "ok", "Redis 10.0.0", id="two digits are more than one"),
        pytest.param(
            {"redis_version": "7.2.4", "valkey_version": "8.0.1"}, "ok", "This is Valkey 8.0.1", id="Valkey"
        ),
        pytest.param({"maxmemory_policy": "allkeys-lru"}, "error", "is allkeys-lru", id="evicts"),
        pytest.param(
            {"maxmemory_policy": "volatile-ttl", "maxmemory": 0},
            "warning",
            "once a maxmemory",
            id="might evict",
        ),
        pytest.param(
            {"used_memory": 85_000_000}, "warning", "nearly full: 85 MB of 100 MB", id="nearly full"
        ),
        pytest.param({"used_memory": 100_000_000}, "error", "full (100 MB of 100 MB in use)", id="full"),
        pytest.param(
            {"used_memory": 85_000_000, "mem_not_counted_for_evict": 20_000_000},
            "ok",
            "noeviction; 65 MB of",
            id="what a replica's buffer takes doesn't count",
        ),
        pytest.param({"role": "slave", "master_host": "db1"}, "error", "a replica of db1", id="a replica"),
        pytest.param({"redis_mode": "sentinel"}, "error", "This is a Sentinel", id="a Sentinel"),
        pytest.param({"redis_mode": "cluster"}, "error", "one node of a cluster", id="one node of many"),
        pytest.param({"loading": 1}, "error", "still loading", id="loading"),
        pytest.param({"aof_last_write_status": "err"}, "error", "append-only file, and refuses", id="no log"),
        pytest.param({"aof_last_bgrewrite_status": "err"}, "warning", "couldn't rewrite", id="the log grows"),
        pytest.param(
            {"rdb_last_bgsave_status": "err"}, "error", "snapshot failed, and it refuses", id="no RDB"
        ),
        pytest.param(
            {"connected_slaves": 1, "slave0": {**REPLICA, "lag": 40}}, "warning", "40 s ago", id="a laggard"
        ),
        pytest.param(
            {"connected_slaves": 1, "slave0": {**REPLICA, "state": "wait_bgsave"}},
            "warning",
            "not ready (wait_bgsave)",
            id="a replica that has only begun",
        ),
    ],
)
def test_what_info_tells_is_judged(info: dict[str, Any], level: str, says: str) -> None:
    """One thing different from a Redis that is well, one finding of that level; what is wrong has a cure."""
    findings = of_node(Node("here", info=WELL | info))
    (found,) = (finding for finding in findings if says in finding.text)
    assert found.level == level == worst(findings)
    assert bool(found.cure) is (level != "ok")


@pytest.mark.parametrize(
    ("config", "info", "level", "says"),
    [
        pytest.param({"save": ""}, {"aof_enabled": 0}, "warning", "keeps nothing on disk", id="nothing kept"),
        pytest.param({"save": "60 1"}, {"aof_enabled": 0}, "warning", "snapshots only", id="snapshots only"),
        pytest.param(
            {"stop-writes-on-bgsave-error": "no"},
            {"rdb_last_bgsave_status": "err"},
            "warning",
            "a crash would lose",
            id="a failed snapshot that stops nobody",
        ),
        pytest.param(
            {"save": ""},
            {"rdb_last_bgsave_status": "err"},
            "ok",
            "append-only file",
            id="nobody asked for it",
        ),
        pytest.param({"min-replicas-to-write": "1"}, {}, "error", "wants 1 replica, and 0", id="too few"),
    ],
)
def test_what_config_tells_is_judged(
    config: dict[str, str], info: dict[str, Any], level: str, says: str
) -> None:
    """Together with INFO."""
    findings = of_node(Node("here", info=WELL | info, config=config))
    (found,) = (finding for finding in findings if says in finding.text)
    assert found.level == level == worst(findings)


@pytest.mark.parametrize(
    ("config", "info", "level"),
    [
        pytest.param({}, {}, "warning", id="nobody to take over"),
        pytest.param({}, {"connected_slaves": 1, "slave0": REPLICA}, "ok", id="one"),
        pytest.param(
            {"min-replicas-to-write": "0"},
            {"connected_slaves": 2, "slave0": REPLICA, "slave1": REPLICA},
            "warning",
            id="two, and a master that would go on without them",
        ),
        pytest.param(
            {"min-replicas-to-write": "1"},
            {"connected_slaves": 2, "slave0": REPLICA, "slave1": REPLICA},
            "ok",
            id="two, and a master that needs one",
        ),
    ],
)
def test_who_has_sentinels_wants_replicas(config: dict[str, str], info: dict[str, Any], level: str) -> None:
    """A single Redis may do without."""
    (found,) = replication.replicas("sentinel")(Node("here", info=WELL | info, config=config))
    assert found.level == level


def test_an_unmentioned_maxmemory_is_no_fault() -> None:
    """Redis' own default."""
    assert worst(of_node(Node("here", info={**WELL, "maxmemory": 0}))) == "ok"


@pytest.mark.parametrize("state", ["OOM", "MISCONF", "NOREPLICAS"])
def test_a_redis_that_refuses_to_write_is_told_of_once(state: str) -> None:
    """Whether INFO tells it or only the refusals do."""
    refused = {"HSET": f"{state} not now", "ZADD": f"{state} not now"}
    assert [finding.level for finding in wrong(of_node(Node("here", info=WELL, refused=refused)))] == [
        "error"
    ]


def test_a_redis_whose_info_is_forbidden_still_tells_that_it_is_read_only() -> None:
    """By refusing."""
    node = Node("here", untold={"INFO": "no"}, refused={"HSET": "READONLY You can't write"})
    assert "READONLY" in wrong(of_node(node))[0].text


@pytest.mark.parametrize(
    ("ahead", "slack", "level"),
    [
        pytest.param(0.2, 0.01, "ok", id="as good as equal"),
        pytest.param(-3600.0, 0.01, "warning", id="an hour behind"),
        pytest.param(6.0, 0.1, "warning", id="six seconds ahead"),
        pytest.param(6.0, 3.0, "ok", id="too slow an answer to know"),
    ],
)
def test_clocks_are_compared(ahead: float, slack: float, level: str) -> None:
    """As well as the time that the answer took lets them be."""
    node = Node("here", info=WELL, clock_ahead_seconds=ahead, clock_slack_seconds=slack)
    (found,) = (finding for finding in of_node(node) if finding.check == "clock")
    assert found.level == level


def test_a_correction_in_force_is_told_with_its_event() -> None:
    """The largest ones by name, the others by number; a long one is worth a look."""
    offsets = {f"event-{number}": number * 1000 for number in range(9)} | {"gala": -3_600_000}
    findings = [f for f in of_node(Node("here", info=WELL, offsets_ms=offsets)) if f.check == "events"]
    assert findings[0].level == "warning"
    assert "'gala'" in findings[0].text
    assert "3,600 s behind Redis'" in findings[0].text
    assert "4 other events" in findings[-1].text
    assert len(findings) == 6


def test_of_several_servers_each_is_named_and_what_is_the_same_is_said_once() -> None:
    """So that a cluster of sixty doesn't fill the screen."""
    nodes = [Node(f"node{number}", info={**WELL, "redis_mode": "cluster"}) for number in range(3)]
    nodes[2].info = {**nodes[2].info, "maxmemory_policy": "allkeys-lfu"}
    findings = of_redis(Facts("cluster", nodes))
    assert [f.text for f in findings if f.check == "version"] == ["All 3 servers: This is Redis 7.2.5."]
    assert [f.text[:14] for f in findings if f.check == "memory"] == ["node0, node1: ", "node2: maxmemo"]


@pytest.mark.parametrize(
    ("told", "level", "says"),
    [
        pytest.param(
            {"cluster_state": "fail", "cluster_slots_ok": "10000"}, "error", "6384 of 16384", id="down"
        ),
        pytest.param({"cluster_state": "ok", "cluster_slots_ok": "16000"}, "error", "384 of", id="a gap"),
        pytest.param(
            {"cluster_state": "ok", "cluster_slots_ok": "16384", "cluster_size": "3"},
            "ok",
            "3 masters",
            id="well",
        ),
    ],
)
def test_a_cluster_must_look_after_every_slot(told: dict[str, str], level: str, says: str) -> None:
    """Else some events are an outage."""
    (found,) = replication.cluster(Node("here", cluster=told))
    assert found.level == level
    assert says in found.text


def watcher(name: str, **told: Any) -> Sentinel:
    """A Sentinel that says that all is well, but for what is told."""
    service = {"ip": "10.0.0.1", "port": 6379, "flags": "master", "num-other-sentinels": 2}
    return Sentinel(name, service=service | told)


@pytest.mark.parametrize(
    ("sentinels", "level", "says"),
    [
        pytest.param([watcher("a"), watcher("b"), watcher("c")], "ok", "3 watching", id="in one mind"),
        pytest.param([watcher("a"), watcher("b", port=6380)], "error", "They disagree", id="of two minds"),
        pytest.param([watcher("a", flags="master,s_down")], "error", "the master is down", id="master down"),
        pytest.param(
            [Sentinel("a", "refused"), watcher("b")], "warning", "a can't be asked", id="one is away"
        ),
        pytest.param([Sentinel("a", "refused")], "error", "can't be asked", id="all are away"),
        pytest.param([Sentinel("a", "X: No such master")], "error", "no service 'tickets'", id="a slip"),
        pytest.param([Sentinel("a", "X: unknown command")], "error", "a is no Sentinel", id="a plain Redis"),
        pytest.param(
            [watcher("a", **{"num-other-sentinels": 1})], "warning", "2 Sentinels watching", id="only two"
        ),
    ],
)
def test_what_sentinels_say_is_judged(sentinels: list[Sentinel], level: str, says: str) -> None:
    """Each fault once, with its cure."""
    findings = list(replication.sentinels(Facts("sentinel", [], sentinels, "tickets")))
    assert worst(findings) == level
    (found,) = (finding for finding in findings if says in finding.text)
    assert bool(found.cure) is (level != "ok")


def test_sentinels_without_a_quorum_are_an_error() -> None:
    """Nobody would be promoted."""
    lonely = watcher("a")
    lonely.no_quorum = "NOQUORUM 1 usable Sentinels"
    (found,) = replication.sentinels(Facts("sentinel", [], [lonely], "tickets"))
    assert (found.level, "NOQUORUM" in found.text) == ("error", True)


@pytest.mark.parametrize(
    ("times", "level"),
    [
        pytest.param([0.001] * 20, "ok", id="quick"),
        pytest.param([0.001] * 19 + [0.2], "warning", id="quick but for once"),
        pytest.param([0.3] * 20, "error", id="slower than anybody waits"),
    ],
)
def test_latency_is_compared_with_what_a_request_waits(times: list[float], level: str) -> None:
    """Median and worst."""
    found = doctor.latency("PING", times, 0.25)
    assert found.level == level
    assert "250 ms" in found.text


@pytest.mark.parametrize(
    ("options", "level", "says"),
    [
        pytest.param({}, "ok", "can be used", id="nothing"),
        pytest.param(
            {"secret_key": "Vn3zq8Wm2", "debug": True},
            "warning",
            "secret_key has 9 characters",
            id="a short key",
        ),
        pytest.param(
            {"secret_key": "change me " * 5, "debug": True}, "warning", "of an example", id="an example's key"
        ),
        pytest.param(
            {"secret_key_fallbacks": ["Zx2Cv6Bn9"], "debug": True},
            "warning",
            "secret_key_fallbacks has 9",
            id="a short old key",
        ),
        pytest.param({"debug": True}, "warning", "debug is True", id="debugging"),
        pytest.param({"cookie_secure": False}, "warning", "cookie_secure is False", id="cookie over http"),
        pytest.param(
            {"cookie_secure": False, "cookie_samesite": "None"},
            "error",
            "browsers refuse",
            id="refused cookie",
        ),
        pytest.param({"enabled": False}, "warning", "everybody goes in", id="off"),
        pytest.param(
            {"rules": [Rule("/sale", capacity=1, mode="observe")]}, "warning", "observes only", id="observe"
        ),
        pytest.param({"rules": [Rule("/sale", capacity=0)]}, "warning", "nobody goes in", id="no room"),
        pytest.param({"redis_timeout_seconds": 5}, "warning", "is 5: as an outage", id="too patient"),
        pytest.param({"redis_timeout_seconds": 0.01}, "warning", "is 0.01", id="too hasty"),
        pytest.param({"on_outage": "open"}, "ok", "everybody goes in, whatever", id="open in an outage"),
        pytest.param(
            {"cookie_domain": "example.com", "shop_url": "https://www.example.org/"},
            "error",
            "is not below it",
            id="a cookie for another domain",
        ),
        pytest.param(
            {"cookie_domain": ".example.com", "shop_url": "https://example.com/"},
            "ok",
            "can be used",
            id="a cookie for the domain itself",
        ),
        pytest.param(
            {"waiting_url": "https://queue.example.com/_admitgate/", "shop_url": "https://example.com/"},
            "warning",
            "cookie_domain is not",
            id="a waiting room without a common domain",
        ),
        pytest.param(
            {"challenge": "admitgate.challenge.Altcha"},
            "warning",
            "finds nobody to ask",
            id="a proof, and nobody to ask",
        ),
    ],
)
def test_weak_settings_are_named(options: dict[str, Any], level: str, says: str) -> None:
    """They can be used, and had better be different."""
    given = {"secret_key": KEY, "redis_url": "redis://x", "rules": [Rule("/sale", capacity=1)], **options}
    findings = weakness.of_settings(Config.from_options(given))
    assert worst(findings) == level
    assert any(says in finding.text for finding in findings)


def test_figures_are_for_people() -> None:
    """Three digits, and a unit."""
    assert [size(count) for count in (0, 999, 991_000, 1_500_000, 2.5e9, 3e12)] == [
        *("0 bytes", "999 bytes", "991 kB", "1.5 MB", "2.5 GB", "3,000 GB"),
    ]
    assert [span(seconds) for seconds in (0.0000458, 0.25, 1.5, 3600)] == [
        "0.046 ms",
        "250 ms",
        "1.5 s",
        "3,600 s",
    ]


# --- on real servers


@pytest.fixture
def consult(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, with settings from the environment."""

    def run(url: str, *options: str, **settings: str) -> Result:
        given = {"SECRET_KEY": KEY, "RULES": RULES, "REDIS_URL": url, **settings}
        for name, value in given.items():
            monkeypatch.setenv(f"ADMITGATE_{name}", value)
        return CliRunner().invoke(cli.main, ["doctor", *options])

    return run


Consult = Callable[..., Result]


def told(result: Result) -> dict[tuple[str, str], str]:
    """A report in JSON: the text of each check and level, the last if there are several."""
    return {(f["check"], f["level"]): f["text"] for f in json.loads(result.output)["findings"]}


@contextmanager
def serving(**options: Any) -> Iterator[EmbeddedRedis]:
    """A Redis of the test's own."""
    with EmbeddedRedis(**options) as server:
        yield server


def until(is_so: Callable[[], object], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.01)


def client_of(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(server.socket_path))


pytestmark = pytest.mark.usefixtures("redis_server")


def test_it_leaves_nothing_behind(consult: Consult, redis_url: str, redis_client: redis.Redis) -> None:
    """Whatever it tried, no key and no event is there that wasn't before."""
    redis_client.set("theirs", 1)
    assert consult(redis_url).exit_code == 0
    assert redis_client.keys("*") == [b"theirs"]


def test_it_tries_what_the_scripts_call_and_nothing_else() -> None:
    """A verb that learns a new command teaches it to the doctor, or fails here."""
    called = set(re.findall(r"redis\.p?call\('([A-Z]+)'", "".join(load_scripts().values())))
    assert {trial.split()[0] for trial in TRIALS} == called | {"PING"}


def test_a_report_in_json_has_every_finding(consult: Consult, redis_url: str) -> None:
    """For scripts, with the level of all together."""
    report = json.loads(consult(redis_url, "--json").output)
    assert report["level"] == "warning"  # the tests' Redis keeps nothing on disk
    assert all(set(finding) == {"check", "level", "text", "cure"} for finding in report["findings"])
    checks = {finding["check"] for finding in report["findings"]}
    assert checks >= {"settings", "version", "memory", "commands", "clock", "latency"}


def test_warnings_count_for_those_who_are_strict(consult: Consult, redis_url: str) -> None:
    """Else only errors do."""
    assert consult(redis_url).exit_code == 0
    assert consult(redis_url, "--strict").exit_code == 1


def test_a_redis_that_evicts_is_an_error(consult: Consult) -> None:
    """allkeys-lru, as a cache has it."""
    with serving(extra=["--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"]) as server:
        result = consult(server.url, "--json")
    assert result.exit_code == 1
    assert "allkeys-lru" in told(result)["memory", "error"]


@pytest.mark.parametrize("which", [pytest.param(min, id="the oldest"), pytest.param(max, id="the newest")])
def test_a_full_redis_is_an_error(which: Callable[..., Server], consult: Consult) -> None:
    """maxmemory below what it needs to start. Versions word their refusals differently."""
    found = [server for server in map(_probe, _candidates()) if server and server.version >= oldest_version]
    chosen = which(found, key=lambda server: server.version)
    with serving(server=chosen, extra=["--maxmemory", "500kb"]) as server:
        result = consult(server.url, "--json")
    assert "memory is full" in told(result)["memory", "error"]
    assert ("commands", "error") not in told(result)


def test_a_replica_is_an_error(consult: Consult) -> None:
    """Named as if it were the master."""
    with serving(extra=["--replicaof", "127.0.0.1", "1"]) as server:
        result = consult(server.url, "--json")
    assert "replica of 127.0.0.1:1" in told(result)["role", "error"]
    assert ("commands", "error") not in told(result)


def test_a_disk_that_takes_nothing_is_an_error(consult: Consult, free_port: int) -> None:
    """A snapshot into a folder that is gone, and a Redis that stops for it."""
    with serving(extra=["--save", "3600", "1"], port=free_port) as server:
        shutil.rmtree(server.socket_path.parent)
        with redis.Redis(port=free_port) as client:
            client.bgsave()
            until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        result = consult(server.url, "--json")
    assert "snapshot failed" in told(result)["disk", "error"]
    assert ("commands", "error") not in told(result)


def test_what_an_acl_forbids_is_named(consult: Consult) -> None:
    """With the words that would allow it."""
    with serving() as server, client_of(server) as client:
        client.execute_command("ACL SETUSER gate on >pw ~admitgate:* +@all -hset -zmscore")
        result = consult(server.url.replace("unix://", "unix://gate:pw@"), "--json")
    (found,) = (f for f in json.loads(result.output)["findings"] if f["check"] == "commands")
    assert "HSET, ZMSCORE" in found["text"]
    assert "+hset +zmscore" in found["cure"]


def test_keys_that_an_acl_keeps_from_the_gate_are_told(consult: Consult) -> None:
    """Somebody else's prefix."""
    with serving() as server, client_of(server) as client:
        client.execute_command("ACL SETUSER gate on >pw ~other:* +@all")
        result = consult(server.url.replace("unix://", "unix://gate:pw@"), "--json")
    assert "keeps the gate from its keys" in told(result)["commands", "error"]


def test_a_command_that_was_renamed_away_is_named(consult: Consult) -> None:
    """rename-command in redis.conf."""
    with serving(extra=["--rename-command", "ZMSCORE", ""]) as server:
        assert "ZMSCORE" in told(consult(server.url, "--json"))["commands", "error"]


def test_whoever_may_not_ask_is_told_so_and_the_rest_is_looked_at(consult: Consult) -> None:
    """A rented Redis: no INFO, no CONFIG. Notes, and no error."""
    with serving() as server, client_of(server) as client:
        client.execute_command("ACL SETUSER gate on >pw ~* +@all -info -config -script -scan")
        result = consult(server.url.replace("unix://", "unix://gate:pw@"), "--json")
    assert result.exit_code == 0
    notes = [f["text"] for f in json.loads(result.output)["findings"] if f["level"] == "note"]
    assert len(notes) == 4
    assert all("couldn't be looked at" in note and "no permissions" in note for note in notes)
    assert ("commands", "ok") in told(result)


def test_a_wrong_password_is_an_error_with_its_cure(consult: Consult, redis_url: str) -> None:
    """And isn't repeated."""
    result = consult(redis_url.replace("unix://", "unix://gate:hush@"))
    assert result.exit_code == 1
    assert "user and password" in result.output
    assert "hush" not in result.output


def test_a_redis_that_is_away_is_one_error(consult: Consult, free_port: int) -> None:
    """No traceback, and nothing is guessed."""
    result = consult(f"redis://127.0.0.1:{free_port}/0", "--json")
    assert result.exit_code == 1
    assert [f["check"] for f in json.loads(result.output)["findings"] if f["level"] == "error"] == [
        "connection"
    ]


def test_a_redis_that_says_nothing_is_one_error(consult: Consult, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for once."""
    monkeypatch.setattr(doctor, "_patience_seconds", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        result = consult(f"redis://127.0.0.1:{port}/0", "--json", REDIS_TIMEOUT_SECONDS="0.1")
    assert list(told(result)) == [("settings", "ok"), ("connection", "error")]


def test_a_correction_of_the_clock_is_found(
    consult: Consult, redis_url: str, redis_client: redis.Redis
) -> None:
    """In the line of an event that lives; keys of somebody else's are passed over."""
    redis_client.hset("admitgate:{0123}:line", mapping={"event": "gala", "offset": -3_600_000})
    redis_client.set("admitgate:{4567}:line", "a text")
    assert "'gala'" in told(consult(redis_url, "--json"))["events", "warning"]


def test_a_client_of_the_shops_own_is_looked_through(redis_client: redis.Redis) -> None:
    """Whatever it leads to."""
    options = {"secret_key": KEY, "redis_client": redis_client, "rules": [Rule("/sale", capacity=1)]}
    (node,) = look(Config.from_options(options), seconds=1, is_deep=True).nodes
    assert (node.name, node.refused, node.info["role"]) == ("redis_client", {}, "master")


# --- settings, and the report


def test_faults_of_the_settings_are_findings(consult: Consult, redis_url: str) -> None:
    """All of them; the site would not start."""
    result = consult(redis_url, "--json", RULES="[]", COOKIE_DOMAIN="x:1")
    assert result.exit_code == 1
    report = json.loads(result.output)
    assert [finding["check"] for finding in report["findings"]] == ["settings", "settings"]
    assert report["level"] == "error"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param((), "Whose settings?", id="none named"),
        pytest.param(("--settings", "no.such"), "No module named 'no'", id="a module that isn't there"),
        pytest.param(("--settings", "broken_settings"), "NameError", id="a module that breaks"),
    ],
)
def test_without_settings_it_can_not_start(
    settings: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 2, and a sentence."""
    (tmp_path / "broken_settings.py").write_text("ADMITGATE = nonsense")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.main, ["doctor", *settings])
    assert result.exit_code == 2
    assert says in result.output


def test_the_shops_own_settings_are_taken(tmp_path: Path, redis_url: str) -> None:
    """In a process of its own, from the folder it stands in; nothing goes to standard error."""
    (tmp_path / "shop_settings.py").write_text(
        f"SECRET_KEY = {KEY!r}\nADMITGATE = {{'REDIS_URL': {redis_url!r}, 'RULES': {RULES}}}\n"
    )
    command = [sys.executable, "-m", "admitgate", "doctor", "--settings", "shop_settings"]
    path = str(Path(cli.__file__).parent.parent)
    environ = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 errors, 1 warning." in done.stdout


class Terminal:
    """What a terminal would say of itself."""

    @staticmethod
    def isatty() -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "is_terminal", "is_coloured"),
    [
        pytest.param({"TERM": "xterm"}, True, True, id="a terminal"),
        pytest.param({"TERM": "xterm", "NO_COLOR": "1"}, True, False, id="a terminal, and NO_COLOR"),
        pytest.param({"TERM": "dumb"}, True, False, id="a dumb terminal"),
        pytest.param({"TERM": "xterm"}, False, False, id="a pipe"),
    ],
)
def test_colours_are_for_terminals(
    environ: dict[str, str], is_terminal: bool, is_coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless NO_COLOR says otherwise."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    if is_terminal:
        monkeypatch.setattr(doctor.sys, "stdout", Terminal())
    assert ("\x1b[" in doctor._painted("error", "error")) is is_coloured
    assert doctor._has_colours() is is_coloured


def test_the_report_fits_the_window(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long sentences are broken below where they begin, and the cure stands under its fault."""
    monkeypatch.setenv("COLUMNS", "60")
    doctor.show(
        [Finding("memory", "error", "It is full. " * 8, "Raise it. " * 8), Finding("role", "ok", "Well.")]
    )
    rows = capsys.readouterr().out.splitlines()
    assert max(map(len, rows)) < 60
    assert rows[0].startswith("error    memory  It is full.")
    assert any(row.startswith(" " * 17 + "> Raise it.") for row in rows)
    assert rows[-1] == "1 error, 0 warnings."


# --- the site from outside


class Quiet(WSGIRequestHandler):
    """A server that doesn't write of every request."""

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def site(application: Any) -> Iterator[str]:
    """The address of an application that is served."""
    server = make_server("127.0.0.1", 0, application, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def page(environ: Any, start_response: Any) -> list[bytes]:
    """The shop, in which one event is unknown."""
    is_known = "nothing" not in environ["PATH_INFO"]
    start_response("200 OK" if is_known else "404 Not Found", [("Content-Type", "text/plain")])
    return [b"a page"]


Change = Callable[[str, str, str], str | None]


def changing(application: Any, change: Change) -> Any:
    """A proxy's ways: what becomes of a header of a path, or None if it is dropped."""

    def changed(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            new = [(name, change(environ["PATH_INFO"], name.lower(), value)) for name, value in headers]
            return start_response(status, [(name, value) for name, value in new if value is not None], *more)

        return application(environ, start)

    return changed


CHECKOUT = "/events/gala/checkout"


def config_of(redis_url: str, **options: Any) -> Config:
    rules = [Rule("/events/<event>/checkout", capacity=5)]
    return Config.from_options({"secret_key": KEY, "redis_url": redis_url, "rules": rules, **options})


def seen(config: Config, application: Any = None, path: str = CHECKOUT) -> dict[str, Finding]:
    """The finding of each check, the worst if there are several."""
    gate = application or AdmitGate(page, config)
    order = {"ok": 0, "note": 1, "warning": 2, "error": 3}
    with site(gate) as address:
        findings = sorted(of_site(config, address + path), key=lambda finding: order[finding.level])
    return {finding.check: finding for finding in findings}


def test_a_site_that_believes_its_proxy_is_well(redis_url: str, redis_client: redis.Redis) -> None:
    """And what the doctor was given is given back."""
    found = seen(config_of(redis_url, trusted_proxies=1))
    levels = {check: finding.level for check, finding in found.items()}
    assert levels == {"cookie": "ok", "scheme": "ok", "caches": "ok", "page": "note", "status": "ok"}
    (leases,) = redis_client.keys("*:leases")
    assert redis_client.zcard(leases) == 1  # the member that never expires


def test_a_site_that_does_not_believe_its_proxy_is_told_how(redis_url: str) -> None:
    """trusted_proxies, or Django's own setting."""
    found = seen(config_of(redis_url))["scheme"]
    assert found.level == "warning"
    assert "trusted_proxies" in found.cure


def test_the_waiting_page_is_looked_at_where_there_is_no_room(redis_url: str) -> None:
    """It may be kept by no cache."""
    config = config_of(redis_url, rules=[Rule("/events/<event>/checkout", capacity=0)])
    assert seen(config)["page"].level == "ok"


@pytest.mark.parametrize(
    ("change", "check", "level", "says"),
    [
        pytest.param(
            lambda path, name, value: value.replace("; HttpOnly", "") if name == "set-cookie" else value,
            *("cookie", "error", "lacks HttpOnly"),
            id="HttpOnly is taken away",
        ),
        pytest.param(
            lambda path, name, value: value.replace("SameSite=Lax", "") if name == "set-cookie" else value,
            *("cookie", "warning", "SameSite=nothing"),
            id="SameSite is taken away",
        ),
        pytest.param(
            lambda path, name, value: (
                value.replace("Path=/", "Path=/else") if name == "set-cookie" else value
            ),
            *("cookie", "error", "keeps it from /"),
            id="another path",
        ),
        pytest.param(
            lambda path, name, value: value + "; Domain=else.example" if name == "set-cookie" else value,
            *("cookie", "error", "is for else.example"),
            id="another domain",
        ),
        pytest.param(
            lambda path, name, value: None if name == "set-cookie" else value,
            *("site", "error", "set no cookie of ours"),
            id="no cookie at all",
        ),
        pytest.param(
            lambda path, name, value: "admitgate_1234=x" if name == "set-cookie" else value,
            *("site", "error", "set no cookie of ours"),
            id="somebody else's cookie",
        ),
        pytest.param(
            lambda path, name, value: "Accept" if name == "vary" else value,
            *("caches", "warning", "without Vary: Cookie"),
            id="Vary is rewritten",
        ),
        pytest.param(
            lambda path, name, value: "public, max-age=60" if name == "cache-control" else value,
            *("page", "error", "without Cache-Control: no-store"),
            id="a cache is invited to keep the waiting page",
        ),
        pytest.param(
            lambda path, name, value: "no-cache" if name == "cache-control" else value,
            *("status", "warning", "every poll may reach the shop"),
            id="the status is kept by nobody",
        ),
    ],
)
def test_what_a_proxy_does_to_headers_is_seen(
    change: Change, check: str, level: str, says: str, redis_url: str
) -> None:
    """A fault has its name, and its cure."""
    config = config_of(redis_url, rules=[Rule("/events/<event>/checkout", capacity=0)])
    found = seen(config, changing(AdmitGate(page, config), change))[check]
    assert found.level == level
    assert says in found.text
    assert found.cure


def test_a_cookie_that_is_handed_to_two_visitors_is_an_error(redis_url: str) -> None:
    """The worst that a cache can do."""
    config, kept = config_of(redis_url), []

    def keep(path: str, name: str, value: str) -> str:
        kept.extend([value] if name == "set-cookie" else [])
        return kept[0] if name == "set-cookie" else value

    assert "the same cookie" in seen(config, changing(AdmitGate(page, config), keep))["caches"].text


def test_a_secure_cookie_on_a_plain_site_is_lost(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But on this machine, where browsers make an exception."""
    config = config_of(redis_url, cookie_secure=True)
    assert seen(config)["cookie"].level == "ok"
    monkeypatch.setattr("admitgate.doctor.outside._is_this_machine", lambda host: False)
    assert "nobody keeps a place" in seen(config)["cookie"].text


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param("/", "No rule means", id="a page that isn't gated"),
        pytest.param("/events/nothing/checkout", "answered 404", id="a page that isn't there"),
    ],
)
def test_a_page_that_tells_nothing_is_an_error(path: str, says: str, redis_url: str) -> None:
    """With what to give instead."""
    found = seen(config_of(redis_url), path=path)
    assert list(found) == ["site"]
    assert says in found["site"].text


def test_a_redirect_is_followed_as_a_browser_does(redis_url: str) -> None:
    """To the page that is gated."""
    config = config_of(redis_url)
    gate = AdmitGate(page, config)

    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/":
            return gate(environ, start_response)
        start_response("302 Found", [("Location", CHECKOUT)])
        return [b""]

    assert "caches" in seen(config, application, "/")


@pytest.mark.parametrize(
    ("location", "says"),
    [
        pytest.param("/", "from one redirect to the next", id="in a circle"),
        pytest.param("http://[::1/", "redirects to", id="to no address"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_an_error(location: str, says: str) -> None:
    """It is followed for a while, and no traceback ends it."""

    def application(environ: Any, start_response: Any) -> Any:
        start_response("302 Found", [("Location", location)])
        return [b""]

    assert says in seen(config_of("redis://x"), application, "/")["site"].text


def test_a_site_mounted_below_a_path_is_understood(redis_url: str) -> None:
    """The cookie's path and the status are looked for below it."""
    config = config_of(redis_url)
    gate = AdmitGate(page, config)

    def mounted(environ: Any, start_response: Any) -> Any:
        environ |= {"SCRIPT_NAME": "/shop", "PATH_INFO": environ["PATH_INFO"].removeprefix("/shop")}
        return gate(environ, start_response)

    found = seen(config, mounted, "/shop" + CHECKOUT)
    assert (found["cookie"].level, found["status"].level) == ("ok", "ok")
    assert "Path=/shop/" in found["cookie"].text


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("http://127.0.0.1:{}/events/gala/checkout", "can't be visited", id="nobody is there"),
        pytest.param("file:///etc/hostname", "no http or https address", id="a file"),
        pytest.param("http://[::1/", "can't be visited", id="no address at all"),
        pytest.param("events/gala/checkout", "no http or https address", id="no host"),
        pytest.param("http://127.0.0.1:port/", "can't be visited", id="no port"),
    ],
)
def test_an_address_that_can_not_be_visited_is_an_error(url: str, says: str, free_port: int) -> None:
    """And no traceback."""
    (found,) = of_site(config_of("redis://x"), url.format(free_port))
    assert found.level == "error"
    assert says in found.text


def test_the_command_looks_at_the_site_too(consult: Consult, redis_url: str) -> None:
    """With --url."""
    with site(AdmitGate(page, config_of(redis_url))) as address:
        result = consult(redis_url, "--json", "--url", address + CHECKOUT)
    assert ("cookie", "ok") in told(result)


def test_only_what_is_wrong_is_said_at_start() -> None:
    """And not that a Redis keeps nothing on disk, which may be meant."""
    assert (
        at_start(Facts("single", [Node("here", info=WELL | {"aof_enabled": 0}, config={"save": ""})])) == []
    )
    (found,) = at_start(Facts("single", [Node("here", info=WELL | {"redis_version": "5.0.7"})]))
    assert "too old" in found.text
