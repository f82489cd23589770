"""System checks: what is wrong with the gate's settings, with an id and a hint each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from ..errors import ConfigError
from .settings import current_config

_middleware = "admitgate.django.AdmitGateMiddleware"
_dear = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
)


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
def check_middleware(app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """W001: no middleware; W002: what it should protect stands before it; W003: security stands behind."""
    installed = list(settings.MIDDLEWARE)
    if _middleware not in installed:
        return [
            Warning(
                "admitgate.django is installed, but its middleware is not: no request is gated.",
                hint=f"Add {_middleware!r} to MIDDLEWARE, right after SecurityMiddleware.",
                id="admitgate.W001",
            )
        ]
    return [*_behind(installed), *_before_security(installed)]


def _behind(installed: list[str]) -> list[CheckMessage]:
    place = installed.index(_middleware)
    return [
        Warning(
            f"{name} runs for everybody who waits, because it stands before admitgate.",
            hint=f"Move {_middleware!r} above it.",
            id="admitgate.W002",
        )
        for name in _dear
        if name in installed[:place]
    ]


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
