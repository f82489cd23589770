"""An ASGI application for clients that speak WSGI: the tests' browsers are werkzeug's on every edge.

It is a server as the ASGI specification has it, and holds the application to it: what is sent in which order,
and of which type.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import Thread
from typing import Any

_not_headers = ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH")


class OnALoop:
    """A WSGI application that answers all requests in one event loop, which ends when it is closed."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(128))  # tests have many views wait for each other
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        exchange = Exchange(scope_of(environ), environ["wsgi.input"].read(length))
        asyncio.run_coroutine_threadsafe(exchange.run(self._app), self._loop).result()
        status = HTTPStatus(exchange.status)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.headers]
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [exchange.body]

    def close(self) -> None:
        """As a server does that is stopped."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class Exchange:
    """One request and what is answered. ``leave`` has the visitor go away."""

    def __init__(self, scope: dict[str, Any], body: bytes = b"") -> None:
        self.scope = scope
        self.status, self.body = 0, b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False
        self._to_come = [{"type": "http.request", "body": body, "more_body": False}]
        self._end = asyncio.Event()

    async def run(self, app: Any) -> Exchange:
        """To its end; the application's errors come through."""
        await app(self.scope, self.receive, self.send)
        assert self.is_complete
        return self

    def leave(self) -> None:
        """From now on nobody is there."""
        self._end.set()

    async def receive(self) -> dict[str, Any]:
        """The body, then nothing until the visitor leaves or has everything."""
        if self._to_come:
            return self._to_come.pop(0)
        await self._end.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """What the application answers."""
        assert not self.is_complete
        if message["type"] == "http.response.start":
            assert not self.status
            assert isinstance(message["status"], int)
            self.status, self.headers = message["status"], [(n, v) for n, v in message.get("headers", ())]
            for name, value in self.headers:
                assert (type(name), type(value)) == (bytes, bytes)
            return
        assert message["type"] == "http.response.body"
        assert self.status
        self.body += message.get("body", b"")
        self.is_complete = not message.get("more_body", False)
        if self.is_complete:
            self._end.set()


def scope_of(environ: dict[str, Any]) -> dict[str, Any]:
    """The scope of a request for WSGI. Like uvicorn's, its path begins with ``root_path``."""
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    address = environ.get("REMOTE_ADDR")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": path.decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": environ.get("SCRIPT_NAME", "").encode("latin-1").decode("utf-8", "replace"),
        "headers": list(_headers(environ)),
        "client": (address, 50_000) if address else None,
        "server": (environ.get("SERVER_NAME", "shop"), int(environ.get("SERVER_PORT", 80))),
    }


def _headers(environ: dict[str, Any]) -> Iterable[tuple[bytes, bytes]]:
    for name, value in environ.items():
        is_header = name.startswith("HTTP_") and name not in _not_headers
        if value and (is_header or name in ("CONTENT_TYPE", "CONTENT_LENGTH")):
            yield name.removeprefix("HTTP_").replace("_", "-").lower().encode(), value.encode("latin-1")
