"""Methods: each is gated like any other, but for the pre-flight, which opens nothing."""

from __future__ import annotations

from typing import Any

import pytest
from attack_lines import about
from attack_site import JSON, Site

CORS = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}


@about("HEAD")
def test_head_waits_like_get_and_has_no_body(site: Site) -> None:
    """It is no way to look at what is behind."""
    reply = site.send("/checkout", "HEAD")
    assert reply.is_waiting
    assert reply.body == b""


@about("OPTIONS")
def test_options_waits_like_any_method(site: Site) -> None:
    """Views answer it."""
    assert site.send("/checkout", "OPTIONS").is_waiting


@about("CORS pre-flight")
def test_a_pre_flight_passes_and_takes_no_slot(site: Site) -> None:
    """A browser sends it without cookies: the application says who may ask. It is not a visit."""
    reply = site.send(method="OPTIONS", headers=CORS)
    assert reply.get("X-Worker")
    assert not reply.all("Set-Cookie")
    assert site.leases() == 0


@about("CORS pre-flight")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"cookies": "a=b"}, id="with a cookie"),
        pytest.param({"headers": {"Authorization": "Basic eDp5"}}, id="with credentials"),
        pytest.param({"body": b"pay=1"}, id="with a body"),
        pytest.param({"headers": {"X-HTTP-Method-Override": "GET"}}, id="that wants to be a GET"),
    ],
)
def test_what_only_looks_like_a_pre_flight_waits(site: Site, options: dict[str, Any]) -> None:
    """A browser's has neither cookies nor credentials nor a body."""
    options = {**options, "headers": {**CORS, **options.get("headers", {})}}
    assert site.send("/checkout", "OPTIONS", **options).is_waiting


@about("an unknown method")
@pytest.mark.may_be_refused
@pytest.mark.parametrize(
    "method", ["PAST", "PROPFIND", "G-T", "get", "Post", "X" * 60, "G\x00T", "GET\t", "É"]
)
@pytest.mark.parametrize("path", ["/checkout", "/post/x/checkout"], ids=["every method", "a rule for POST"])
def test_an_unknown_method_is_gated(site: Site, method: str, path: str) -> None:
    """Some frameworks answer it with the view. A GET in small letters may be one where GET isn't meant."""
    reply = site.send(path, method)
    assert not reply.is_checkout or (path != "/checkout" and method == "get")
    assert reply.is_waiting or reply.status == 405 or (path != "/checkout" and method == "get")


@about("TRACE")
@pytest.mark.may_be_refused
def test_trace_waits_and_repeats_nothing(site: Site) -> None:
    """No header comes back that a page could not have read."""
    inside = site.fill()
    reply = site.send("/checkout", "TRACE", cookies=inside, headers={"X-Secret": "s3cret"})
    assert reply.is_waiting
    assert "s3cret" not in reply.text
    assert inside.partition("=")[2] not in reply.text


@about("X-HTTP-Method-Override")
@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_in_a_header_is_no_way_round(site: Site, header: str) -> None:
    """The application may believe it, so a rule for POST means this GET as well."""
    assert site.send("/post/x/checkout").is_checkout
    assert site.send("/post/x/checkout", headers={header: "POST"}).is_waiting
    assert site.send("/checkout", "POST", headers={header: "OPTIONS", **CORS}).is_waiting


@about("POST while waiting")
def test_a_post_waits_and_is_not_passed_on(site: Site) -> None:
    """The visitor is told that nothing was sent; their place is the one they had."""
    site.fill()
    waiting, number = site.queue()
    reply = site.send(method="POST", cookies=waiting, body=b"card=1", headers=JSON)
    assert reply.is_waiting
    assert reply.json["number"] == number
    assert site.leases() == 1


@about("websocket upgrade")
def test_a_websocket_waits_too(site: Site) -> None:
    """An upgrade is a GET, and nothing is upgraded."""
    upgrade = {
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    assert site.send("/checkout", headers=upgrade).is_waiting
