"""What people try, and the gate's stated answer, the same on every edge.

A bad token is no token. Nothing here may give a 500, a redirect to another site, a slot out of turn, a key
that outlives its use, or a line in the log for each request.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
import redis
import sites
from itsdangerous import Signer
from sites import (
    CHECK_IN,
    CHECKOUT,
    HOME,
    JSON,
    LEAVE,
    NEW_KEY,
    OLD_KEY,
    STATUS,
    THANKS,
    Clock,
    Opener,
    Said,
    Site,
    cookie_of,
)
from werkzeug.test import TestResponse

from admitgate.tokens import Tokens

clock, open_site, open_plain = sites.clock, sites.open_site, sites.open_plain

SID = "abcdefghijklmnop"
NAME = cookie_of("gala")
EVIL = "evil.example"


@pytest.fixture(autouse=True)
def _no_line_for_each_request(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever is tried, the gate's own log stays quiet."""
    with caplog.at_level(logging.DEBUG, logger="admitgate"):
        yield
    assert [record.getMessage() for record in caplog.records if record.name == "admitgate"] == []


def harmless(response: TestResponse) -> TestResponse:
    """What holds for every answer here."""
    assert response.status_code != 500
    assert EVIL not in response.headers.get("Location", "")
    assert EVIL not in response.text
    assert not any(EVIL in value or "\r" in value or "\n" in value for value in response.headers.values())
    return response


def is_waiting(response: TestResponse) -> bool:
    """Turned away by the gate, with an answer that nobody keeps."""
    return harmless(response).status_code == 503 and response.headers["Cache-Control"] == "no-store"


def signed(text: str, purpose: str = "l", *, event: str = "gala", key: str = sites.KEY) -> str:
    """Any text, signed as the gate signs: what another version of it, or a stolen key, might have written."""
    salt = f"admitgate.{purpose}:{event}"
    return Signer([key], salt=salt, digest_method=hashlib.sha256, key_derivation="hmac").sign(text).decode()


# --- tokens

FAR = 4_000_000_000_000

BAD_TOKENS = [
    pytest.param(lambda lease, ticket: "\x9f\xe2\x28\xa1" * 20, id="random bytes"),
    pytest.param(lambda lease, ticket: "", id="nothing"),
    pytest.param(lambda lease, ticket: lease[:-1], id="a truncated signature"),
    pytest.param(lambda lease, ticket: lease.rpartition(".")[0] + ".", id="an empty signature"),
    pytest.param(lambda lease, ticket: lease.rpartition(".")[0], id="no signature"),
    pytest.param(lambda lease, ticket: lease.replace("l1.", "l1.x", 1), id="a changed name"),
    pytest.param(lambda lease, ticket: later(lease), id="a later deadline"),
    pytest.param(lambda lease, ticket: "t" + lease[1:], id="a lease shown as a ticket"),
    pytest.param(lambda lease, ticket: "l" + ticket[1:], id="a ticket shown as a lease"),
    pytest.param(
        lambda lease, ticket: signed(f"l1.{SID}.{FAR}.{FAR}", "t"), id="signed for the other purpose"
    ),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.{FAR}.{FAR}", event="opera"), id="of another event"),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.{FAR}.{FAR}", key="guessed"), id="an unknown key"),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.-{FAR}.{FAR}"), id="a negative number"),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.0.0"), id="zero for a deadline"),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.soon.{FAR}"), id="text for a number"),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.{FAR}.5.{FAR}"), id="a float"),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.NaN.{FAR}"), id="NaN"),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.{2**53}.{FAR}"), id="a number above 2^53"),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.{FAR}"), id="a missing field"),
    pytest.param(lambda lease, ticket: signed(f"l1.{SID}.{FAR}.{FAR}.1"), id="an extra field"),
    pytest.param(lambda lease, ticket: signed(f"l0.{SID}.{FAR}.{FAR}"), id="an older version"),
    pytest.param(lambda lease, ticket: signed(f"l9.{SID}.{FAR}.{FAR}"), id="a future version"),
    pytest.param(lambda lease, ticket: signed("", "l"), id="a signature of nothing"),
]


def later(lease: str) -> str:
    """The lease with ten times the deadline."""
    kind, sid, deadline, renew_at, signature = lease.split(".")
    return f"{kind}.{sid}.{deadline}0.{renew_at}0.{signature}"


@pytest.mark.parametrize("forge", BAD_TOKENS)
def test_a_bad_token_is_no_token(open_site: Opener, forge: Callable[[str, str], str]) -> None:
    """Its bearer is a newcomer like any other: the same answer, with a ticket of their own."""
    site = open_site()
    inside, waiting = site.fill(), site.browser()
    waiting.place()
    newcomer = site.show("", headers=JSON)
    bearer = site.show(f"{NAME}={forge(inside.token(), waiting.token())}", headers=JSON)
    assert is_waiting(bearer)
    assert bearer.json["number"] == newcomer.json["number"] + 1
    assert bearer.json["state"] == newcomer.json["state"]
    assert set(bearer.headers.keys()) == set(newcomer.headers.keys())


@pytest.mark.parametrize("forge", BAD_TOKENS)
@pytest.mark.parametrize("path", [CHECK_IN, LEAVE])
def test_a_bad_token_does_nothing_below_the_mount(
    open_site: Opener, forge: Callable[[str, str], str], path: str
) -> None:
    """Check-in says that there is no ticket, leaving leaves nothing; nobody inside notices."""
    site = open_site()
    inside, waiting = site.fill(), site.browser()
    waiting.place()
    response = site.show(
        f"{NAME}={forge(inside.token(), waiting.token())}", path, method="POST", headers=JSON
    )
    if not (forged := forge(inside.token(), waiting.token())).startswith(f"l1.{SID}.0."):
        assert harmless(response).json == (
            {"state": "no-ticket"} if path == CHECK_IN else {"state": "left"}
        ), forged
    assert harmless(response).status_code in (200, 403, 410)
    assert site.is_in(inside)
    assert not site.is_in()


def test_one_flipped_character_anywhere_makes_a_newcomer(open_site: Opener) -> None:
    """In every position of the cookie."""
    site = open_site()
    lease = site.fill().token()
    for place, char in enumerate(lease[:-1]):
        flipped = lease[:place] + chr(ord(char) ^ 1) + lease[place + 1 :]
        assert is_waiting(site.show(f"{NAME}={flipped}")), flipped


def test_an_expired_lease_is_a_newcomers(open_site: Opener, clock: Clock) -> None:
    """A millisecond after its end its slot may be somebody else's."""
    site = open_site(lease_seconds=60)
    late = site.fill()
    clock.forward(60.001)
    other = site.fill()
    assert is_waiting(late.get(CHECKOUT))
    assert site.is_in(other)


@pytest.mark.parametrize("number", [0, 1, 2**52, 2**53 - 1])
def test_a_ticket_with_an_impossible_number_is_nobodys_turn(open_site: Opener, number: int) -> None:
    """Only a stolen key could write one; even so the slots stay where they are, and the line goes on."""
    site = open_site()
    inside = site.fill()
    ticket = signed(f"t1.{SID}.{number}.{FAR}", "t")
    assert is_waiting(site.show(f"{NAME}={ticket}"))
    assert harmless(site.show(f"{NAME}={ticket}", CHECK_IN, method="POST")).status_code in (200, 410)
    assert site.is_in(inside)
    assert is_waiting(site.browser().get(CHECKOUT))


def test_a_lease_nobody_gave_is_adopted_only_with_our_signature(open_site: Opener) -> None:
    """The stated price of surviving a loss: whoever has the key has the gate."""
    site = open_site(lease_seconds=60)
    site.fill()
    forged = signed(f"l1.{SID}.{FAR}.{FAR}", key="guessed")
    assert is_waiting(site.show(f"{NAME}={forged}"))


def test_a_retired_key_verifies_and_never_signs(open_site: Opener) -> None:
    """What is given out after the change is signed with the new key."""
    site = open_site(secret_key=NEW_KEY, secret_key_fallbacks=[OLD_KEY])
    with pytest.raises(Exception, match="signature"):
        Tokens([OLD_KEY]).read("gala", site.fill().token())


def test_a_released_lease_is_not_replayed(open_site: Opener, clock: Clock) -> None:
    """Not at once, not later, not by check-in, not by leaving twice."""
    site = open_site()
    browser = site.fill()
    lease = browser.token()
    browser.get(THANKS)
    other = site.fill()
    for _ in range(3):
        assert is_waiting(site.show(f"{NAME}={lease}"))
        assert site.show(f"{NAME}={lease}", CHECK_IN, method="POST").json["state"] == "gone"
        site.show(f"{NAME}={lease}", LEAVE, method="POST")
        clock.forward(18)
        assert site.is_in(other)


def test_one_lease_on_a_hundred_clients_is_one_slot(open_site: Opener, redis_client: redis.Redis) -> None:
    """A cookie can be lent; it doesn't become more. Paid by one, it is over for all."""
    site = open_site(verify_every_request=True)
    lease = site.fill().token()
    assert [site.show(f"{NAME}={lease}").data for _ in range(100)] == [b"the checkout"] * 100
    assert site.browser().get(STATUS).json["leases"] == 1
    site.show(f"{NAME}={lease}", THANKS)
    site.fill()
    assert all(is_waiting(site.show(f"{NAME}={lease}")) for _ in range(10))


def test_one_ticket_in_a_hundred_parallel_check_ins_gets_one_slot(open_site: Opener, clock: Clock) -> None:
    """However they race."""
    site = open_site(capacity=5)
    first = [site.fill() for _ in range(5)]
    waiting = site.browser()
    waiting.place()
    ticket = waiting.token()
    for browser in first:
        browser.get(THANKS)
    clock.forward(6)

    def check_in(_: int) -> str:
        state: str = site.show(f"{NAME}={ticket}", CHECK_IN, method="POST").json["state"]
        return state

    with ThreadPoolExecutor(10) as threads:
        assert list(threads.map(check_in, range(100))) == ["admitted"] * 100
    clock.forward(2)
    assert site.browser().get(STATUS).json["leases"] == 1


def test_a_hundred_newcomers_at_once_find_the_slots_there_are(open_site: Opener) -> None:
    """Threads of one worker."""
    site = open_site(capacity=7)
    with ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(lambda _: site.is_in(), range(100))) == 7


# --- cookies


@pytest.mark.parametrize(
    "cookies",
    [
        pytest.param(f"{NAME}=" + "x" * 8_000, id="8 KB"),
        pytest.param(f"{NAME}=" + "x" * 64_000, id="64 KB"),
        pytest.param(f"{NAME}=" + "x" * 1_000_000, id="1 MB"),
        pytest.param(f"{NAME}=x; " * 500, id="500 of our name"),
        pytest.param("; ".join(f"c{number}=x" for number in range(500)), id="500 of other names"),
        pytest.param(f"{NAME}=" * 20_000, id="our name and nothing else"),
        pytest.param(f"{NAME}=a\x00b", id="NUL"),
        pytest.param(f"{NAME}=a\r\nSet-Cookie: {EVIL}", id="CR and LF"),
        pytest.param(f'{NAME}="', id="half a quotation"),
        pytest.param(f"{NAME}=%00%0d%0a", id="encoded control characters"),
        pytest.param(f"{NAME}=\xff\xfe", id="bytes that are no text"),
        pytest.param(";" * 10_000, id="nothing but semicolons"),
        pytest.param("=", id="nothing at all"),
        pytest.param(f"{NAME}; {NAME}", id="names without values"),
    ],
)
def test_odd_cookies_are_no_cookies(open_site: Opener, cookies: str) -> None:
    """Their bearer is a newcomer."""
    site = open_site()
    assert harmless(site.show(cookies)).data == b"the checkout"
    assert is_waiting(site.show(cookies))


@pytest.mark.parametrize(
    "around",
    [
        pytest.param("{}", id="alone"),
        pytest.param('{0[0]}="{0[1]}"', id="in quotes"),
        pytest.param(f"{NAME}=junk; {{}}", id="behind one of the same name"),
        pytest.param(f"{{}}; {NAME}=junk", id="before one of the same name"),
        pytest.param("a=b;{};c=d", id="without spaces"),
        pytest.param("a=" + "x" * 50_000 + "; {}", id="behind 50 KB"),
    ],
)
def test_a_good_cookie_is_found_among_odd_ones(open_site: Opener, around: str) -> None:
    """Somebody else's cookie must not lock a visitor out."""
    site = open_site()
    pair = (NAME, site.fill().token())
    header = around.format(pair) if "0[0]" in around else around.format("=".join(pair))
    assert site.show(header).data == b"the checkout"


def test_a_flood_of_cookies_costs_a_bounded_number_of_signatures(
    open_plain: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of well-formed forgeries is not worth more work than a few."""
    site, checked = open_plain(), []
    read = Tokens.read
    monkeypatch.setattr(Tokens, "read", lambda self, *args: checked.append(1) or read(self, *args))
    forged = "; ".join(
        f"{NAME}={signed(f'l1.{SID}.{FAR}.{number}', key='guessed')}" for number in range(2000)
    )
    harmless(site.show(forged))
    assert len(checked) <= 50


def test_a_cookie_deleted_while_waiting(open_site: Opener) -> None:
    """The page is told so, and comes back as a newcomer at the end of the line."""
    site = open_site()
    site.fill()
    browser = site.browser()
    number = browser.place()["number"]
    browser.delete_cookie(NAME, domain="shop.example")
    assert browser.post(CHECK_IN).json["state"] == "no-ticket"
    assert browser.place()["number"] == number + 1


def test_coming_back_from_a_payment_provider(open_site: Opener) -> None:
    """SameSite=Lax cookies come with a link from another site; the gate does not mind where it stood."""
    browser = (site := open_site()).fill()
    headers = {
        "Sec-Fetch-Site": "cross-site",
        "Referer": "https://bank.example/",
        "Origin": "https://bank.example",
    }
    assert browser.get(CHECKOUT, headers=headers).data == b"the checkout"
    assert not site.is_in()


# --- paths


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("//events/gala/checkout", id="two slashes in front"),
        pytest.param("events/gala/checkout", id="no slash in front"),
        pytest.param("/./events/gala/checkout", id="a dot"),
        pytest.param("/x/../events/gala/checkout", id="up and down"),
        pytest.param("/events/gala/checkout//", id="slashes behind"),
        pytest.param("/events/gala/checkout;a=b", id="a parameter"),
        pytest.param("/Events/gala/Checkout", id="capitals"),
        pytest.param("/events%2fgala%2fcheckout", id="an encoded slash"),
        pytest.param("/events/gala/%63heckout", id="an encoded letter"),
        pytest.param("/events/gala/%2563heckout", id="a doubly encoded letter"),
        pytest.param("\\events\\gala\\checkout", id="backslashes"),
        pytest.param("/events/gala/checkout ", id="a space behind"),
        pytest.param("/events/gala/checkout\x00", id="NUL"),
        pytest.param("/events/gala/checkout\n", id="a newline"),
        pytest.param(f"//{EVIL}/../events/gala/checkout", id="a host in the path"),
        pytest.param("/events/gala/checkout/x.css", id="a file below it, for a cache that keeps files"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_odd_path_is_gated_as_it_is(open_site: Opener, path: str, method: str) -> None:
    """The waiting page, and no redirect to the path's plain form."""
    site = open_site(capacity=0, is_guarded=False)
    response = site.browser().open("/", method=method, environ_overrides={"PATH_INFO": path})
    assert is_waiting_of_this_site(response)
    assert not site.shop.seen


def is_waiting_of_this_site(response: TestResponse) -> bool:
    """A waiting page, all of whose addresses are this site's."""
    assert foreign_addresses(response) == []
    assert "Location" not in response.headers
    return response.status_code == 503 and response.headers["Cache-Control"] == "no-store"


def foreign_addresses(response: TestResponse) -> list[str]:
    """Where a page could lead that isn't a path of this site: // and /\\ are hosts to a browser."""
    addresses = re.findall(r'(?:content="\d+;url=|href="|action="|src=")([^"]*)', response.text)
    return [address for address in addresses if not re.match(r"/(?![/\\])|data:", address)]


@pytest.mark.parametrize("path", ["/events/gala/checkoutx", "/events/gala/checkout.bak", "/events/gala"])
def test_a_path_beside_is_not_gated(open_site: Opener, path: str) -> None:
    """The application answers it, with a page or with 404."""
    site = open_site(capacity=0)
    assert site.browser().get(path).status_code == 200
    assert site.shop.seen[0].admission is None


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"HTTP_X_ORIGINAL_URL": HOME}, id="X-Original-URL"),
        pytest.param({"HTTP_X_REWRITE_URL": HOME}, id="X-Rewrite-URL"),
        pytest.param({"HTTP_X_FORWARDED_PREFIX": "/x"}, id="X-Forwarded-Prefix"),
        pytest.param({"HTTP_X_SCRIPT_NAME": "/events"}, id="X-Script-Name"),
        pytest.param({"REQUEST_URI": HOME, "RAW_URI": HOME}, id="REQUEST_URI"),
        pytest.param({"HTTP_HOST": f"{EVIL}/static"}, id="a path in Host"),
        pytest.param({"HTTP_X_FORWARDED_HOST": EVIL}, id="X-Forwarded-Host"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, id="X-Forwarded-For"),
        pytest.param({"HTTP_FORWARDED": f"host={EVIL};proto=https"}, id="Forwarded"),
    ],
)
def test_headers_about_the_path_are_not_believed(open_site: Opener, environ: dict[str, str]) -> None:
    """What is asked for is what the server says: the check-out stays gated, and the rest stays open."""
    site = open_site(capacity=0, is_guarded=False)
    response = site.browser().get(CHECKOUT, environ_overrides=environ)
    assert is_waiting_of_this_site(response)
    assert "Path=/;" in response.headers["Set-Cookie"] + ";"
    assert EVIL not in response.text
    if "HTTP_HOST" not in environ:
        there = {name: CHECKOUT if value == HOME else value for name, value in environ.items()}
        assert harmless(site.browser().get(HOME, environ_overrides=there)).data == b"a page"


def test_a_prefix_that_looks_like_the_check_out(open_site: Opener) -> None:
    """Rules are relative to the application: mounted there, its root is its root."""
    site = open_site(capacity=0, is_guarded=False)  # Django sends a relative address under ASGI
    environ = {"SCRIPT_NAME": CHECKOUT, "PATH_INFO": ""}
    site.browser().get("/", environ_overrides=environ)
    assert all(seen.path in ("", "/") for seen in site.shop.seen)


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https:evil.example", "javascript:alert(1)"]
)
@pytest.mark.parametrize("path", [CHECKOUT, LEAVE, CHECK_IN])
def test_no_parameter_is_an_address_to_go_to(open_site: Opener, path: str, target: str) -> None:
    """There is no open redirect, as there is no redirect."""
    site = open_site(capacity=0)
    query = dict.fromkeys(("next", "url", "return", "target"), target)
    response = site.browser().post(path, query_string=query)
    assert "Location" not in response.headers
    assert foreign_addresses(response) == []


# --- methods


@pytest.mark.parametrize("method", ["PAST", "get", "TRACE", "CONNECT", "PROPFIND", "G-T", "X" * 500])
@pytest.mark.parametrize("methods", [None, ["POST"]], ids=["every method is meant", "POST is meant"])
def test_an_odd_method_waits_like_any(open_site: Opener, method: str, methods: Any) -> None:
    """Some frameworks answer a method they don't know with the view. (get is GET to Flask.)"""
    site = open_site(capacity=0, is_guarded=False, methods=methods)
    response = site.browser().open(CHECKOUT, method="GET", environ_overrides={"REQUEST_METHOD": method})
    if methods and method == "get":
        assert harmless(response).status_code in (200, 405)
    else:
        assert is_waiting(response)


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_in_a_header_is_no_way_round(open_site: Opener, header: str) -> None:
    """The application may believe it, so a rule for POST means this GET as well."""
    site = open_site(capacity=0, methods=["POST"])
    assert is_waiting(site.browser().get(CHECKOUT, headers={header: "POST"}))


def test_a_websocket_waits_too(open_site: Opener) -> None:
    """An upgrade is a GET."""
    site = open_site(capacity=0)
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "x",
        "Sec-WebSocket-Version": "13",
    }
    assert is_waiting(site.browser().get(CHECKOUT, headers=upgrade))


# --- names of events

NAMES = [
    pytest.param("<script>alert(1)</script>", id="a script"),
    pytest.param("</script><script>alert(1)", id="the end of ours"),
    pytest.param('"onmouseover="alert(1)', id="a quotation mark"),
    pytest.param("'-alert(1)-'", id="an apostrophe"),
    pytest.param("{{7*7}}{%25}", id="a template"),
    pytest.param("%(position)s%s%n", id="a format"),
    pytest.param(f"a\r\nSet-Cookie: {EVIL}=1", id="a header"),
    pytest.param("a\x00b", id="NUL"),
    pytest.param("\u202egnp.exe", id="text that runs backwards"),
    pytest.param("*" * 10_000, id="ten kilobytes"),
    pytest.param("admitgate:{x}:line", id="the name of a key"),
    pytest.param("~Li4v", id="a slug"),
    pytest.param("..;", id="dots"),
]


@pytest.mark.parametrize("name", NAMES)
def test_an_event_of_any_name_is_only_a_name(open_site: Opener, redis_client: redis.Redis, name: str) -> None:
    """On the page, in JSON, in headers, in Redis and at the addresses that the page asks."""
    site = open_site(capacity=0, path="/events/<path:event>/checkout", release_on=None, is_guarded=False)
    at = {"PATH_INFO": f"/events/{name}/checkout".encode().decode("latin-1")}
    page = site.browser().get("/", environ_overrides=at)
    assert is_waiting_of_this_site(page)
    assert EVIL not in str(page.headers)
    assert not re.search(r"<script>alert|\"onmouseover=\"alert|</script><script>alert", page.text)
    assert ">49{" not in page.text
    assert len(page.data) < 40_000
    told = site.browser().get("/", environ_overrides=at, headers=JSON)
    assert len(told.json["event"]) <= 120
    status = site.browser().get(told.json["poll_url"])
    assert status.json["event"] == told.json["event"]
    assert (status.mimetype, status.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
    assert all(
        re.fullmatch(rb"admitgate:\{[0-9a-f]{16}\}:[a-z:]+", key) for key in sites.state_keys(redis_client)
    )


def invented(number: int) -> dict[str, Any]:
    """A request for an event that nobody has heard of."""
    environ: dict[str, Any] = {"PATH_INFO": f"/events/invented-{number}/checkout"}
    setup_testing_defaults(environ)
    return environ


def test_ten_thousand_invented_events_leave_nothing(open_plain: Opener, redis_client: redis.Redis) -> None:
    """The application says 404 to each: no keys in Redis, no marks in the worker."""
    site = open_plain(is_guarded=False)
    site.shop.view = lambda seen: Said(status=404)
    for number in range(10_000):
        list(site.app(invented(number), lambda *start: None))
        site.shop.seen.clear()
    assert sites.state_keys(redis_client) == []
    assert len(site.app._edge.gate._memories._events) <= 1


def test_invented_events_leave_nothing_on_any_edge(open_site: Opener, redis_client: redis.Redis) -> None:
    """The same for a few, with a real event among them that is not forgotten."""
    site = open_site()
    inside = site.fill()
    keys = sites.state_keys(redis_client)
    site.shop.view = lambda seen: Said(status=404)
    for number in range(50):
        site.browser().get(f"/events/invented-{number}/checkout")
    assert sites.state_keys(redis_client) == keys
    site.shop.view = lambda seen: Said()
    assert site.is_in(inside)
    assert not site.is_in()


def test_asking_for_the_status_of_invented_events_leaves_nothing(
    open_plain: Opener, redis_client: redis.Redis
) -> None:
    """No keys, and a worker's memory that is bounded: the event that people come for stays in it."""
    site = open_plain(is_guarded=False)
    inside = site.fill()
    keys = sites.state_keys(redis_client)
    for number in range(4_500):
        environ: dict[str, Any] = {"PATH_INFO": f"/_admitgate/status/invented-{number}"}
        setup_testing_defaults(environ)
        list(site.app(environ, lambda *start: None))
        if number % 1000 == 0:
            assert site.is_in(inside)
    assert sites.state_keys(redis_client) == keys
    memories = site.app._edge.gate._memories._events
    assert len(memories) <= 4_097
    before = sites.script_calls(redis_client)
    assert site.is_in(inside)
    assert sites.script_calls(redis_client) == before


# --- caches


def test_the_status_is_the_same_whatever_is_asked_along(open_site: Opener, redis_client: redis.Redis) -> None:
    """Random query strings, cookies, headers: one body, kept for a second, at no cost to Redis."""
    site = open_site()
    inside = site.fill()
    cookies = f"{NAME}={inside.token()}; sessionid=1"
    first = site.show("", STATUS)
    before = sites.script_calls(redis_client)
    for number in range(30):
        answer = site.show(
            cookies, f"{STATUS}?{number}", headers={"Accept-Language": "de", "Range": "bytes=0-1"}
        )
        assert answer.data == first.data
        assert answer.headers["Cache-Control"] == "public, max-age=1"
        assert "Set-Cookie" not in answer.headers
        assert "Vary" not in answer.headers
    assert sites.script_calls(redis_client) == before


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (CHECKOUT, "GET"),
        (f"{CHECKOUT}/x.css", "GET"),
        (CHECKOUT, "POST"),
        (CHECK_IN, "POST"),
        (LEAVE, "POST"),
    ],
)
def test_what_is_one_visitors_is_kept_by_no_cache(open_site: Opener, path: str, method: str) -> None:
    """no-store, on every answer of the gate's that knows a visitor."""
    site = open_site(capacity=0)
    browser = site.browser()
    browser.place()
    assert browser.open(path, method=method).headers["Cache-Control"] == "no-store"


# --- resources and time


def test_a_crowd_without_cookies_costs_redis_nothing_each(
    open_site: Opener, redis_client: redis.Redis
) -> None:
    """A visitor in line is a number in a cookie: no key, no member, no byte."""
    site = open_site()
    site.fill()
    site.browser().place()
    before = {key: redis_client.memory_usage(key) for key in sites.state_keys(redis_client)}
    for _ in range(200):
        site.browser().get(CHECKOUT)
    after = {key: redis_client.memory_usage(key) for key in sites.state_keys(redis_client)}
    assert after.keys() == before.keys()
    assert sum(after.values()) <= sum(before.values()) + 200


def test_joining_and_releasing_in_a_loop_stays_bounded(open_plain: Opener, redis_client: redis.Redis) -> None:
    """What is remembered of releases has an end: 10 times the capacity and a thousand."""
    site = open_plain(is_guarded=False)
    site.shop.view = lambda seen: Said(headers=(("Admitgate-Release", "1"),))
    for _ in range(1_300):
        list(site.app(invented(0), lambda *start: None))
    (released,) = [key for key in sites.state_keys(redis_client) if key.endswith(b":released")]
    assert redis_client.zcard(released) <= 1_012


def test_renewing_in_a_loop_asks_redis_no_more_often(open_site: Opener, redis_client: redis.Redis) -> None:
    """A fresh lease is believed without asking."""
    site = open_site()
    inside = site.fill()
    before = sites.script_calls(redis_client)
    for _ in range(50):
        assert site.is_in(inside)
    assert sites.script_calls(redis_client) == before


def test_every_key_ends_by_itself(open_site: Opener, clock: Clock, redis_client: redis.Redis) -> None:
    """A day after the last call, whatever was done."""
    site = open_site()
    first, second = site.fill(), site.browser()
    second.place()
    second.check_in()
    first.get(THANKS)
    clock.forward(6)
    second.check_in()
    site.is_in(second)
    site.browser().place()
    assert len(sites.state_keys(redis_client)) >= 3
    for key in sites.state_keys(redis_client):
        assert 0 < redis_client.pttl(key) <= 25 * 3_600_000, key


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
def test_a_workers_own_clock_does_not_matter(
    open_site: Opener, clock: Clock, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """An hour off either way: leases end when Redis says so."""
    site = open_site(lease_seconds=60)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + hours * 3600)
    inside = site.fill()
    clock.forward(59)
    assert site.is_in(inside)
    assert not site.is_in()


@pytest.mark.parametrize("seconds", [-3600, -30, 30, 3600])
def test_a_step_of_redis_clock_frees_nobodys_slot(open_site: Opener, clock: Clock, seconds: float) -> None:
    """Put forward, put back: a worker's monotonic clock knows better."""
    site = open_site(lease_seconds=60)
    inside = site.fill()
    clock.forward(1)
    clock.step(seconds)
    assert not site.is_in()
    clock.forward(25)
    assert site.is_in(inside)
    assert not site.is_in()


@pytest.mark.parametrize(
    ("capacity", "newcomers"),
    [pytest.param(0, 0, id="to none"), pytest.param(1, 0, id="to one"), pytest.param(4, 2, id="doubled")],
)
def test_capacity_changed_live(
    open_site: Opener, redis_client: redis.Redis, capacity: int, newcomers: int
) -> None:
    """Nobody is thrown out; nobody goes in until there is room."""
    site = open_site(capacity=2)
    inside = [site.fill(), site.fill()]
    key = next(key for key in sites.state_keys(redis_client) if key.endswith(b":leases"))
    redis_client.hset(key.replace(b":leases", b":settings"), "capacity", capacity)
    assert sum(site.is_in() for _ in range(4)) == newcomers
    assert all(site.is_in(browser) for browser in inside)


def everything(site: Site) -> None:
    """Every answer that the gate has."""
    browser = site.browser()
    for path in (CHECKOUT, STATUS, f"{CHECKOUT}/x", "/_admitgate/", "/_admitgate/healthz"):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT"):
            harmless(browser.open(path, method=method))
    browser.post(CHECK_IN), browser.post(LEAVE)


def test_no_answer_tells_who_else_is_there(open_site: Opener) -> None:
    """No visitor's name, no token, no key of Redis', no version in anything that others see."""
    site = open_site(capacity=1)
    inside = site.fill()
    everything(site)
    told = site.browser().get(STATUS).text + site.browser().get(CHECKOUT).text
    assert inside.token().split(".")[1] not in told
    assert not re.search(r"admitgate:\{|redis|Traceback", told, re.IGNORECASE)
