"""Headers, redirects and HTML: nothing that a request says is an address, a header or a tag in an answer."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from attack_lines import about
from attack_site import EVIL, JSON, Site, foreign_addresses

from admitgate.names import event_name, event_slug


@pytest.mark.may_be_refused
@pytest.mark.parametrize(
    "target",
    [
        pytest.param(f"//{EVIL}", id="//evil", marks=about("return URL //evil")),
        pytest.param(f"/\\{EVIL}", id="/\\\\evil", marks=about("return URL /\\evil")),
        pytest.param(f"https:{EVIL}", id="https:evil", marks=about("return URL https:evil")),
        pytest.param(f"https://{EVIL}/", id="https://evil", marks=about("return URL https:evil")),
        pytest.param(f"javascript:'{EVIL}'", id="javascript:", marks=about("return URL javascript:")),
        pytest.param(f"/\t/{EVIL}", id="a tab inside", marks=about("return URL with a tab inside")),
        pytest.param(f"/%09/{EVIL}", id="a tab, encoded", marks=about("return URL with a tab inside")),
        pytest.param(f"/%0d/{EVIL}", id="CR, encoded", marks=about("return URL with CR inside")),
        pytest.param(f"/\r/{EVIL}", id="CR inside", marks=about("return URL with CR inside")),
    ],
)
def test_no_parameter_is_an_address_to_go_to(site: Site, target: str) -> None:
    """Not on the page, not in JSON, not in a header; not asked for by GET and not by POST."""
    query = "&".join(f"{name}={target}" for name in ("next", "url", "return", "target", "to"))
    for path, method in (
        ("/checkout", "GET"),
        ("/checkout", "POST"),
        (site.below_the_mount("check-in", "shut"), "POST"),
        (site.below_the_mount("leave", "shut"), "POST"),
        (site.below_the_mount("wait", "shut"), "GET"),
    ):
        reply = site.send(f"{path}?{query}", method)
        assert not reply.all("Location")
        assert foreign_addresses(reply) == []


@pytest.mark.parametrize("path", [f"//{EVIL}/../checkout", f"/x//{EVIL}/../../../checkout"])
@about("return URL //evil")
@pytest.mark.may_be_refused
def test_the_waiting_page_of_an_odd_path_leads_nowhere_else(site: Site, path: str) -> None:
    """It repeats where the visitor is only as a path of this site."""
    for method in ("GET", "POST"):
        assert foreign_addresses(site.send(path, method)) == []


@about("X-Forwarded-Host reflected")
@pytest.mark.may_be_refused
@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Forwarded-Server", "Host"])
def test_no_host_comes_back(site: Site, header: str) -> None:
    """On no answer of the gate's, in no form."""
    value = f"host={EVIL};proto=https" if header == "Forwarded" else EVIL
    for path in ("/checkout", site.below_the_mount("status", "shut"), site.below_the_mount("wait", "shut")):
        for accept in ("text/html", "application/json"):
            assert EVIL not in site.send(path, headers={header: value, "Accept": accept}).text


@about("X-Forwarded-For forged")
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP"])
def test_a_forged_address_is_nobodys(site: Site, header: str) -> None:
    """Our proxy comes by the Unix socket: whatever is in it, nobody is let in, kept out or broken."""
    inside = site.fill()
    for value in ("127.0.0.1", "::1", "1.2.3.4, 5.6.7.8", "", ",,,", "for=_x", "%", "9" * 200, "\xff"):
        assert site.send(headers={header: value}).is_waiting
        assert site.send(cookies=inside, headers={header: value}).is_checkout


@about("X-Forwarded-For forged")
@pytest.mark.parametrize("scheme", ["https", "https, http", "", "javascript"])
def test_a_forged_scheme_makes_no_cookie_secure(site: Site, scheme: str) -> None:
    """Only what comes by the Unix socket may be a proxy. (There gunicorn and uWSGI believe it as well.)"""
    reply = site.send("/checkout", headers={"X-Forwarded-Proto": scheme})
    assert reply.is_waiting
    assert "Secure" not in reply.get("Set-Cookie") or site.host.server in ("gunicorn", "uWSGI")


def named(line: str, name: str, title: str = "") -> object:
    """A case: an event's name as an attacker would write it."""
    return pytest.param(name, id=title or line, marks=about(line))


NAMES = [
    named("event named <script>", f"<script>alert('{EVIL}')</script>"),
    named("event named <script>", "<img src=x onerror=alert(1)>", "event named <img>"),
    named("event named </script>", "</script><script>alert(1)//"),
    named("event named </script>", "<!--<script>", "event named <!--<script>"),
    named('event named "', '"onmouseover="alert(1)'),
    named('event named "', "'-alert(1)-'", "event named '"),
    named('event named "', "{{7*7}}{% raw %}%(position)s%s", "event named like a template"),
    named("header injection through an event name", "a\r\nSet-Cookie: admitgate_injected=1"),
    named("header injection through an event name", "a\nX-Injected: 1", "a newline in an event's name"),
    named("header injection through an event name", "a\x00b\x1b[2J", "NUL and escapes in an event's name"),
    named("header injection through an event name", "\u202egnp.exe\u2028", "text that runs backwards"),
]


@pytest.mark.may_be_refused
@pytest.mark.parametrize("name", NAMES)
def test_an_event_of_any_name_is_only_a_name(site: Site, name: str) -> None:
    """On the page, in JSON, in headers, in Redis and at the addresses that the page asks."""
    path = f"/any/{quote(name + site.event)}/checkout"
    before = site.gate_keys()
    page = site.send(path)
    assert page.is_waiting
    assert not re.search(
        r"<img src=x|onmouseover=\"alert|<script>alert|</script><script>alert|49\{", page.text
    )
    assert page.text.count("<script") == site.send("/checkout").text.count("<script")
    assert not any("injected" in key.lower() or "injected" in value.lower() for key, value in page.headers)
    told = site.send(path, headers=JSON).json
    assert told["event"].isprintable()
    assert "://" not in told["poll_url"]
    assert site.send(told["poll_url"]).json["event"] == told["event"]
    assert all(re.fullmatch(rb"admitgate:\{[0-9a-f]{16}\}:[a-z:]+", key) for key in site.gate_keys() - before)


@about("framing")
def test_no_site_can_frame_the_waiting_page(site: Site) -> None:
    """Nor a page of the room's own."""
    for path in ("/checkout", site.below_the_mount("wait", "shut")):
        reply = site.send(path)
        if reply.get("Content-Type").startswith("text/html"):
            assert "frame-ancestors 'none'" in reply.get("Content-Security-Policy")


@about("JSON sniffed as HTML")
def test_json_is_never_taken_for_a_page(site: Site) -> None:
    """Each answer of the gate's says what it is, and that nobody is to guess."""
    name = f"<script>alert(1){site.event}"
    event = "any-" + event_name("{event}", {"event": name})
    site.send(f"/any/{quote(name)}/checkout", headers=JSON)
    for path, method in (
        (f"/any/{quote(name)}/checkout", "GET"),
        (site.below_the_mount("status", event_slug(event)), "GET"),
        (site.below_the_mount("check-in", event_slug(event)), "POST"),
        (site.below_the_mount("leave", event_slug(event)), "POST"),
        (site.below_the_mount("nothing"), "GET"),
        ("/_admitgate/healthz", "GET"),
    ):
        reply = site.send(path, method, headers=JSON)
        assert re.match(r"application/(problem\+)?json", reply.get("Content-Type")), path
        assert reply.get("X-Content-Type-Options") == "nosniff"
        assert isinstance(reply.json, dict)


@about("a policy without unsafe-inline")
def test_the_pages_policy_allows_what_it_has_and_nothing_else(site: Site) -> None:
    """Hashes of its own style and script; no wildcard, no other host, no inline in general."""
    for method in ("GET", "POST"):
        policy = site.send("/checkout", method).get("Content-Security-Policy")
        assert "default-src 'none'" in policy
        assert re.search(r"script-src ('sha256-[A-Za-z0-9+/=]+' ?)+;", policy)
        assert not re.search(r"unsafe|\*|https?:|script-src[^;]*data:", policy)
    page = site.send("/checkout").text
    assert not re.search(r"\son\w+=|style=\"|javascript:", page)
