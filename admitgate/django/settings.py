"""From ``settings.ADMITGATE`` to the gate of this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.signals import setting_changed

from ..async_edge import AsyncEdge
from ..config import Config
from ..control import EventControl
from ..edge import Edge
from . import signals
from .routes import DjangoRouter
from .template import with_own_template

_edge: Edge | None = None
_async_edge: AsyncEdge | None = None
_ours = frozenset({"ADMITGATE", "DEBUG", "ROOT_URLCONF", "SECRET_KEY", "SECRET_KEY_FALLBACKS"})


def current_config() -> Config:
    """The settings, checked. Raises ConfigError with every fault."""
    given = getattr(settings, "ADMITGATE", None) or {}
    return Config.from_mapping(
        with_own_template(given) if isinstance(given, Mapping) else given,
        has_router=True,
        secret_key=settings.SECRET_KEY,
        secret_key_fallbacks=settings.SECRET_KEY_FALLBACKS,
        debug=_is_debug(),
    )


def _is_debug() -> bool:
    """DEBUG, also where a test runner has turned it off: a project's tests start with the project's key."""
    own = sys.modules.get(os.environ.get(ENVIRONMENT_VARIABLE, ""))
    return bool(settings.DEBUG or getattr(own, "DEBUG", False))


def current_edge() -> Edge:
    """The gate of this process, made when first asked for and again when a test overrides the settings."""
    global _edge
    if _edge is None:
        _edge = Edge(current_config(), DjangoRouter())
        _edge.signals.connect(signals.send)
    return _edge


def current_async_edge() -> AsyncEdge:
    """The same gate for this process's event loops. The shop's callables may ask Django's database."""
    global _async_edge
    edge = current_edge()
    if _async_edge is None or _async_edge.edge is not edge:
        _async_edge = AsyncEdge(edge, _in_thread)
    return _async_edge


async def _in_thread(call: Callable[..., Any], *args: Any) -> Any:
    return await sync_to_async(call, thread_sensitive=True)(*args)


def release(event: str, sid: str | None) -> None:
    """Give back the slot of ``sid``, which ``request.admitgate.sid`` told and an order kept.

    For a payment's callback, a task, a signal. One Redis call; without Redis the slot comes free when its
    lease ends. None, the sid of who went in uncounted, is nothing to give back. Raises LookupError for an
    event that no rule can have.
    """
    current_edge().release_sid(event, sid)


async def arelease(event: str, sid: str | None) -> None:
    """The same in a coroutine under ASGI."""
    await current_async_edge().release_sid(event, sid)


def event(name: str) -> EventControl:
    """The levers of one event: ``event("gala").close(message="Sold out")`` from a view, a signal or a task.

    Raises LookupError for an event that no rule can have, and each lever Outage without Redis.
    """
    return current_edge().event(name)


def _forget(*, setting: str, **_: Any) -> None:
    global _edge
    if setting in _ours:
        _edge = None


setting_changed.connect(_forget)
