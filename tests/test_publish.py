"""The publisher: true files, whole files, only its own files, and nothing lost when something breaks."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from werkzeug.test import Client

from admitgate import AdmitGate, Rule, publish
from admitgate.config import Config
from admitgate.embedded import EmbeddedRedis
from admitgate.errors import AdmitgateError, ConfigError
from admitgate.publish import Publisher
from admitgate.published import Published

KEY = "the key of the shop and of the publisher"
RULES = (Rule("/events/<event>/checkout", capacity=2, lease_seconds=60), Rule("/sale", capacity=1))
A_DAY = 86_400


@dataclass
class Desk:
    """A shop, a folder, and who publishes to it."""

    config: Config
    path: Path
    shop: Client
    redis: redis.Redis

    def publisher(self, *events: str) -> Publisher:
        return Publisher(self.config, Published(self.path), events=events)

    def publish(self, publisher: Publisher) -> bool:
        """Search, and one round."""
        return publish.run(publisher, interval=1, is_once=True, wait=lambda _: True)

    def join(self, event: str, times: int = 1) -> None:
        for _ in range(times):
            Client(self.shop.application).get(f"/events/{event}/checkout")

    def read(self, slug: str) -> dict[str, Any]:
        document = json.loads((self.path / slug).read_bytes())
        assert isinstance(document, dict)
        return document

    def names(self) -> set[str]:
        return set(os.listdir(self.path))

    def line_key(self) -> str:
        (key,) = self.redis.keys("admitgate:{*}:line")
        return key if isinstance(key, str) else key.decode()


def check_out(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"check-out"]


@pytest.fixture
def desk(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> Desk:
    config = Config.from_options({"secret_key": KEY, "redis_url": redis_url, "rules": RULES})
    return Desk(config, tmp_path, Client(AdmitGate(check_out, config)), redis_client)


def test_a_file_holds_what_the_status_says(desk: Desk) -> None:
    """Byte for byte the same document, but for the moment."""
    desk.join("gala", 5)
    assert desk.publish(desk.publisher())
    gate = desk.shop.get("/_admitgate/status/gala")
    said, told = desk.read("gala"), gate.get_json()
    assert list(said) == list(told)
    assert {**said, "updated": 0} == {**told, "updated": 0}
    assert (said["state"], said["leases"]) == ("waiting", 2)


def test_live_events_are_found_and_others_are_not_invented(desk: Desk) -> None:
    """Those in Redis, those with a rule of their own, those that were named: each once, by its slug."""
    desk.join("gala")
    desk.join("Der Fluß")
    desk.redis.hset("admitgate:{0123}:line", "event", "..%2F..%2Fetc")
    desk.redis.set("admitgate:{4567}:line", "a text")
    desk.redis.hset("another:{0123}:line", "event", "theirs")
    desk.publish(desk.publisher("tomorrow"))
    found = {desk.read(name)["event"] for name in desk.names()}
    assert found - {"..%2F..%2Fetc"} == {"gala", "Der Fluß", "sale", "tomorrow"}
    assert all(Path(name).name == name for name in desk.names())


def test_an_event_that_is_born_later_is_found(desk: Desk) -> None:
    """By the next search."""
    publisher = desk.publisher()
    desk.publish(publisher)
    desk.join("gala")
    desk.publish(publisher)
    assert desk.read("gala")["leases"] == 1


def test_a_named_event_has_a_file_before_anybody_comes(desk: Desk) -> None:
    """As the gate says it of an event that nobody has asked for; and Redis learns nothing of it."""
    desk.publish(desk.publisher("gala"))
    told = desk.shop.get("/_admitgate/status/gala").get_json()
    assert desk.read("gala") == {**told, "updated": desk.read("gala")["updated"]}
    assert desk.redis.dbsize() == 0


def test_an_event_no_rule_has_is_refused(desk: Desk) -> None:
    """A slip of the pen on the command line would otherwise be found out on the day."""
    with pytest.raises(ConfigError, match="no rule has an event"):
        desk.publisher("a" * 500)


def test_a_reader_never_sees_half_a_file(desk: Desk) -> None:
    """While it is rewritten as fast as it can be, every look finds one whole answer."""
    folder = Published(desk.path)
    folder.write("gala", {"event": "gala", "serving": 0, "fill": "x"})
    is_over = threading.Event()

    def rewrite() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            folder.write("gala", {"event": "gala", "serving": number, "fill": "x" * (number % 7 * 1000)})

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        seen = [desk.read("gala")["serving"] for _ in range(500)]
    finally:
        is_over.set()
        writer.join()
    assert seen == sorted(seen)


def test_files_can_be_read_by_the_web_server(desk: Desk) -> None:
    """Whatever the umask of whoever publishes."""
    before = os.umask(0o077)
    try:
        desk.publish(desk.publisher())
    finally:
        os.umask(before)
    assert (desk.path / "sale").stat().st_mode & 0o777 == 0o644


class Outage:
    """A Redis of our own that can go away."""

    def __init__(self, server: EmbeddedRedis, desk: Desk) -> None:
        self.server, self.desk = server, desk


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Outage]:
    with EmbeddedRedis() as server:
        config = Config.from_options({"secret_key": KEY, "redis_url": server.url, "rules": RULES})
        with redis.Redis.from_url(server.url) as client:
            yield Outage(server, Desk(config, tmp_path, Client(AdmitGate(check_out, config)), client))


def end(server: EmbeddedRedis) -> None:
    """Redis is gone for good."""
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            redis.Redis.from_url(server.url).ping()
        except redis.exceptions.RedisError:
            return


def test_an_outage_keeps_the_last_answer_and_says_its_age(
    away: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """Pages must know; the figures stay; and it is said once when it begins and once when it is over."""
    desk = away.desk
    desk.join("gala", 4)
    publisher = desk.publisher()
    desk.publish(publisher)
    before = desk.read("gala")
    os.kill(away.server.pid, signal.SIGSTOP)
    for _ in range(3):
        assert not publisher.publish()
    during = desk.read("gala")
    age = during.pop("age")
    assert during == {**before, "state": "outage"}
    assert age >= 0
    os.kill(away.server.pid, signal.SIGCONT)
    deadline = time.monotonic() + 20
    while not publisher.publish() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert desk.read("gala")["issued"] == before["issued"]
    assert "age" not in desk.read("gala")
    said = [record.message for record in caplog.records if "outage" in record.message]
    assert ["over" in line for line in said] == [False, True]


def test_a_publisher_that_starts_in_an_outage_goes_on_from_the_files(away: Outage) -> None:
    """The last good answer is the one of before, and so is its age."""
    desk = away.desk
    desk.join("gala", 4)
    first = desk.publisher()
    desk.publish(first)
    before = desk.read("gala")
    first.close()
    an_hour_ago = time.time() - 3600
    os.utime(desk.path / "gala", (an_hour_ago, an_hour_ago))
    end(away.server)
    for _ in range(2):  # the age goes on from the age in the file
        second = desk.publisher()
        assert not desk.publish(second)
        second.close()
        during = desk.read("gala")
        assert during["age"] >= 3599
        assert {**during, "age": 0} == {**before, "state": "outage", "age": 0}


def test_an_outage_from_the_start_is_published_as_one(away: Outage) -> None:
    """What is known without Redis has a file all the same."""
    end(away.server)
    desk = away.desk
    assert not desk.publish(desk.publisher("gala"))
    assert {name: desk.read(name)["state"] for name in desk.names()} == {"gala": "outage", "sale": "outage"}


def test_somebody_elses_file_is_left_alone(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A folder may be shared; an event may have the name of what is in it."""
    theirs = {
        "index.html": "<!doctype html>",
        "data": '{"event": "another", "serving": 1}',
        "list": "[]",
        "big": "x" * 100_000,
    }
    for name, text in theirs.items():
        (desk.path / name).write_text(text)
        os.utime(desk.path / name, (0, 0))
        desk.join(name)
    (desk.path / "folder").mkdir()
    desk.join("folder")
    desk.join("gala")
    publisher = desk.publisher()
    desk.publish(publisher)
    desk.publish(publisher)
    assert {name: (desk.path / name).read_text() for name in theirs} == theirs
    assert (desk.path / "folder").is_dir()
    assert desk.read("gala")["leases"] == 1
    said = [record.message for record in caplog.records if "somebody else's" in record.message]
    assert len(said) == len(theirs) + 1


def test_an_event_that_is_gone_is_open_and_after_a_day_has_no_file(desk: Desk) -> None:
    """Its file alone; those of live events, of named ones and of others stay, however old."""
    for event in ("gala", "river"):
        desk.join(event, 4)
    first = desk.publisher()
    desk.publish(first)
    first.close()
    (desk.path / "notes").write_text("theirs")
    desk.redis.flushall()
    desk.join("river")
    publisher = desk.publisher()
    desk.publish(publisher)
    assert desk.read("gala")["state"] == "open"
    for name in desk.names():
        os.utime(desk.path / name, (time.time() - A_DAY - 10,) * 2)
    desk.publish(publisher)
    assert desk.names() == {"river", "sale", "notes"}
    desk.join("gala")
    desk.publish(publisher)
    assert "gala" in desk.names()


def test_an_event_whose_rule_is_no_more_leaves_no_file_either(desk: Desk) -> None:
    """Otherwise nobody would ever take it away."""
    old = {"event": "gala\u2028", "state": "open", "serving": 0, "updated": 0}
    name = "~Z2FsYeKAqA"
    (desk.path / name).write_text(json.dumps(old))
    publisher = desk.publisher()
    desk.publish(publisher)
    assert name in desk.names()
    os.utime(desk.path / name, (0, 0))
    desk.publish(publisher)
    assert name not in desk.names()


def test_a_full_disk_is_told_once_and_costs_no_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good files stay, and as soon as there is room they are written again."""
    desk.join("gala")
    publisher = desk.publisher()
    desk.publish(publisher)
    before = desk.read("gala")
    desk.join("gala", 3)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("admitgate.published.os.replace", full)
        for _ in range(3):
            desk.publish(publisher)
        assert desk.read("gala") == before
        assert desk.names() == {"gala", "sale"}
    desk.publish(publisher)
    assert desk.read("gala")["waiting"] > 0
    said = [record.message for record in caplog.records]
    assert [line for line in said if "No space left" in line] == [
        "can't publish gala (No space left on device); the last good files stay"
    ]
    assert said[-1] == "everything can be published again"


def test_one_file_that_cannot_be_written_does_not_stop_the_others(desk: Desk) -> None:
    """An event's name may be longer than a file's."""
    desk.join("\u6771" * 100)
    desk.join("gala")
    desk.publish(desk.publisher())
    assert desk.names() == {"gala", "sale"}


def test_a_quiet_event_is_not_kept_alive(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look keeps an event for another day; one that nobody comes to must end some day."""
    monkeypatch.setattr(publish, "_rests_after_seconds", 0.0)
    desk.join("gala")
    key = desk.line_key()
    publisher = desk.publisher()
    leases = key.removesuffix("line") + "leases"
    desk.redis.zremrangebyscore(leases, "-inf", "(+inf")
    desk.publish(publisher)
    desk.publish(publisher)
    last, updated = desk.redis.hget(key, "last"), desk.read("gala")["updated"]
    time.sleep(0.01)
    for _ in range(3):
        desk.publish(publisher)
    assert desk.redis.hget(key, "last") == last
    assert desk.read("gala")["updated"] > updated


def test_a_quiet_event_that_somebody_comes_to_is_looked_at_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: by a visitor, or by an operator who changes it."""
    monkeypatch.setattr(publish, "_rests_after_seconds", 0.0)
    desk.join("gala")
    key = desk.line_key()
    desk.redis.zremrangebyscore(key.removesuffix("line") + "leases", "-inf", "(+inf")
    publisher = desk.publisher()
    for _ in range(3):
        desk.publish(publisher)
    desk.redis.hset(key.removesuffix("line") + "settings", "message", "Doors at eight")
    desk.publish(publisher)
    assert desk.read("gala")["message"] == "Doors at eight"
    for _ in range(3):
        desk.publish(publisher)
    desk.join("gala", 4)
    desk.publish(publisher)
    assert (desk.read("gala")["leases"], desk.read("gala")["state"]) == (2, "waiting")


def test_two_do_not_write_to_one_folder(desk: Desk) -> None:
    """Readers would see the line going back and forth."""
    first = Published(desk.path)
    with pytest.raises(AdmitgateError, match="another publisher"):
        Published(desk.path)
    first.close()
    Published(desk.path).close()


def test_what_a_killed_publisher_left_is_cleared_away(desk: Desk) -> None:
    """Its half-written file, beside the places of the real ones."""
    (desk.path / ".admitgate-1234").write_text("{")
    Published(desk.path).close()
    assert desk.names() == set()


@pytest.mark.parametrize(
    ("interval", "now", "seconds"),
    [
        pytest.param(1.0, 100.3, 0.5, id="just before the second is over"),
        pytest.param(1.0, 100.8, 1.0, id="a whole one after a round"),
        pytest.param(5.0, 101.0, 3.8, id="before every fifth"),
        pytest.param(0.5, 100.1, 0.2, id="twice a second"),
    ],
)
def test_files_are_new_when_nginx_looks_at_them_again(interval: float, now: float, seconds: float) -> None:
    """nginx takes an open file for current until its clock's second is over."""
    assert publish._until_next(interval, now) == pytest.approx(seconds)


def command(desk: Desk, *words: str | Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "ADMITGATE_SECRET_KEY": KEY,
        "ADMITGATE_REDIS_URL": desk.config.redis_url or "",
        "ADMITGATE_RULES": '[{"path": "/events/<event>/checkout", "capacity": 2}]',
    }
    return subprocess.Popen(
        [sys.executable, "-m", "admitgate", "publish", *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_publishes_until_it_is_told_to_end(desk: Desk, number: signal.Signals) -> None:
    """It ends with 0, and leaves whole files and nothing else."""
    desk.join("gala", 4)
    process = command(desk, "--directory", desk.path, "--interval", "0.1")
    deadline = time.monotonic() + 20
    while "gala" not in desk.names() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, "")
    assert desk.names() == {"gala"}
    assert desk.read("gala")["state"] == "waiting"


def test_the_command_can_publish_once(desk: Desk) -> None:
    """For a cron job, a test, or the minute before the sale."""
    process = command(desk, "--directory", desk.path, "--once", "--event", "gala")
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
    assert desk.names() == {"gala"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(
            ["--directory", "{path}/none"], "can't be written to: No such file", id="no such folder"
        ),
        pytest.param(["--directory", "{path}/file"], "can't be written to: Not a directory", id="a file"),
        pytest.param(["--directory", "/proc"], "/proc can't be written to", id="a folder that takes none"),
        pytest.param([], "Missing option '--directory'", id="no folder named"),
        pytest.param(["--directory", "{path}", "--settings", "nothing"], "nothing", id="no such settings"),
        pytest.param(["--directory", "{path}", "--event", "\x07"], "no rule has", id="no such event"),
        pytest.param(["--directory", "{path}", "--interval", "0"], "--interval", id="an odd interval"),
    ],
)
def test_what_prevents_a_start_is_said(desk: Desk, words: list[str], sentence: str) -> None:
    """In a sentence, with exit status 2, and no file is touched."""
    (desk.path / "file").write_text("theirs")
    process = command(desk, *(word.format(path=desk.path) for word in words))
    _, said = process.communicate(timeout=20)
    assert process.returncode == 2, said
    assert sentence in said
    assert "Traceback" not in said
    assert desk.names() == {"file"}


def test_once_in_an_outage_says_so_with_its_exit_status(away: Outage) -> None:
    """1, as whoever started it may want to try again."""
    end(away.server)
    process = command(away.desk, "--directory", away.desk.path, "--once", "--event", "gala")
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said.count("outage") == 1
