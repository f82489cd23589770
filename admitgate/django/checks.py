"""System checks: what is wrong with the gate's settings, with an id and a hint each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from ..endpoints import faults_of
from ..errors import ConfigError
from ..gating import made, marks_on
from .console import is_operator
from .routes import DjangoRouter
from .settings import current_config

_middleware = "admitgate.django.AdmitGateMiddleware"
_authentication = "django.contrib.auth.middleware.AuthenticationMiddleware"
_needed_for_accounts = ("django.contrib.sessions.middleware.SessionMiddleware", _authentication)
_dear = (*_needed_for_accounts, "django.middleware.csrf.CsrfViewMiddleware")


@register()
def check_settings(app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """admitgate.E001: a setting that can't be used, one message for each."""
    try:
        current_config()
    except ConfigError as error:
        hint = "Correct it in settings.ADMITGATE; the README lists every setting."
        return [Error(fault, hint=hint, id="admitgate.E001") for fault in error.faults]
    return []


@register()
def check_endpoints(app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """E002: a rule asks in vain for a URL, an argument or an event; W005: no URL has a decorated view."""
    try:
        config = current_config()
    except ConfigError:
        return []
    routes = DjangoRouter().routes()
    hint = "Compare ADMITGATE's RULES and the decorators with the URLconf."
    known = {mark for route in routes for mark in marks_on(route.view)}
    return [
        *(Error(fault, hint=hint, id="admitgate.E002") for fault in faults_of(config, routes)),
        *(_at_no_url(mark.where) for mark in made if mark not in known),
    ]


def _at_no_url(where: str) -> CheckMessage:
    return Warning(
        f"@gated in {where}, gates nothing: its mark is on no view of the URLconf.",
        hint="Have the URL name the decorated view; other decorators on it must use functools.wraps.",
        id="admitgate.W005",
    )


@register()
def check_middleware(app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """W001: no middleware; W002: what it should protect stands before it; W003: security stands behind;
    W006: nobody is logged in yet where it asks for the account.
    """
    installed = list(settings.MIDDLEWARE)
    if _middleware not in installed:
        return [
            Warning(
                "admitgate.django is installed, but its middleware is not: no request is gated.",
                hint=f"Add {_middleware!r} to MIDDLEWARE, right after SecurityMiddleware.",
                id="admitgate.W001",
            )
        ]
    return [*_behind(installed), *_before_security(installed), *_before_accounts(installed)]


@register()
def check_console(app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """W007: the console asks who is logged in, and nobody ever is."""
    try:
        asked = current_config().console
    except ConfigError:
        return []
    is_asked = asked is is_operator or asked == f"{is_operator.__module__}.{is_operator.__name__}"
    if not is_asked or _authentication in settings.MIDDLEWARE:
        return []
    return [
        Warning(
            f"CONSOLE asks request.user, and without {_authentication} there is none: nobody can operate.",
            hint=f"Put {_authentication!r} into MIDDLEWARE (behind admitgate's will do), or let CONSOLE be "
            "'link'.",
            id="admitgate.W007",
        )
    ]


def _behind(installed: list[str]) -> list[CheckMessage]:
    place = installed.index(_middleware)
    dear = [name for name in _dear if not (_asks_for_accounts() and name in _needed_for_accounts)]
    return [
        Warning(
            f"{name} runs for everybody who waits, because it stands before admitgate.",
            hint=f"Move {_middleware!r} above it.",
            id="admitgate.W002",
        )
        for name in dear
        if name in installed[:place]
    ]


def _before_accounts(installed: list[str]) -> list[CheckMessage]:
    if not _asks_for_accounts() or _authentication in installed[: installed.index(_middleware)]:
        return []
    cure = "Move it" if _authentication in installed else "Put it"
    return [
        Warning(
            f"IDENTITY is asked before {_authentication} has run: request.user isn't there yet.",
            hint=f"{cure} (and SessionMiddleware) above {_middleware!r}, or silence this where IDENTITY "
            "needs no request.user.",
            id="admitgate.W006",
        )
    ]


def _asks_for_accounts() -> bool:
    try:
        return current_config().identity is not None
    except ConfigError:
        return False


def _before_security(installed: list[str]) -> list[CheckMessage]:
    security = "django.middleware.security.SecurityMiddleware"
    if security not in installed or installed.index(security) < installed.index(_middleware):
        return []
    return [
        Warning(
            "The waiting page goes out without SecurityMiddleware's redirect to https and its headers.",
            hint=f"Move {security!r} above {_middleware!r}.",
            id="admitgate.W003",
        )
    ]
