"""``admitgate.django.AdmitGateMiddleware``: place it high in MIDDLEWARE, right after SecurityMiddleware.

What stands before it runs for everybody who waits; sessions and authentication should not. A request that
was let in has its Admission in ``request.admitgate``, any other has None there.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from ..admission import Admission
from ..edge import RELEASE_HEADER, Edge
from ..visit import Answer, Visit, cgi_header
from .settings import current_edge

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class AdmitGateMiddleware:
    """Lets the rest of the site see only whom the gate admits."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        current_edge()  # wrong settings are said at start, not at the first visitor

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        edge = current_edge()
        request.admitgate = None  # type: ignore[attr-defined]
        match = edge.match(request.path_info)
        if match is None:
            return self._get_response(request)
        visit = visit_of(request)
        outcome = edge.respond(visit, match)
        if outcome is None:
            return self._get_response(request)
        if isinstance(outcome, Answer):
            return response_of(outcome)
        return self._let_in(edge, request, visit, outcome)

    def _let_in(
        self, edge: Edge, request: HttpRequest, visit: Visit, admission: Admission
    ) -> HttpResponseBase:
        request.admitgate = admission  # type: ignore[attr-defined]
        try:
            response = self._get_response(request)
        except BaseException:
            edge.give_up(admission)
            raise
        asked = response.headers.pop(RELEASE_HEADER, None)
        given = [asked] if asked else []
        for name, value in edge.headers(visit, admission, response.status_code, given):
            _add(response, name, value)
        return response


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
