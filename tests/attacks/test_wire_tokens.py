"""Tokens: a bad one is no token, a good one is good for one event, one purpose, one slot."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from attack_lines import about
from attack_site import FAR, JSON, SID, Refused, Site, given_cookie
from attack_words import OLD_KEY

from admitgate.errors import BadToken
from admitgate.tokens import Tokens

Forge = Callable[[Site, str, str], str]


def bad(line: str, forge: Forge, name: str = "") -> object:
    """A case: what is shown in place of a token, given a good lease and a good ticket."""
    return pytest.param(forge, id=name or line, marks=about(line))


def respelled(token: str) -> str:
    """The same signature to a reader of base64 that isn't strict: its last two bits mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


BAD_TOKENS = [
    bad("random bytes", lambda site, lease, ticket: "\x9f\xe2\x28\xa1" * 20),
    bad("random bytes", lambda site, lease, ticket: "l1." + "Zz-_" * 30, "random letters"),
    bad("signature truncated", lambda site, lease, ticket: lease[:-1]),
    bad("signature truncated", lambda site, lease, ticket: lease[:-20], "signature truncated by half"),
    bad("signature empty", lambda site, lease, ticket: lease.rpartition(".")[0] + "."),
    bad("signature empty", lambda site, lease, ticket: lease.rpartition(".")[0], "no signature at all"),
    bad("signature spelled in another way", lambda site, lease, ticket: respelled(lease)),
    bad(
        "signature spelled in another way", lambda site, lease, ticket: lease + "=", "signature with padding"
    ),
    bad(
        "signature spelled in another way", lambda site, lease, ticket: lease[:-9] + "*" + lease[-9:], "junk"
    ),
    bad(
        "payload of another event",
        lambda site, lease, ticket: site.forge(f"l1.{SID}.{FAR}.{FAR}", event="opera"),
    ),
    bad("ticket shown as a lease", lambda site, lease, ticket: "l" + ticket[1:]),
    bad("lease shown as a ticket", lambda site, lease, ticket: "t" + lease[1:]),
    bad(
        "lease shown as a ticket",
        lambda site, lease, ticket: site.forge(f"l1.{SID}.{FAR}.{FAR}", "t"),
        "lease signed as a ticket",
    ),
    bad(
        "expired by a second",
        lambda site, lease, ticket: site.forge(f"l1.{SID}.{site.now_ms() - 1000}.{site.now_ms() - 5000}"),
    ),
    bad("number that is negative", lambda site, lease, ticket: site.forge(f"l1.{SID}.-{FAR}.{FAR}")),
    bad("number that is zero", lambda site, lease, ticket: site.forge(f"l1.{SID}.0.0")),
    bad("number that is text", lambda site, lease, ticket: site.forge(f"l1.{SID}.soon.{FAR}")),
    bad("number that is a float", lambda site, lease, ticket: site.forge(f"l1.{SID}.{FAR}.5.{FAR}")),
    bad("number that is NaN", lambda site, lease, ticket: site.forge(f"l1.{SID}.NaN.{FAR}")),
    bad("number above 2^53", lambda site, lease, ticket: site.forge(f"l1.{SID}.{2**53}.{FAR}")),
    bad("missing field", lambda site, lease, ticket: site.forge(f"l1.{SID}.{FAR}")),
    bad("extra field", lambda site, lease, ticket: site.forge(f"l1.{SID}.{FAR}.{FAR}.1")),
    bad("older format", lambda site, lease, ticket: site.forge(f"l0.{SID}.{FAR}.{FAR}")),
    bad("older format", lambda site, lease, ticket: site.forge(f"l9.{SID}.{FAR}.{FAR}"), "future format"),
    bad(
        "signed with an unknown key",
        lambda site, lease, ticket: site.forge(f"l1.{SID}.{FAR}.{FAR}", key="guessed"),
    ),
]


@pytest.mark.parametrize("forge", BAD_TOKENS)
def test_its_bearer_is_a_newcomer(site: Site, forge: Forge) -> None:
    """The same answer as anybody's, with a ticket of their own; nobody inside or in line notices."""
    inside, (waiting, number) = site.fill(), site.queue()
    token = forge(site, inside.partition("=")[2], waiting.partition("=")[2])
    newcomer = site.send(headers=JSON)
    bearer = site.send(headers=JSON, cookies=site.cookie(token))
    assert bearer.is_waiting
    assert bearer.json["number"] == newcomer.json["number"] + 1 == number + 2
    assert {name for name, _ in bearer.headers} == {name for name, _ in newcomer.headers}
    assert site.is_in(inside)


@pytest.mark.parametrize("forge", BAD_TOKENS)
def test_it_does_nothing_below_the_mount(site: Site, forge: Forge) -> None:
    """Check-in knows no ticket of it or an ended lease; leaving with it leaves nothing."""
    inside, (waiting, _) = site.fill(), site.queue()
    token = forge(site, inside.partition("=")[2], waiting.partition("=")[2])
    assert site.post("check-in", site.cookie(token)).json["state"] in ("no-ticket", "gone")
    assert site.post("leave", site.cookie(token), headers=JSON).json == {"state": "left"}
    assert site.leases() == 1
    assert site.is_in(inside)


@about("one bit flipped, in every position")
def test_one_flipped_bit_anywhere_makes_a_newcomer(site: Site) -> None:
    """In every position of the cookie's value. A server may refuse what has become a control character."""
    name, _, lease = site.fill().partition("=")
    refused = 0
    for place, char in enumerate(lease):
        flipped = lease[:place] + chr(ord(char) ^ 1 << place % 7) + lease[place + 1 :]
        try:
            assert site.send(cookies=f"{name}={flipped}").is_waiting, flipped
        except Refused:
            refused += 1
            assert not flipped.isprintable()
    assert refused < len(lease) / 4
    assert site.leases() == 1


@about("signed with a retired key")
def test_a_retired_key_verifies_and_never_signs(site: Site) -> None:
    """A lease of before the change goes on; what is given out for it is signed with the new key."""
    end = site.now_ms() + 50_000
    reply = site.send(cookies=site.cookie(site.forge(f"l1.{SID}.{end}.0", key=OLD_KEY)))
    assert reply.is_checkout
    renewed = given_cookie(reply).partition("=")[2]
    assert renewed.startswith(f"l1.{SID}.")
    with pytest.raises(BadToken):
        Tokens([OLD_KEY]).read(site.event, renewed)


@about("replayed after release")
@pytest.mark.parametrize("deed", ["thanks", "checkout/release"], ids=["by a page", "by a header"])
def test_a_released_lease_is_not_replayed(site: Site, deed: str) -> None:
    """Not at once, not by checking in, not by leaving twice: whoever is in by then stays in."""
    area = {"area": "strict"}
    event = f"strict-{site.event}"
    lease = site.fill(**area)
    assert site.send(site.at(deed, **area), cookies=lease).status == 200
    other = site.fill(**area)
    for _ in range(3):
        assert not site.is_in(lease, **area)
        assert site.post("check-in", lease, event=event).json["state"] == "gone"
        site.post("leave", lease, event=event)
        assert site.is_in(other, **area)
    assert site.leases(event) == 1


@about("replayed after release")
def test_a_flood_of_releases_makes_no_lease_of_an_old_one(site: Site) -> None:
    """More than are remembered one by one; what is pushed out of that list is no good either."""
    lease, event = site.fill("strict"), f"strict-{site.event}"
    site.send(site.at("thanks", area="strict"), cookies=lease)
    later = {f"{number:016}": site.now_ms() + 2 * 86_400_000 for number in range(1_010)}
    site.redis.zadd(site.key("released", event), later)
    site.send(site.at("thanks", area="strict"), cookies=site.fill("strict"))
    assert site.redis.zscore(site.key("released", event), site.sid(lease)) is None
    other = site.fill("strict")
    assert not site.is_in(lease, "strict")
    assert site.post("check-in", lease, event=event).json["state"] == "gone"
    assert site.leases(event) == 1
    assert site.is_in(other, "strict")


@about("replayed after a wipe")
@pytest.mark.may_log
def test_a_lease_shown_after_a_wipe_is_its_own_slot_again(site: Site) -> None:
    """Adopted by its signature, once; nobody else gets in until all such leases had time to come."""
    inside, (waiting, _) = site.fill("strict"), site.queue("strict")
    site.wipe(f"strict-{site.event}")
    assert site.is_in(inside, "strict")
    assert site.is_in(inside, "strict")
    assert not site.is_in(waiting, "strict")
    assert not site.is_in(area="strict")
    assert site.leases(f"strict-{site.event}") == 1


@about("replayed after a wipe")
@pytest.mark.may_log
def test_a_ticket_shown_after_a_wipe_is_before_all_newcomers(site: Site) -> None:
    """Nobody's number of before is above one of after, and nobody goes in ahead of them."""
    site.fill()
    waiting, number = site.queue()
    site.wipe()
    assert not site.is_in(waiting)
    newcomer = site.send(headers=JSON)
    assert newcomer.is_waiting
    assert newcomer.json["number"] > number
    assert site.leases() == 0


@about("one lease on 100 clients")
def test_one_lease_on_a_hundred_clients_is_one_slot(site: Site) -> None:
    """A cookie can be lent; it doesn't become more. Paid by one, it is over for all."""
    lease, event = site.fill("strict"), f"strict-{site.event}"
    with ThreadPoolExecutor(10) as threads:
        assert all(threads.map(lambda _: site.is_in(lease, "strict"), range(100)))
    assert site.leases(event) == 1
    site.send(site.at("thanks", area="strict"), cookies=lease)
    site.fill("strict")
    with ThreadPoolExecutor(10) as threads:
        assert not any(threads.map(lambda _: site.is_in(lease, "strict"), range(20)))
    assert site.leases(event) == 1


@about("one ticket in 100 parallel check-ins")
def test_one_ticket_in_a_hundred_parallel_check_ins_gets_one_slot(site: Site) -> None:
    """However they race, though there are three."""
    inside = site.fill()
    waiting, _ = site.queue()
    site.set_capacity(3)
    site.end_grace()
    with ThreadPoolExecutor(10) as threads:
        states = list(threads.map(lambda _: site.post("check-in", waiting).json["state"], range(100)))
    assert states == ["admitted"] * 100
    assert site.leases() == 2
    assert site.is_in(inside)


@about("a copied lease, two renewals later")
@pytest.mark.may_log
def test_a_copy_ends_when_its_owner_has_renewed_twice(site: Site) -> None:
    """Whoever has the newest token goes on; who shows an old one is a newcomer, and takes nothing along."""
    event = f"rotated-{site.event}"
    lease = site.fill("rotated")
    now, sid = site.now_ms(), site.sid(lease)
    site.redis.zadd(site.key("leases", event), {sid: now + 55_000})  # renewed five seconds ago
    newest = site.cookie(site.forge(f"l1.{sid}.{now + 55_000}.{now - 1}", event=event), event)
    copy = site.cookie(site.forge(f"l1.{sid}.{now + 10_000}.{now - 30_000}", event=event), event)
    assert not site.is_in(copy, "rotated")
    assert site.is_in(newest, "rotated")
    assert site.leases(event) == 1


@about("a copied lease, two renewals later")
def test_tabs_that_renew_side_by_side_are_no_copies(site: Site) -> None:
    """Ten requests with the same token, of which each gets a newer one."""
    lease = site.fill("rotated")
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda _: site.is_in(lease, "rotated"), range(10)))
