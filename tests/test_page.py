"""The waiting page and its JSON twin: what is said to whom, and what nobody can make it say."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from conftest import missing
from hypothesis import given, settings
from hypothesis import strategies as st

from admitgate import page as page_module
from admitgate.decision import Place, PollPolicy
from admitgate.draw import Draw, place_in_draw, seed_hash
from admitgate.errors import ConfigError
from admitgate.figures import wait_form
from admitgate.languages import LANGUAGES
from admitgate.page import Page
from admitgate.visit import Answer, Visit

BORN = 1_700_000_000_000_000
SEED = "5eed0fada7ab1e0ff1ce5eed0fada7ab"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
IN_LINE = "You\N{RIGHT SINGLE QUOTATION MARK}re in line"
STATES = [
    *("waiting", "ready", "shared", "hold", "paused", "opens", "early", "closed", "full", "outage"),
    "prefetch",
]
NASTY = [
    pytest.param("<script>alert(1)</script>", id="a script"),
    pytest.param("</script><script>alert(1)", id="the end of a script"),
    pytest.param("<!--<script>", id="a comment that swallows scripts"),
    pytest.param('" onmouseover="alert(1)', id="a double quote"),
    pytest.param("' onmouseover='alert(1)", id="a single quote"),
    pytest.param("{{ 7 * 7 }}{% raw %}", id="template syntax"),
    pytest.param("%(place)b %s %%", id="a format"),
    pytest.param("&lt;img src=x&gt;", id="entities"),
    pytest.param("a\r\nSet-Cookie: x=1\r\n\r\n<b>", id="a header"),
    pytest.param("line\u2028separator\u2029", id="line separators"),
    pytest.param("\x00\x1b[31m", id="control characters"),
    pytest.param("~Li4vLi4v/../..", id="a path that climbs"),
    pytest.param("\u202eevent\u202c", id="text turned round"),
    pytest.param("Späti 東京 🎟", id="other alphabets"),
    pytest.param("x" * 10_000, id="ten thousand letters"),
]


def a_visit(
    method: str = "GET",
    path: str = "/events/gala/checkout",
    root: str = "",
    query: str = "",
    **headers: str,
) -> Visit:
    named = {name.replace("_", "-"): value for name, value in {"accept": BROWSER, **headers}.items()}
    return Visit(method, path, root, query, True, "", lambda name: named.get(name, ""))


def a_program(**changes: str) -> Visit:
    return a_visit(accept="application/json", **changes)


def a_place(event: str = "gala", state: str = "waiting", **changes: object) -> Place:
    facts: dict[str, object] = {"number": BORN + 1234, "position": 1234, "wait_seconds": (300, 700)}
    facts.update(serving=BORN, issued=BORN + 5000, **changes)
    return Place(event, state, **facts)  # type: ignore[arg-type]


class Reader(HTMLParser):
    """Reads a page the way a browser does: tags, what is inside scripts, and the text outside them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[tuple[str, dict[str, str | None], str]] = []
        self.text = ""
        self._open: tuple[str, dict[str, str | None]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open:
            self.inline.append((*self._open, data))
        else:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    @property
    def data(self) -> dict[str, dict[str, object]]:
        (text,) = [text for _, attrs, text in self.inline if attrs.get("id") == "admitgate"]
        found: dict[str, dict[str, object]] = json.loads(text)
        return found

    def hashes(self, kind: str) -> set[str]:
        texts = [text for tag, attrs, text in self.inline if tag == kind and "type" not in attrs]
        return {f"'sha256-{_sha256(text)}'" for text in texts}


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def read(answer: Answer) -> Reader:
    reader = Reader()
    reader.feed(answer.body.decode())
    reader.close()
    return reader


def policy_of(answer: Answer) -> dict[str, list[str]]:
    directives = dict(answer.headers)["Content-Security-Policy"].split("; ")
    return {name: values for name, *values in map(str.split, directives)}


@pytest.fixture(scope="module")
def page() -> Page:
    return Page()


# -- who gets which form


@pytest.mark.parametrize(
    ("headers", "is_json"),
    [
        pytest.param({"accept": BROWSER, "sec_fetch_dest": "document"}, False, id="a navigation"),
        pytest.param({"accept": BROWSER}, False, id="a browser without fetch metadata"),
        pytest.param({"accept": ""}, False, id="no Accept at all"),
        pytest.param({"accept": "*/*"}, False, id="anything goes"),
        pytest.param({"accept": "application/json"}, True, id="JSON"),
        pytest.param({"accept": "application/problem+json"}, True, id="problem+json"),
        pytest.param({"accept": "application/json, text/plain, */*"}, True, id="axios"),
        pytest.param({"accept": "application/json;q=0.5, text/html"}, False, id="HTML liked more"),
        pytest.param({"accept": "text/html;q=0.5, application/json"}, True, id="JSON liked more"),
        pytest.param({"accept": "text/html, application/json"}, False, id="both alike"),
        pytest.param({"accept": "application/json;q=0"}, False, id="JSON refused"),
        pytest.param({"accept": "image/png"}, False, id="neither"),
        pytest.param({"accept": "text/html", "sec_fetch_dest": "empty"}, True, id="a page's fetch"),
        pytest.param({"accept": "*/*", "sec_fetch_dest": "iframe"}, False, id="a frame"),
        pytest.param({"accept": "json;;q=,,=/" * 9000}, False, id="a hundred thousand signs of nonsense"),
    ],
)
def test_a_program_gets_json_and_a_person_gets_a_page(
    page: Page, headers: dict[str, str], is_json: bool
) -> None:
    """Only who asks for JSON, or is a fetch by the browser's own word, gets the twin."""
    kind = dict(page.answer(a_visit(**headers), a_place()).headers)["Content-Type"]
    assert kind == ("application/problem+json" if is_json else "text/html; charset=utf-8")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_accept_header_is_an_error(accept: str) -> None:
    """Whatever a client accepts, it gets an answer."""
    assert page_module._prefers_json(accept) in (True, False)


# -- headers


@pytest.mark.parametrize("visit", [a_visit(), a_program()], ids=["page", "twin"])
def test_the_headers_of_a_turned_away_visit(page: Page, visit: Visit) -> None:
    """No cache may keep the answer, no robot list it, no other site frame it."""
    answer = page.answer(visit, a_place(poll_seconds=4.2), set_cookie="admitgate_1=t; Path=/")
    headers = dict(answer.headers)
    del headers["Content-Type"], headers["Content-Security-Policy"]
    assert answer.status == 503
    assert headers == {
        "Retry-After": "5",
        "Content-Language": "en",
        "Cache-Control": "no-store",
        "Vary": "Cookie, Accept, Accept-Language",
        "X-Robots-Tag": "noindex",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Set-Cookie": "admitgate_1=t; Path=/",
        "Content-Length": str(len(answer.body)),
    }


def test_no_cookie_is_set_unless_there_is_one(page: Page) -> None:
    """A page that is shown again leaves the ticket alone."""
    assert "Set-Cookie" not in dict(page.answer(a_visit(), a_place()).headers)


@pytest.mark.parametrize("status_code", [200, 202, 429, 503])
def test_the_status_code_is_a_setting(status_code: int) -> None:
    """The twin's own status says the same as the response's."""
    page = Page(status_code=status_code)
    assert page.answer(a_visit(), a_place()).status == status_code
    twin = page.answer(a_program(), a_place())
    assert (twin.status, json.loads(twin.body)["status"]) == (status_code, status_code)


@pytest.mark.parametrize(
    ("poll_seconds", "retry_after"),
    [(0.0, "1"), (-3.0, "1"), (0.2, "1"), (2.0, "2"), (2.01, "3"), (1e9, "3600")],
)
def test_retry_after_is_a_whole_number_of_at_least_one(
    page: Page, poll_seconds: float, retry_after: str
) -> None:
    """RFC 9110 knows no fractions, and zero would be an invitation to a storm."""
    answer = page.answer(a_visit(), a_place(poll_seconds=poll_seconds))
    assert dict(answer.headers)["Retry-After"] == retry_after


@pytest.mark.parametrize("poll_seconds", [float("nan"), float("inf"), float("-inf")])
def test_a_poll_that_is_no_number_still_makes_a_page_that_a_browser_can_read(
    page: Page, poll_seconds: float
) -> None:
    """JSON has no NaN; a script that can't read its data would leave the visitor waiting for ever."""
    reader = read(page.answer(a_visit(), a_place(poll_seconds=poll_seconds)))
    assert 1 <= float(str(reader.data["place"]["poll_seconds"])) <= 3600


def test_head_gets_the_headers_and_no_body(page: Page) -> None:
    """The same headers as for GET; without a length, which a body of none would contradict."""
    head, get = page.answer(a_visit("HEAD"), a_place()), page.answer(a_visit(), a_place())
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers == tuple(header for header in get.headers if header[0] != "Content-Length")


# -- what can't be smuggled in


@pytest.mark.parametrize("event", NASTY)
@pytest.mark.parametrize("state", STATES)
def test_an_event_of_any_name_is_only_text(page: Page, event: str, state: str) -> None:
    """The page has the same tags and the same scripts as that of a harmless event."""
    plain = read(page.answer(a_visit(), a_place(state=state, was_post=True)))
    nasty = page.answer(a_visit(), a_place(event, state, was_post=True))
    reader = read(nasty)
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in plain.tags]
    assert [set(attrs) for _, attrs in reader.tags] == [set(attrs) for _, attrs in plain.tags]
    assert reader.hashes("script") == plain.hashes("script")
    assert reader.data["facts"]["event"] == event
    assert "\u2028" not in reader.inline[-2][2]


@pytest.mark.parametrize("text", NASTY)
def test_an_operators_message_is_only_text(page: Page, text: str) -> None:
    """An operator may type anything; it is shown as typed."""
    plain = read(page.answer(a_visit(), a_place(message="sold out")))
    reader = read(page.answer(a_visit(), a_place(message=text)))
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in plain.tags]
    assert reader.data["facts"]["message"] == text


@pytest.mark.parametrize("event", NASTY)
@pytest.mark.parametrize("visit", [a_visit(), a_program()], ids=["page", "twin"])
def test_no_header_changes_with_the_events_name(page: Page, visit: Visit, event: str) -> None:
    """So nothing in a name can end a header or start another."""

    def headers(of: str) -> dict[str, str]:
        found = dict(page.answer(visit, a_place(of)).headers)
        del found["Content-Length"]
        return found

    assert headers(event) == headers("gala")
    assert not any(set("\r\n") & set(value) for value in headers(event).values())


@pytest.mark.parametrize("event", NASTY)
def test_the_twin_says_any_name_as_it_is(page: Page, event: str) -> None:
    """In plain ASCII, so that no guess at an encoding can turn it into something else."""
    body = page.answer(a_program(), a_place(event)).body
    assert json.loads(body)["event"] == event
    assert body.isascii()


@settings(deadline=None)
@given(path=st.text(max_size=60), root=st.sampled_from(["", "/shop", "//evil", "/\\evil", "/a b"]))
def test_no_url_of_the_page_leaves_the_site(path: str, root: str) -> None:
    """Joined by a browser's rules, every address on the page is one of the shop's own."""
    visit = a_visit("POST", path, root, "next=//evil&x=\t'\"<>")
    reader = read(shared_page.answer(visit, a_place(was_post=True)))
    (refresh,) = [attrs["content"] for tag, attrs in reader.tags if attrs.get("http-equiv")]
    (action,) = [attrs["action"] for tag, attrs in reader.tags if tag == "form"]
    own = [str(refresh).partition(";url=")[2], str(action)]
    own += [str(url) for url in reader.data["facts"]["urls"].values()]  # type: ignore[attr-defined]
    for url in own:
        assert re.match(r"/(?![/\\])", url), url
        assert re.fullmatch(r"[!-~]*", url), url
        assert urlsplit(urljoin("https://shop.example/x", url)).netloc == "shop.example"


shared_page = Page()


def test_a_post_is_told_so_and_comes_back_by_get(page: Page) -> None:
    """Without a script a plain refresh might send the form again, so it names the address."""
    visit = a_visit("POST", "/events/gala/check out", "/shop", "seat=A1&row=%C3%A4")
    reader = read(page.answer(visit, a_place(was_post=True, poll_seconds=7.0)))
    (refresh,) = [attrs["content"] for _, attrs in reader.tags if attrs.get("http-equiv")]
    assert refresh == "7;url=/shop/events/gala/check%20out?seat=A1&row=%C3%A4"
    assert "nothing was ordered" in reader.words


def test_a_get_only_refreshes(page: Page) -> None:
    """Never more often than every two seconds: each refresh is a whole request."""
    reader = read(page.answer(a_visit(), a_place(poll_seconds=0.5)))
    assert [attrs["content"] for _, attrs in reader.tags if attrs.get("http-equiv")] == ["2"]
    assert "nothing was ordered" not in reader.words


# -- the policy


@pytest.mark.parametrize("state", STATES)
def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(page: Page, state: str) -> None:
    """The hashes in the header are those of what a browser finds inline."""
    answer = page.answer(a_visit(), a_place(state=state, message="<script>1</script>"))
    reader, policy = read(answer), policy_of(answer)
    assert policy == {
        "default-src": ["'none'"],
        "style-src": [*reader.hashes("style")],
        "script-src": [*reader.hashes("script")],
        "connect-src": ["'self'"],
        "img-src": ["data:"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    assert len(reader.hashes("script")) == len(reader.hashes("style")) == 1
    assert not any("style" in attrs for _, attrs in reader.tags)
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)


@pytest.mark.parametrize(
    ("status_url", "origin", "poll_url"),
    [
        pytest.param(
            "https://queue.example/_admitgate/",
            ["https://queue.example"],
            "https://queue.example/_admitgate/status/gala",
            id="another host",
        ),
        pytest.param(
            "http://[::1]:8080/q",
            ["http://[::1]:8080"],
            "http://[::1]:8080/q/status/gala",
            id="a port and no slash at the end",
        ),
        pytest.param("/q/", [], "/q/status/gala", id="another path here"),
        pytest.param(
            "https://u:p@queue.example; script-src *",
            ["https://queue.example%3B%20script-src%20%2A"],
            "https://u:p@queue.example; script-src */status/gala",
            id="a directive inside",
        ),
    ],
)
def test_polls_may_go_to_another_server_and_nothing_else_may(
    status_url: str, origin: list[str], poll_url: str
) -> None:
    """Check-in and leave carry the cookie, so they stay with the shop."""
    answer = Page(status_url=status_url).answer(a_program(), a_place())
    assert policy_of(answer)["connect-src"] == ["'self'", *origin]
    twin = json.loads(answer.body)
    assert twin["poll_url"] == poll_url
    assert twin["check_in_url"] == "/_admitgate/check-in/gala"
    assert twin["leave_url"] == "/_admitgate/leave/gala"


@pytest.mark.parametrize(
    ("mount", "root", "check_in_url"),
    [
        pytest.param("/_admitgate/", "", "/_admitgate/check-in/gala", id="as it comes"),
        pytest.param("/_admitgate/", "/shop", "/shop/_admitgate/check-in/gala", id="below a prefix"),
        pytest.param("queue", "/über uns", "/%C3%BCber%20uns/queue/check-in/gala", id="quoted"),
    ],
)
def test_the_endpoints_lie_below_the_mount(mount: str, root: str, check_in_url: str) -> None:
    """A site that is served below a prefix finds its endpoints below the same prefix."""
    twin = json.loads(Page(mount=mount).answer(a_program(root=root), a_place()).body)
    assert twin["check_in_url"] == check_in_url


# -- what is said


@pytest.mark.parametrize(
    ("place", "said"),
    [
        pytest.param(a_place(), ["in line", "about 1,234", "5 to 12 minutes"], id="waiting"),
        pytest.param(a_place(position=1), ["Your place in line 1 "], id="next, which is not about"),
        pytest.param(a_place(wait_seconds=None), ["be said yet"], id="waiting, speed unknown"),
        pytest.param(
            a_place(state="ready", position=2, is_about=False, wait_seconds=(5, 20)),
            ["nearly there", "Your place in line 2 ", "a minute or less"],
            id="ready",
        ),
        pytest.param(a_place(state="hold", wait_seconds=None), ["nobody loses their place"], id="hold"),
        pytest.param(
            a_place(waited_seconds=750), ["In line for 12 minutes", "G95-NSJ"], id="in line already"
        ),
        pytest.param(a_place(), ["About 1,233 people are ahead of you"], id="people ahead"),
        pytest.param(
            a_place(position=2, is_about=False), ["1 person is ahead of you"], id="one person ahead"
        ),
        pytest.param(a_place(position=1), ["Nobody is ahead of you"], id="nobody ahead"),
        pytest.param(
            a_place(state="paused"), ["line is paused", "Places are kept", "goes on by itself"], id="paused"
        ),
        pytest.param(
            a_place(state="opens", opens_at=1_795_511_700_000),
            ["Not open yet", "Opens 2026-11-24 09:15 UTC"],
            id="opens at",
        ),
        pytest.param(
            a_place(state="early", number=None, position=None, opens_at=1_795_511_700_000),
            ["The waiting room isn", "joins by itself", "Opens 2026-11-24 09:15 UTC"],
            id="too early",
        ),
        pytest.param(
            a_place(state="opens", position=None, seed=SEED),
            ["put into a random order", "Check the draw", f"SHA-256: {seed_hash(SEED)}"],
            id="before a draw",
        ),
        pytest.param(
            a_place(seed=SEED, draw=Draw(BORN, BORN + 56_789)),
            [
                f"Your place was drawn: {place_in_draw(SEED, 56_789, 1234):,} of 56,789",
                f"admitgate verify --seed {SEED} --count 56789 --ordinal 1234 --hash {seed_hash(SEED)}",
            ],
            id="after a draw",
        ),
        pytest.param(
            a_place(state="shared", position=None),
            ["Your place is kept", "Others from your connection or account", "is through"],
            id="shared",
        ),
        pytest.param(a_place(state="closed"), ["line is closed", "Nobody else is let in"], id="closed"),
        pytest.param(
            a_place(state="full", number=None, position=None),
            ["line is full", "could not be given a place", "asks again by itself"],
            id="full",
        ),
        pytest.param(
            a_place(state="outage", number=None, position=None),
            ["look up the line right now", "You keep your place", "tries again by itself"],
            id="outage",
        ),
        pytest.param(
            a_place(state="prefetch", number=None, position=None), ["not in line yet"], id="prefetch"
        ),
    ],
)
def test_each_state_has_its_own_words_also_without_a_script(
    page: Page, place: Place, said: list[str]
) -> None:
    """Everything is in the page as text; the script only keeps it up to date."""
    words = read(page.answer(a_visit(), place)).words
    for sentence in said:
        assert sentence in words
    assert "Cookies must be allowed" in words
    assert ("second tab keeps your place" in words) == (place.number is not None)
    assert ("Leave the line" in words) == (place.number is not None)


@pytest.mark.parametrize("state", STATES)
def test_the_operators_message_is_shown_in_every_state(page: Page, state: str) -> None:
    """Also to those who have no number."""
    place = a_place(state=state, number=None, position=None, message="Row A is sold out")
    assert "Row A is sold out" in read(page.answer(a_visit(), place)).words


def test_who_took_no_part_in_a_draw_is_told_nothing_of_it(page: Page) -> None:
    """They came later, and stand behind it."""
    words = read(page.answer(a_visit(), a_place(seed=SEED, draw=Draw(BORN, BORN + 1000)))).words
    assert "draw" not in words.lower().replace("withdraw", "")


def test_the_script_and_programs_are_told_of_a_draw(page: Page) -> None:
    """Programs the number that counts, too: they needn't reckon it."""
    draw = Draw(BORN, BORN + 5000, BORN + 10, BORN + 20)
    place = a_place(seed=SEED, draw=draw)
    told = {"hash": seed_hash(SEED), "seed": SEED, "first": BORN, "last": BORN + 5000}
    told["hole"] = [BORN + 10, BORN + 20]
    assert read(page.answer(a_visit(), place)).data["place"]["draw"] == told
    problem = json.loads(page.answer(a_visit(accept="application/json"), place).body)
    assert (problem["draw"], problem["number"]) == (told, BORN + 1234)
    assert problem["drawn_number"] == BORN + place_in_draw(SEED, 4990, 1224)


def test_a_seed_that_an_operator_wrote_cannot_break_out(page: Page) -> None:
    """Nor does its hash tell it."""
    place = a_place(seed="</script><b>", draw=Draw(BORN, BORN + 5000))
    reader = read(page.answer(a_visit(), place))
    assert "b" not in {tag for tag, _ in reader.tags}
    assert reader.data["place"]["draw"]["seed"] == "</script><b>"
    assert "</script><b>" not in page.answer(a_visit(), a_place(seed="</script><b>")).body.decode()


def test_people_see_positions_and_never_numbers(page: Page) -> None:
    """The number is in the data for the script, and nowhere in the text."""
    reader = read(page.answer(a_visit(), a_place()))
    assert str(BORN)[:9] not in reader.words
    place = reader.data["place"]
    assert int(str(place.pop("now"))) > BORN / 1e6
    assert place == {
        "state": "waiting",
        "number": BORN + 1234,
        "position": 1234,
        "is_about": True,
        "wait_seconds": [300, 700],
        "serving": BORN,
        "issued": BORN + 5000,
        "poll_seconds": 5.0,
        "waited_seconds": None,
        "opens_at": 0,
        "clock": 0,
    }


def test_the_script_gets_the_poll_policy() -> None:
    """So that the page keeps to it from its first question on."""
    answer = Page(poll=PollPolicy(floor=1, ceiling=9, divisor=4)).answer(a_visit(), a_place())
    assert read(answer).data["facts"]["poll"] == {"floor": 1, "ceiling": 9, "divisor": 4, "guarded": 6}


def test_the_page_is_one_response_that_anybody_can_read(page: Page) -> None:
    """No second request; a language, a viewport, one live region; and small."""
    answer = page.answer(a_visit(), a_place(message="Row A is sold out", was_post=True))
    reader = read(answer)
    assert ("html", {"lang": "en", "dir": "ltr"}) in reader.tags
    assert any(attrs.get("name") == "viewport" for _, attrs in reader.tags)
    assert sum("aria-live" in attrs for _, attrs in reader.tags) == 1
    for _, attrs in reader.tags:
        for name in ("src", "href", "srcset"):
            assert str(attrs.get(name, "data:")).startswith("data:")


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("draw", [None, Draw(BORN, BORN + 456_789)])
def test_a_draw_fits_into_it_in_any_language(page: Page, draw: Draw | None, code: str) -> None:
    """With its seed, the seed's hash, and the words for both."""
    place = a_place("The Summer Gala 2027", seed=SEED, draw=draw, message="Row A is sold out. " * 5)
    answer = page.answer(a_visit(accept_language=code), place, "admitgate_1=" + "x" * 120)
    head = sum(len(name) + len(value) + 4 for name, value in answer.headers)
    assert len(gzip.compress(answer.body, 5)) + head <= 14_000


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("state", STATES)
def test_the_page_goes_out_in_one_round_trip_in_any_language(page: Page, state: str, code: str) -> None:
    """14 kB with its headers, as what a server may send before it hears of the other side again."""
    place = a_place("The Summer Gala 2027", state, message="Row A is sold out. " * 5, was_post=True)
    answer = page.answer(a_visit("POST", accept_language=code), place, "admitgate_1=" + "x" * 120)
    sent = gzip.compress(answer.body, 5)
    assert f'<html lang="{code}"'.encode() in answer.body
    assert len(sent) + sum(len(name) + len(value) + 4 for name, value in answer.headers) <= 14_000


def test_the_script_leaves_out_what_only_its_authors_read(page: Page) -> None:
    """Comments stay at home; the script is still one that can stand inside a page."""
    ((_, _, script),) = [
        found for found in read(page.answer(a_visit(), a_place())).inline if found[:2] == ("script", {})
    ]
    assert "//" not in re.sub(r'"[^"]*"', "", script)
    assert "</script" not in script
    assert "<!--" not in script


# -- the twin


def test_the_twin_is_a_problem_in_the_sense_of_rfc_9457(page: Page) -> None:
    """Everything a program needs to wait its turn politely."""
    answer = page.answer(a_program(), a_place("Späti", position=7, poll_seconds=3.0, message="Hm"))
    assert json.loads(answer.body) == {
        "type": "urn:problem-type:admitgate:waiting",
        "title": IN_LINE,
        "status": 503,
        "detail": IN_LINE + ". Ask again in 3 seconds, with the cookies you were given.",
        "event": "Späti",
        "state": "waiting",
        "number": BORN + 1234,
        "position": 7,
        "wait_seconds": [300, 700],
        "message": "Hm",
        "reference": "G95-NSJ",
        "poll_url": "/_admitgate/status/~U3DDpHRp",
        "check_in_url": "/_admitgate/check-in/~U3DDpHRp",
        "leave_url": "/_admitgate/leave/~U3DDpHRp",
        "retry_after": 3,
    }


@pytest.mark.parametrize("state", STATES)
def test_the_twin_knows_every_state(page: Page, state: str) -> None:
    """What is not known is null, never left out."""
    place = a_place(state=state, number=None, position=None, wait_seconds=None, was_post=True)
    twin = json.loads(page.answer(a_program(), place).body)
    assert (twin["state"], twin["position"], twin["wait_seconds"]) == (state, None, None)
    assert "not passed on" in twin["detail"]


# -- leaving


def test_a_person_who_left_gets_a_small_page(page: Page) -> None:
    """Its only way on is the shop's own start page."""
    answer = page.left(a_visit("POST", root="//evil/shop"), "<b>gala")
    reader = read(answer)
    assert answer.status == 200
    assert "left the line" in reader.words
    assert "<b>gala" in reader.words
    assert [attrs["href"] for tag, attrs in reader.tags if tag == "a"] == ["/evil/shop/"]
    assert reader.hashes("style") == set(policy_of(answer)["style-src"])
    assert dict(answer.headers)["Cache-Control"] == "no-store"


def test_a_script_that_left_gets_json(page: Page) -> None:
    """The page itself says the rest."""
    answer = page.left(a_visit("POST", sec_fetch_dest="empty"), "gala")
    assert dict(answer.headers)["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {"state": "left"}


# -- a template of one's own


def write_template(folder: Path, text: str) -> Page:
    path = folder / "waiting.html"
    path.write_text('{% extends "admitgate/waiting.html" %}' + text, "utf-8")
    return Page(template=str(path))


def test_a_template_of_ones_own_replaces_blocks(tmp_path: Path) -> None:
    """The page keeps its script, its data and its policy."""
    page = write_template(
        tmp_path,
        "{% block title %}Soon: {{ event }}{% endblock %}"
        "{% block head %}<style>h1 { color: red }</style>{% endblock %}"
        "{% block heading %}<h1>Hang on, {{ position }} to go</h1>{% endblock %}"
        "{% block footer %}{{ super() }}<p>Call us</p>{% endblock %}",
    )
    answer = page.answer(a_visit(), a_place("<gala>"))
    reader = read(answer)
    for said in ("Soon: <gala>", "Hang on, about 1,234 to go", "Leave the line", "Call us"):
        assert said in reader.words
    assert set(policy_of(answer)["style-src"]) == reader.hashes("style")
    assert len(reader.hashes("style")) == 2
    assert reader.data["place"]["position"] == 1234


def test_a_careless_template_is_stopped_by_the_policy(tmp_path: Path) -> None:
    """A name printed as markup may put a script on the page, but no browser will run it."""
    page = write_template(tmp_path, "{% block heading %}<h1>{{ event|safe }}</h1>{% endblock %}")
    answer = page.answer(a_visit(), a_place("<script>alert(1)</script>"))
    (smuggled,) = read(answer).hashes("script") - set(policy_of(answer)["script-src"])
    assert smuggled == f"'sha256-{_sha256('alert(1)')}'"


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        pytest.param("{% block heading %}", "Unexpected end of template", id="a block left open"),
        pytest.param(
            "{% block heading %}{{ position + 1 }}{% endblock %}",
            "concatenate",
            id="reckoning with a figure that is filled in later",
        ),
        pytest.param("{% block heading %}{{ nme }}{% endblock %}", "'nme' is undefined", id="a typo"),
        pytest.param(
            '{% block heading %}{% if state == "hold" %}{{ nme }}{% endif %}{% endblock %}',
            "'nme' is undefined",
            id="a typo that one state alone would show",
        ),
    ],
)
def test_a_faulty_template_is_refused_at_start(tmp_path: Path, text: str, evidence: str) -> None:
    """And not met by the first visitor who has to wait."""
    with pytest.raises(ConfigError, match=evidence):
        write_template(tmp_path, text)


def test_a_template_in_another_encoding_is_refused_at_start(tmp_path: Path) -> None:
    """Templates are UTF-8."""
    path = tmp_path / "waiting.html"
    path.write_bytes("{# Sp\u00e4ti #}".encode("latin-1"))
    with pytest.raises(ConfigError, match="can't decode"):
        Page(template=str(path))


def test_a_missing_template_is_refused_at_start(tmp_path: Path) -> None:
    """With its name in the fault."""
    with pytest.raises(ConfigError, match=r"nowhere\.html"):
        Page(template=str(tmp_path / "nowhere.html"))


# -- bounds


def without_time(answer: Answer) -> bytes:
    return re.sub(rb'"now":\d+|\d\d:\d\d UTC', b"", answer.body)


def test_invented_events_do_not_fill_the_memory() -> None:
    """What is kept is bounded in number, and a forgotten page is simply made again."""
    page = Page()
    first = without_time(page.answer(a_visit(), a_place("e0")))
    for ordinal in range(400):
        page.answer(a_visit(), a_place(f"e{ordinal}"))
    info = page._text.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize
    assert without_time(page.answer(a_visit(), a_place("e0"))) == first


def test_a_page_is_rendered_once_for_everybody_in_the_same_situation() -> None:
    """Only the figures differ between two visitors in line."""
    page = Page()
    bodies = {page.answer(a_visit(), a_place(position=place)).body for place in range(2, 50)}
    assert len(bodies) == 48
    assert page._text.cache_info().misses == 1


def test_what_is_remembered_of_accept_headers_is_bounded_in_number_and_length(page: Page) -> None:
    """An Accept header is whatever a client wants it to be."""
    page_module._prefers_json.cache_clear()
    for ordinal in range(600):
        page.answer(a_visit(accept=f"a/{ordinal}, " + "b/c, " * 20_000), a_place())
    info = page_module._prefers_json.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize


# -- the script


WAITS = [
    None, (0, 0), (0, 60), (0, 61), (5, 90), (60, 61), (60, 120), (119, 120), (120, 120), (300, 700),
    (599, 1200), (600, 1201), (1200, 1500), (1500, 1500), (1799, 5400), (1800, 5401), (0, 7200),
    (3600, 7200), (7200, 7200), (20_000, 70_000), (86_399, 200_000), (86_400, 90_000),
    (10_000_000, 20_000_000),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wait_seconds", "form"),
    [
        pytest.param(None, ("unknown", 0, 0), id="not known"),
        pytest.param((0, 60), ("soon", 0, 0), id="up to a minute"),
        pytest.param((30, 90), ("up_to_minutes", 0, 2), id="less than a minute or a bit more"),
        pytest.param((300, 700), ("minutes", 5, 12), id="outwards to whole minutes"),
        pytest.param((120, 120), ("about_minutes", 2, 2), id="both ends the same"),
        pytest.param((1260, 2000), ("minutes", 20, 35), id="from twenty minutes in fives"),
        pytest.param((3000, 5400), ("minutes", 50, 90), id="an hour and a half in minutes"),
        pytest.param((3000, 5401), ("up_to_hours", 0, 2), id="longer in hours"),
        pytest.param((7200, 9000), ("hours", 2, 3), id="hours"),
        pytest.param((90_000, 100_000), ("days", 0, 0), id="more than a day"),
    ],
)
def test_a_wait_is_said_in_words_that_do_not_promise_too_much(
    wait_seconds: tuple[int, int] | None, form: tuple[str, int, int]
) -> None:
    """Rounded outwards: a range that says 5 to 12 minutes contains what was reckoned."""
    assert wait_form(wait_seconds) == form


def node(*arguments: str) -> str:
    if shutil.which("node") is None:
        missing("node", cure="'apt install nodejs' (Debian)")
    root = Path(__file__).parents[1]
    done = subprocess.run(
        ["node", *arguments], cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_script_says_a_wait_in_the_same_words() -> None:
    """The first figures come from the server and the next from the script: they must not jump."""
    program = (
        'const { waitForm } = require("./tests/js/script.js");'
        f"console.log(JSON.stringify({json.dumps(WAITS)}.map(waitForm)));"
    )
    assert json.loads(node("-e", program)) == [list(wait_form(wait)) for wait in WAITS]


def test_the_script_as_it_is_sent_can_be_read(page: Page) -> None:
    """Leaving out comments and indentation left a program."""
    texts = [text for *tag, text in read(page.answer(a_visit(), a_place())).inline if tag[1] == {}]
    node("-e", f"new Function({json.dumps(texts[-1])})")


def test_the_scripts_state_machine() -> None:
    """The tests in tests/js, under a clock of their own."""
    node("--test", *map(str, sorted(Path(__file__).parent.glob("js/*.test.js"))))
