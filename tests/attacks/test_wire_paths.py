"""Paths: whatever a server makes of them, the check-out is gated and what is beside it isn't."""

from __future__ import annotations

import pytest
from attack_lines import about
from attack_site import EVIL, Reply, Site
from attack_words import MOUNTED_AT


def written(line: str, path: str, name: str = "") -> object:
    """A case: the path as it stands in the request line."""
    return pytest.param(path, id=name or line, marks=about(line))


ODD_PATHS = [
    written("//checkout", "//checkout"),
    written("//checkout", "///checkout", "///checkout"),
    written("checkout without its slash", "checkout"),
    written("/./checkout", "/./checkout"),
    written("/./checkout", "/%2e/checkout", "/%2e/checkout"),
    written("/x/../checkout", "/x/../checkout"),
    written("/x/../checkout", "/x/%2e%2e/checkout", "/x/%2e%2e/checkout"),
    written("/x/../checkout", f"//{EVIL}/../checkout", "//host/../checkout"),
    written("/checkout//", "/checkout//"),
    written("/checkout//", "/checkout//..", "/checkout//.."),
    written("/checkout//", "/checkout////../////x", "/checkout////../////x"),
    written("/checkout;a=b", "/checkout;a=b"),
    written("/checkout;a=b", "/x;a=b/../checkout;c", "/x;a=b/../checkout;c"),
    written("/Checkout", "/Checkout"),
    written("/Checkout", "/CHECKOUT", "/CHECKOUT"),
    written("/Checkout", "/chec%E2%84%AAout", "a sign for Kelvin"),
    written("/Checkout", "/li%C5%BFted/gala/checkout", "a long s"),
    written("/Checkout", "/L%C4%B0%C5%BFTED/gala/checkout", "a capital i with its dot"),
    written("a number, spelled in another way", "/numbered/12/checkout", "a number"),
    written("a number, spelled in another way", "/numbered/%2B12/checkout", "with a sign"),
    written("a number, spelled in another way", "/numbered/%2012/checkout", "with a space"),
    written("a number, spelled in another way", "/numbered/1_2/checkout", "in groups"),
    written("a number, spelled in another way", "/numbered/%D9%A1%D9%A2/checkout", "in other digits"),
    written("%2f", "/x%2f..%2fcheckout"),
    written("%2f", "/%2fcheckout", "/%2fcheckout"),
    written("%2f", "%2fcheckout", "no slash but %2f"),
    written("%63", "/%63heckout"),
    written("%63", "/%43heckout", "%43, a capital"),
    written("double encoding", "/%2563heckout"),
    written("double encoding", "/%252563heckout", "threefold encoding"),
    written("backslash", "\\checkout"),
    written("backslash", "/x\\..\\checkout", "backslashes and dots"),
    written("backslash", "/%5ccheckout", "backslash, encoded"),
    written("trailing space", "/checkout%20"),
    written("trailing space", "/checkout ", "trailing space, raw"),
    written("trailing NUL", "/checkout%00"),
    written("trailing NUL", "/checkout\x00", "trailing NUL, raw"),
    written("trailing newline", "/checkout%0a"),
    written("trailing newline", "/checkout%0d%0a", "trailing CR and LF"),
    written("trailing newline", "/checkout\n", "trailing newline, raw"),
    written("/checkout/x.css deception", "/checkout/x.css", "a file below it"),
    written("REQUEST_URI that differs", f"http://{EVIL}/checkout", "a whole URL"),
    written("REQUEST_URI that differs", f"http://{EVIL}//checkout?/static", "a whole URL with a query"),
    written("REQUEST_URI that differs", "/checkout?/static/x.css", "a query that looks like a path"),
    written("REQUEST_URI that differs", "/checkout#/static/x.css", "a fragment"),
]


@pytest.mark.may_be_refused
@pytest.mark.parametrize("path", ODD_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_odd_path_to_the_check_out_is_gated(site: Site, path: str, method: str) -> None:
    """The waiting page, or the application's 404: never the check-out, never a way to a plainer path."""
    assert_is_kept_out(site.send(path, method))


def assert_is_kept_out(reply: Reply) -> None:
    """Turned away by the gate, or unknown to the application."""
    assert not reply.is_checkout
    assert reply.status in (503, 404)
    assert not reply.all("Location")
    assert reply.status == 404 or reply.is_waiting


@about("never redirect to normalise")
@pytest.mark.parametrize("path", ["//checkout", "/checkout/", "/./checkout", "/Checkout", "/x/../checkout"])
def test_nobody_is_redirected_to_the_plain_path(site: Site, path: str) -> None:
    """The waiting page stays where the visitor is, and its addresses are this site's."""
    reply = site.send(path)
    assert reply.is_waiting
    assert not reply.all("Location")


@about("/checkoutx is not gated")
@pytest.mark.parametrize("path", ["/checkoutx", "/checkout.bak", "/checkout-x/y", "/xcheckout", "/check/out"])
def test_a_path_beside_the_check_out_is_not_gated(site: Site, path: str) -> None:
    """The application answers it, and gets no cookie of ours."""
    reply = site.send(path)
    assert (reply.status, reply.body) == (200, b"a page")
    assert not reply.all("Set-Cookie")


@about("SCRIPT_NAME with an empty PATH_INFO")
def test_rules_are_relative_to_the_application(site: Site) -> None:
    """Mounted at a path that ends like the check-out, its root is a page and its check-out is gated."""
    root = site.send(MOUNTED_AT)
    assert root.body == b"a page" or root.get("Location").endswith(MOUNTED_AT + "/")  # Flask's own way
    assert site.send(MOUNTED_AT + "/").body == b"a page"
    below = site.send(MOUNTED_AT + "/checkout")
    assert below.is_waiting
    assert f"Path={MOUNTED_AT}/" in below.get("Set-Cookie")
    assert f"{MOUNTED_AT}/_admitgate/" in below.text


@about("SCRIPT_NAME with an empty PATH_INFO")
@pytest.mark.may_be_refused
@pytest.mark.parametrize("header", ["SCRIPT_NAME", "PATH_INFO", "Script-Name", "Path-Info"])
def test_a_header_of_that_name_opens_nothing(site: Site, header: str) -> None:
    """Whatever the server takes it for, the gate and the application see the same path."""
    for value in ("/checkout", "/static", ""):
        assert not site.send("/checkout", headers={header: value}).is_checkout


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("X-Forwarded-Prefix", marks=about("X-Forwarded-Prefix")),
        pytest.param("X-Script-Name", marks=about("X-Script-Name")),
        pytest.param("X-Original-URL", marks=about("X-Original-URL")),
        pytest.param("X-Rewrite-URL", marks=about("X-Rewrite-URL")),
        pytest.param("X-Original-URI", marks=about("X-Original-URL")),
        pytest.param("REQUEST_URI", marks=about("REQUEST_URI that differs")),
        pytest.param("Request-Uri", marks=about("REQUEST_URI that differs")),
    ],
)
def test_a_header_about_the_path_is_not_believed(site: Site, header: str) -> None:
    """The check-out stays gated, everything else stays open, and no address of the page's changes."""
    plain = site.send("/checkout")
    for value in ("/static", "/", "/checkoutx", f"//{EVIL}/"):
        reply = site.send("/checkout", headers={header: value})
        assert reply.is_waiting
        assert "Path=/;" in reply.get("Set-Cookie")
        assert len(reply.body) == pytest.approx(len(plain.body), abs=40)
    assert site.send("/static", headers={header: "/checkout"}).body == b"a page"


@about("never match on a URL rebuilt from Host")
@pytest.mark.may_be_refused
@pytest.mark.parametrize(
    "called",
    [f"{EVIL}/static", f"{EVIL}/static?", f"{EVIL}/static#", "shop.example/checkoutx", "", "@", "[::1"],
)
def test_a_path_in_host_is_not_one(site: Site, called: str) -> None:
    """The check-out stays gated, and the rest stays open, whatever a host calls itself."""
    assert site.send("/checkout", headers={"Host": called}).is_waiting
    other = site.send("/static", headers={"Host": "shop.example/checkout"})
    assert other.body == b"a page" or other.status == 400
