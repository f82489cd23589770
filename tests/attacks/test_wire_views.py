"""Views: what goes by the router's choice is gated by whatever path the router was brought to it."""

from __future__ import annotations

import pytest
from attack_lines import about
from attack_site import Reply, Site
from attack_words import THE_DESK

SPELLINGS = [
    "/{area}/{event}",
    "//{area}/{event}",
    "/{area}//{event}",
    "/./{area}/{event}",
    "/x/../{area}/{event}",
    "/x/%2e%2e/{area}/{event}",
    "/{area}/{event}/",
    "/{area}/{event};a=b",
    "/{area};a=b/{event}",
    "/%64esk/{event}",
    "/%77indow/{event}",
    "/{area}/%65",
    "/{area}%2f{event}",
    "/{area}\\{event}",
    "/{area}/{event}%00",
    "/{area}/{event}%0a",
    "/{area}/{event}?/static/x.css",
    "http://evil.example/{area}/{event}",
    "/checkout/help/../../{area}/{event}",
]


@pytest.fixture
def routed(site: Site) -> Site:
    """A site whose framework has a router."""
    if site.host.framework == "plain WSGI":
        pytest.skip("plain WSGI has no router: a rule for an endpoint is refused at start")
    return site


def is_view(reply: Reply) -> bool:
    """Was somebody let in?"""
    return reply.body == THE_DESK.encode()


@pytest.mark.may_be_refused
@pytest.mark.parametrize(
    "area",
    [
        pytest.param("desk", id="endpoint", marks=about("an endpoint by another spelling of its path")),
        pytest.param("window", id="decorated", marks=about("a decorated view by another spelling")),
    ],
)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_view_is_gated_by_any_spelling(routed: Site, area: str, spelling: str) -> None:
    """The waiting page, or a page that isn't the view."""
    reply = routed.send(spelling.format(area=area, event=routed.event))
    assert not is_view(reply)
    assert reply.is_waiting or reply.status in (200, 301, 308, 400, 404)


@about("an unknown method to a gated view")
@pytest.mark.may_be_refused
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "TRACE", "PROPFIND", "get", "X"])
@pytest.mark.parametrize("area", ["desk", "window"])
def test_a_view_is_gated_for_every_method(routed: Site, area: str, method: str) -> None:
    """Or the router doesn't come to it."""
    reply = routed.send(f"/{area}/{routed.event}", method)
    assert not is_view(reply)
    assert reply.is_waiting or reply.status in (200, 400, 405, 501)


@about("an unknown method to a gated view")
@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override"])
def test_a_view_is_gated_whatever_a_header_says_of_the_method(routed: Site, header: str) -> None:
    """A POST that wants to be something else waits as a POST."""
    for method in ("OPTIONS", "HEAD", "X"):
        assert routed.send(f"/window/{routed.event}", "POST", headers={header: method}).is_waiting


@about("a gated path by way of an ungated view")
@pytest.mark.may_be_refused
@pytest.mark.parametrize(
    "path",
    [
        "/checkout/help",
        "/checkout/help/",
        "/checkout/help/x",
        "/checkout/help/..",
        "/checkout/help/%2e%2e",
        "/checkout/help/../pay",
        "/checkout/help%2f..%2fpay",
        "/checkout/help;/../pay",
        "/checkout//help/../pay",
        "/checkout/help\\..\\pay",
        "/checkout/help%00",
        "/checkout/help%0a",
        "//checkout/help",
        "/Checkout/help",
        "/checkout/%68elp",
    ],
)
def test_an_ungated_view_lets_nobody_past_to_another_one(routed: Site, path: str) -> None:
    """The help below the check-out is everybody's; the rest of the check-out isn't."""
    reply = routed.send(path)
    assert not reply.is_checkout
    assert reply.is_waiting or reply.status in (301, 308, 404) or reply.body == b"the help"
