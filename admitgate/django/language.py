"""Which language a Django site speaks to a visitor, before its LocaleMiddleware has had its turn."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils.module_loading import import_string
from django.utils.translation import get_language_from_path, get_language_from_request

from ..languages import accepted


def language_of(request: HttpRequest) -> str:
    """By the URL's prefix, the cookie and the browser, as LocaleMiddleware will see it.

    A site without that has one language, which is for visitors whose browser asks for none of ours.
    """
    if settings.USE_I18N and _is_polyglot(tuple(settings.MIDDLEWARE)):
        return _active_language(request)
    return "" if accepted(request.META.get("HTTP_ACCEPT_LANGUAGE", "")) else settings.LANGUAGE_CODE


def _active_language(request: HttpRequest) -> str:
    urls = getattr(request, "urlconf", settings.ROOT_URLCONF)
    has_prefixes, has_default_prefixed = is_language_prefix_patterns_used(urls)
    is_default = has_prefixes and not has_default_prefixed and not get_language_from_path(request.path_info)
    return settings.LANGUAGE_CODE if is_default else get_language_from_request(request, has_prefixes)


@lru_cache(maxsize=8)
def _is_polyglot(middleware: tuple[str, ...]) -> bool:
    """Is LocaleMiddleware among it, or a site's own kind of it?"""
    kinds = map(import_string, middleware)
    return any(isinstance(kind, type) and issubclass(kind, LocaleMiddleware) for kind in kinds)
