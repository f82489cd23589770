"""Which paths come under which rule and event, however oddly they are written."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admitgate.matching import Rules
from admitgate.names import cookie_name, event_name, event_slug, slug_event
from admitgate.paths import readings
from admitgate.rules import OURS, Rule

CHECKOUT = "/events/<event>/checkout"


def event_of(path: str, *rules: Rule, **options: Any) -> str | None:
    """The event that gates a path."""
    match = Rules(rules or [Rule(CHECKOUT, capacity=1)], **options).match(path)
    return match.event if match and match.is_gated else None


@pytest.mark.parametrize(
    ("path", "event"),
    [
        pytest.param("/events/gala/checkout", "gala", id="the path itself"),
        pytest.param("/events/gala/checkout/", "gala", id="with a slash behind"),
        pytest.param("/events/gala/checkout/pay/1", "gala", id="everything below it"),
        pytest.param("/events/gala/checkout.css", None, id="a file beside it is not below it"),
        pytest.param("/events/gala/checkoutx", None, id="a longer word is another path"),
        pytest.param("/events/gala/check", None, id="a shorter word too"),
        pytest.param("/events/gala", None, id="what is above it"),
        pytest.param("/events/checkout", None, id="a placeholder is never empty"),
        pytest.param("/x/events/gala/checkout", None, id="a path that only ends like it"),
        pytest.param("/", None, id="the root"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_rule_stands_for_its_path_and_everything_below(path: str, event: str | None) -> None:
    """A segment at a time."""
    assert event_of(path) == event


ODD = [
    pytest.param("//events/gala/checkout", id="two slashes in front"),
    pytest.param("events/gala/checkout", id="no slash in front"),
    pytest.param("/events//gala/checkout", id="two slashes inside"),
    pytest.param("/events/gala/checkout//", id="two slashes behind"),
    pytest.param("/./events/gala/checkout", id="a dot in front"),
    pytest.param("/events/gala/./checkout", id="a dot inside"),
    pytest.param("/events/gala/checkout/.", id="a dot behind"),
    pytest.param("/x/../events/gala/checkout", id="up and down again"),
    pytest.param("/../events/gala/checkout", id="above the root"),
    pytest.param("/events/gala/x/../checkout", id="up and down inside"),
    pytest.param("/events/gala/checkout;a=b", id="a parameter behind"),
    pytest.param("/Events/gala/Checkout", id="capitals"),
    pytest.param("/EVENTS/gala/CHECKOUT/pay", id="capitals above"),
    pytest.param("/events%2fgala%2fcheckout", id="encoded slashes"),
    pytest.param("/events/gala/%63heckout", id="an encoded letter"),
    pytest.param("/events/gala/%2563heckout", id="encoded twice"),
    pytest.param("/events/gala/%252563heckout", id="encoded three times"),
    pytest.param("/events\\gala\\checkout", id="backslashes"),
    pytest.param("/a\\b/../events/gala/checkout", id="a backslash that is none to who follows the dots"),
    pytest.param("/events/gala/checkout ", id="a space behind"),
    pytest.param("/events/gala/checkout\t", id="a tab behind"),
    pytest.param("/events/gala/checkout\x00", id="NUL behind"),
    pytest.param("/events/gala/check\x00out", id="NUL inside"),
    pytest.param("/events/gala/checkout\n", id="a newline behind"),
    pytest.param("/events/gala/checkout%0d%0a", id="an encoded newline"),
    pytest.param("\\\\events\\gala\\checkout", id="two backslashes in front"),
]


@pytest.mark.parametrize("path", ODD)
def test_an_odd_path_is_no_way_round(path: str) -> None:
    """Some router or proxy reads each of these as the check-out."""
    assert event_of(path) == "gala"


@pytest.mark.parametrize(
    "path", ["//events/Gala/checkout", "/x/../events/Gala/checkout;a=b", "/EVENTS/Gala/CheckOut/pay"]
)
def test_an_odd_path_leads_to_the_same_line(path: str) -> None:
    """The event keeps its capitals: under another name it would have slots of its own."""
    assert event_of(path) == event_of("/events/Gala/checkout") == "Gala"


@pytest.mark.parametrize(
    ("path", "event"),
    [
        pytest.param("/event\u017f/gala/checkout", "gala", id="a long s"),
        pytest.param("/events/gala/chec\u212aout", "gala", id="a sign for Kelvin"),
        pytest.param("/t\u0131ckets", "tickets", id="an i without its dot"),
        pytest.param("/T\u0130CKETS/x", "tickets", id="a capital with a dot"),
        pytest.param("/STRA\u1e9eE", "straße", id="a capital sharp s"),
        pytest.param("/\u03a3\u03a4\u039f\u03c2", "στος", id="two kinds of sigma"),
    ],
)
def test_a_letter_is_one_in_whichever_case(path: str, event: str) -> None:
    """As a router's regular expression has it that is told to ignore case."""
    others = [Rule(f"/{name}", capacity=1) for name in ("tickets", "straße", "στος")]
    assert event_of(path, Rule(CHECKOUT, capacity=1), *others) == event
    for rule in (CHECKOUT, *(f"/{rule.only_event}" for rule in others)):
        pattern = re.compile(re.escape(rule).replace("<event>", "[^/]+"), re.IGNORECASE)
        assert not pattern.match(path) or event_of(path, Rule(rule, capacity=1)) is not None


@pytest.mark.parametrize(
    "number", ["12", "012", "+12", " 12", "12 ", "1_2", "\u0661\u0662", "\uff11\uff12", "+0_1_2"]
)
def test_a_number_is_one_however_it_is_written(number: str) -> None:
    """An application that reads the segment with ``int`` comes to the same event."""
    assert event_of(f"/events/{number}/checkout", Rule("/events/<int:event>/checkout", capacity=1)) == "12"


@pytest.mark.parametrize("number", ["x", "1.5", "-12", "1__2", "0x12", "", "9" * 5000, "1" * 13 + "e1"])
def test_what_is_no_number_is_not_meant(number: str) -> None:
    """Nobody else takes it for one either."""
    assert event_of(f"/events/{number}/checkout", Rule("/events/<int:event>/checkout", capacity=1)) is None


def test_a_number_keeps_to_its_bounds() -> None:
    """Those that werkzeug's converter knows."""
    assert event_of("/e/-7/x", Rule("/e/<int(signed=True):event>/x", capacity=1)) == "-7"
    assert event_of("/e/+7/x", Rule("/e/<int(max=6):event>/x", capacity=1)) is None
    assert event_of("/e/007/x", Rule("/e/<int(fixed_digits=3):event>/x", capacity=1)) == "7"
    assert event_of("/e/07/x", Rule("/e/<int(fixed_digits=3):event>/x", capacity=1)) is None


@pytest.mark.parametrize("form", ["{0}", "{0.hex}", "{{{0}}}", "urn:uuid:{0}"])
def test_a_uuid_is_one_however_it_is_written(form: str) -> None:
    """Python's UUID reads each of these, so an application that asks it comes to the same event."""
    event = UUID("12345678-abcd-5678-1234-567812345678")
    rule = Rule("/events/<uuid:event>/checkout", capacity=1)
    assert event_of(f"/events/{form.format(event)}/checkout", rule) == str(event)
    assert event_of(f"/events/{form.format(event).upper()}/checkout", rule) == str(event)
    assert event_of("/events/12345678/checkout", rule) is None


def test_a_parameter_inside_is_gated_under_the_name_the_application_sees() -> None:
    """Python's routers leave it in the placeholder's value, so it is another event to the application too."""
    assert event_of("/events/gala;a=b/checkout") == "gala;a=b"


@pytest.mark.parametrize("path", ODD)
def test_an_odd_path_is_no_exemption(path: str) -> None:
    """An exemption is for the path as it is written in the settings."""
    odd = path.replace("gala", "x/../gala", 1)
    assert event_of(odd, exempt=["/events/x"]) == "gala"


def test_the_first_rule_that_matches_wins() -> None:
    """So a special event can stand before the general rule."""
    rules = [Rule("/events/gala/checkout", capacity=1, event="special"), Rule(CHECKOUT, capacity=2)]
    assert event_of("/events/gala/checkout", *rules) == "special"
    assert event_of("/events/opera/checkout", *rules) == "opera"
    assert event_of("/events/gala/checkout", *reversed(rules)) == "gala"


@pytest.mark.parametrize(
    ("rule", "path", "event"),
    [
        pytest.param(
            Rule(CHECKOUT, capacity=1), "/events/gala/checkout", "gala", id="the placeholder's value"
        ),
        pytest.param(Rule("/checkout", capacity=1), "/checkout/pay", "checkout", id="else the path"),
        pytest.param(Rule("/", capacity=1), "/any/thing", "/", id="the whole site"),
        pytest.param(
            Rule("/<city>/<event>/buy", capacity=1), "/bonn/gala/buy", "bonn/gala", id="several placeholders"
        ),
        pytest.param(
            Rule("/<city>/<event>/buy", capacity=1, event="{event}"),
            "/bonn/gala/buy",
            "gala",
            id="a template",
        ),
        pytest.param(
            Rule("/<event>/buy", capacity=1, event="all"), "/gala/buy", "all", id="a template without names"
        ),
        pytest.param(Rule("/e/<int:id>/buy", capacity=1), "/e/007/buy", "7", id="a converter's value"),
        pytest.param(Rule("/e/<int:id>/buy", capacity=1), "/e/x/buy", None, id="a converter that refuses"),
        pytest.param(
            Rule("/e/<any(a,b):name>/buy", capacity=1), "/e/b/buy", "b", id="a converter with arguments"
        ),
    ],
)
def test_the_event_of_a_path(rule: Rule, path: str, event: str | None) -> None:
    """From the template, by default the placeholders' values."""
    assert event_of(path, rule) == event


def test_below_the_mount_is_ours() -> None:
    """Whatever rules say of it."""
    rules = Rules([Rule("/", capacity=1)], mount="/queue/")
    assert rules.match("/queue/status/gala") is OURS
    assert rules.match("/queue/") is OURS
    assert rules.match("/queue") is not OURS
    assert rules.match("/queues/") is not OURS


def test_a_rule_that_is_off_matches_nothing() -> None:
    """The next one may."""
    off = Rule(CHECKOUT, capacity=1, mode="off")
    assert event_of("/events/gala/checkout", off) is None
    assert event_of("/events/gala/checkout", off, Rule("/events", capacity=1)) == "events"


def test_a_path_can_be_gated_and_release() -> None:
    """The last step of the check-out itself."""
    rules = Rules([Rule(CHECKOUT, capacity=1, release_on=f"{CHECKOUT}/done")])
    done, step = rules.match("/events/gala/checkout/done"), rules.match("/events/gala/checkout/pay")
    assert done is not None
    assert step is not None
    assert (done.is_gated, done.is_releasing) == (True, True)
    assert (step.is_gated, step.is_releasing) == (True, False)


def test_another_events_gate_is_not_left_by_this_ones_path() -> None:
    """A rule's release_on gives back that rule's slots only."""
    rules = Rules([Rule("/a", capacity=1, release_on="/b/done"), Rule("/b", capacity=1)])
    match = rules.match("/b/done")
    assert match is not None
    assert (match.event, match.is_gated, match.is_releasing) == ("b", True, False)


def test_release_paths_are_taken_as_written() -> None:
    """An odd path must not give a slot back: nobody but the visitor would notice."""
    rules = Rules([Rule(CHECKOUT, capacity=1, release_on="/events/<event>/thanks")])
    match = rules.match("/events/gala/thanks")
    assert match is not None
    assert (match.event, match.is_gated, match.is_releasing) == ("gala", False, True)
    assert rules.match("/x/../events/gala/thanks") is None


def test_an_event_finds_its_rule() -> None:
    """For requests that name an event and not a path."""
    rules = Rules([Rule("/vip/<event>", capacity=1, event="vip-{event}"), Rule(CHECKOUT, capacity=2)])
    assert [rules.of_event(event).rule.capacity for event in ("vip-gala", "gala")] == [1, 2]  # type: ignore[union-attr]
    assert Rules([Rule("/checkout", capacity=1)]).of_event("gala") is None


@pytest.mark.parametrize(
    "event", ["x" * 121, "a\nb", "\x00", "\u202egala", "", "x" * 10_000], ids=lambda event: ascii(event)[:12]
)
def test_an_event_no_path_can_have_has_no_rule(event: str) -> None:
    """Its name is longer than any that a path gives, or not printable."""
    assert Rules([Rule(CHECKOUT, capacity=1)]).of_event(event) is None


@pytest.mark.parametrize(
    "name", ["x" * 5000, "a\nb", "a\x00b", "\u202eevil", "\ud800"], ids=lambda name: ascii(name)[:12]
)
def test_an_event_from_a_path_is_short_and_printable(name: str) -> None:
    """It goes into logs, pages and Redis: what isn't so is cut, and told apart by its digest."""
    event = event_name("{event}", {"event": name})
    assert len(event) <= 120
    assert event.isprintable()
    assert event != event_name("{event}", {"event": name + "x"})
    assert Rules([Rule(CHECKOUT, capacity=1)]).of_event(event) is not None


def test_what_is_remembered_is_bounded() -> None:
    """In number and in length: a worker's memory is no attacker's store."""
    rules = Rules([Rule(CHECKOUT, capacity=1)])
    for number in range(10_050):
        rules.match(f"/p/{number}")
    long = f"/events/{'x' * 5000}/checkout"
    assert rules.match(long) is not None
    assert len(rules.match.__self__) <= 10_000
    assert long not in rules.match.__self__


def test_a_long_path_takes_no_long_time() -> None:
    """A hundred kilobytes of anything: no pattern here backtracks. (It would take hours.)"""
    rules = Rules([Rule("/<a>/<b>/<c>/checkout", capacity=1), Rule("/<path:rest>/buy", capacity=1)])
    for piece in ("/", "/a", "/..", ";a", "%25", "\\", " ", "a", "/checkout", "%2e%2e/"):
        rules.match(piece * (100_000 // len(piece)))


@given(st.text(max_size=300))
def test_no_text_is_too_odd_to_match(path: str) -> None:
    """Any text has readings, and so has each of those; matching never raises."""
    assert readings(readings(path)[-1])[-1].startswith("/")
    Rules([Rule(CHECKOUT, capacity=1)]).match(path)


@given(st.text(min_size=1, max_size=100))
def test_a_slug_is_one_plain_segment_that_leads_back(event: str) -> None:
    """No proxy will normalise it into something else."""
    event = event_name("{event}", {"event": event})
    slug = event_slug(event)
    assert slug_event(slug) == event
    assert all(char.isascii() and (char.isalnum() or char in "_.-~") for char in slug)
    assert slug not in (".", "..")


@given(st.text(max_size=60))
def test_no_slug_is_too_odd_to_read(slug: str) -> None:
    """What isn't one of ours is taken as a name."""
    slug_event(slug), slug_event("~" + slug)


def test_a_cookies_name_is_one_whatever_the_event() -> None:
    """Letters, digits and an underscore."""
    assert cookie_name("admitgate", "a;b=c\r\n").replace("_", "").isalnum()
    assert cookie_name("admitgate", "a") != cookie_name("admitgate", "b")


# --- whose event it is


def test_an_event_has_its_own_rules_options_by_whichever_path_one_comes() -> None:
    """Or its line would have two capacities, and another rule's path would lead past its bounds."""
    few = Rule("/few/<event>/pay", capacity=20, event="few-{event}", places_per_client=2, methods=["POST"])
    rules = Rules([Rule("/events/<event>/pay", capacity=1, mode="observe"), few])
    by_own, by_other = rules.find("/few/gala/pay"), rules.find("/events/few-gala/pay")
    assert by_own is not None
    assert by_other is not None
    assert by_own.event == by_other.event == "few-gala"
    assert (by_other.rule.capacity, by_other.rule.places_per_client) == (20, 2)
    assert (by_other.rule.path, by_other.rule.mode, by_other.rule.methods) == (
        "/events/<event>/pay",
        "observe",
        None,
    )
    assert by_own.rule is few
    other_one = rules.find("/events/few/pay")
    assert other_one is not None
    assert other_one.rule.capacity == 1


def test_an_event_in_a_rules_list_is_that_rules_by_whichever_path_one_comes() -> None:
    """Another rule's path has its own events, though their names look alike."""
    listed = Rule("/vip/<x>", capacity=5, event="vip-{x}", events=["vip-gala"])
    other = Rule("/events/<event>/checkout", capacity=100)
    for order in ([listed, other], [other, listed]):
        rules = Rules(order)
        capacities = {
            event: match.rule.capacity
            for event in ("vip-gala", "vip-lounge", "gala")
            if (match := rules.find(f"/events/{event}/checkout"))
        }
        assert capacities == {"vip-gala": 5, "vip-lounge": 100, "gala": 100}


@pytest.mark.parametrize(
    ("event", "capacity"),
    [
        pytest.param("few-gala", 2, id="who says more of it"),
        pytest.param("few-x-gala", 3, id="who says most of it"),
        pytest.param("few-x-all", 4, id="who says all of it"),
        pytest.param("gala", 1, id="who says nothing, where nobody else has it"),
    ],
)
def test_an_event_belongs_to_the_rule_that_says_most_of_it(event: str, capacity: int) -> None:
    """Below the mount only the event's name is known, in whatever order the rules stand."""
    templates = ("{event}", "few-{event}", "few-x-{event}", "few-x-all")
    several = [
        Rule("/a/<event>", capacity=number, event=template) for number, template in enumerate(templates, 1)
    ]
    for order in (several, several[::-1]):
        match = Rules(order).of_event(event)
        assert match is not None
        assert match.rule.capacity == capacity
