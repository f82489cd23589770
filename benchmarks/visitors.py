"""Requests as a browser makes them, and the two ways a server can drive a WSGI application."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import Any

from timing import Loop

Environ = dict[str, Any]

_chromium = {
    "HTTP_HOST": "shop.example",
    "HTTP_CONNECTION": "keep-alive",
    "HTTP_CACHE_CONTROL": "max-age=0",
    "HTTP_SEC_CH_UA": '"Chromium";v="140", "Not=A?Brand";v="24"',
    "HTTP_SEC_CH_UA_MOBILE": "?0",
    "HTTP_SEC_CH_UA_PLATFORM": '"Linux"',
    "HTTP_UPGRADE_INSECURE_REQUESTS": "1",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36",
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "HTTP_SEC_FETCH_SITE": "same-origin",
    "HTTP_SEC_FETCH_MODE": "navigate",
    "HTTP_SEC_FETCH_USER": "?1",
    "HTTP_SEC_FETCH_DEST": "document",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
    "HTTP_ACCEPT_LANGUAGE": "en-GB,en;q=0.9,de;q=0.8",
}
_cookies = (
    "csrftoken=4r0VqHTnOZ1rJvUMNzZyLd8nWJcVvC3o; sessionid=8m3q9i1v5w7x2z4b6n8c0d1f3g5h7j9k; "
    "_ga=GA1.1.1234567890.1700000000"
)


def request(path: str, cookie: str = "", **others: Any) -> Environ:
    """An environ for a GET of ``path`` by somebody who brings ``cookie`` among the site's own."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "198.51.100.7",
        "REMOTE_PORT": "50000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **_chromium,
        "HTTP_COOKIE": f"{_cookies}; {cookie}; theme=dark" if cookie else _cookies,
        **others,
    }


def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
    """A server's part that does nothing."""


def no_op(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """The least that is a WSGI application."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def called(application: Any) -> Loop:
    """Only the call: what is left of the body is the application's own."""

    def loop(environs: Iterable[Environ]) -> None:
        for environ in environs:
            application(environ, start_response)

    return loop


def called_with(application: Any, environ: Environ, variable: str) -> Loop:
    """One environ, into which each item is put before the call: what a server makes is warm, too."""

    def loop(items: Iterable[str]) -> None:
        for item in items:
            environ[variable] = item
            application(environ, start_response)

    return loop


def put_into(environ: Environ, variable: str) -> Loop:
    """What that costs without the call."""

    def loop(items: Iterable[str]) -> None:
        for item in items:
            environ[variable] = item

    return loop


def answered(application: Any) -> Loop:
    """The whole answer, its body read and closed."""

    def loop(environs: Iterable[Environ]) -> None:
        for environ in environs:
            body = application(environ, start_response)
            for _ in body:
                pass
            if hasattr(body, "close"):
                body.close()

    return loop


def get(application: Any, environ: Environ) -> tuple[int, dict[str, str], bytes]:
    """One answer in parts, for looking at it."""
    seen: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        seen.update(status=int(status[:3]), headers=dict(headers))

    body = application(environ, start)
    content = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return seen["status"], seen["headers"], content
