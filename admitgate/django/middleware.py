"""``admitgate.django.AdmitGateMiddleware``: place it high in MIDDLEWARE, right after SecurityMiddleware.

What stands before it runs for everybody who waits; sessions and authentication should not. A request that
was let in has its Admission in ``request.admitgate``, any other has None there.

Rules for endpoints, and views decorated with ``gated``, are asked in ``process_view``: Django has run every
middleware by then, so for these all of them run for everybody who waits, wherever this one is placed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from ..admission import Admission
from ..edge import RELEASE_HEADER, Edge
from ..rules import Match
from ..visit import Answer, Visit, cgi_header
from .language import language_of
from .routes import chosen, foreseen
from .settings import current_edge

GetResponse = Callable[[HttpRequest], HttpResponseBase]
Turn = tuple[Edge, Visit, Admission]


class AdmitGateMiddleware:
    """Lets the rest of the site see only whom the gate admits."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        current_edge()  # wrong settings are said at start, not at the first visitor

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        edge = current_edge()
        request.admitgate = None  # type: ignore[attr-defined]
        turns: list[Turn] = []
        request._admitgate_turns = turns  # type: ignore[attr-defined]
        match = edge.match(request.path_info)
        answer = _ask(edge, request, match) if match is not None else None
        return response_of(answer) if answer is not None else self._let_in(request, turns)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        """Django has chosen a view: ask the rules that go by that, unless one for the path has let it in."""
        turns: list[Turn] = request._admitgate_turns  # type: ignore[attr-defined]
        if request.resolver_match is None or (turns and turns[-1][2].match.is_gated):
            return None
        edge = current_edge()
        match = edge.match_view(chosen(request, request.resolver_match), foreseen(request))
        answer = _ask(edge, request, match) if match is not None else None
        return response_of(answer) if answer is not None else None

    def _let_in(self, request: HttpRequest, turns: list[Turn]) -> HttpResponseBase:
        try:
            response = self._get_response(request)
        except BaseException:
            for edge, _, admission in turns:
                edge.give_up(admission)
            raise
        if turns:
            asked = response.headers.pop(RELEASE_HEADER, None)
            given = [asked] if asked else []
            for edge, visit, admission in reversed(turns):
                for name, value in edge.headers(visit, admission, response.status_code, given):
                    _add(response, name, value)
        return response


def _ask(edge: Edge, request: HttpRequest, match: Match) -> Answer | None:
    """An answer to send; else the request goes on, and where it was let in that is noted."""
    visit = visit_of(request)
    outcome = edge.respond(visit, match)
    if isinstance(outcome, Answer):
        return outcome
    if outcome is not None:
        request._admitgate_turns.append((edge, visit, outcome))  # type: ignore[attr-defined]
        request.admitgate = outcome  # type: ignore[attr-defined]
    return None


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
    )


def response_of(answer: Answer) -> HttpResponse:
    """The Django response of an Answer."""
    response = HttpResponse(answer.body, status=answer.status)
    response._has_been_logged = True  # type: ignore[attr-defined]  # or Django mails the admins about each 503
    for name, value in answer.headers:
        _add(response, name, value)
    return response


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
