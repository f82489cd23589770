"""The operator's console among a site's own views, so that whoever is logged in is known there.

The gate stands before sessions and authentication: it lets requests to the console pass on to this view, at
the same address below the mount, wherever in MIDDLEWARE it is placed. The site's URLconf needs no change.

    ADMITGATE = {..., "CONSOLE": "admitgate.django.console.is_operator"}
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver, re_path
from django.views.decorators.csrf import csrf_exempt

from ..edge import Edge
from ..rules import OURS
from ..visit import Answer

PERMISSION = "admitgate.operate"


def is_operator(request: Any) -> str | None:
    """The name of a member of the staff who has the permission ``admitgate.operate``; superusers have all."""
    user = getattr(request, "user", None)
    if user is None or not (user.is_active and user.is_staff and user.has_perm(PERMISSION)):
        return None
    return str(user.get_username())


def leads_to_console(edge: Edge, request: HttpRequest) -> bool:
    """True where the request goes on, to the view below and nowhere else."""
    if edge.console is None or not edge.console.means(request.path_info):
        return False
    root = getattr(request, "urlconf", None) or settings.ROOT_URLCONF
    request.urlconf = _urls(edge.config.mount, root)  # type: ignore[assignment]  # patterns will do
    return True


@lru_cache(8)
def _urls(mount: str, root: Any) -> tuple[Any, ...]:
    """The site's URLs stay known beside ours, for what its own middlewares may reverse."""
    address = re.escape(f"{mount[1:]}console/")
    return (re_path(f"^{address}", console), *get_resolver(root).url_patterns)


@csrf_exempt  # the console's forms have a token of their own, for sites without Django's, too
def console(request: HttpRequest) -> HttpResponse:
    """Whatever is asked of the console."""
    from .middleware import response_of, visit_of  # which lead here
    from .settings import current_edge

    answer = current_edge().respond(visit_of(request), OURS)
    assert isinstance(answer, Answer)
    return response_of(answer)


console.login_required = False  # type: ignore[attr-defined]  # to others it isn't there, not even a log-in
