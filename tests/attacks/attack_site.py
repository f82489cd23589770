"""An attacker's tools: raw requests to one host, tokens signed with any key, and a look at Redis.

Requests go out byte for byte, as clients in the standard library refuse many of these. ``Site.send`` says
when a server has refused one before the gate could see it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
from attack_hosts import Host
from attack_words import KEY
from itsdangerous import Signer

from admitgate.counter import Counter
from admitgate.memory import Memories
from admitgate.rules import cookie_name

JSON = {"Accept": "application/json"}
SID = "abcdefghijklmnop"
FAR = 4_000_000_000_000
EVIL = "evil.example"
_patience_seconds = 30.0


class Refused(Exception):
    """The server answered by itself, or not at all: the gate never saw the request."""


@dataclass(frozen=True)
class Reply:
    """An answer of the shop's or the gate's."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str:
        """A header's value, or the empty string."""
        return ", ".join(self.all(name))

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_checkout(self) -> bool:
        """True where somebody was let in."""
        return self.body == b"the checkout"

    @property
    def is_waiting(self) -> bool:
        """True where the gate turned somebody away, with an answer that nobody keeps."""
        return (
            self.status == 503 and self.get("Cache-Control") == "no-store" and bool(self.get("Retry-After"))
        )


class Site:
    """One host, and an event of the test's own."""

    def __init__(self, host: Host, client: redis.Redis, event: str) -> None:
        self.host, self.redis, self.event = host, client, event
        self._counter = Counter(client, Memories())

    # --- addresses

    def at(self, rest: str = "checkout", *, area: str = "events") -> str:
        """A path below the event."""
        return f"/{area}/{self.event}/{rest}"

    def below_the_mount(self, verb: str, event: str | None = None) -> str:
        """The gate's own address for the event."""
        return f"/_admitgate/{verb}/{event or self.event}"

    # --- requests

    def send(
        self,
        path: str | bytes | None = None,
        method: str = "GET",
        *,
        cookies: str | bytes = "",
        headers: Mapping[str, str | bytes] | None = None,
        body: bytes = b"",
        is_500_allowed: bool = False,
        comes_again: bool = True,
    ) -> Reply:
        """The answer, which has to be harmless. Raises Refused where there is none of ours.

        Whoever has too many requests inside is told to come again, and does.
        """
        path = self.at() if path is None else path
        given: dict[str, str | bytes] = {"Host": "shop.example", **(headers or {})}
        if cookies:
            given["Cookie"] = cookies
        if body or method in ("POST", "PUT"):
            given.setdefault("Content-Length", str(len(body)))
        head = [_bytes(method) + b" " + _bytes(path) + b" HTTP/1.1"]
        head += [_bytes(name) + b": " + _bytes(value) for name, value in given.items()]
        request = b"\r\n".join([*head, b"Connection: close", b"", b""]) + body
        reply = self.raw(request, method)
        while reply.status == 429 and comes_again:
            reply = self.raw(request, method)
        assert is_500_allowed or reply.status != 500, reply.text[:500]
        return harmless(reply)

    def raw(self, request: bytes, method: str = "GET") -> Reply:
        """The answer to exactly these bytes."""
        with self.host.connect(_patience_seconds) as connection:
            with contextlib.suppress(OSError):  # it has heard enough; what it says to that may still be there
                connection.sendall(request)
            return _reply(connection, method)

    def post(self, verb: str, cookies: str = "", *, event: str | None = None, **options: Any) -> Reply:
        """Check-in or leave, as the waiting page asks."""
        return self.send(self.below_the_mount(verb, event), "POST", cookies=cookies, **options)

    def status(self) -> Any:
        """The shared status."""
        return self.send(self.below_the_mount("status")).json

    # --- visitors, known by the cookie they show

    def cookie(self, token: str, event: str | None = None) -> str:
        """The Cookie header of somebody who has ``token``."""
        return f"{cookie_name('admitgate', event or self.event)}={token}"

    def fill(self, area: str = "events") -> str:
        """Somebody goes in, so that an event with one slot is full: their Cookie header."""
        reply = self.send(self.at(area=area))
        assert reply.is_checkout, (reply.status, reply.text[:200])
        return given_cookie(reply)

    def queue(self, area: str = "events") -> tuple[str, int]:
        """Somebody gets a ticket: their Cookie header and number."""
        reply = self.send(self.at(area=area), headers=JSON)
        assert reply.is_waiting, (reply.status, reply.text[:200])
        return given_cookie(reply), reply.json["number"]

    def sid(self, cookies: str) -> str:
        """The name that a Cookie header's token gives its visitor."""
        return cookies.partition("=")[2].split(".")[1]

    def is_in(self, cookies: str = "", area: str = "events") -> bool:
        """Does who shows these cookies see the check-out?"""
        return self.send(self.at(area=area), cookies=cookies).is_checkout

    def forge(self, text: str, purpose: str = "l", *, event: str | None = None, key: str = KEY) -> str:
        """Any text signed as the gate signs: what another version, or a stolen key, might have written."""
        salt = f"admitgate.{purpose}:{event or self.event}"
        signer = Signer([key], salt=salt, digest_method=hashlib.sha256, key_derivation="hmac")
        return signer.sign(text).decode()

    # --- Redis

    def key(self, name: str, event: str | None = None) -> str:
        """One of the event's keys."""
        found: str = getattr(self._counter.keys(event or self.event), name)
        return found

    def leases(self, event: str | None = None) -> int:
        """How many slots are in use, whatever a worker remembers."""
        now_ms = self.now_ms()
        return self.redis.zcount(self.key("leases", event), now_ms, 9e15)

    def now_ms(self) -> int:
        """Redis' time."""
        seconds, micros = self.redis.time()
        return seconds * 1000 + micros // 1000

    def end_grace(self, event: str | None = None) -> None:
        """As if whoever was invited had had the time to come."""
        self.redis.hset(self.key("line", event), "moved_at", self.now_ms() - 60_000)

    def end_leases(self, event: str | None = None) -> None:
        """As if the leases had ended a moment ago."""
        key = self.key("leases", event)
        for sid in self.redis.zrangebyscore(key, 0, 9e15):
            self.redis.zadd(key, {sid: self.now_ms() - 1})

    def set_capacity(self, capacity: int, event: str | None = None) -> None:
        """What an operator does, live."""
        self.redis.hset(self.key("settings", event), "capacity", capacity)

    def wipe(self, event: str | None = None) -> None:
        """Redis loses all that it knows of the event."""
        self.redis.delete(*self._counter.keys(event or self.event))

    def gate_keys(self) -> set[bytes]:
        """Every key that gates have left."""
        return set(self.redis.scan_iter("admitgate:*", count=1000))

    def script_calls(self) -> int:
        """How many scripts Redis has run."""
        stats = self.redis.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))


def given_cookie(reply: Reply) -> str:
    """The gate's cookie, as a browser would show it."""
    (cookie,) = [value for value in reply.all("Set-Cookie") if value.startswith("admitgate_")]
    return cookie.partition(";")[0]


def harmless(reply: Reply) -> Reply:
    """What holds for every answer: no way to another site, no header that an attacker wrote, no insides."""
    assert EVIL not in reply.get("Location")
    assert not any(EVIL in value or "\r" in value or "\n" in value for _, value in reply.headers)
    assert not re.search(r"Traceback|admitgate:\{", reply.text)
    if reply.is_waiting:
        assert not reply.all("Location")
        assert foreign_addresses(reply) == []
    return reply


def foreign_addresses(reply: Reply) -> list[str]:
    """Where a page could lead that isn't a path of this site: // and /\\ are hosts to a browser."""
    addresses = re.findall(r'(?:content="\d+;url=|href="|action="|src=")([^"]*)', reply.text)
    return [address for address in addresses if not re.match(r"/(?![/\\])|data:", address)]


def _reply(connection: socket.socket, method: str) -> Reply:
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError):
            raise
        raise Refused(f"no answer ({type(error).__name__}: {error})") from error
    finally:
        response.close()
    reply = Reply(response.status, response.getheaders(), body)
    if not reply.get("X-Reached"):
        raise Refused(f"{reply.status} {reply.text[:80]}")
    return reply


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
