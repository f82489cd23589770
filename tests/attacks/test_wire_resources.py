"""Resources: what an attacker can make the gate keep, or work at, is bounded."""

from __future__ import annotations

import pytest
from attack_lines import about
from attack_site import JSON, Site, given_cookie


@about("10^6 invented event names")
def test_invented_events_that_the_shop_does_not_have_leave_nothing(site: Site) -> None:
    """It says 404 to each. (benchmarks/attacks.py asks for a million.)"""
    before = site.gate_keys()
    for number in range(100):
        assert site.send(f"/events/{site.event}-{number}/checkout/missing").status == 404
    assert site.gate_keys() == before


@about("10^6 invented event names")
def test_asking_for_the_status_of_invented_events_leaves_nothing(site: Site) -> None:
    """No keys; and check-in and leave know nobody there."""
    before = site.gate_keys()
    for number in range(50):
        event = f"{site.event}-{number}"
        assert site.send(site.below_the_mount("status", event)).json["issued"] == 0
        assert site.post("check-in", event=event).json["state"] == "no-ticket"
        assert site.post("leave", event=event).status == 200
    assert site.gate_keys() == before


@about("an event that isn't in the list")
def test_an_event_that_is_not_in_the_list_costs_nothing(site: Site) -> None:
    """404 without Redis and without the application; one that is in it is gated."""
    before, calls = site.gate_keys(), site.script_calls()
    for name in (site.event, "Gala", "gala%20", "gal", "gala%00", "listed-gala", "x" * 200):
        assert site.send(f"/listed/{name}/checkout").status == 404
    assert site.gate_keys() == before
    assert site.script_calls() - calls <= 2  # a look at start
    assert site.send("/listed/gala/checkout").is_waiting


@about("a 10 KB event name")
@pytest.mark.may_be_refused
@pytest.mark.parametrize("size", [200, 3_000, 7_000, 10_000])
@pytest.mark.parametrize("letter", ["a", "%C3%A9", "/b"], ids=["letters", "umlauts", "segments"])
def test_a_long_event_name_is_cut(site: Site, size: int, letter: str) -> None:
    """In cookies, on the page and in Redis it is as short as any other."""
    before = site.gate_keys()
    reply = site.send(f"/any/{site.event}{letter * (size // len(letter))}/checkout", headers=JSON)
    assert reply.is_waiting
    assert len(reply.json["event"]) <= 130
    assert len(reply.body) < 4_000
    assert all(len(value) < 400 for value in reply.all("Set-Cookie"))
    assert all(site.redis.memory_usage(key) < 2_000 for key in site.gate_keys() - before)


@about("a rule that backtracks")
@pytest.mark.may_be_refused
@pytest.mark.parametrize(
    "piece", ["/checkout", "/any", "//", "/.", "/..", "/%2f", ";a", "%", "%25", "/any/checkout"]
)
def test_a_path_that_nearly_matches_many_times_is_answered(site: Site, piece: str) -> None:
    """Rules match a path once, from one end to the other. (Times are in benchmarks/attacks.py.)"""
    for path in ("/any" + piece * (6_000 // len(piece)) + "/checkoutx", piece * (6_000 // len(piece)) + "/x"):
        assert site.send(path).status in (200, 308, 404, 503)


def kept(site: Site) -> set[bytes]:
    """The gate's keys, but for the history, which has a line for each minute of a day."""
    return {key for key in site.gate_keys() if not key.endswith(b":history")}


@about("10^5 joins without cookies")
def test_joining_without_cookies_leaves_nothing(site: Site) -> None:
    """A visitor in line is a number in a cookie: no key, no member, no byte each."""
    site.fill()
    site.queue()
    keys = kept(site)
    before = {key: site.redis.memory_usage(key) for key in keys}
    for _ in range(150):
        assert site.send().is_waiting
    assert kept(site) == keys
    assert sum(site.redis.memory_usage(key) for key in keys) <= sum(before.values()) + 200


@about("hoard and never show")
def test_who_hoards_numbers_and_never_shows_holds_nobody_up(site: Site) -> None:
    """Forty numbers before one visitor who is there: the slot that comes free is theirs."""
    inside = site.fill()
    for _ in range(40):
        site.queue()
    present, _ = site.queue()
    site.send(site.at("thanks"), cookies=inside)
    states = []
    while "admitted" not in states and len(states) < 20:
        site.end_grace()
        reply = site.post("check-in", present)
        states.append(reply.json["state"])
    assert site.is_in(given_cookie(reply)), states
    assert site.leases() == 1


@about("hoard and poll")
def test_who_hoards_and_polls_holds_no_more_slots_than_there_are(site: Site) -> None:
    """Thirty numbers of one person's, all of them asking: the slots stay as many as they are."""
    site.fill()
    tickets = [site.queue()[0] for _ in range(30)]
    site.set_capacity(4)
    site.end_grace()
    states = [site.post("check-in", ticket).json["state"] for _ in range(2) for ticket in tickets]
    assert site.leases() <= 4
    assert set(states) <= {"admitted", "ready", "waiting"}
    assert site.redis.zcard(site.key("ready")) <= 30


@about("join/release in a loop")
def test_joining_and_releasing_in_a_loop_stays_bounded(site: Site) -> None:
    """Each release is remembered for as long as its cookie could be shown, and no more than so many."""
    for _ in range(60):
        assert site.send(site.at("checkout/release")).body == b"paid"
    assert site.leases() == 0
    assert site.redis.zcard(site.key("released")) <= 60
    assert len([key for key in site.gate_keys() if key.decode().startswith(site.key("line")[:26])]) <= 6
    assert site.send().is_checkout


@about("renew in a loop")
def test_renewing_in_a_loop_asks_redis_no_more_often(site: Site) -> None:
    """A fresh lease is believed without asking, by every worker that has heard of the event."""
    inside = site.fill()
    for _ in range(10):
        assert site.is_in(inside)
    before = site.script_calls()
    for _ in range(60):
        assert site.is_in(inside)
    assert site.script_calls() - before <= 4
    assert site.leases() == 1
