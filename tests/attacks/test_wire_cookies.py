"""Cookies: of any size and shape, refused, deleted, and brought back from another site."""

from __future__ import annotations

import pytest
from attack_lines import about
from attack_site import EVIL, JSON, Site


def odd(line: str, cookies: str, name: str = "") -> object:
    """A case: a Cookie header, with {} where our cookie's name belongs."""
    return pytest.param(cookies, id=name or line, marks=about(line))


@pytest.mark.may_be_refused
@pytest.mark.parametrize(
    "cookies",
    [
        odd("8 KB", "{}=" + "x" * 8_000),
        odd("64 KB", "{}=" + "x" * 64_000),
        odd("1 MB", "{}=" + "x" * 1_000_000),
        odd("500 cookies", "; ".join(f"c{number}=x" for number in range(500)), "500 cookies of other names"),
        odd("500 cookies", "{}=x; " * 500, "500 cookies of our name"),
        odd("NUL", "{}=a\x00b"),
        odd("NUL", "{}=%00", "NUL, encoded"),
        odd("CR", "{}=a\rb"),
        odd("CR", "{}=a%0db", "CR, encoded"),
        odd("LF", "{}=a\nb"),
        odd("LF", "{}=a%0ab", "LF, encoded"),
        odd("LF", f"{{}}=a\r\nX-Injected: {EVIL}", "CR and LF and a header"),
        odd("quoted values", '{}="', "half a quotation"),
        odd("quoted values", '{}="\\"l1.x.1.1.x\\""', "quotation marks within quotation marks"),
    ],
)
def test_odd_cookies_are_no_cookies(site: Site, cookies: str) -> None:
    """Their bearer is a newcomer: let in where there is room, and waiting where there is none."""
    name = site.cookie("")[:-1]
    header = cookies.replace("{}", name)
    assert site.send(cookies=header).is_checkout
    assert site.send(cookies=header).is_waiting


@pytest.mark.parametrize(
    "around",
    [
        odd("quoted values", '{name}="{value}"', "in quotation marks"),
        odd("500 cookies", "a=b; " * 400 + "{name}={value}", "behind 400 others"),
        odd("500 cookies", "{name}=junk; {name}={value}", "behind one of the same name"),
        odd("500 cookies", "{name}={value}; {name}=junk", "before one of the same name"),
        odd("500 cookies", "a=b;{name}={value};c=d", "without spaces"),
    ],
)
def test_a_good_cookie_is_found_among_odd_ones(site: Site, around: str) -> None:
    """Somebody else's cookie must not lock a visitor out."""
    name, _, value = site.fill().partition("=")
    assert site.is_in(around.format(name=name, value=value))


@about("cookies refused altogether")
def test_who_refuses_cookies_is_told_so_and_sent_round_no_loop(site: Site) -> None:
    """No redirect; each visit waits at the end of the line, and the page says what cookies are for."""
    site.fill()
    numbers = [site.queue()[1] for _ in range(5)]
    page = site.send()
    assert numbers == sorted(set(numbers))
    assert page.is_waiting
    assert not page.all("Location")
    assert "cookies must be allowed" in page.text.lower()
    assert "allow cookies" in page.text.lower()
    assert site.post("check-in").json == {"state": "no-ticket"}


@about("deleted mid-wait")
def test_a_cookie_deleted_while_waiting_is_a_new_place_at_the_end(site: Site) -> None:
    """The page is told so, and nothing that was deleted is kept by us."""
    site.fill()
    _, number = site.queue()
    assert site.post("check-in").json["state"] == "no-ticket"
    assert site.queue()[1] == number + 1


@about("return from a payment provider")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_lease_comes_back_from_a_payment_provider_on_another_site(site: Site, method: str) -> None:
    """SameSite=Lax lets it come with a link; where the visitor comes from does not matter to the gate."""
    first = site.send()
    (cookie,) = first.all("Set-Cookie")
    assert "SameSite=Lax" in cookie
    headers = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Origin": "https://bank.example",
        "Referer": "https://bank.example/paid",
    }
    back = site.send(method=method, cookies=cookie.partition(";")[0], headers=headers)
    assert back.is_checkout
    assert site.send(headers={**headers, **JSON}).is_waiting
