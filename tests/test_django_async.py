"""Django under ASGI: the same middleware, in the event loop, and nobody's slot lost when a visitor leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import asgiref.sync
import pytest
import sites
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.decorators import sync_only_middleware
from on_a_loop import Exchange, scope_of
from sites import CHECKOUT, Clock
from test_django import GATE, SECURITY, settings_for
from werkzeug.test import EnvironBuilder

from admitgate.django import arelease, gated, ungated
from admitgate.gating import made

clock = sites.clock


class Shop:
    """A project of coroutines, whose check-out a test may change."""

    def __init__(self) -> None:
        async def hello(request: Any, event: str) -> HttpResponse:
            return HttpResponse(f"the checkout of {request.admitgate.event}")

        self.view: Callable[..., Any] = hello

        async def checkout(request: HttpRequest, event: str) -> HttpResponse:
            response: HttpResponse = await self.view(request, event)
            return response

        async def seats(request: HttpRequest, event: str) -> HttpResponse:
            return HttpResponse(f"the seats of {request.admitgate.event}")  # type: ignore[attr-defined]

        async def terms(request: HttpRequest, event: str) -> HttpResponse:
            return HttpResponse(str(request.admitgate))  # type: ignore[attr-defined]

        def of_a_thread(request: HttpRequest, event: str) -> HttpResponse:
            return HttpResponse(f"the boxes of {request.admitgate.event}")  # type: ignore[attr-defined]

        self.urls = (
            path("events/<str:event>/checkout/terms", ungated(terms)),
            path("events/<str:event>/checkout", checkout),
            path("seats/<str:event>", gated(capacity=1)(seats)),
            path("boxes/<str:event>", gated(capacity=1)(of_a_thread)),
            path("stalls/<str:event>", seats, name="stalls"),
        )


@pytest.fixture
def shop(redis_url: str, clock: Clock) -> Iterator[Shop]:
    """The project, with room for one at each check-out."""
    shop = Shop()
    settings = settings_for(redis_url)
    settings["RULES"].append({"ENDPOINT": "stalls", "EVENT": "stalls-{event}", "CAPACITY": 1})
    with override_settings(ROOT_URLCONF=shop.urls, ADMITGATE=settings):
        yield shop


@pytest.fixture(autouse=True)
def _decorated_here_only() -> Iterator[None]:
    """Django's checks look at every decorated view that there is."""
    yield
    made.clear()


async def answer(where: str, client: AsyncClient | None = None) -> tuple[int, bytes]:
    """What a visitor gets."""
    response = await (client or AsyncClient()).get(where)
    return response.status_code, response.content


def test_djangos_asynchronous_test_client_keeps_the_cookie(shop: Shop) -> None:
    """Projects test their check-out with it."""

    async def story() -> None:
        first = AsyncClient()
        assert await answer(CHECKOUT, first) == (200, b"the checkout of gala")
        assert (await answer(CHECKOUT))[0] == 503
        assert await answer(CHECKOUT, first) == (200, b"the checkout of gala")

    asyncio.run(story())


@pytest.mark.parametrize("where", [CHECKOUT, "/seats/gala", "/stalls/gala"])
def test_a_request_is_answered_without_a_thread(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Of ours, that is: Django has its own reasons for some. Joins, waits and the admitted, all of them."""
    in_threads: list[str] = []
    call = asgiref.sync.SyncToAsync.__call__

    async def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        in_threads.append(f"{getattr(self.func, '__module__', '')}.{self.func}")
        return await call(self, *args, **kwargs)

    monkeypatch.setattr(asgiref.sync.SyncToAsync, "__call__", noted)
    monkeypatch.setattr(asyncio, "to_thread", None)

    async def story() -> None:
        inside, waiting = AsyncClient(), AsyncClient()
        assert [(await answer(where, each))[0] for each in (inside, waiting) * 2] == [200, 503] * 2

    asyncio.run(story())
    assert not [name for name in in_threads if "admitgate" in name]


@pytest.mark.parametrize(
    ("where", "event"),
    [
        pytest.param("/seats/gala", "seats of gala", id="a decorated coroutine"),
        pytest.param("/boxes/gala", "boxes of gala", id="a decorated view of threads"),
        pytest.param("/stalls/gala", "seats of stalls-gala", id="a rule for the URL's name"),
    ],
)
def test_views_that_are_gated_by_name(shop: Shop, where: str, event: str) -> None:
    """One goes in, the next waits, and the first stays in."""

    async def story() -> None:
        first = AsyncClient()
        assert await answer(where, first) == (200, f"the {event}".encode())
        assert (await answer(where))[0] == 503
        assert (await answer(where, first))[0] == 200

    asyncio.run(story())


def test_an_ungated_view_is_everybodys(shop: Shop) -> None:
    """Though a rule means the path above it."""

    async def story() -> None:
        await answer(CHECKOUT)
        assert [await answer(CHECKOUT + "/terms") for _ in range(2)] == [(200, b"None")] * 2

    asyncio.run(story())


def test_paying_in_a_coroutine(shop: Shop) -> None:
    """``arelease`` is awaited; ``release`` would keep everybody waiting, and says so."""

    async def pay(request: Any, event: str) -> HttpResponse:
        with pytest.raises(RuntimeError, match="await arelease"):
            request.admitgate.release()
        await request.admitgate.arelease()
        return HttpResponse("paid")

    async def story() -> None:
        shop.view = pay
        assert [await answer(CHECKOUT) for _ in range(3)] == [(200, b"paid")] * 3

    asyncio.run(story())


def test_a_coroutine_pays_in_the_same_words_under_wsgi(shop: Shop) -> None:
    """A site may be served either way."""

    async def pay(request: Any, event: str) -> HttpResponse:
        await request.admitgate.aextend(300)
        await request.admitgate.arelease()
        return HttpResponse("paid")

    shop.view = pay
    assert [Client().get(CHECKOUT).content for _ in range(3)] == [b"paid"] * 3


def test_the_release_header_and_a_payments_callback(shop: Shop) -> None:
    """The other two ways to give a slot back."""
    sids: list[str] = []

    async def by_header(request: Any, event: str) -> HttpResponse:
        return HttpResponse("paid", headers={"Admitgate-Release": "1"})

    async def later(request: Any, event: str) -> HttpResponse:
        sids.append(request.admitgate.sid)
        return HttpResponse("soon")

    async def story() -> None:
        shop.view = by_header
        response = await AsyncClient().get(CHECKOUT)
        assert "Admitgate-Release" not in response.headers
        shop.view = later
        assert await answer(CHECKOUT) == (200, b"soon")
        await arelease("gala", sids[0])
        assert await answer(CHECKOUT) == (200, b"soon")

    asyncio.run(story())


def test_a_visitor_who_leaves_takes_no_slot_along(shop: Shop) -> None:
    """Django cancels the view then; the cookie never went out."""
    is_inside = asyncio.Event()

    async def slow(request: Any, event: str) -> HttpResponse:
        is_inside.set()
        await asyncio.Event().wait()  # for ever
        return HttpResponse()

    async def story() -> None:
        hello, shop.view = shop.view, slow
        handler = ASGIHandler()
        exchange = Exchange(scope_of(EnvironBuilder(CHECKOUT).get_environ()))
        visit = asyncio.ensure_future(handler(exchange.scope, exchange.receive, exchange.send))
        await is_inside.wait()
        exchange.leave()
        await visit
        shop.view = hello
        assert (await answer(CHECKOUT))[0] == 200

    asyncio.run(story())


@sync_only_middleware
def of_a_thread(get_response: Any) -> Any:
    """A middleware of before."""
    return lambda request: get_response(request)


@pytest.mark.parametrize(
    "middleware",
    [
        pytest.param([SECURITY, f"{__name__}.of_a_thread", GATE], id="before the gate"),
        pytest.param([SECURITY, GATE, f"{__name__}.of_a_thread"], id="behind it"),
    ],
)
@pytest.mark.parametrize("where", [CHECKOUT, "/seats/gala", "/boxes/gala"])
def test_middleware_that_knows_no_loop_changes_nothing(shop: Shop, middleware: list[str], where: str) -> None:
    """Django runs it in a thread, and what stands before it."""

    async def story() -> None:
        first = AsyncClient()
        with override_settings(MIDDLEWARE=middleware):
            assert [(await answer(where, each))[0] for each in (first, None, first)] == [200, 503, 200]

    asyncio.run(story())
