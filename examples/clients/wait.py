"""Waits its turn politely before a gated address: ``python wait.py https://shop.example/events/gala/checkout``.

Copy ``Visitor`` into your own client; it needs nothing but Python. What makes it polite: it asks the shared
status, which costs the shop nothing, asks in person only when its number is called, never sooner than it was
told, and never at the same moment as everybody else.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import time
from hashlib import sha256
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, Request, build_opener

OURS = "urn:problem-type:admitgate:"
LONGEST_PAUSE = 300.0


class Closed(Exception):
    """Nobody else is let in."""


class Visitor:
    """One place in line. The place is in its cookies: use the same visitor until you are done."""

    def __init__(self) -> None:
        self._with_cookies, self._without = build_opener(HTTPCookieProcessor()), build_opener()
        self._proof: dict[str, str] = {}

    def enter(self, url: str) -> bytes:
        """What is behind the gate, once we are let in. Raises Closed when the sale is over."""
        while True:
            status, kind, body = self._ask(Request(url, headers={"Accept": "application/json"}))
            if kind != "application/problem+json" or not json.loads(body)["type"].startswith(OURS):
                if status >= 400:
                    raise RuntimeError(f"{url} answered {status}")
                return body
            self._wait(url, json.loads(body))

    def _wait(self, url: str, place: dict[str, Any]) -> None:
        """Until it is worth asking for the page again."""
        if place["state"] == "closed":
            raise Closed(place["message"] or place["title"])
        self._tell(place)
        _pause(place["retry_after"])
        is_waiting = place["number"] is not None
        while is_waiting and self._is_called(url, place):
            is_waiting = self._check_in(url, place) == "waiting"

    def _is_called(self, url: str, place: dict[str, Any]) -> bool:
        """True in the end, by the answer that is the same for everybody. False after a draw: then another
        number counts, which the shop tells who asks for the page again."""
        number = place.get("drawn_number", place["number"])
        while True:
            line = self._json(Request(urljoin(url, place["poll_url"])), shared=True)
            if line and line["state"] == "closed":
                raise Closed(line["message"])
            if line and "seed" in line.get("draw", {}) and "drawn_number" not in place:
                return False
            if line and line["state"] != "outage":
                # Above `issued` is a number that was given out in a moment that was lost: it has to be told.
                if not line["serving"] < number <= line["issued"]:
                    return True
                _pause(_until_next_poll(line, number))
            else:
                _pause(place["retry_after"])

    def _check_in(self, url: str, place: dict[str, Any]) -> str:
        """Says "I am here" until there is room, or until it turns out that it is not our turn after all."""
        while True:
            request = Request(urljoin(url, place["check_in_url"]), method="POST", headers=self._proof)
            answer = self._json(request) or {}
            if answer.get("state") == "challenge":
                self._proof = {"Admitgate-Proof": solved(answer["challenge"])}
                answer = {"poll": 0}
            if answer.get("state") in ("admitted", "gone", "no-ticket", "closed"):
                return str(answer["state"])
            _pause(answer.get("poll", place["retry_after"]))
            if answer.get("state") == "waiting":
                return "waiting"

    def _json(self, request: Request, *, shared: bool = False) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._ask(request, shared=shared)[2])
        except (URLError, OSError, ValueError):
            return None
        return found

    def _ask(self, request: Request, *, shared: bool = False) -> tuple[int, str, bytes]:
        opener = self._without if shared else self._with_cookies
        try:
            with opener.open(request, timeout=10) as response:
                return response.status, response.headers.get_content_type(), response.read()
        except HTTPError as error:
            with error:
                return error.code, error.headers.get_content_type(), error.read()

    def _tell(self, place: dict[str, Any]) -> None:
        print(f"{place['title']}: {place['position'] or 'no'} in line. {place['message']}", file=sys.stderr)


def solved(challenge: dict[str, Any]) -> str:
    """The proof of work that some shops ask for: the number whose hash begins as is said."""
    asked, counter, key = challenge["parameters"], -1, ""
    start = bytes.fromhex(asked["salt"] + asked["nonce"])
    while not key.startswith(asked["keyPrefix"]):
        counter += 1
        key = sha256(start + counter.to_bytes(4, "big")).hexdigest()
    solution = {"counter": counter, "derivedKey": key[: 2 * asked["keyLength"]]}
    return base64.b64encode(json.dumps({"challenge": challenge, "solution": solution}).encode()).decode()


def _until_next_poll(line: dict[str, Any], number: int) -> float:
    """A tenth of the expected wait, between the floor and the ceiling that the shop wants."""
    poll = line["poll"]
    expected = (number - line["serving"]) * 60 / (line["admitted_per_minute"] or 60)
    return float(min(poll["ceiling"], max(poll["floor"], expected / poll["divisor"])))


def _pause(seconds: float) -> None:
    """So long, give or take a fifth: or all who wait would ask in the same moment."""
    time.sleep(min(LONGEST_PAUSE, max(0.2, seconds)) * random.uniform(0.8, 1.2))


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(Visitor().enter(sys.argv[1]))
    except Closed as closed:
        sys.exit(f"The line is closed. {closed}")
