"""The ASGI edge keeps to the protocol, and loses no slot where an application breaks or a visitor leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import sites
from on_a_loop import Exchange, scope_of
from sites import CHECKOUT, HOME, JSON, KEY, Clock
from werkzeug.test import EnvironBuilder

from admitgate import ConfigError, Rule
from admitgate.asgi import AdmitGateASGI

clock = sites.clock

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
BODY = {"type": "http.response.body", "body": b"the checkout"}
Gated = Callable[..., AdmitGateASGI]


def scope(path: str = CHECKOUT, *, cookie: str = "", **more: Any) -> dict[str, Any]:
    """A GET."""
    headers = {"Cookie": cookie} if cookie else {}
    return {**scope_of(EnvironBuilder(path, headers=headers).get_environ()), **more}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The check-out."""
    await send(START)
    await send(BODY)


@pytest.fixture
def gated(redis_url: str, clock: Clock) -> Gated:
    """Puts an application behind a gate with one slot."""
    rule = Rule("/events/<event>/checkout", capacity=1, lease_seconds=60)
    options = {"secret_key": KEY, "redis_url": redis_url, "redis_timeout_seconds": 10, "rules": [rule]}
    return lambda application, **more: AdmitGateASGI(application, **(options | more))


async def ask(app: Any, path: str = CHECKOUT, **more: Any) -> Exchange:
    """One request to its end."""
    return await Exchange(scope(path, **more)).run(app)


def cookie_in(exchange: Exchange) -> str:
    """The gate's cookie, as a browser sends it back."""
    (value,) = [value for name, value in exchange.headers if name == b"set-cookie"]
    return value.decode().partition(";")[0]


async def is_free(gate: Any) -> bool:
    """Is there a slot for a newcomer?"""
    return (await ask(gate)).status == 200


# --- what passes, and what goes along


async def _see(gated: Gated, path: str, kind: str = "http") -> tuple[Any, ...]:
    seen: list[Any] = []

    async def application(*given: Any) -> None:
        seen.extend(given)

    given = ({"type": kind, "path": path}, object(), object())
    await gated(application)(*given)  # type: ignore[arg-type]
    assert all(one is other for one, other in zip(given, seen, strict=True))
    return given


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param(HOME, "http", id="a path without a rule"),
        pytest.param("", "lifespan", id="the application's own life"),
        pytest.param(HOME, "websocket", id="a websocket that no rule means"),
        pytest.param(CHECKOUT, "webtransport", id="a protocol of tomorrow"),
    ],
)
def test_what_passes_is_not_touched(gated: Gated, path: str, kind: str) -> None:
    """The very same objects, and no call of Redis."""
    asyncio.run(_see(gated, path, kind))


def test_the_admission_is_in_the_scope(gated: Gated) -> None:
    """Under its own name, in a scope of its own; nowhere for those who wait."""
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["admitgate"])
        await hello(scope, receive, send)

    async def story() -> None:
        gate, first = gated(application), scope()
        await Exchange(first).run(gate)
        assert "admitgate" not in first
        assert (await ask(gate)).status == 503

    asyncio.run(story())
    assert [admission.event for admission in seen] == ["gala"]


def test_the_applications_message_is_not_changed_in_place(gated: Gated) -> None:
    """It may be a constant, as here."""

    async def story() -> None:
        gate = gated(hello)
        assert cookie_in(await ask(gate))
        assert START["headers"] == [(b"content-type", b"text/plain")]

    asyncio.run(story())


def test_repeated_headers_stay_repeated_and_none_at_all_will_do(gated: Gated) -> None:
    """A response may have two cookies of its own, or leave the headers out."""
    starts: list[Any] = [
        {**START, "headers": [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]},
        {"type": "http.response.start", "status": 200},
    ]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(starts.pop(0))
        await send(BODY)

    async def story() -> None:
        gate = gated(application)
        first = await ask(gate)
        assert [name for name, _ in first.headers] == [b"set-cookie", b"set-cookie", b"vary", b"set-cookie"]
        ours = first.headers[-1][1].decode().partition(";")[0]
        assert [name for name, _ in (await ask(gate, cookie=ours)).headers] == [b"vary"]

    asyncio.run(story())


def test_the_mount_of_a_framework_is_no_part_of_the_rules(gated: Gated) -> None:
    """Servers put ``root_path`` before the path; some of before did not."""

    async def story() -> None:
        for path in ("/box" + CHECKOUT, CHECKOUT):
            answer = await ask(gated(hello, key_prefix=f"k{len(path)}"), path, root_path="/box")
            assert b"Path=/box/" in dict(answer.headers)[b"set-cookie"]
        assert (await ask(gated(hello), "/boxes" + CHECKOUT, root_path="/box")).headers == START["headers"]

    asyncio.run(story())


def test_streams_are_not_buffered(gated: Gated) -> None:
    """The first piece is out before the second is made."""
    order: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for number in range(3):
            order.append(f"made {number}")
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        await send({"type": "http.response.body"})

    class Watched(Exchange):
        async def send(self, message: dict[str, Any]) -> None:
            order.append(f"sent {message.get('body', b'').decode()}")
            await super().send(message)

    asyncio.run(Watched(scope()).run(gated(application)))
    assert order == ["sent ", "made 0", "sent 0", "made 1", "sent 1", "made 2", "sent 2", "sent "]


# --- a slot whose cookie never went out comes free


async def breaks_at_once(scope: Any, receive: Any, send: Any) -> None:
    raise ArithmeticError


async def says_nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application of the kind that servers answer for, with 500."""


async def breaks_in_a_stream(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    raise ArithmeticError


async def hears_that_the_visitor_left(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    await hello(scope, receive, send)


async def is_cancelled(scope: Any, receive: Any, send: Any) -> None:
    """As Django and others are when the visitor leaves."""
    asyncio.current_task().cancel()  # type: ignore[union-attr]
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("application", "comes_free"),
    [
        pytest.param(breaks_at_once, True, id="it breaks before it answers"),
        pytest.param(says_nothing, True, id="it never answers"),
        pytest.param(is_cancelled, True, id="it is cancelled"),
        pytest.param(hears_that_the_visitor_left, True, id="it hears that nobody is there"),
        pytest.param(hello, True, id="it answers and does not ask whether anybody is there"),
        pytest.param(breaks_in_a_stream, False, id="it breaks when the cookie is out"),
    ],
)
def test_a_first_visit_that_breaks(
    gated: Gated, redis_client: redis.Redis, application: Any, comes_free: bool
) -> None:
    """The slot is free at once, and no key is left of an event that only this visit was for."""

    async def story() -> None:
        gate = gated(application)
        exchange = Exchange(scope())
        if comes_free:
            exchange.leave()
        with contextlib.suppress(ArithmeticError, asyncio.CancelledError):
            await asyncio.gather(gate(exchange.scope, exchange.receive, exchange.send))
        assert bool(sites.state_keys(redis_client)) is not comes_free
        assert await is_free(gated(hello)) is comes_free

    asyncio.run(story())


def test_what_comes_in_is_the_applications_whenever_it_asks(gated: Gated) -> None:
    """Though the gate has looked whether the visitor left: as the answer starts, and nobody listens."""
    heard: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        heard.append((await receive())["type"])
        listening = asyncio.create_task(receive())
        await send(BODY)
        heard.append((await listening)["type"])

    async def listens_meanwhile(scope: Any, receive: Any, send: Any) -> None:
        listening = [asyncio.create_task(receive()) for _ in range(2)]
        await asyncio.sleep(0)
        await hello(scope, receive, send)
        heard.extend([(await each)["type"] for each in listening])

    asyncio.run(ask(gated(application)))
    asyncio.run(ask(gated(listens_meanwhile), CHECKOUT.replace("gala", "river")))
    assert heard == ["http.request", "http.disconnect"] * 2


def test_a_later_visit_that_breaks_keeps_the_slot(gated: Gated) -> None:
    """Their browser has the cookie."""
    applications: list[Any] = [hello, breaks_at_once]

    async def application(*given: Any) -> None:
        await applications.pop(0)(*given)

    async def story() -> None:
        gate = gated(application)
        cookie = cookie_in(await ask(gate))
        with pytest.raises(ArithmeticError):
            await ask(gate, cookie=cookie)
        assert not await is_free(gated(hello))

    asyncio.run(story())


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8])
def test_whoever_leaves_while_redis_is_asked_takes_no_slot_along(
    gated: Gated, redis_client: redis.Redis, turns: int
) -> None:
    """Cancelled at whatever moment: the join is heard to its end, and what it gave is given back."""

    async def story() -> None:
        gate = gated(hello)
        visit = asyncio.ensure_future(ask(gate))
        for _ in range(turns):
            await asyncio.sleep(0)
        visit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await visit
        while gate._edge._tasks:
            await asyncio.wait(gate._edge._tasks)
        assert await is_free(gate)

    asyncio.run(story())


# --- the admission in coroutines and threads


def paying(pay: Callable[[Any], Awaitable[None]]) -> Any:
    """A check-out that pays like this."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await pay(scope["admitgate"])
        await hello(scope, receive, send)

    return application


@pytest.mark.parametrize(
    "pay",
    [
        pytest.param(lambda admission: admission.arelease(), id="in a coroutine"),
        pytest.param(lambda admission: asyncio.to_thread(admission.release), id="in a thread"),
    ],
)
def test_a_paid_order_gives_the_slot_back(gated: Gated, pay: Any) -> None:
    """And takes the cookie away."""

    async def story() -> None:
        gate = gated(paying(pay))
        assert cookie_in(await ask(gate)).endswith("=")
        assert await is_free(gated(hello))

    asyncio.run(story())


@pytest.mark.parametrize(
    "extend",
    [
        pytest.param(lambda admission: admission.aextend(300), id="in a coroutine"),
        pytest.param(lambda admission: asyncio.to_thread(admission.extend, 300), id="in a thread"),
    ],
)
def test_a_lease_can_be_extended(gated: Gated, clock: Clock, extend: Any) -> None:
    """Beyond the rule's own time."""

    async def story() -> None:
        await ask(gated(paying(extend)))
        clock.forward(299)
        assert not await is_free(gated(hello))

    asyncio.run(story())


@pytest.mark.parametrize("lever", ["release", "extend"])
def test_a_lever_that_would_block_the_loop_says_so(gated: Gated, lever: str) -> None:
    """In a sentence with the cure; nothing has happened then."""

    async def pull(admission: Any) -> None:
        with pytest.raises(
            RuntimeError, match=f"{lever}\\(\\) would block the event loop: await a{lever}\\(\\)"
        ):
            getattr(admission, lever)(*([60] if lever == "extend" else []))

    async def story() -> None:
        await ask(gated(paying(pull)))
        assert not await is_free(gated(hello))

    asyncio.run(story())


def test_a_payments_callback_gives_the_slot_back(gated: Gated) -> None:
    """By the sid that was kept with the order."""
    sids: list[str] = []

    async def keep(admission: Any) -> None:
        sids.append(admission.sid)

    async def story() -> None:
        gate = gated(paying(keep))
        await ask(gate)
        await gate.release("gala", sids[0])
        assert await is_free(gate)
        with pytest.raises(LookupError):
            await gated(hello, rules=[Rule("/checkout", capacity=1)]).release("gala", sids[0])

    asyncio.run(story())


# --- websockets


class Socket:
    """A handshake, and what became of it."""

    def __init__(self, *, cookie: str = "", can_answer: bool = True) -> None:
        self.scope = scope(cookie=cookie, type="websocket", scheme="wss")
        del self.scope["method"]
        if can_answer:
            self.scope["extensions"] = {"websocket.http.response": {}}
        self.sent: list[dict[str, Any]] = []

    async def run(self, app: Any) -> Socket:
        await app(self.scope, self.receive, self.send)
        return self

    async def receive(self) -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


async def accepts(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": "seats"})


async def declines(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.close", "code": 1008})


def test_a_handshake_takes_a_slot_and_its_cookie_goes_out_with_it(gated: Gated) -> None:
    """Like any GET; the rest of what the application accepts with is its own."""

    async def story() -> None:
        gate = gated(accepts)
        (accepted,) = (await Socket().run(gate)).sent
        assert accepted["subprotocol"] == "seats"
        cookie = dict(accepted["headers"])[b"set-cookie"].decode()
        assert "Secure" in cookie  # wss is https
        (again,) = (await Socket(cookie=cookie.partition(";")[0]).run(gate)).sent
        assert [name for name, _ in again["headers"]] == [b"vary"]

    asyncio.run(story())


def test_a_handshake_that_has_to_wait_is_answered_where_the_server_can(gated: Gated) -> None:
    """The whole answer, in JSON, as no person sees it; with the ticket."""

    async def story() -> None:
        gate = gated(accepts)
        await Socket().run(gate)
        start, body = (await Socket().run(gate)).sent
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
        headers = dict(start["headers"])
        assert headers[b"content-type"] == b"application/problem+json"
        assert b"set-cookie" in headers
        assert (body["type"], body["more_body"]) == ("websocket.http.response.body", False)

    asyncio.run(story())


def test_elsewhere_it_is_closed_before_it_is_open(gated: Gated) -> None:
    """Which servers answer with 403."""

    async def story() -> None:
        gate = gated(accepts)
        await Socket().run(gate)
        (closed,) = (await Socket(can_answer=False).run(gate)).sent
        assert (closed["type"], closed["code"]) == ("websocket.close", 1013)

    asyncio.run(story())


def test_a_handshake_that_the_application_declines_gives_the_slot_back(gated: Gated) -> None:
    """There is no response that could carry a cookie."""

    async def story() -> None:
        await Socket().run(gated(declines))
        assert await is_free(gated(hello))

    asyncio.run(story())


def test_websockets_may_pass(gated: Gated) -> None:
    """Where the pages that open them are gated."""

    async def story() -> None:
        gate = gated(accepts, websockets="pass")
        for _ in range(3):
            (accepted,) = (await Socket().run(gate)).sent
            assert "headers" not in accepted

    asyncio.run(story())


# --- several loops, one after the other and side by side


def test_a_gate_serves_one_loop_after_the_other(gated: Gated, redis_client: redis.Redis) -> None:
    """As tests and scripts do: each loop has connections of its own, which end with it."""
    gate = gated(hello, rules=[Rule("/events/<event>/checkout", capacity=10)])
    before = len(redis_client.client_list())
    for _ in range(3):
        assert asyncio.run(is_free(gate))
    assert len(gate._edge._counter._client._by_loop) == 1  # the last one's, until the next begins
    assert len(redis_client.client_list()) == before


def test_a_gate_serves_loops_in_several_threads(gated: Gated) -> None:
    """And no more go in than there are slots."""
    gate = gated(hello, rules=[Rule("/events/<event>/checkout", capacity=5)])

    async def many() -> int:
        answers = await asyncio.gather(*(ask(gate) for _ in range(10)))
        return sum(answer.status == 200 for answer in answers)

    async def side_by_side() -> list[int]:
        return await asyncio.gather(*(asyncio.to_thread(asyncio.run, many()) for _ in range(3)))

    assert sum(asyncio.run(side_by_side())) == 5


# --- settings


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"websockets": "no"}, "websockets is 'no': give 'gate' or 'pass'.", id="websockets"),
        pytest.param(
            {"rules": [Rule(endpoint="checkout", capacity=1)]},
            "plain WSGI and ASGI have no endpoints",
            id="a rule that no router could mean",
        ),
        pytest.param({"redis_client": object()}, "give redis_url", id="a client of one loop, or of threads"),
    ],
)
def test_what_this_edge_cannot_do_is_refused_at_start(
    gated: Gated, options: dict[str, Any], sentence: str
) -> None:
    """With the cure."""
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        gated(hello, **options)


def test_a_cookie_may_come_in_several_lines(gated: Gated) -> None:
    """As browsers send it over HTTP/2."""

    async def story() -> None:
        gate = gated(hello)
        cookie = cookie_in(await ask(gate))
        split = scope()
        split["headers"] += [(b"cookie", b"theme=dark"), (b"cookie", cookie.encode()), (b"cookie", b"a=b")]
        assert (await Exchange(split).run(gate)).status == 200

    asyncio.run(story())


@pytest.mark.parametrize("client", [None, ("", 0), ["198.51.100.7", 5]])
def test_a_server_may_not_know_where_a_visitor_comes_from(gated: Gated, client: Any) -> None:
    """Behind a Unix socket, for instance."""
    assert asyncio.run(ask(gated(hello), client=client)).status == 200


def test_the_levers_of_an_event_are_pulled_in_a_thread(gated: Gated) -> None:
    """And are seen by the next request."""

    async def story() -> None:
        gate = gated(hello)
        await asyncio.to_thread(gate.event("gala").close, message="Sold out")
        body = await Exchange(scope_of(EnvironBuilder(CHECKOUT, headers=JSON).get_environ())).run(gate)
        assert b"Sold out" in body.body

    asyncio.run(story())
