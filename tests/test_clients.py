"""Who is counted as one client, behind which proxies, and whether their browser speaks https."""

from __future__ import annotations

from typing import Any

import pytest
import sites
from sites import CHECKOUT, KEY, Clock
from werkzeug.test import EnvironBuilder

from admitgate import AdmitGate, Config, clients
from admitgate.clients import client_of, is_https, is_trusted_proxies
from admitgate.django.middleware import visit_of as visit_of_django
from admitgate.middleware import visit_of
from admitgate.visit import Visit

clock = sites.clock

ME, PROXY, OUTER, LIAR = "203.0.113.7", "10.0.0.1", "10.0.0.2", "198.51.100.9"
NET = ("10.0.0.0/8", "fd00::/8")


def client(peer: str, forwarded: str, trusted: Any) -> str:
    """Whom such a request is counted by."""
    return client_of({"x-forwarded-for": forwarded}.get, peer, trusted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("peer", "trusted", "forwarded", "expected"),
    [
        pytest.param(ME, 0, "", ME, id="without a proxy it is whoever has come"),
        pytest.param(LIAR, 0, ME, LIAR, id="where nobody is trusted a header is a story"),
        pytest.param(PROXY, 1, ME, ME, id="our proxy says who came to it"),
        pytest.param(PROXY, 1, f"{ME}, {LIAR}", LIAR, id="what its client had written is further left"),
        pytest.param(PROXY, 2, f"{ME}, {OUTER}", ME, id="the outer of two says who came to it"),
        pytest.param(
            PROXY, 2, f"{LIAR}, {ME}, {OUTER}", ME, id="and what its client had written is not asked"
        ),
        pytest.param(PROXY, 2, ME, PROXY, id="whoever comes past one of two is not believed"),
        pytest.param(PROXY, 1, "", PROXY, id="a proxy that says nothing counts itself"),
        pytest.param(PROXY, 1, "unknown", PROXY, id="and so does one that doesn't know"),
        pytest.param(PROXY, 2, f"{ME}, unknown", ME, id="a counted proxy need not have an address"),
        pytest.param(PROXY, 2, f"unknown, {OUTER}", OUTER, id="who came to the outer one is unknown"),
        pytest.param("", 1, ME, ME, id="a counted proxy may come through a Unix socket"),
        pytest.param("", 1, "", "", id="and then without its word nobody knows"),
        pytest.param("", 0, ME, "", id="a Unix socket and nobody trusted"),
        pytest.param(PROXY, NET, ME, ME, id="a proxy of our network says who came to it"),
        pytest.param(LIAR, NET, ME, LIAR, id="whoever isn't of our network is the client"),
        pytest.param(PROXY, NET, f"{ME}, {LIAR}", LIAR, id="behind our network the first stranger counts"),
        pytest.param(PROXY, NET, f"{ME}, {OUTER}", ME, id="all of our own are passed over"),
        pytest.param(PROXY, NET, f"{OUTER}, {LIAR}", LIAR, id="a stranger who names one of our own"),
        pytest.param(PROXY, NET, f"{PROXY}, {OUTER}", PROXY, id="somebody within our network"),
        pytest.param(PROXY, NET, "", PROXY, id="our network says nothing"),
        pytest.param(PROXY, NET, f"unknown, {OUTER}", OUTER, id="our outer proxy doesn't know"),
        pytest.param(PROXY, NET, "unix", PROXY, id="a socket in the header that nobody trusts"),
        pytest.param("fd00::1", NET, ME, ME, id="a proxy with an IPv6 address"),
        pytest.param("::ffff:10.0.0.1", NET, ME, ME, id="a proxy whose IPv4 address is written as IPv6"),
        pytest.param("", NET, ME, "", id="a Unix socket that isn't in the list"),
        pytest.param("", ("unix",), ME, ME, id="a Unix socket that is"),
        pytest.param("localhost", ("unix",), ME, ME, id="as waitress calls it"),
        pytest.param("<local>", ("unix",), ME, ME, id="as werkzeug calls it"),
        pytest.param("0.0.0.0", ("unix",), ME, ME, id="as uWSGI calls it"),
        pytest.param("0.0.0.0", 0, ME, "", id="which is nobody's address"),
        pytest.param("", ("unix", *NET), f"{ME}, unix:, {OUTER}", ME, id="as nginx calls it"),
        pytest.param(ME, (), LIAR, ME, id="an empty list trusts nobody"),
    ],
)
def test_the_header_is_believed_from_the_right_as_far_as_our_proxies_reach(
    peer: str, trusted: Any, forwarded: str, expected: str
) -> None:
    """And not a word further, whoever wrote it."""
    assert client(peer, forwarded, trusted) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("1.2.3.4", "1.2.3.4", id="IPv4: the address"),
        pytest.param("1.2.3.4:555", "1.2.3.4", id="with a port"),
        pytest.param('"1.2.3.4:555"', "1.2.3.4", id="in quotes"),
        pytest.param("[1.2.3.4]", "1.2.3.4", id="in brackets"),
        pytest.param("\t 1.2.3.4  ", "1.2.3.4", id="between blanks"),
        pytest.param("::ffff:1.2.3.4", "1.2.3.4", id="IPv4 written as IPv6"),
        pytest.param("[::ffff:1.2.3.4]:80", "1.2.3.4", id="the same with a port"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6: the network of a household"),
        pytest.param("2001:DB8:1:2::9", "2001:db8:1:2::/64", id="in capitals"),
        pytest.param("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64", id="IPv6 with a port"),
        pytest.param("[2001:db8:1:2::9]", "2001:db8:1:2::/64", id="in brackets without one"),
        pytest.param("fe80::1%eth0", "fe80::/64", id="with a zone"),
        pytest.param("[fe80::1%25eth0]:1", "fe80::/64", id="with a zone and a port"),
        pytest.param("::1", "::/64", id="this machine"),
    ],
)
def test_an_address_is_counted_however_it_is_written(written: str, expected: str) -> None:
    """In the header and in REMOTE_ADDR."""
    assert client(written.strip(), "", 0) == client(PROXY, written, 1) == expected


STRANGE = [
    *("", " ", ",", ",,,,", "unknown", "_hidden", "-", "null", "None", "localhost", "unix:", "example.com"),
    *("1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "0x7f.1", "2130706433", "1.2.3.4:", "1.2.3.4:x", ":80"),
    *(
        "[",
        "]",
        "[]",
        "[]:80",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]:x",
        "[::1]:999999",
        ":::",
        "::1::",
        "%",
        "::1%",
    ),
    *("1.2.3.4%eth0", "1.2.3.4/8", "::/0", "\x00", "1.2.3.4\x00", "\u0661.\u0662.\u0663.\u0664"),
    *("é", "\ud800", "for=1.2.3.4"),
    *("<script>", "' OR 1=1", "1.2.3.4\r\nX: y", "9" * 10_000, "," * 10_000, "1.2.3.4," * 2000, ":" * 64),
    *("[" * 5000, "1.2.3.4 " * 1000, "f" * 39, "1" * 64 + ":1", "%" * 60),
]


@pytest.mark.parametrize("trusted", [0, 1, 2, 10, NET, ("unix",), ("unix", *NET)], ids=repr)
def test_nothing_strange_is_a_client_or_an_error(trusted: Any) -> None:
    """Whatever is written in the header: at worst the proxy counts itself."""
    known = {"", PROXY, "1.2.3.4", "::/64"}
    for text in STRANGE:
        for forwarded in (text, f"{text}, {text}", f"{text},1.2.3.4"):
            assert client(PROXY, forwarded, trusted) in known, ascii(text)
            assert client(text, forwarded, trusted) in known, ascii(text)


def test_a_stranger_s_story_changes_nothing() -> None:
    """Who isn't one of our proxies is the same client with every header."""
    told = {client(LIAR, text, trusted) for text in [*STRANGE, ME] for trusted in (0, NET, ("unix", *NET))}
    assert told == {LIAR}


def test_a_client_behind_our_proxy_is_the_same_with_every_story() -> None:
    """The proxy writes its address behind whatever it has written."""
    told = {
        client(PROXY, f"{text}, {ME}", trusted) for text in [*STRANGE, LIAR, PROXY] for trusted in (1, NET)
    }
    assert told == {ME}


def test_long_headers_leave_nothing_behind() -> None:
    """Only the right end is read, and only what may be an address is remembered."""
    before = clients._read.cache_info().currsize
    for number in range(1000):
        assert client(PROXY, f"{PROXY}, " * 1000 + f"{number}" * 100, NET) == PROXY
    assert clients._read.cache_info().currsize <= before + 1
    for number in range(10_000):
        client(f"2001:db8::{number:x}", "", 0)
    assert clients._read.cache_info().currsize <= 4096


def https(said: str, trusted: Any, *, peer: str = PROXY, forwarded: str = "") -> bool:
    """Does such a request come from a browser that speaks https?"""
    return is_https(
        {"x-forwarded-proto": said, "x-forwarded-for": forwarded}.get,  # type: ignore[arg-type]
        peer,
        trusted,
    )


@pytest.mark.parametrize(
    ("said", "trusted", "peer", "forwarded", "expected"),
    [
        pytest.param("https", 0, PROXY, ME, False, id="nobody is trusted"),
        pytest.param("https", 1, PROXY, ME, True, id="our proxy says so"),
        pytest.param("https, http", 1, PROXY, ME, False, id="its client had said so"),
        pytest.param("https, http", 2, PROXY, ME, True, id="the outer of two says so"),
        pytest.param("https", 2, PROXY, ME, False, id="a counted proxy is missing"),
        pytest.param("https", NET, PROXY, ME, True, id="a proxy of our network says so"),
        pytest.param("https", NET, LIAR, ME, False, id="a stranger says so"),
        pytest.param("https", NET, LIAR, PROXY, False, id="and names one of our own"),
        pytest.param("https, http", NET, PROXY, ME, False, id="a stranger had said so to our proxy"),
        pytest.param("https, http", NET, PROXY, f"{ME}, {OUTER}", True, id="the outer of our own says so"),
        pytest.param("https", NET, PROXY, f"{ME}, {OUTER}", True, id="the inner one has overwritten it"),
        pytest.param(
            "http, https, http", NET, PROXY, f"{ME}, {OUTER}", True, id="further left it isn't asked"
        ),
        pytest.param("https", ("unix",), "", ME, True, id="through a Unix socket"),
        pytest.param("https", NET, "", ME, False, id="through one that isn't trusted"),
        pytest.param(" HTTPS ", NET, PROXY, ME, True, id="in capitals"),
        pytest.param("", NET, PROXY, ME, False, id="nothing is said"),
        pytest.param("wss", NET, PROXY, ME, False, id="something else is said"),
    ],
)
def test_the_scheme_is_believed_of_the_same_proxies(
    said: str, trusted: Any, peer: str, forwarded: str, expected: bool
) -> None:
    """So that the cookie is Secure where the browser's side is."""
    assert https(said, trusted, peer=peer, forwarded=forwarded) is expected


def test_nothing_strange_is_https_or_an_error() -> None:
    """Whatever is written in either header."""
    for trusted in (0, 1, 10, NET, ("unix",)):
        for text in STRANGE:
            assert not https(text, trusted)
            assert not https(text, trusted, peer=text, forwarded=text)


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        (0, True),
        (10, True),
        (("10.0.0.0/8", "::1", "unix"), True),
        (("10.1.2.3/8",), True),
        ((), True),
        (11, False),
        (-1, False),
        (True, False),
        (1.5, False),
        (("10.0.0.0/33",), False),
        (("0.0.0.0/0",), False),
        (("::/0",), False),
        (("proxy.example.com",), False),
        (("",), False),
        (("2",), False),
        ((2,), False),
        ((None,), False),
        ((["10.0.0.0/8"],), False),
    ],
    ids=repr,
)
def test_what_trusted_proxies_may_be(value: Any, is_good: bool) -> None:
    """A small number, or networks; everybody is no proxy of ours."""
    assert is_trusted_proxies(value) is is_good


def test_networks_may_be_given_as_any_list_or_alone() -> None:
    """In a settings file, or in the environment."""
    options = {"secret_key": KEY, "redis_url": "redis://x", "rules": [{"path": "/checkout", "capacity": 1}]}
    for given in (["10.0.0.0/8"], {"10.0.0.0/8"}, "10.0.0.0/8"):
        assert Config.from_options(options | {"trusted_proxies": given}).trusted_proxies == ("10.0.0.0/8",)


def test_the_cookie_is_secure_behind_a_proxy_of_our_network(redis_url: str, clock: Clock) -> None:
    """And not where a stranger says https."""
    rules = [{"path": CHECKOUT, "capacity": 9}]
    gate = AdmitGate(
        lambda environ, start: (start("200 OK", []), [b""])[1],
        secret_key=KEY,
        redis_url=redis_url,
        redis_timeout_seconds=10,
        rules=rules,
        trusted_proxies=NET,
    )
    secure = {}
    for peer in (PROXY, LIAR):
        browser, environ = sites.Browser(gate), {"REMOTE_ADDR": peer}
        answer = browser.get(CHECKOUT, headers={"X-Forwarded-Proto": "https"}, environ_overrides=environ)
        secure[peer] = "Secure" in answer.headers["Set-Cookie"]
    assert secure == {PROXY: True, LIAR: False}


def of_wsgi(environ: dict[str, Any]) -> Visit:
    """The Visit of the WSGI and Flask edges."""
    return visit_of(environ)


def of_django(environ: dict[str, Any]) -> Visit:
    """The Visit of the Django edge."""
    from django.core.handlers.wsgi import WSGIRequest

    return visit_of_django(WSGIRequest(environ))


@pytest.mark.parametrize("visit_of", [of_wsgi, of_django], ids=["WSGI and Flask", "Django"])
@pytest.mark.parametrize("peer", [PROXY, "", None, "2001:db8::1"], ids=repr)
def test_every_edge_says_who_has_come(visit_of: Any, peer: str | None) -> None:
    """REMOTE_ADDR and the header, or the empty string where the server has none."""
    environ = EnvironBuilder(headers={"X-Forwarded-For": ME}).get_environ()
    environ.pop("REMOTE_ADDR", None)
    if peer is not None:
        environ["REMOTE_ADDR"] = peer
    visit = visit_of(environ)
    assert visit.address == (peer or "")
    assert client_of(visit.header, visit.address, 1) == ME
