"""Django's URLconf, as the rules for endpoints and the decorated views need to know it.

A view goes by more names than one: the view name of its URL with the instance namespace, the same with the
application's namespace, and its dotted path, which is one name for all of its URLs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.urls import ResolverMatch, URLPattern, URLResolver, get_resolver, resolve
from django.urls.exceptions import Resolver404

from ..endpoints import Chosen, Route
from ..gating import name_of

_foreseen = "_admitgate_foreseen"


class DjangoRouter:
    """The URLconf, which is loaded when it is first asked for."""

    def routes(self) -> Sequence[Route]:
        """Every URL of the root URLconf; those of a request's own URLconf are met as they come."""
        return _routes()

    def foresee(self, request: HttpRequest) -> Chosen | None:
        """By the URLconf and the language as they are where the gate stands.

        A middleware behind it may change either: ``process_view`` sees what was chosen in the end.
        """
        if request.resolver_match is not None:
            return None
        setattr(request, _foreseen, request.path_info)
        try:
            match = resolve(request.path_info, urlconf=getattr(request, "urlconf", None))
        except Resolver404:
            return None
        return chosen(request, match)


def chosen(request: HttpRequest, match: ResolverMatch) -> Chosen:
    """What Django's router has chosen."""
    return Chosen(match.func, match.kwargs, lambda: _names(match), request.method or "", request.path_info)


def foreseen(request: HttpRequest) -> str | None:
    """The path that was foreseen, if it was."""
    path: str | None = getattr(request, _foreseen, None)
    return path


def _names(match: ResolverMatch) -> tuple[str, ...]:
    return _all_names(match.namespaces, match.app_names, match.url_name, match.func)


def _all_names(
    namespaces: Sequence[str], app_names: Sequence[str], name: str | None, view: Any
) -> tuple[str, ...]:
    dotted = name_of(view)
    names = (":".join([*spaces, name or dotted]) for spaces in (namespaces, app_names))
    return tuple(dict.fromkeys([*names, dotted]))


@lru_cache(1)
def _routes() -> tuple[Route, ...]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return ()
    return tuple(_walk(get_resolver(), (), (), frozenset()))


def _walk(
    resolver: URLResolver, namespaces: tuple[str, ...], app_names: tuple[str, ...], arguments: frozenset[str]
) -> Iterator[Route]:
    arguments |= {*resolver.pattern.regex.groupindex, *resolver.default_kwargs}
    namespaces += (resolver.namespace,) if resolver.namespace else ()
    app_names += (resolver.app_name,) if resolver.app_name else ()
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            own = arguments | {*entry.pattern.regex.groupindex, *entry.default_args}
            names = _all_names(namespaces, app_names, entry.name, entry.callback)
            yield Route(entry.callback, names, own)
        elif isinstance(entry, URLResolver):
            yield from _walk(entry, namespaces, app_names, arguments)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "ROOT_URLCONF":
        _routes.cache_clear()


setting_changed.connect(_forget)
