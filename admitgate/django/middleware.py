"""``admitgate.django.AdmitGateMiddleware``: place it high in MIDDLEWARE, right after SecurityMiddleware.

What stands before it runs for everybody who waits; sessions and authentication should not. A request that
was let in has its Admission in ``request.admitgate``, any other has None there.

Rules for endpoints, and views decorated with ``gated``, are asked in ``process_view``: Django has run every
middleware by then, so for these all of them run for everybody who waits, wherever this one is placed.

It serves WSGI and ASGI. Under ASGI it awaits Redis in the event loop, without a thread; ``await`` there
``request.admitgate.arelease()``, or call ``release()`` in a view that is no coroutine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from ..admission import Admission
from ..async_edge import AsyncEdge
from ..cookies import show_new_cookie
from ..edge import RELEASE_HEADER, Edge, Outcome
from ..rules import OURS, Match
from ..visit import Answer, Visit, cgi_header
from .console import leads_to_console
from .language import language_of
from .routes import chosen, foreseen
from .settings import current_async_edge, current_edge

GetResponse = Callable[[HttpRequest], Any]
Turn = tuple[Any, Visit, Admission]  # with the edge, of either kind, that was asked


class GatedRequest(HttpRequest):
    """A view's request behind the middleware, for who annotates it. No request is made of this class."""

    admitgate: Admission | None


class AdmitGateMiddleware:
    """Lets the rest of the site see only whom the gate admits."""

    sync_capable = async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        if not current_edge().config.enabled:  # wrong settings are said here, not at the first visitor
            HttpRequest.admitgate = None  # type: ignore[attr-defined]  # what views read is there all the same
            raise MiddlewareNotUsed("admitgate: ENABLED is False")
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            current_async_edge()
            markcoroutinefunction(self)
            self.process_view = self._process_view_async  # type: ignore[method-assign]

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        return self._answer_async(request) if self._is_async else self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        match = _begin(request)
        answer = _ask(request, match) if match is not None else None
        return answer or self._let_in(request)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        match = _begin(request)
        answer = await _ask_async(request, match) if match is not None else None
        return answer or await self._let_in_async(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        """Django has chosen a view: ask the rules that go by that, unless one for the path has let it in."""
        match = _match_of_view(request)
        return _ask(request, match) if match is not None else None

    async def _process_view_async(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        match = _match_of_view(request)
        return await _ask_async(request, match) if match is not None else None

    def _let_in(self, request: HttpRequest) -> HttpResponseBase:
        turns = _turns(request)
        try:
            response: HttpResponseBase = self._get_response(request)
        except BaseException:
            for edge, _, admission in turns:
                edge.give_up(admission)
            raise
        finally:
            _leave(turns)
        asked = _word_to_us(response) if turns else []
        for edge, visit, admission in reversed(turns):
            _add_all(response, edge.headers(visit, admission, response.status_code, asked))
        return response

    async def _let_in_async(self, request: HttpRequest) -> HttpResponseBase:
        turns = _turns(request)
        try:
            response: HttpResponseBase = await self._get_response(request)
        except BaseException:  # a visitor who leaves cancels it
            for edge, _, admission in turns:
                await edge.give_up(admission)
            raise
        finally:
            _leave(turns)
        asked = _word_to_us(response) if turns else []
        for edge, visit, admission in reversed(turns):
            _add_all(response, await edge.headers(visit, admission, response.status_code, asked))
        return response


def _begin(request: HttpRequest) -> Match | None:
    request.admitgate = None  # type: ignore[attr-defined]
    request._admitgate_turns = []  # type: ignore[attr-defined]
    edge = current_edge()
    match = edge.match(request.path_info)
    return None if match is OURS and leads_to_console(edge, request) else match


def _turns(request: HttpRequest) -> list[Turn]:
    turns: list[Turn] = request._admitgate_turns  # type: ignore[attr-defined]
    return turns


def _match_of_view(request: HttpRequest) -> Match | None:
    turns = _turns(request)
    if request.resolver_match is None or (turns and turns[-1][2].settles):
        return None
    return current_edge().match_view(chosen(request, request.resolver_match), foreseen(request))


def _ask(request: HttpRequest, match: Match) -> HttpResponse | None:
    edge, visit = current_edge(), _visit_again(request)
    return _heard(request, edge, visit, edge.respond(visit, match))


async def _ask_async(request: HttpRequest, match: Match) -> HttpResponse | None:
    edge, visit = current_async_edge(), _visit_again(request)
    return _heard(request, edge, visit, await edge.respond(visit, match))


def _heard(
    request: HttpRequest, edge: Edge | AsyncEdge, visit: Visit, outcome: Outcome
) -> HttpResponse | None:
    """An answer to send; else the request goes on, and where it was let in that is noted."""
    if isinstance(outcome, Answer):
        return response_of(outcome)
    if outcome is not None:
        _turns(request).append((edge, visit, outcome))
        request.admitgate = outcome  # type: ignore[attr-defined]
    return None


def _leave(turns: list[Turn]) -> None:
    for edge, _, admission in turns:
        edge.leave(admission)


def _word_to_us(response: HttpResponseBase) -> list[tuple[str, str]]:
    asked = response.headers.pop(RELEASE_HEADER, None)
    return [asked] if asked else []


def _visit_again(request: HttpRequest) -> Visit:
    """The Visit, of who may have been let in by a rule that only observes."""
    visit = visit_of(request)
    for _, _, admission in _turns(request):
        show_new_cookie(visit, admission.match, admission.set_cookie)
    return visit


def visit_of(request: HttpRequest) -> Visit:
    """The Visit of a Django request."""
    meta = request.META
    return Visit(  # by place: names would take as long as finding the token does
        request.method or "",
        request.path_info,
        meta.get("SCRIPT_NAME", "").rstrip("/"),
        meta.get("QUERY_STRING", ""),
        request.is_secure,
        meta.get("HTTP_COOKIE", ""),
        cgi_header(meta),
        request,
        language_of,
        meta.get("REMOTE_ADDR") or "",
        form=_form_of,
    )


def _form_of(request: HttpRequest) -> dict[str, str]:
    return {name: str(value) for name, value in request.POST.items()}


def response_of(answer: Answer) -> HttpResponse:
    """The Django response of an Answer."""
    response = HttpResponse(answer.body, status=answer.status)
    response._has_been_logged = True  # type: ignore[attr-defined]  # or Django mails the admins about each 503
    _add_all(response, answer.headers)
    return response


def _add_all(response: HttpResponseBase, headers: Iterable[tuple[str, str]]) -> None:
    for name, value in headers:
        _add(response, name, value)


def _add(response: HttpResponseBase, name: str, value: str) -> None:
    if name == "Set-Cookie":
        response.cookies.load(value)  # a header would hide a second one, and Django's test client looks here
    elif name == "Vary":
        _vary(response, value)
    else:
        response.headers[name] = value


def _vary(response: HttpResponseBase, value: str) -> None:
    """Add to what the response varies by. To look whether it has the header takes longer than to take it."""
    had = response.headers.pop("Vary", None)
    response.headers["Vary"] = had[1] if had else value
    if had and value not in had[1].split(", "):
        patch_vary_headers(response, value.split(", "))
