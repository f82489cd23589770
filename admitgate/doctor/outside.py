"""What the doctor says of a site as visitors' browsers see it: the cookie, the page, the status answer.

It visits twice, as two newcomers, and gives back what they were given; in a line each uses up a number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..config import Config
from ..rules import event_slug
from .findings import ERROR, NOTE, OK, WARNING, Finding
from .newcomer import REDIRECTS, Heard, Newcomer, NotSeen, below_the_mount, fetch, give_back, visit

_old_seconds = 5
_told = ("samesite", "path", "domain")


def of_site(config: Config, url: str) -> Iterator[Finding]:
    """Visit a gated page and judge what comes back."""
    proxies = config.trusted_proxies if isinstance(config.trusted_proxies, int) else 1
    told_https = {"X-Forwarded-Proto": ", ".join(["https"] * max(1, proxies))}
    is_plain = url.lower().startswith("http://")
    newcomers: list[Newcomer] = []
    try:
        for headers in ({}, told_https if is_plain else {}):
            newcomers.append(visit(config, url, headers))
        yield from _judged(config, *newcomers)
    except NotSeen as error:
        yield error.finding
    finally:
        for newcomer in newcomers:
            give_back(config, newcomer)


def _judged(config: Config, first: Newcomer, second: Newcomer) -> Iterator[Finding]:
    yield from _cookie(config, first)
    if first.heard.url.scheme == "http":
        yield from _scheme(first, second)
    yield from _caches(first, second)
    yield from _page(config, first.heard)
    yield from _status(config, first)


def _cookie(config: Config, newcomer: Newcomer) -> Iterator[Finding]:
    faults = list(_cookie_faults(config, newcomer))
    yield from faults
    if not faults:
        given = newcomer.cookie.attributes
        flags = [name for word, name in (("secure", "Secure"), ("httponly", "HttpOnly")) if word in given]
        flags += [f"{word.title()}={said}" for word, said in given.items() if word in _told]
        yield Finding("cookie", OK, f"The cookie {newcomer.cookie.name} is set with {', '.join(flags)}.")


def _cookie_faults(config: Config, newcomer: Newcomer) -> Iterator[Finding]:
    given, site = newcomer.cookie.attributes, newcomer.heard.url
    host, needed = site.hostname or "", newcomer.root + "/"
    if site.scheme == "https" and "secure" not in given:
        text = "The site is https, and the cookie lacks Secure: the application takes the request for http."
        yield Finding("cookie", ERROR, text, _believe_the_proxy)
    elif site.scheme == "http" and "secure" in given and not _is_this_machine(host):
        text = (
            "The site is http, and the cookie has Secure: browsers won't send it, and nobody keeps a place."
        )
        cure = "Serve the site over https; or leave cookie_secure out, and trusted_proxies at what is true."
        yield Finding("cookie", ERROR, text, cure)
    if "httponly" not in given:
        yield Finding("cookie", ERROR, "The cookie lacks HttpOnly: scripts can read it.", _as_it_was)
    samesite = given.get("samesite", "")
    if samesite.lower() != config.cookie_samesite.lower():
        wanted = config.cookie_samesite
        text = f"The cookie has SameSite={samesite or 'nothing'}, and cookie_samesite is {wanted!r}."
        yield Finding("cookie", WARNING, text, _as_it_was)
    elif samesite.lower() == "none" and "secure" not in given:
        text = "The cookie has SameSite=None without Secure: browsers refuse it."
        yield Finding("cookie", ERROR, text, "Serve the site over https, or leave cookie_samesite at 'Lax'.")
    if not needed.startswith(given.get("path", "/").rstrip("/") + "/"):
        text = f"The cookie's Path={given['path']} keeps it from {needed}, where the gate looks for it."
        yield Finding(
            "cookie", ERROR, text, "Let the proxy say where the application is mounted (SCRIPT_NAME)."
        )
    domain = given.get("domain", "").lstrip(".").lower()
    if domain and not (host == domain or host.endswith("." + domain)):
        text = f"The cookie is for {domain}, and the site is {host}: browsers refuse it."
        yield Finding(
            "cookie", ERROR, text, "Set cookie_domain to the site's own or a parent, or leave it out."
        )


_believe_the_proxy = (
    "Let the proxy send X-Forwarded-Proto, and set trusted_proxies to how many stand before the application, "
    "or to their networks (Django: SECURE_PROXY_SSL_HEADER)."
)
_as_it_was = "Let the proxy leave Set-Cookie as it is."


def _is_this_machine(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def _scheme(plain: Newcomer, told_https: Newcomer) -> Iterator[Finding]:
    """Over http: would the application know that a proxy ends TLS before it?"""
    if "secure" in plain.cookie.attributes:
        return
    if "secure" in told_https.cookie.attributes:
        text = "X-Forwarded-Proto is believed: behind a proxy that ends TLS the cookie is Secure."
        yield Finding("scheme", OK, text)
    else:
        text = "X-Forwarded-Proto isn't believed: behind a proxy that ends TLS the cookie would lack Secure."
        yield Finding("scheme", WARNING, text, _believe_the_proxy)


def _caches(first: Newcomer, second: Newcomer) -> Iterator[Finding]:
    """Is what one visitor was given kept from the next?"""
    control = first.heard.header("cache-control")
    if first.cookie.value == second.cookie.value:
        text = "Two visitors were given the same cookie: a cache hands one's place to the others."
        yield Finding(
            "caches", ERROR, text, "Let no cache keep an answer that sets a cookie, nor gated pages."
        )
    elif "public" in control or "s-maxage" in control:
        text = (
            f"A page that sets the cookie goes out with Cache-Control: {control}, so that caches may keep it."
        )
        yield Finding("caches", ERROR, text, "Answer gated pages with Cache-Control: private or no-store.")
    elif "cookie" not in first.heard.header("vary") and "*" not in first.heard.header("vary"):
        text = "The page goes out without Vary: Cookie, so that a cache may give it to anybody."
        yield Finding("caches", WARNING, text, "Let the proxy leave Vary as it is.")
    else:
        yield Finding(
            "caches", OK, "Two visitors were given a cookie each, and no cache is invited to keep it."
        )


def _page(config: Config, heard: Heard) -> Iterator[Finding]:
    if heard.status in REDIRECTS:
        yield Finding("page", OK, "Visitors who have to wait are sent to the waiting room.")
    elif heard.status != config.status_code or heard.header("x-robots-tag") != "noindex":
        text = f"The doctor was let in ({heard.status}), so the waiting page itself"
        yield Finding("page", NOTE, f"{text} couldn't be looked at.")
    elif "no-store" not in heard.header("cache-control"):
        text = "The waiting page came without Cache-Control: no-store, so that somebody else's may be shown."
        yield Finding("page", ERROR, text, "Let the proxy leave Cache-Control as it is.")
    else:
        yield Finding("page", OK, "The waiting page is kept by no cache (no-store).")


def _status(config: Config, newcomer: Newcomer) -> Iterator[Finding]:
    """The answer that all waiting pages ask for, from wherever they ask for it."""
    url = below_the_mount(config, newcomer, "status")
    if config.status_url:
        url = config.status_url + event_slug(newcomer.match.event)
    try:
        heard = fetch("GET", url, {"Accept": "application/json"})
    except NotSeen as error:
        yield Finding("status", ERROR, error.finding.text, error.finding.cure)
        return
    faults = list(_status_faults(config, heard, url))
    yield from faults
    if not faults:
        yield Finding("status", OK, f"The status answer may be shared ({heard.header('cache-control')}).")


def _status_faults(config: Config, heard: Heard, url: str) -> Iterator[Finding]:
    if heard.status != 200 or not _is_status(heard.body):
        text = f"{url} answered {heard.status}, and not with the status: waiting pages can't ask there."
        cure = f"Let the proxy send what is below {config.mount} to the application, or correct status_url."
        yield Finding("status", ERROR, text, cure)
        return
    control, age = heard.header("cache-control"), heard.header("age")
    if heard.header("set-cookie"):
        text = "The status answer sets a cookie, so no shared cache will keep it."
        yield Finding("status", WARNING, text, "Keep sessions and trackers off what is below the mount.")
    if not {"public", "max-age=1"} <= {word.strip() for word in control.split(",")}:
        text = (
            f"The status answer has Cache-Control: {control or 'nothing'}, so every poll may reach the shop."
        )
        yield Finding("status", WARNING, text, "Let it go out as it is: public, max-age=1.")
    if age.isdigit() and int(age) > _old_seconds:
        text = f"The status answer is {age} s old: people are called late, and miss their grace."
        yield Finding("status", ERROR, text, "Let caches keep it for a second, as it says.")
    if config.status_url and heard.header("access-control-allow-origin") != "*":
        text = "The status answer lacks Access-Control-Allow-Origin: *, so browsers keep it from the page."
        yield Finding(
            "status", ERROR, text, "Let the servers behind status_url add it, as examples/nginx does."
        )


def _is_status(body: bytes) -> bool:
    try:
        return {"event", "serving", "state"} <= set(json.loads(body))
    except (ValueError, TypeError):
        return False
