"""The same with Django, with django-stubs."""

from __future__ import annotations

from django.http import HttpResponse
from typing_extensions import assert_type

from admitgate import Admission
from admitgate.django import GatedRequest, gated, release, ungated


def checkout(request: GatedRequest, event: str) -> HttpResponse:
    assert_type(request.admitgate, Admission | None)
    if request.admitgate:
        request.admitgate.release()
    return HttpResponse("pay here")


@gated(event="{event}", capacity=500)
def seats(request: GatedRequest, event: str) -> HttpResponse:
    return HttpResponse(event)


@ungated
def terms(request: GatedRequest) -> HttpResponse:
    return HttpResponse("nobody waits for these")


def paid(event: str, sid: str) -> None:
    release(event, sid)


assert_type(seats(GatedRequest(), "gala"), HttpResponse)
