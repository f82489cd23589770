"""The waiting page of a Django site speaks as the site does, though it comes before LocaleMiddleware."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sites  # Django's settings
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from django.utils import translation

from admitgate.django.language import language_of

clock = sites.clock

GATE = "admitgate.django.AdmitGateMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
GERMAN, DUTCH = {"HTTP_ACCEPT_LANGUAGE": "de-DE,de;q=0.9"}, {"HTTP_ACCEPT_LANGUAGE": "nl"}
POLYGLOT: dict[str, Any] = {"MIDDLEWARE": [GATE, LOCALE], "USE_I18N": True}


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(translation.get_language())


PLAIN = (path("checkout", view),)
PREFIXED = tuple(i18n_patterns(path("checkout", view)))
PREFIXED_BUT_ONE = tuple(i18n_patterns(path("checkout", view), prefix_default_language=False))


class OwnLocaleMiddleware(LocaleMiddleware):
    """As sites have them that also look into a profile."""


def ask(url: str = "/checkout", cookie: str = "", **headers: str) -> str:
    request = RequestFactory().get(url, **headers)
    if cookie:
        request.COOKIES["django_language"] = cookie
    return language_of(request)


@pytest.mark.parametrize(
    ("cookie", "headers", "language"),
    [
        pytest.param("", {}, "fr", id="the site's default"),
        pytest.param("", GERMAN, "de", id="what the browser asks for"),
        pytest.param("it", GERMAN, "it", id="what the visitor chose"),
        pytest.param("xx", GERMAN, "de", id="a choice that the site doesn't offer"),
        pytest.param("", DUTCH, "fr", id="a wish that the site doesn't offer, but the page would"),
    ],
)
def test_a_site_in_several_languages(cookie: str, headers: dict[str, str], language: str) -> None:
    """A visitor who waits reads what they will read once they are in."""
    offered = [("fr", "French"), ("de", "German"), ("it", "Italian")]
    with override_settings(**POLYGLOT, ROOT_URLCONF=PLAIN, LANGUAGE_CODE="fr", LANGUAGES=offered):
        assert ask(cookie=cookie, **headers) == language


@pytest.mark.parametrize(
    ("urls", "url", "language"),
    [
        pytest.param(PREFIXED, "/it/checkout", "it", id="by its prefix"),
        pytest.param(PREFIXED, "/checkout", "de", id="without one, which will be redirected"),
        pytest.param(PREFIXED_BUT_ONE, "/it/checkout", "it", id="by its prefix, where the default has none"),
        pytest.param(PREFIXED_BUT_ONE, "/checkout", "fr", id="the default, by having none"),
        pytest.param(PLAIN, "/it/checkout", "de", id="a path that only looks as if"),
    ],
)
def test_a_url_that_names_its_language(urls: tuple[Any, ...], url: str, language: str) -> None:
    """It says more than the browser does."""
    with override_settings(**POLYGLOT, ROOT_URLCONF=urls, LANGUAGE_CODE="fr"):
        assert ask(url, **GERMAN) == language


@pytest.mark.parametrize(
    ("urls", "url"),
    [
        pytest.param(urls, url, id=f"{url}, {name}")
        for name, urls in (("plain", PLAIN), ("prefixed", PREFIXED), ("but the default", PREFIXED_BUT_ONE))
        for url in ("/checkout", "/it/checkout", "/zh-hans/checkout")
    ],
)
@pytest.mark.parametrize("cookie", ["", "nl", "pt-br", "xx", "../de"])
@pytest.mark.parametrize("header", ["", "de-DE,de;q=0.9", "sv", "zh-TW,zh;q=0.9", ";" * 600])
def test_it_is_what_locale_middleware_will_find(
    urls: tuple[Any, ...], url: str, cookie: str, header: str
) -> None:
    """Whose way this is, taken earlier."""
    request = RequestFactory().get(url, HTTP_ACCEPT_LANGUAGE=header)
    request.COOKIES["django_language"] = cookie
    with override_settings(**POLYGLOT, ROOT_URLCONF=urls, LANGUAGE_CODE="fr"), translation.override("en"):
        LocaleMiddleware(lambda request: HttpResponse()).process_request(request)
        assert language_of(request) == translation.get_language()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"MIDDLEWARE": [GATE], "USE_I18N": True}, id="no LocaleMiddleware"),
        pytest.param({"MIDDLEWARE": [GATE, LOCALE], "USE_I18N": False}, id="translations are off"),
    ],
)
def test_a_site_in_one_language(settings: dict[str, Any]) -> None:
    """The browser decides; the site's language is for whom it asks for none that we have."""
    with override_settings(**settings, ROOT_URLCONF=PLAIN, LANGUAGE_CODE="fr"):
        assert ask(**GERMAN) == ""
        assert ask(cookie="it", **GERMAN) == ""
        assert ask(HTTP_ACCEPT_LANGUAGE="sv") == "fr"
        assert ask() == "fr"


def test_a_locale_middleware_of_the_sites_own_counts() -> None:
    """Some sites extend it, and some have functions for middleware."""
    own = f"{OwnLocaleMiddleware.__module__}.{OwnLocaleMiddleware.__qualname__}"
    function = "django.utils.module_loading.import_string"
    with override_settings(**{**POLYGLOT, "MIDDLEWARE": [function, GATE, own]}, ROOT_URLCONF=PLAIN):
        assert ask(cookie="it", **GERMAN) == "it"


@pytest.fixture
def waiting(redis_url: str, clock: sites.Clock) -> Iterator[Client]:
    """A visitor behind another one, on a site in several languages."""
    gate = {"REDIS_URL": redis_url, "REDIS_TIMEOUT_SECONDS": 10, "RULES": [{"PATH": "/", "CAPACITY": 1}]}
    with override_settings(**POLYGLOT, ROOT_URLCONF=PREFIXED, ADMITGATE=gate):
        assert Client().get("/it/checkout").content == b"it"
        yield Client()


def test_the_waiting_page_is_in_the_sites_language(waiting: Client) -> None:
    """Through the real gate; and what runs after it is left as it was."""
    before = translation.get_language()
    answer = waiting.get("/it/checkout", **GERMAN)  # type: ignore[arg-type]
    assert answer.status_code == 503
    assert answer.headers["Content-Language"] == "it"
    assert '<html lang="it" dir="ltr">' in answer.content.decode()
    assert translation.get_language() == before
    assert waiting.get("/ar/checkout").headers["Content-Language"] == "ar"
    assert waiting.get("/zh-hans/checkout").headers["Content-Language"] == "zh-Hans"
