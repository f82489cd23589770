"""What is fuzzed, and what must hold: no crash, no hang, and nothing accepted that isn't ours.

Each target takes any bytes. ``test_fuzz.py`` feeds it from Hypothesis for a minute in all, and from the
corpus; ``atheris_fuzz.py`` for as long as one likes. The first bytes choose how much of a good input is kept:
pure noise is turned away at the first door and finds nothing.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import unquote
from wsgiref.util import setup_testing_defaults

import admitgate.paths
from admitgate import AdmitGate
from admitgate.cookies import cookie_values
from admitgate.embedded import EmbeddedRedis
from admitgate.errors import BadToken
from admitgate.matching import Rules
from admitgate.names import cookie_name, event_name, event_slug, slug_event
from admitgate.rules import OURS, Rule
from admitgate.tokens import Lease, Ticket, Tokens

EVENT, KEY = "gala", "Vn3zq8Wm2Lr7Tb5Xc9Jd4Hf6Gs1Kp0Ya"
NAME = cookie_name("admitgate", EVENT)
FAR = 4_000_000_000_000
Target = Callable[[bytes], None]

_tokens = Tokens([KEY])
_good = [
    _tokens.write(EVENT, Lease("abcdefghijklmnop", FAR, FAR)),
    _tokens.write(EVENT, Lease("abcdefghijklmnop", FAR, 0, True)),
    _tokens.write(EVENT, Ticket("ABCDEFGHIJKLMNOP", 12345, FAR)),
    _tokens.write(EVENT, Lease(_tokens.sid_of(EVENT, account="ada"), FAR, FAR)),
]
rules = Rules([Rule("/checkout", capacity=0), Rule("/events/<event>/checkout", capacity=0)])
_beside = Rules([Rule("/any/<path:event>/checkout", capacity=0)], exempt=["/any/free"])
knows_readings = hasattr(admitgate.paths, "readings")  # without, paths with control characters are left out
_statuses = {200, 403, 404, 405, 410, 503}


def tokens(data: bytes) -> None:
    """The token reader: accepts only what was written for the event, to the letter."""
    text = _edited(data, [token.encode() for token in _good]).decode("latin-1")
    for event in (EVENT, "opera"):
        try:
            token = _tokens.read(event, text)
        except BadToken:
            continue
        assert event == EVENT, text
        assert text in _good, text
        assert _tokens.write(event, token) == text


def paths(data: bytes) -> None:
    """The path matcher: whatever any router could take for the check-out is gated; names are harmless."""
    path = _edited(data, [b"/checkout", b"/x/../checkout;a", b"/any/%2f/checkout"]).decode("utf-8", "replace")
    match = rules.find(path)
    assert match in (None, OURS) or match.is_gated
    if any(map(_is_checkout, _readings(path))) and (knows_readings or not re.search(r"[\0-\x20;]", path)):
        assert match is not None, ascii(path)
        assert match.is_gated, ascii(path)
    other = _beside.find(path)
    for name in [event_name("{x}", {"x": path}), *([other.event] if other and other.is_gated else [])]:
        assert len(name) <= 120
        assert name.isprintable(), ascii(name)
        assert slug_event(event_slug(name)) == name
        assert re.fullmatch(r"[A-Za-z0-9_.~-]+", event_slug(name)), ascii(name)


def cookies(data: bytes) -> None:
    """The cookie finder: every well-separated value of ours is found, and nothing beyond a semicolon."""
    header = _edited(data, [f"{NAME}={_good[0]}".encode(), b"a=b; c", f'x; {NAME}="'.encode()]).decode(
        "latin-1"
    )
    for value in cookie_values(header, NAME):
        assert ";" not in value
        assert value in header
    for before, behind in (("", ""), (header + "; ", ""), ("", "; " + header), ("a=b;", ";" + header)):
        if not before.rstrip("; ").endswith("="):
            assert _good[0] in cookie_values(f"{before}{NAME}={_good[0]}{behind}", NAME), ascii(header)


def answers(data: bytes) -> None:
    """Status, check-in and leave: JSON or a page, never a 500, never a cookie on what is everybody's."""
    pieces = data.split(b"\x00", 5)
    verb, slug, method, cookie, body, rest = [*pieces, *[b""] * (6 - len(pieces))]
    verbs = [b"status", b"check-in", b"leave", b"wait", b"healthz"]
    verb = verbs[verb[0] % 5] if verb else b"status"
    methods = ["GET", "POST", "HEAD", method.decode("latin-1") or "GET"]
    environ: dict[str, Any] = {
        "PATH_INFO": "/_admitgate/" + (verb + b"/" + slug).decode("latin-1"),
        "REQUEST_METHOD": methods[len(data) % 4],
        "QUERY_STRING": rest.decode("latin-1"),
        "HTTP_COOKIE": _edited(cookie, [f"{NAME}={token}".encode() for token in _good]).decode("latin-1"),
        "HTTP_ACCEPT": rest.decode("latin-1") if len(rest) % 2 else "application/json",
        "HTTP_SEC_FETCH_SITE": ["", "cross-site"][len(slug) % 2],
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    setup_testing_defaults(environ)
    seen: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        seen.update(status=int(status[:3]), headers=headers)

    body = b"".join(_application()(environ, start))
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert seen["status"] in _statuses, seen
    assert all(value.isprintable() for value in headers.values()), headers
    if "json" in headers["content-type"] and body:
        assert isinstance(json.loads(body), dict)
    if verb == b"status":
        assert "set-cookie" not in headers
        assert "vary" not in headers


TARGETS: dict[str, Target] = {"tokens": tokens, "paths": paths, "cookies": cookies, "answers": answers}


def _edited(data: bytes, good: list[bytes]) -> bytes:
    """A good input with a piece of it replaced by the data; or the data alone."""
    if len(data) < 3 or data[0] < 64:
        return data[1:]
    base, start, length = good[data[0] % len(good)], data[1], data[2] % 8
    start %= len(base) + 1
    return base[:start] + data[3:] + base[start + length :]


def _is_checkout(path: str) -> bool:
    """Of an event that may exist; to a router that ignores case."""
    return re.match(r"/(events/[\w-]+/)?checkout(/|$)", path, re.IGNORECASE) is not None


def _readings(path: str) -> list[str]:
    """What routers and proxies make of a path: decoded as often as two of them would, and tidied up."""
    found = []
    for _ in range(3):
        plain = re.sub(r";[^/]*", "", path.replace("\\", "/"))
        found += [path, plain, "/" + path.lstrip("/"), path.lower(), re.sub("/+", "/", path)]
        found += [_tidy(plain), _tidy(plain).lower(), _tidy(path), _tidy(plain.strip().strip("\x00\r\n\t "))]
        path = unquote(path, errors="replace")
    return found


def _tidy(path: str) -> str:
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept[-1:] = []
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept)


@cache
def redis_server() -> EmbeddedRedis:
    """A private Redis, which ends with this process at the latest."""
    server = EmbeddedRedis()
    server.start()
    return server


@cache
def _application() -> AdmitGate:
    """A gate before nothing."""
    return AdmitGate(
        lambda environ, start: start("200 OK", []) or [b"inside"],
        secret_key=KEY,
        redis_url=redis_server().url,
        redis_timeout_seconds=10,
        rules=[Rule("/events/<event>/checkout", capacity=0)],
    )
