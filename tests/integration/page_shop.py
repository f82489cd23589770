"""The shop before which the page's tests stand: quick graces, room for one at each event, and a real Redis.

It is served by threads of the tests' own process, so that a test can give a slot back and count the polls.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import create_environ, run_wsgi_app

from admitgate import AdmitGate, Rule

RULE: dict[str, Any] = {"capacity": 1, "lease_seconds": 60, "claim_seconds": 30, "grace_seconds": 1}
OPTIONS: dict[str, Any] = {
    "secret_key": "the shop's key, known to nobody outside",
    "poll_floor_seconds": 0.5,
    "poll_ceiling_seconds": 1,
    "redis_timeout_seconds": 5,
    "enter_seconds": 0,
}
INSIDE = b"""<!doctype html><html lang="en"><title>Check-out</title><h1>Check-out</h1>
<form method="post"><label>Name <input name="name"></label><button>Pay</button></form>"""


@dataclass
class Shop:
    """Where it is, what was asked of it, and the people inside that no browser shows."""

    gate: AdmitGate
    address: str = ""
    asked: list[tuple[str, float]] = field(default_factory=list)

    def url(self, event: str, tail: str = "buy") -> str:
        return f"{self.address}/{event}/{tail}"

    def occupy(self, event: str) -> str:
        """Somebody goes in and stays; their lease's name."""
        connection = HTTPConnection(urlsplit(self.address).netloc, timeout=10)
        connection.request("GET", f"/{event}/buy", headers={"Accept": "text/html"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:9]) == (200, INSIDE[:9])
        sid = answer.headers["Lease"]
        connection.close()
        return sid

    def occupy_later(self, event: str) -> str:
        """The same, by somebody who stands in line for it: those who are asleep are passed."""
        connection = HTTPConnection(urlsplit(self.address).netloc, timeout=10)
        cookie, deadline = "", time.monotonic() + 20
        while time.monotonic() < deadline:
            connection.request("GET", f"/{event}/buy", headers={"Accept": "text/html", "Cookie": cookie})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                connection.close()
                return answer.headers["Lease"]
            cookie = (answer.headers["Set-Cookie"] or cookie).partition(";")[0]
            time.sleep(0.2)
        raise AssertionError("nobody got in")

    def join_and_go_away(self, event: str, people: int) -> None:
        """So many take a number and are not heard of again."""
        visit = create_environ(f"/{event}/buy", headers={"Accept": "text/html"})
        for _ in range(people):
            run_wsgi_app(self.gate, dict(visit))

    def make_room(self, event: str, sid: str) -> None:
        self.gate.release(event, sid)

    def polls(self, event: str, since: float = 0) -> int:
        """How often pages asked for the event's status, or checked in."""
        return sum(path.endswith(f"/{event}") and at > since for path, at in self.asked)


@contextmanager
def open_shop(redis_url: str, **options: Any) -> Iterator[Shop]:
    """The shop on a free port, until the block ends. Each event takes one visitor at a time."""
    rule = Rule("/<event>/buy", **{**RULE, **options.pop("rule", {})})
    gate = AdmitGate(_application, redis_url=redis_url, rules=[rule], **{**OPTIONS, **options})
    shop = Shop(gate)

    def watched(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/_admitgate/"):
            shop.asked.append((environ["PATH_INFO"], time.monotonic()))
        return gate(environ, start_response)

    with make_server("127.0.0.1", 0, watched, threaded=True, request_handler=_Quiet) as server:
        shop.address = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield shop
        finally:
            server.shutdown()
            thread.join()


def _application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A check-out that counts nothing, and a page beside it."""
    admission = environ.get("admitgate")
    body = INSIDE if admission else b"<!doctype html><html lang=en><title>Home</title><h1>Home</h1>"
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    if admission and environ["REQUEST_METHOD"] == "POST":
        body, headers = b"", [("Location", "/"), ("Content-Length", "0"), ("Admitgate-Release", "1")]
    if admission and admission.sid:
        headers.append(("Lease", admission.sid))
    start_response("303 See Other" if not body else "200 OK", headers)
    return [body]


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""
