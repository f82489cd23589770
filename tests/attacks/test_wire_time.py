"""Time and concurrency: races, workers that disagree or die, applications that break."""

from __future__ import annotations

import importlib.util
import os
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from attack_hosts import Host
from attack_lines import about
from attack_site import Refused, Reply, Site, given_cookie
from attack_words import CAPACITIES


@about("a lease that ends during its request")
def test_a_lease_that_ends_during_its_request_ends_nobodys_request(site: Site) -> None:
    """The request is answered; the slot is somebody else's by then, and stays theirs."""
    inside = site.fill("strict")
    event = f"strict-{site.event}"
    with ThreadPoolExecutor(1) as thread:
        request = thread.submit(site.send, site.at("checkout/hold", area="strict"), cookies=inside)
        begun(site)
        site.end_leases(event)
        other = site.fill("strict")
        go_on(site)
        assert request.result().is_checkout
    assert site.leases(event) == 1
    assert site.is_in(other, "strict")


def begun(site: Site) -> int:
    """Wait until a worker is in the middle of a request; its process."""
    told = site.redis.blpop([f"shop:begun:{site.event}"], 20)
    assert told
    return int(told[1])


def go_on(site: Site, requests: int = 1) -> None:
    """Let as many requests go on."""
    site.redis.rpush(f"shop:go-on:{site.event}", *range(requests))


@about("release racing renew")
def test_a_release_that_races_renewals_wins(site: Site) -> None:
    """Whatever the order, the slot is free afterwards and the cookie is worth nothing."""
    lease, event = site.fill("strict"), f"strict-{site.event}"

    def race(number: int) -> Reply:
        if number == 10:
            return site.send(site.at("thanks", area="strict"), cookies=lease)
        return site.send(site.at(area="strict"), cookies=lease)

    with ThreadPoolExecutor(8) as threads:
        assert {reply.status for reply in threads.map(race, range(25))} <= {200, 503}
    assert site.post("check-in", lease, event=event).json["state"] == "gone"
    waiting = site.redis.zrange(site.key("ready", event), 0, -1)
    assert site.leases(event) + len(waiting) <= 1
    assert lease.split(".")[1].encode() not in site.redis.zrange(site.key("leases", event), 0, -1)


@pytest.mark.parametrize(
    ("capacity", "newcomers"),
    [
        pytest.param(0, 0, id="to none", marks=about("capacity to 0, live")),
        pytest.param(1, 0, id="to one", marks=about("capacity to 1, live")),
        pytest.param(4, 2, id="doubled", marks=about("capacity doubled, live")),
    ],
)
def test_capacity_changed_live(site: Site, capacity: int, newcomers: int) -> None:
    """Every worker obeys at once: nobody is thrown out, and nobody goes in until there is room."""
    event = f"strict-{site.event}"
    site.set_capacity(2, event)
    inside = [site.fill("strict"), site.fill("strict")]
    site.set_capacity(capacity, event)
    assert sum(site.is_in(area="strict") for _ in range(4)) == newcomers
    assert all(site.is_in(visitor, "strict") for visitor in inside)
    assert site.leases(event) == 2 + newcomers


@about("settings that differ between workers")
def test_workers_that_disagree_keep_to_the_largest_of_them(site: Site, hosts: dict[str, Host]) -> None:
    """In the middle of a deployment: nobody is thrown out, nothing breaks, the cap is one of the two."""
    event, inside = f"differs-{site.event}", []
    colleagues = [host for host in hosts.values() if host.framework == site.host.framework]
    for host in (site.host, *colleagues) * 2:
        colleague = Site(host, site.redis, site.event)
        reply = colleague.send(colleague.at(area="differs"))
        assert reply.is_checkout or reply.is_waiting
        if reply.is_checkout:
            inside.append(reply.all("Set-Cookie")[-1].partition(";")[0])
    assert 1 <= site.leases(event) <= max(CAPACITIES.values())
    assert all(site.is_in(visitor, "differs") for visitor in inside)


@about("fork after the client was made")
def test_workers_that_were_forked_share_no_connection(site: Site) -> None:
    """Each answer is the one to its own question, though the first visitor came before the fork."""
    if site.host.server == "waitress":
        pytest.skip("waitress doesn't fork")
    site.fill()
    workers: set[str] = set()
    with ThreadPoolExecutor(16) as threads:
        numbers = [number for _, number in threads.map(lambda _: site.queue(), range(60))]
        for _ in range(20):  # one may be so quick that the other finds nothing to do
            if len(workers) < 2:
                workers |= {
                    reply.get("X-Worker") for reply in threads.map(lambda _: site.send("/"), range(100))
                }
    assert len(set(numbers)) == 60
    assert len(workers) == 2


@about("threads")
def test_a_hundred_newcomers_at_once_find_the_slots_there_are(site: Site) -> None:
    """Threads of two workers; nobody is given a number twice."""
    newcomers_find_seven_slots(site)


def newcomers_find_seven_slots(site: Site) -> None:
    """A hundred of them, twelve at a time."""
    site.set_capacity(7)
    with ThreadPoolExecutor(12) as threads:
        replies = list(threads.map(lambda _: site.send(), range(100)))
    assert sum(reply.is_checkout for reply in replies) == 7
    assert site.leases() == 7
    tokens = [reply.get("Set-Cookie").partition(";")[0] for reply in replies]
    assert len(set(tokens)) == 100


@about("gevent")
def test_greenlets_get_the_answers_to_their_own_questions(site: Site) -> None:
    """gunicorn with gevent workers, who share a few connections among many greenlets."""
    if site.host.server != "gunicorn":
        pytest.skip("gevent is a kind of gunicorn's workers")
    if importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent isn't here: pip install gevent")
    with tempfile.TemporaryDirectory(prefix="admitgate-") as folder:
        host = replace(site.host, folder=Path(folder), has_greenlets=True, _process=None)
        host.start()
        try:
            newcomers_find_seven_slots(Site(host, site.redis, site.event))
        finally:
            host.stop()


@about("a response generator never closed")
def test_a_visitor_who_hangs_up_in_the_middle_keeps_their_slot_and_no_other(site: Site) -> None:
    """Their lease ends when it would have; the worker goes on."""
    for _ in range(3):
        with site.host.connect() as connection:
            path = site.at("checkout/stream").encode()
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 ")
    assert site.leases() == 1
    assert site.send().is_waiting
    assert site.send("/").body == b"a page"


@about("the application raising before start_response")
@pytest.mark.may_log
def test_an_application_that_breaks_before_it_answers_keeps_no_slot(site: Site) -> None:
    """Unless its framework answers for it: then the visitor has a cookie to come back with."""
    lease = broken(site, "checkout/raise")
    assert site.leases() == (1 if lease else 0)
    inside = lease or site.fill()
    broken(site, "checkout/raise", inside)
    assert site.leases() == 1
    assert site.is_in(inside)


def broken(site: Site, rest: str, cookies: str = "") -> str:
    """A request that the application breaks at: the cookie of the framework's own 500, where it has one."""
    try:
        reply = site.send(site.at(rest), cookies=cookies, is_500_allowed=True)
    except Refused:
        return ""
    assert reply.status == 500 or reply.body.startswith(b"the beginning")
    return given_cookie(reply) if reply.all("Set-Cookie") else ""


@about("the application raising after start_response")
@pytest.mark.may_log
def test_an_application_that_breaks_after_it_has_begun_keeps_one_slot(site: Site) -> None:
    """Its cookie may have gone out: the lease ends by its deadline, and counts as one until then."""
    broken(site, "checkout/break")
    before = site.leases()
    assert before <= 1
    assert sum(site.is_in() for _ in range(3)) == 1 - before


@about("kill -9 in mid-request")
@pytest.mark.may_log
def test_a_worker_killed_in_mid_request_takes_no_slot_with_it(site: Site) -> None:
    """Its visitor's lease goes on until its deadline, on whichever worker they come back to."""
    inside = site.fill()
    with ThreadPoolExecutor(1) as thread:
        request = thread.submit(site.send, site.at("checkout/hold"), cookies=inside)
        os.kill(begun(site), signal.SIGKILL)
        with pytest.raises((Refused, OSError)):
            request.result()
    revive(site)
    assert site.leases() == 1
    assert site.is_in(inside)
    site.end_leases()
    assert site.is_in()
    assert site.send().is_waiting


def revive(site: Site) -> None:
    """gunicorn and uWSGI start another worker; waitress has only the one, and an operator."""
    deadline = time.monotonic() + 20
    while True:
        try:
            if not site.host.is_running():
                site.host.start()
            assert site.send("/").status == 200
            return
        except (OSError, Refused):
            assert time.monotonic() < deadline
            time.sleep(0.05)
