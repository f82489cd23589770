"""Finding a cookie in a header that anybody may have written, and setting one."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.http import parse_cookie

from admitgate.config import Config
from admitgate.cookies import cookie_values, set_cookie
from admitgate.rules import Match, Rule
from admitgate.visit import Visit


@pytest.mark.parametrize(
    ("header", "values"),
    [
        pytest.param("", [], id="no cookies"),
        pytest.param("gate=a", ["a"], id="one"),
        pytest.param("x=1; gate=a; y=2", ["a"], id="among others"),
        pytest.param("x=1;gate=a;y=2", ["a"], id="without spaces"),
        pytest.param("gate=a; gate=b", ["a", "b"], id="the same name twice: both, as one may hide the other"),
        pytest.param('gate="a"', ["a"], id="in quotes"),
        pytest.param("gate= a ", ["a"], id="with spaces"),
        pytest.param("gate=", [""], id="empty"),
        pytest.param("gate", [], id="a name without a value"),
        pytest.param("notgate=a", [], id="a name that ends like it"),
        pytest.param("gate2=a", [], id="a name that starts like it"),
        pytest.param("x=gate=a", [], id="inside of another's value"),
        pytest.param("GATE=a", [], id="another case is another name"),
        pytest.param(";;; gate=a;;", ["a"], id="stray semicolons"),
        pytest.param("gate=a=b", ["a=b"], id="an equals sign in the value"),
        pytest.param("x=\x00; gate=a\r\n; y=\n", ["a"], id="control characters"),
        pytest.param("gate=" + "x" * 100_000, ["x" * 100_000], id="a hundred kilobytes"),
    ],
)
def test_a_cookies_values(header: str, values: list[str]) -> None:
    """Every value of the name, in order, and nothing else's."""
    assert [value.strip() for value in cookie_values(header, "gate")] == values


def test_five_hundred_cookies_do_not_hide_ours() -> None:
    """Wherever it stands."""
    header = "; ".join(f"c{number}={number}" for number in range(500))
    assert list(cookie_values(f"{header}; gate=a; {header}", "gate")) == ["a"]


def set_by(
    value: str | None, *, root: str = "", is_secure: bool = False, lease_seconds: float = 600, **options: Any
) -> str:
    """A Set-Cookie header."""
    rule = Rule("/checkout", capacity=1, lease_seconds=lease_seconds)
    config = Config.from_options(
        {
            "rules": [rule],
            "secret_key": "the shop's key, known to nobody outside",
            "redis_url": "redis://x",
            **options,
        }
    )
    visit = Visit("GET", "/checkout", root, "", lambda: is_secure, "", lambda name: "")
    return set_cookie(config, visit, Match(rule, "checkout", "gate", True, False), value)


def test_a_place_survives_a_closed_browser() -> None:
    """For a day, which is longer than any lease."""
    assert "Max-Age=86400" in set_by("a", lease_seconds=12 * 3600)


def test_taking_a_cookie_away() -> None:
    """Under the same name, path and domain, or the browser would keep it."""
    given, taken = (
        set_by("a", root="/box", cookie_domain="shop.example"),
        set_by("", root="/box", cookie_domain="shop.example"),
    )
    assert "Max-Age=0" in taken
    assert parse_cookie(taken.split(";")[0])["gate"] == ""
    for part in ("Path=/box/", "Domain=shop.example", "HttpOnly", "SameSite=Lax"):
        assert part in given
        assert part in taken


@pytest.mark.parametrize(
    ("is_secure", "setting", "secure"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_secure_follows_the_request_unless_told(is_secure: bool, setting: bool | None, secure: bool) -> None:
    """A test server without https must work; a site behind a proxy that hides https may say so."""
    assert ("Secure" in set_by("a", is_secure=is_secure, cookie_secure=setting)) is secure


@pytest.mark.parametrize("root", ["/a;b", "/a\r\nX: y", '/a"b', "/a b", "/ä"])
def test_an_odd_prefix_cannot_add_attributes(root: str) -> None:
    """The path is quoted."""
    header = set_by("a", root=root)
    assert "\r" not in header
    assert header.count("Path=") == 1
    assert len(header.split(";")) == len(set_by("a").split(";"))
