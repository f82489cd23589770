"""Accounts and clients: a bound place is nobody else's, and nobody holds more of them than one may."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from attack_lines import about
from attack_site import FAR, JSON, Site, given_cookie
from attack_words import IN_FLIGHT

ADA, BOB = {"X-Account": "ada"}, {"X-Account": "bob"}
STRANGERS = [pytest.param(BOB, id="by another account"), pytest.param({}, id="by nobody")]


def enter(site: Site, who: dict[str, str] = ADA) -> str:
    """An account goes in: its Cookie header."""
    reply = site.send(headers=who)
    assert reply.is_checkout
    return given_cookie(reply)


def is_in(site: Site, cookies: str, who: dict[str, str]) -> bool:
    """Does the account see the check-out with these cookies?"""
    return site.send(cookies=cookies, headers=who).is_checkout


@about("an account's lease, copied")
@pytest.mark.parametrize("who", STRANGERS)
def test_a_copied_lease_of_an_account_is_no_token(site: Site, who: dict[str, str]) -> None:
    """Its bearer is a newcomer, checks nothing in, and gives nothing back."""
    lease = enter(site)
    assert not is_in(site, lease, who)
    assert site.post("check-in", lease, headers=who).json["state"] == "no-ticket"
    site.post("leave", lease, headers=who)
    site.send(site.at("thanks"), cookies=lease, headers=who)
    assert site.leases() == 1
    assert is_in(site, lease, ADA)


@about("an account's ticket, copied")
@pytest.mark.parametrize("who", STRANGERS)
def test_a_copied_ticket_of_an_account_is_no_token(site: Site, who: dict[str, str]) -> None:
    """Its bearer gets a number of their own, behind."""
    site.fill()
    first = site.send(headers={**JSON, **ADA})
    ticket = given_cookie(first)
    copied = site.send(cookies=ticket, headers={**JSON, **who})
    assert copied.is_waiting
    assert copied.json["number"] == first.json["number"] + 1
    assert site.post("check-in", ticket, headers=who).json["state"] == "no-ticket"
    assert site.post("check-in", ticket, headers=ADA).json["state"] in ("waiting", "ready")


@about("another account's token beside one's own")
def test_another_accounts_token_hides_nobodys_own(site: Site) -> None:
    """As a site below the same domain could plant it, or who was at this browser before has left it."""
    planted = enter(site, BOB)
    own = site.send(headers={**JSON, **ADA})
    for cookies in (f"{planted}; {given_cookie(own)}", f"{given_cookie(own)}; {planted}"):
        shown = site.send(cookies=cookies, headers={**JSON, **ADA})
        assert shown.json["number"] == own.json["number"]
        assert is_in(site, cookies, BOB)


@about("an account's token at another event")
def test_an_accounts_token_is_good_at_its_own_event_only(site: Site) -> None:
    """By name and by signature."""
    lease = enter(site)
    elsewhere = site.cookie(lease.partition("=")[2], f"strict-{site.event}")
    site.fill("strict")
    assert not site.send(site.at(area="strict"), cookies=elsewhere, headers=ADA).is_checkout
    forged = site.forge(f"l1.{site.sid(lease)}.{FAR}.{FAR}", event=f"strict-{site.event}")
    cookies = site.cookie(forged, f"strict-{site.event}")
    assert not site.send(site.at(area="strict"), cookies=cookies, headers=ADA).is_checkout


@about("an account's place without the account")
def test_who_logs_in_keeps_a_place_and_who_logs_out_leaves_it(site: Site) -> None:
    """An anonymous place is its cookie's, an account's is the account's."""
    anonymous = site.fill()
    assert is_in(site, anonymous, ADA)
    site.send(site.at("thanks"), cookies=anonymous)
    bound = enter(site)
    assert not is_in(site, bound, {})
    assert is_in(site, bound, ADA)


@about("an account on a second device")
def test_ten_devices_of_an_account_have_one_slot(site: Site) -> None:
    """Without a cookie, with a ticket of their own, all at once."""
    site.set_capacity(3)
    with ThreadPoolExecutor(10) as threads:
        assert all(threads.map(lambda _: site.send(headers=ADA).is_checkout, range(10)))
    assert site.leases() == 1
    enter(site, BOB)
    assert site.leases() == 2


@about("an account on a second device")
def test_a_404_on_a_second_device_ends_nothing(site: Site) -> None:
    """A newcomer's slot comes back where the shop says 404; this one is in use."""
    lease = enter(site)
    site.redis.zadd(site.key("leases"), {site.sid(lease): site.now_ms() + 50_000})
    assert site.send(site.at("checkout/missing"), headers=ADA).status == 404
    assert site.leases() == 1


@about("an account's ticket after its slot was given back")
def test_an_old_ticket_of_an_account_is_used_up(site: Site) -> None:
    """It has led to a slot that was given back; a new one counts, and is behind."""
    inside = site.fill()
    old = site.send(headers={**JSON, **ADA})
    ticket = given_cookie(old)
    site.send(site.at("thanks"), cookies=inside)
    site.end_grace()
    site.post("check-in", ticket, headers=ADA)
    site.end_grace()
    claim = site.post("check-in", ticket, headers=ADA)
    assert claim.json["state"] == "admitted"
    lease = given_cookie(site.send(cookies=given_cookie(claim), headers=ADA))
    site.send(site.at("thanks"), cookies=lease, headers=ADA)
    site.fill()
    assert site.post("check-in", ticket, headers=ADA).json["state"] == "gone"
    new = site.send(headers={**JSON, **ADA})
    assert new.is_waiting
    assert new.json["number"] > old.json["number"]
    assert site.post("check-in", given_cookie(new), headers=ADA).json["state"] in ("waiting", "ready")


@about("more requests at once than one visitor may have")
def test_so_many_requests_of_one_visitor_are_inside_at_once(site: Site) -> None:
    """In each process; the others are told to come again, and nothing is counted when they are through."""
    lease = site.fill()
    most = IN_FLIGHT * (1 if site.host.server == "waitress" else 2)

    def hold(_: int) -> int:
        return site.send(site.at("checkout/hold"), cookies=lease, comes_again=False).status

    with ThreadPoolExecutor(most + 3) as threads:
        requests = [threads.submit(hold, number) for number in range(most + 3)]
        while sum(request.done() for request in requests) < 3:  # who is refused is so at once
            site.redis.blpop([f"shop:begun:{site.event}"], 1)
        site.redis.rpush(f"shop:go-on:{site.event}", *range(most))
        statuses = [request.result() for request in requests]
    assert 3 <= statuses.count(429) <= most + 2
    assert set(statuses) == {200, 429}
    assert site.send(cookies=lease, comes_again=False).is_checkout


@about("many tickets from one address")
def test_who_has_many_tickets_has_few_places(site: Site) -> None:
    """Thirty of them, all asking, with room for twenty: two."""
    event, way = f"few-{site.event}", {"X-Forwarded-For": "198.51.100.7"}
    cookies = [given_cookie(site.send(site.at(area="few"), headers={**JSON, **way})) for _ in range(30)]
    for _ in range(3):
        site.end_grace(event)
        for shown in cookies:
            site.post("check-in", shown, event=event, headers=way)
    assert site.leases(event) + site.redis.zcard(site.key("ready", event)) == 2


@about("an address that a header invents")
def test_an_invented_address_is_nobodys_place(site: Site) -> None:
    """What stands left of the address that our own proxy has seen is anybody's word."""
    event = f"few-{site.event}"
    cookies = []
    for number in range(12):
        way = {"X-Forwarded-For": f"192.0.2.{number}, 198.51.100.7", "X-Real-IP": f"192.0.2.{number}"}
        cookies.append((given_cookie(site.send(site.at(area="few"), headers={**JSON, **way})), way))
    for _ in range(3):
        site.end_grace(event)
        for shown, way in cookies:
            site.post("check-in", shown, event=event, headers=way)
    assert site.leases(event) + site.redis.zcard(site.key("ready", event)) == 2


@about("many tickets from one address")
def test_another_rules_path_is_no_way_past_the_bound(site: Site) -> None:
    """The event's own rule counts, though somebody comes to it by the path of a rule that counts nobody."""
    event, way = f"few-{site.event}", {"X-Forwarded-For": "198.51.100.7"}
    tickets = [
        given_cookie(site.send(f"/events/{event}/checkout", headers={**JSON, **way})) for _ in range(10)
    ]
    for _ in range(2):
        site.end_grace(event)
        for shown in tickets:
            site.send(f"/events/{event}/checkout", cookies=shown, headers=way)
    assert site.leases(event) + site.redis.zcard(site.key("ready", event)) == 2
