"""Every command against a live shop with a crowd: two workers, and the operator in a third process.

What a command did is seen in the very next answer of each worker. Nobody tells them; they ask Redis.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet, Told, fleet
from servers import until

import admitgate
from admitgate import Config, Rule, supervisor
from admitgate.control import Control
from admitgate.embedded import EmbeddedRedis

pytestmark = pytest.mark.slow

RULE: dict[str, Any] = {
    "capacity": 3,
    "lease_seconds": 6,
    "claim_seconds": 3,
    "admit_per_minute": 600,
    "verify_every_request": True,
}
KEY = "the shop's key, known to nobody outside"
CROWDED, CALM = "/events/gala/checkout", "/events/calm/checkout"
CODE = Path(admitgate.__file__).parent.parent

Command = Callable[..., str]


@pytest.fixture(scope="module")
def shop(redis_server: EmbeddedRedis) -> Iterator[Fleet]:
    """A shop that more people want to get into than there is room for."""
    with fleet(redis_server.url, rule=RULE) as shop:
        crowd = ("-m", "admitgate.crowd", f"http://127.0.0.1:{shop.port}/", "gala", "--size", "30")
        process = supervisor.start([sys.executable, *crowd], cwd=CODE, output=shop._log.fileno())
        try:
            until(lambda: shop.ask("/_admitgate/status/gala").body.get("waiting"), what="a line has formed")
            yield shop
        finally:
            supervisor.stop(process)


@pytest.fixture(scope="module")
def start(
    shop: Fleet, redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.Popen[str]]:
    """Starts a command where the shop's settings are at hand."""
    folder = tmp_path_factory.mktemp("operator")
    rules = [{"path": "/events/<event>/checkout", **RULE}]
    settings = {"rules": rules, "redis_url": redis_server.url, "secret_key": KEY}
    (folder / "settings_of_the_day.py").write_text(f"ADMITGATE = {settings!r}\n")
    environment = {**os.environ, "PYTHONPATH": str(CODE), "ADMITGATE_SETTINGS": "settings_of_the_day"}

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "admitgate", *words]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, **pipes)

    return start


@pytest.fixture
def run(start: Callable[..., subprocess.Popen[str]], redis_server: EmbeddedRedis) -> Iterator[Command]:
    """Runs a command to its end; what was done to the crowd's event is undone in the end."""

    def run(*words: str, status: int = 0) -> str:
        process = start(*words)
        said, complaint = process.communicate(timeout=30)
        assert process.returncode == status, complaint
        return said + complaint

    yield run
    rules = [Rule("/events/<event>/checkout", **RULE)]
    options = {"rules": rules, "redis_url": redis_server.url, "redis_timeout_seconds": 10, "secret_key": KEY}
    event = Control.of(Config.from_options(options)).event("gala")
    event.set(**dict.fromkeys(("capacity", "message", "max_waiting")))
    event.open()


def each(shop: Fleet, path: str, cookie: str = "") -> list[Told]:
    """The next answer of each worker."""
    found: dict[int, Told] = {}

    def have_all_answered() -> bool:
        told = shop.ask(path, cookie=cookie)
        found.setdefault(told.worker, told)
        return len(found) == shop.workers

    until(have_all_answered, what="each worker answers")
    return list(found.values())


def states(shop: Fleet, path: str = CROWDED) -> set[str]:
    """What newcomers are told."""
    return {told.state if told.status == 503 else "in" for told in each(shop, path)}


def status_of(run: Command, event: str = "gala") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run("status", event, "--json"))
    return told


# --- looking


def test_the_line_is_seen_from_outside(run: Command) -> None:
    """Figures of a line that moves."""
    told = status_of(run)
    assert told["state"] == "waiting"
    assert told["line"]["waiting"] > 0
    assert 0 < told["line"]["in_use"] <= RULE["capacity"]
    assert told["totals"]["joined"] >= told["line"]["waiting"]
    assert "gala" in run("status")
    assert "gala" in run("events")


def test_watch_goes_on_until_it_is_told_to_end(start: Callable[..., subprocess.Popen[str]]) -> None:
    """A line a look for programs; Ctrl-C is its usual end."""
    with start("watch", "gala", "--json", "--interval", "0.2") as process:
        try:
            assert process.stdout is not None
            looks = [json.loads(process.stdout.readline()) for _ in range(3)]
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert [[event["event"] for event in look] for look in looks] == [["gala"]] * 3
    assert looks[0][0]["updated"] < looks[2][0]["updated"]


def test_explain_takes_nothing_from_the_crowd(run: Command) -> None:
    """It says why they wait."""
    assert "are in line already; they get a number" in run("explain", CROWDED)


def test_export_has_its_columns(run: Command) -> None:
    """Whatever minutes there are by now."""
    assert run("export", "gala").startswith("event,minute,joined,admitted")


# --- acting


def test_close_and_open(shop: Fleet, run: Command) -> None:
    """Nobody else goes in, and everybody is told why."""
    run("close", "gala", "--message", "Sold out")
    for told in each(shop, CROWDED):
        assert (told.status, told.state, told.body["message"]) == (503, "closed", "Sold out")
    run("open", "gala")
    assert states(shop) <= {"waiting", "ready"}


def test_pause_admit_and_resume(shop: Fleet, run: Command) -> None:
    """Nobody goes in but whom the operator counts in."""
    run("pause", "calm", "--yes")
    assert states(shop, CALM) == {"paused"}
    before = status_of(run, "calm")["totals"]["admitted"]
    waiting = shop.ask(CALM)
    assert waiting.cookie is not None
    run("admit", "calm", "1")
    cookie = waiting.cookie.partition(";")[0]
    until(lambda: shop.ask(CALM, cookie=cookie).status == 200, what="one was counted in")
    told = status_of(run, "calm")
    assert told["totals"]["admitted"] == before + 1
    assert told["settings"].get("extra", "0") == "0"
    run("resume", "calm")
    run("reset", "calm", "--yes")
    assert "in" in states(shop, CALM)


def test_queue_all(shop: Fleet, run: Command) -> None:
    """A number first, though there is room."""
    run("reset", "calm", "--yes", status=0)
    run("queue-all", "calm")
    assert "in" not in states(shop, CALM)
    run("resume", "calm")


def test_drain(shop: Fleet, run: Command) -> None:
    """Newcomers get no number; whoever has one is served."""
    earlier = shop.ask(CROWDED)
    assert earlier.cookie is not None
    run("drain", "gala")
    assert states(shop) == {"full"}
    cookie = earlier.cookie.partition(";")[0]
    assert {told.state for told in each(shop, CROWDED, cookie)} <= {"waiting", "ready"}


def test_set_a_message_and_the_length_of_the_line(shop: Fleet, run: Command) -> None:
    """Both are in the next answer."""
    run("set", "gala", "max_waiting=0", "message=Come back tomorrow")
    for told in each(shop, CROWDED):
        assert (told.state, told.body["message"]) == ("full", "Come back tomorrow")


def test_set_a_capacity(shop: Fleet, run: Command) -> None:
    """More room is taken at once; less throws nobody out."""
    run("set", "gala", "capacity=12")
    until(lambda: status_of(run)["line"]["in_use"] > RULE["capacity"], what="more went in")
    said = run("set", "gala", "capacity=1")
    assert "None is thrown out" in said
    assert status_of(run)["line"]["capacity"] == 1
    assert states(shop) <= {"waiting", "ready"}


def test_a_schedule(shop: Fleet, run: Command) -> None:
    """Before the opening everybody waits; before waiting_from nobody even gets a number."""
    run("set", "spring", "opens_at=2100-05-01T10:00+02:00", "shuffle=yes", "--yes")
    assert states(shop, "/events/spring/checkout") == {"opens"}
    run("set", "spring", "waiting_from=2100-05-01T09:00+02:00")
    assert states(shop, "/events/spring/checkout") == {"early"}
    run("open", "spring")
    assert states(shop, "/events/spring/checkout") & {"opens", "early"} == set()


def test_evict(shop: Fleet, run: Command) -> None:
    """Whoever was inside lines up at their next request, to whichever worker it goes."""
    inside = shop.ask("/events/evicted/checkout")
    assert inside.cookie is not None
    cookie, sid = inside.cookie.partition(";")[0], inside.body["sid"]
    run("set", "evicted", "capacity=0")
    assert all(told.status == 200 for told in each(shop, "/events/evicted/checkout", cookie))
    run("evict", "evicted", "--", sid)
    assert all(told.status == 503 for told in each(shop, "/events/evicted/checkout", cookie))
    run("evict", "evicted", "--", sid, status=1)


def test_reset(shop: Fleet, run: Command) -> None:
    """Slots and numbers of before are worth nothing to any worker."""
    inside = shop.ask("/events/begun/checkout")
    assert inside.cookie is not None
    cookie = inside.cookie.partition(";")[0]
    run("set", "begun", "capacity=0")
    run("reset", "begun", "--yes")
    assert all(told.status == 503 for told in each(shop, "/events/begun/checkout", cookie))
    assert status_of(run, "begun")["line"]["in_use"] == 0


def test_a_pass_goes_before_the_crowd(shop: Fleet, run: Command) -> None:
    """Counted: into the next slot. Uncounted: past the gate, at every worker."""
    counted = opened(shop, run("pass", "gala"))
    until(lambda: shop.ask(CROWDED, cookie=counted).status == 200, what="the next slot is theirs")
    guest = opened(shop, run("pass", "gala", "--uncounted"))
    run("pause", "gala")
    assert all(told.status == 200 for told in each(shop, CROWDED, guest))


def opened(shop: Fleet, said: str) -> str:
    """The cookie of whoever opens the link."""
    told = shop.ask(said.splitlines()[0])
    assert told.status == 303
    assert told.cookie is not None
    return told.cookie.partition(";")[0]


def test_the_log_has_it_all(run: Command) -> None:
    """Two who act at the same moment are both in it, and one of them has won."""
    run("set", "logged", "capacity=7", "--by", "ada", "--yes")
    run("set", "logged", "capacity=9", "--by", "bob")
    log = json.loads(run("log", "logged", "--json"))
    assert [(note["by"], note["from"], note["to"]) for note in log] == [("bob", "7", "9"), ("ada", None, "7")]


def test_two_operators_at_once(start: Callable[..., subprocess.Popen[str]], run: Command) -> None:
    """Started together: whatever order they come in, the log tells it and the last one holds."""
    both = [
        start("set", "both", f"capacity={count}", "--by", who, "--yes")
        for who, count in (("ada", 7), ("bob", 9))
    ]
    assert [process.communicate(timeout=30) and process.returncode for process in both] == [0, 0]
    last, first = json.loads(run("log", "both", "--json"))
    assert {last["by"], first["by"]} == {"ada", "bob"}
    assert (first["from"], last["from"]) == (None, first["to"])
    assert status_of(run, "both")["settings"]["capacity"] == last["to"]
