"""``admitgate preview``: the waiting page in every state, language and colour scheme, to look through.

Each scene is the page itself with its own script, and answers made up for it. No Redis, no shop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from werkzeug.serving import WSGIRequestHandler, make_server

from .brand import Brand
from .config import Config, config_from_environment
from .decision import Place
from .draw import Draw, drawn_number, published
from .figures import now_ms
from .languages import LANGUAGES
from .page import Page
from .visit import Visit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_event, _number, _ahead = "Summer Gala 2027", 1_700_000_000_000_000, 1_234
_dark = "@media (prefers-color-scheme:dark)"
_offline = b"<script>Object.defineProperty(navigator, 'onLine', { value: false })</script></head>"


@dataclass(frozen=True)
class Scene:
    """One state: the place the page starts from, and what it is told when it asks."""

    place: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] | None = field(default_factory=dict)
    check_in: Mapping[str, Any] | None = None
    ask_first: bool = False
    is_offline: bool = False


_called = {"serving": _number + _ahead, "poll_seconds": 1}
_no_number = {"number": None, "position": None, "wait_seconds": None, "waited_seconds": None}
_noon = (now_ms() // 86_400_000 + 1) * 86_400_000 + 43_200_000
_seed, _draw = "5eed0fada7ab1e0ff1ce5eed0fada7ab", Draw(_number, _number + 5000)

SCENES = {
    "waiting": Scene(),
    "message": Scene({"message": "Row A is sold out.\nThere are seats left in rows B to F."}),
    "posted": Scene({"was_post": True}),
    "ready": Scene({"state": "ready", "position": 3, "is_about": False, "wait_seconds": (5, 50)}),
    "missed": Scene(_called, check_in={"state": "missed", "position": 2}),
    "called": Scene(_called, {"serving": _number + _ahead}, ask_first=True),
    "admitted": Scene(_called, check_in={"state": "admitted"}),
    "paused": Scene({"state": "paused", "wait_seconds": None}, {"state": "paused"}),
    "opens": Scene(
        {"state": "opens", "opens_at": _noon, "wait_seconds": None}, {"state": "opens", "opens_at": _noon}
    ),
    "early": Scene(
        {"state": "early", "opens_at": _noon, **_no_number}, {"state": "early", "opens_at": _noon}
    ),
    "lottery": Scene(
        {"state": "opens", "opens_at": _noon, "seed": _seed, "position": None, "wait_seconds": None},
        {"state": "opens", "opens_at": _noon, "draw": published(None, _seed)},
    ),
    "drawn": Scene({"seed": _seed, "draw": _draw}, {"draw": published(_draw, _seed)}),
    "shared": Scene(
        {"state": "shared", "position": None, "wait_seconds": None, **_called}, check_in={"state": "shared"}
    ),
    "full": Scene({"state": "full", **_no_number}, {"state": "full"}),
    "closed": Scene({"state": "closed", "message": "Sold out. Thank you all."}, {"state": "closed"}),
    "hold": Scene({"state": "hold", "wait_seconds": None}, {"state": "hold"}),
    "outage": Scene({"state": "outage", **_no_number}, {"state": "outage"}),
    "retrying": Scene({"poll_seconds": 1}, None),
    "offline": Scene({"poll_seconds": 1}, None, is_offline=True),
    "prefetch": Scene({"state": "prefetch", **_no_number}, {"state": "prefetch"}),
    "cookies": Scene(_called, check_in={"state": "no-ticket"}),
    "left": Scene(),
}


class Preview:
    """A WSGI application: an index at ``/``, and each scene at ``/<scene>/``."""

    def __init__(self, config: Config | None = None) -> None:
        self._config = config
        self._page = lru_cache(maxsize=None)(self._make_page)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        name, _, rest = environ.get("PATH_INFO", "").lstrip("/").partition("/")
        query = {key: values[0] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        if name not in SCENES:
            return _send(start_response, "text/html; charset=utf-8", _index().encode())
        if rest.startswith("_/"):
            body = self._said(SCENES[name], rest.split("/")[1])
            return _send(start_response, "application/json", body, "200 OK" if body else "500 Away")
        return _send(start_response, "text/html; charset=utf-8", self._html(name, query))

    def _make_page(self, name: str) -> Page:
        return Page(
            mount=f"/{name}/_/",
            ask_first=SCENES[name].ask_first,
            enter_seconds=30,
            demands_proof=self._config is not None and self._config.challenge is not None,
            brand=self._config.brand if self._config else Brand(),
            template=self._config.template if self._config else None,
        )

    def _html(self, name: str, query: Mapping[str, str]) -> bytes:
        scene, page = SCENES[name], self._page(name)
        headers = {"accept": "text/html", "accept-language": query.get("language", "en")}
        visit = Visit("GET", f"/{name}/", "", "", lambda: False, "", lambda header: headers.get(header, ""))
        answer = page.left(visit, _event) if name == "left" else page.answer(visit, place_of(name))
        html = answer.body.replace(b"</head>", _offline if scene.is_offline else b"</head>")
        return html.replace(_dark.encode(), _media(query.get("scheme")).encode())

    def _said(self, scene: Scene, verb: str) -> bytes:
        if verb == "leave":
            return b'{"state":"left"}'
        said = scene.check_in if verb == "check-in" else scene.status
        if said is None:
            return b""
        return json.dumps({**(_status() if verb == "status" else {}), **said}).encode()


def serve(settings: str | None, port: int, say: Callable[[str], None]) -> None:
    """Show it on this machine until Ctrl-C. Raises ConfigError for settings that can't be used."""
    config = config_from_environment(settings) if settings else None
    with make_server("127.0.0.1", port, Preview(config), threaded=True, request_handler=_Quiet) as server:
        say(f"The waiting page is at http://127.0.0.1:{server.server_port}/ in all states; Ctrl-C ends it.")
        server.serve_forever()
        raise KeyboardInterrupt  # which werkzeug keeps to itself


class _Quiet(WSGIRequestHandler):
    """The scenes poll: a line for each request would bury the address."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def place_of(name: str) -> Place:
    """Where the scene's visitor stands, with a number of their own: the tabs of one browser share a place."""
    known: dict[str, Any] = {
        "state": "waiting",
        "number": _number + _ahead - list(SCENES).index(name),
        "position": _ahead,
        "wait_seconds": (430, 922),
        "waited_seconds": 754,
        "serving": _number,
        "issued": _number + 5000,
        "poll_seconds": 5,
        "clock_ms": now_ms(),
    }
    known.update(SCENES[name].place)
    if "draw" in known:
        known["position"] = drawn_number(known["draw"], _seed, known["number"]) - _number
    return Place(_event, **known)


def _status() -> dict[str, Any]:
    return {
        "event": _event,
        "state": "waiting",
        "serving": _number,
        "issued": _number + 5000,
        "ready": 0,
        "admitted_per_minute": 120,
        "message": "",
        "step": 16,
        "grace": 6,
        "poll": {"floor": 2, "ceiling": 30, "divisor": 10, "guarded": 6},
        "updated": now_ms(),
        "clock": now_ms(),
    }


def _media(scheme: str | None) -> str:
    return {"dark": "@media all", "light": "@media not all"}.get(scheme or "", _dark)


def _send(start_response: StartResponse, kind: str, body: bytes, status: str = "200 OK") -> list[bytes]:
    start_response(status, [("Content-Type", kind), ("Cache-Control", "no-store")])
    return [body]


def _index() -> str:
    """Everything at once, each page in a frame that is loaded when it comes into view."""
    rows = "".join(
        f"<h2>{language.code}</h2><div>"
        + "".join(_frame(scene, language.code, scheme) for scene in SCENES for scheme in ("light", "dark"))
        + "</div>"
        for language in LANGUAGES.values()
    )
    return f"<!doctype html><html lang=en><title>admitgate preview</title><style>{_style}</style>{rows}"


def _frame(scene: str, language: str, scheme: str) -> str:
    address = escape(f"/{scene}/?language={language}&scheme={scheme}")
    title = f"{scene}, {language}, {scheme}"
    return (
        f'<figure><iframe loading=lazy title="{title}" src="{address}"></iframe>'
        f'<figcaption><a href="{address}">{scene}</a> {scheme}</figcaption></figure>'
    )


_style = (
    "body{font:1rem/1.5 system-ui,sans-serif;margin:1.5rem}"
    "div{display:grid;grid-template-columns:repeat(auto-fill,minmax(24rem,1fr));gap:1rem}"
    "figure{margin:0}iframe{width:100%;height:46rem;border:1px solid #8888;border-radius:.5rem}"
)
