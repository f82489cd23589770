"""The example clients before the real gate: they wait, get in, and are polite about it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from conftest import missing
from page_shop import Shop, open_shop

from admitgate.challenge import Altcha
from admitgate.counter import event_keys
from admitgate.embedded import EmbeddedRedis

pytestmark = pytest.mark.slow

CLIENTS = Path(__file__).parents[2] / "examples/clients"


@pytest.fixture(scope="module")
def shop(redis_server: EmbeddedRedis) -> Iterator[Shop]:
    with open_shop(redis_server.url, key_prefix="clients") as shop:
        yield shop


@pytest.fixture(params=["wait.py", "wait.mjs"])
def command(request: pytest.FixtureRequest) -> list[str]:
    if request.param.endswith(".py"):
        return [sys.executable, str(CLIENTS / request.param)]
    node = shutil.which("node")
    if node is None:
        missing("node", cure="'apt install nodejs' (Debian)")
    return [str(node), str(CLIENTS / request.param)]


def test_a_client_waits_its_turn_politely_and_gets_in(shop: Shop, command: list[str]) -> None:
    """Behind sixty who went away: it asks the shared status, is called, checks in and is let in."""
    event = f"turn-{command[-1][-3:].strip('.')}"
    sid = shop.occupy(event)
    shop.join_and_go_away(event, 60)
    with subprocess.Popen(
        [*command, shop.url(event)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        deadline = time.monotonic() + 20
        while not any(path == f"/_admitgate/check-in/{event}" for path, _ in shop.asked):
            assert time.monotonic() < deadline, "it was never called"
            time.sleep(0.05)
        assert client.poll() is None
        shop.make_room(event, sid)
        said, told = client.communicate(timeout=20)
    assert client.returncode == 0, told
    assert b"<h1>Check-out</h1>" in said
    assert "in line: " in told.decode()
    asked = [path.split("/")[2] for path, _ in shop.asked if path.endswith(f"/{event}")]
    assert asked[0] == "status"
    assert "status" not in asked[asked.index("check-in") :]
    moments = [at for path, at in shop.asked if path.endswith(f"/{event}")]
    assert all(later - earlier > 0.15 for earlier, later in zip(moments, moments[2:], strict=False))


def test_a_client_goes_by_the_number_that_was_drawn(
    shop: Shop, command: list[str], redis_server: EmbeddedRedis
) -> None:
    """Once the draw is done it asks for the page again, which tells it."""
    event = f"draw-{command[-1][-3:].strip('.')}"
    sid = shop.occupy(event)
    with redis.Redis.from_url(redis_server.url) as client:
        settings = event_keys("clients", event).settings
        later = (client.time()[0] + 3600) * 1000
        client.hset(settings, mapping={"opens_at": later, "shuffle": "1", "seed": "5eed"})
        shop.join_and_go_away(event, 30)
        with subprocess.Popen(
            [*command, shop.url(event)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as visitor:
            deadline = time.monotonic() + 20
            while not shop.polls(event):
                assert time.monotonic() < deadline, "it never asked"
                time.sleep(0.05)
            client.hset(settings, "opens_at", client.time()[0] * 1000)
            shop.make_room(event, sid)
            client.hset(event_keys("clients", event).line, "moved_at", 0)  # the draw has got about
            said, told = visitor.communicate(timeout=30)
    assert visitor.returncode == 0, told
    assert b"<h1>Check-out</h1>" in said


def test_a_client_gives_up_when_the_line_is_closed(
    shop: Shop, command: list[str], redis_server: EmbeddedRedis
) -> None:
    """With the operator's words."""
    event = f"closed-{command[-1][-3:].strip('.')}"
    shop.occupy(event)
    with redis.Redis.from_url(redis_server.url) as client:
        (line,) = (
            key for key in client.keys("clients:*:line") if client.hget(key, "event") == event.encode()
        )
        client.hset(line.replace(b":line", b":settings"), mapping={"state": "closed", "message": "Sold out"})
    done = subprocess.run(
        [*command, shop.url(event)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "The line is closed. Sold out\n"


def test_a_client_finds_the_proof_that_is_demanded(redis_server: EmbeddedRedis, command: list[str]) -> None:
    """Once, and then it shows it until it is let in."""
    with open_shop(redis_server.url, key_prefix="proving", challenge=Altcha(hashes=1000)) as shop:
        event = f"proof-{command[-1][-3:].strip('.')}"
        sid = shop.occupy(event)
        with subprocess.Popen(
            [*command, shop.url(event)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as client:
            deadline = time.monotonic() + 20
            while sum(path == f"/_admitgate/check-in/{event}" for path, _ in shop.asked) < 3:
                assert time.monotonic() < deadline, "it never checked in"
                time.sleep(0.05)
            shop.make_room(event, sid)
            said, told = client.communicate(timeout=20)
        assert client.returncode == 0, told
        assert b"<h1>Check-out</h1>" in said
