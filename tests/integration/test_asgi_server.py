"""FastAPI under uvicorn: lifespan, websockets, streams, and visitors who close the connection."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from servers import free_ports, until

from admitgate import supervisor

pytestmark = pytest.mark.slow

CHECKOUT = "/events/{}/checkout"
HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Shop:
    """The shop at its port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, cookie: str = "") -> tuple[int, dict[str, Any]]:
        """The status and what was told."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path, headers={"Accept": "application/json", "Cookie": cookie})
        response = connection.getresponse()
        told = json.loads(response.read())
        connection.close()
        return response.status, told

    def open(self, path: str, more: str = "", *, until_it_says: str = "") -> tuple[socket.socket, str]:
        """An open connection on which this was asked, and what has come by then."""
        line = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: shop\r\n{more}\r\n".encode())
        heard = ""
        while until_it_says and until_it_says not in heard:
            piece = line.recv(4096)
            assert piece, heard
            heard += piece.decode("latin-1")
        return line, heard


@pytest.fixture(scope="module")
def log() -> Iterator[Any]:
    with tempfile.TemporaryFile() as log:
        yield log


@pytest.fixture
def shop(redis_url: str, log: Any) -> Iterator[Shop]:
    """One worker, with room for one at each event."""
    (port,) = free_ports(1)
    command = [sys.executable, "-W", "error", "-m", "uvicorn", "asgi_shop:shop", "--port", str(port)]
    process = supervisor.start(
        [*command, "--ws", "websockets-sansio"],
        cwd=Path(__file__).parent,
        env={**os.environ, "ASGI_SHOP_REDIS": redis_url},
        output=log.fileno(),
    )

    def is_up() -> bool:
        assert process.poll() is None
        with suppress(OSError):
            return Shop(port).get("/")[0] == 200
        return False

    try:
        until(is_up, seconds=30, what="uvicorn is up")
        yield Shop(port)
    finally:
        supervisor.stop(process)
    log.seek(0)
    said = log.read().decode()
    assert "Traceback" not in said, said


def test_the_applications_life_is_its_own(shop: Shop) -> None:
    """It began once, and what it opened is in every request."""
    assert shop.get("/") == (200, {"catalogue": "open", "began": ["life"]})


def test_a_websocket_takes_a_slot_and_the_next_is_answered(shop: Shop) -> None:
    """101 with a cookie for the one; for the other 503 with a place in line, which uvicorn can say."""
    where = f"{CHECKOUT.format('gala')}/seats"
    first, heard = shop.open(where, HANDSHAKE, until_it_says="a seat")
    assert heard.startswith("HTTP/1.1 101 ")
    assert "set-cookie: admitgate_" in heard.lower()
    second, refused = shop.open(where, HANDSHAKE, until_it_says='"poll_url"')
    assert refused.startswith("HTTP/1.1 503 ")
    assert "set-cookie: admitgate_" in refused.lower()
    for line in (first, second):
        line.close()


def test_a_visitor_who_leaves_before_an_answer_leaves_no_slot_taken(shop: Shop) -> None:
    """Starlette hears of it; the cookie never went out."""

    def leases() -> int:
        return int(shop.get("/_admitgate/status/river")[1]["leases"])

    line, _ = shop.open(f"{CHECKOUT.format('river')}/slow")
    until(lambda: leases() == 1, what="the slot is taken")
    line.close()
    until(lambda: leases() == 0, what="the slot is free")


def test_a_visitor_who_leaves_in_a_stream_has_their_cookie(shop: Shop) -> None:
    """And keeps the slot, to come back to."""
    where = CHECKOUT.format("midnight")
    line, heard = shop.open(f"{where}/stream", until_it_says="seat")
    line.close()
    cookie = heard[heard.lower().index("set-cookie: ") + 12 :].partition(";")[0]
    assert shop.get(where)[0] == 503
    assert shop.get(where, cookie)[0] == 200
