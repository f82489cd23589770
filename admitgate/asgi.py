"""The ASGI edge: ``AdmitGateASGI(app, …)`` around FastAPI, Starlette, Litestar or any other ASGI application.

    app = AdmitGateASGI(
        app,
        secret_key=KEY,
        redis_url="redis://localhost:6379/0",
        rules=[Rule("/events/<event>/checkout", capacity=5000)],
    )

or ``app.add_middleware(AdmitGateASGI, secret_key=…)`` as the last one added, which is the outermost. Not for
WSGI servers; Django has an edge of its own, which serves ASGI too. Redis is asked over ``redis_url``: a
client object belongs to one event loop, and a process may have several.

A request that no rule means costs one look-up. What the gate decided is in ``scope["admitgate"]`` of the
requests that were let in (an ``Admission``); it is missing from the others. In a coroutine ``await`` its
``arelease()`` and ``aextend()``; a view that runs in a thread calls ``release()`` and ``extend()``.

A websocket's handshake is a GET like any other, and who has to wait is refused: with the whole answer where
the server can (``websocket.http.response``), else closed, which the browser sees as 403. What comes through
an open socket is nobody's request: an application that keeps one open longer than a lease extends it.
``websockets="pass"`` lets them all by.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from .admission import Admission
from .async_edge import AsyncEdge
from .clients import Trusted, is_https
from .config import Config
from .control import EventControl
from .edge import RELEASE_HEADER, Edge
from .endpoints import refuse
from .visit import Answer, Visit, form_in, form_length

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_answered = "websocket.http.response"
_starts = ("http.response.start", "websocket.accept", f"{_answered}.start")
_ends = ("http.disconnect", "websocket.disconnect")
_without_a_body = ("GET", "HEAD")
_release = RELEASE_HEADER.encode()
_try_again_later = 1013


class AdmitGateASGI:
    """An ASGI application that lets ``app`` see only whom the gate admits.

    Options are the settings in lower case (see ``Config``); wrong ones raise ConfigError, all faults at once.
    """

    def __init__(self, app: Application, config: Config | None = None, **options: Any) -> None:
        self._app = app
        config = refuse(config or Config.from_options(options))
        self._sync = Edge(config)
        self._edge = AsyncEdge(self._sync)
        self._match = self._sync.match
        self._proxies = config.trusted_proxies
        self._kinds = ("http", "websocket") if config.websockets == "gate" else ("http",)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = self._match(path_of(scope)) if scope["type"] in self._kinds else None
        if match is None:
            return await self._app(scope, receive, send)
        visit = visit_of(scope, self._proxies)
        if self._sync.reads_a_form(visit, match):
            body = await _body(receive, form_length(visit.header))
            visit.form = lambda scope: form_in(body)
        outcome = await self._edge.respond(visit, match)
        if outcome is None:
            await self._app(scope, receive, send)
        elif isinstance(outcome, Answer):
            await _send(outcome, scope, receive, send)
        else:
            scope = {**scope, "admitgate": outcome}
            await _Turn(self._edge, visit, outcome, receive, send).take(self._app, scope)
        return None

    async def release(self, event: str, sid: str | None) -> None:
        """Give back the slot of ``sid``, which ``scope["admitgate"].sid`` told and an order kept.

        For a payment's callback, a task. One Redis call; without Redis the slot comes free when its lease
        ends. None, the sid of who went in uncounted, is nothing to give back. Raises LookupError for an
        event that no rule can have.
        """
        await self._edge.release_sid(event, sid)

    def event(self, name: str) -> EventControl:
        """The levers of one event, which ask Redis and wait for it: pull them in a thread.

            await asyncio.to_thread(gate.event("gala").close, message="Sold out")

        Raises LookupError for an event that no rule can have, and each lever Outage without Redis.
        """
        return self._sync.event(name)


class _Turn:
    """The application's turn with a visitor who was let in.

    Their cookie goes out with the start of the response, as servers may send that at once. Until then an
    application that breaks, is cancelled, or answers a visitor who has left, leaves a slot to nobody.
    """

    def __init__(
        self, edge: AsyncEdge, visit: Visit, admission: Admission, receive: Receive, send: Send
    ) -> None:
        self._edge, self._visit, self._admission = edge, visit, admission
        self._receive, self._send = receive, send
        self._is_answered = self._has_left = False
        self._listening, self._kept = 0, deque[Message]()

    async def take(self, app: Application, scope: Scope) -> None:
        """Call the application."""
        receive = self._receive_and_see if self._admission.is_first else self._receive
        try:
            await app(scope, receive, self._pass_on)
        finally:
            if not self._is_answered:
                self._edge.leave(self._admission)
                await self._edge.give_up(self._admission)

    async def _receive_and_see(self) -> Message:
        return self._kept.popleft() if self._kept else await self._hear()

    async def _hear(self) -> Message:
        self._listening += 1
        try:
            message = await self._receive()
        finally:
            self._listening -= 1
        self._has_left = self._has_left or message["type"] in _ends
        return message

    async def _look_whether_they_left(self) -> None:
        """Servers say so to who asks, and most views don't. What else has come is kept for the application.

        Where there is no body to come, that is one message before the one.
        """
        for _ in range(2):
            if self._listening or self._has_left or self._visit.method not in _without_a_body:
                return
            asking = asyncio.ensure_future(self._hear())
            try:
                await asyncio.wait([asking], timeout=0)
            finally:
                asking.cancel()
            if not asking.done():
                return
            self._kept.append(asking.result())

    def _pass_on(self, message: Message) -> Awaitable[None]:
        is_start = not self._is_answered and message["type"] in _starts
        return self._start(message) if is_start else self._send(message)

    async def _start(self, message: Message) -> None:
        headers, asked = [], []
        for name, value in message.get("headers") or ():
            if name.lower() == _release:
                asked.append((RELEASE_HEADER, value.decode("latin-1")))
            else:
                headers.append((name, value))
        _, steps = self._edge.edge.conclude(self._admission, message.get("status", 101), asked)
        if steps:
            await self._edge.run(steps)
        if self._admission.is_first and message["type"] == _starts[0]:
            await self._look_whether_they_left()
        headers += _encoded(self._edge.edge.own_headers(self._visit, self._admission))
        await self._send({**message, "headers": headers})
        if not self._has_left:
            self._is_answered = True
            self._edge.leave(self._admission)


async def _body(receive: Receive, length: int) -> bytes:
    """What somebody sends, as far as they said that it goes."""
    body, is_over = b"", not length
    while not is_over:
        message = await receive()
        body += message.get("body", b"")
        is_over = not message.get("more_body") or len(body) >= length
    return body[:length]


async def _send(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """An answer of ours, as it is; to HEAD without its body."""
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # that somebody wants to connect
        if _answered not in (scope.get("extensions") or {}):
            return await send({"type": "websocket.close", "code": _try_again_later, "reason": "waiting room"})
        kind = _answered
    await send({"type": f"{kind}.start", "status": answer.status, "headers": _encoded(answer.headers)})
    body = b"" if scope.get("method") == "HEAD" else answer.body
    return await send({"type": f"{kind}.body", "body": body, "more_body": False})


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def path_of(scope: Scope) -> str:
    """The path below ``root_path``, which servers put before it and mounted applications still see there."""
    path: str = scope["path"]
    root = scope.get("root_path")
    if root and path.startswith(root := root.rstrip("/")) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def visit_of(scope: Scope, trusted_proxies: Trusted = 0) -> Visit:
    """The Visit of an ASGI scope. A websocket's is a program's GET."""
    header = _header(scope)
    address = (scope.get("client") or ("",))[0] or ""
    return Visit(  # by place: names would take as long as finding the token does
        scope.get("method", "GET"),
        path_of(scope),
        (scope.get("root_path") or "").rstrip("/"),
        (scope.get("query_string") or b"").decode("latin-1"),
        lambda: scope.get("scheme") in ("https", "wss") or is_https(header, address, trusted_proxies),
        _value(scope, b"cookie", b"; "),
        header,
        scope,
        address=address,
    )


def _header(scope: Scope) -> Callable[[str], str]:
    """A ``Visit.header``. What came in several lines is one list, as a server for WSGI would have it."""
    is_program = scope["type"] == "websocket"

    def header(name: str) -> str:
        if is_program and name == "accept":
            return "application/json"
        return _value(scope, name.encode("latin-1"), b"; " if name == "cookie" else b", ")

    return header


def _value(scope: Scope, wanted: bytes, between: bytes) -> str:
    return between.join([value for name, value in scope["headers"] if name == wanted]).decode("latin-1")
