"""The proof that a check-in may demand: whose it is, how long it holds, and that no way leads round it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import altcha
import pytest
import redis
import sites
from conftest import missing
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import CHECK_IN, CHECKOUT, CHECKOUT_RULE, JSON, KEY, NEW_KEY, OLD_KEY, Browser, Clock, Opener, Site

from admitgate import Config
from admitgate.challenge import Altcha, challenge_faults, holds, made
from admitgate.errors import ConfigError
from admitgate.passes import pass_link
from admitgate.template import TEMPLATES

clock, open_site, open_plain = sites.clock, sites.open_site, sites.open_plain

EASY = Altcha(hashes=1000)
SID, OTHER_SID = "a" * 16, "b" * 16
NOW = 1_700_000_000_000
SCRIPTS = TEMPLATES / "admitgate"


class Riddle:
    """A challenge of a site's own, which is solved by knowing the answer."""

    def ask(self, event: str, sid: str, now_ms: int) -> Mapping[str, Any]:
        return {"riddle": "What has an eye and can't see?"}

    def verify(self, event: str, sid: str, answer: str, now_ms: int) -> bool:
        return answer == "a needle"


@lru_cache
def solved(challenge: str) -> str:
    """What altcha's own library answers."""
    asked = altcha.Challenge.from_dict(json.loads(challenge))
    solution = altcha.solve_challenge(asked)
    assert solution
    return altcha.Payload(asked, altcha.Solution(solution.counter, solution.derived_key)).to_base64()


def answer_to(challenge: Mapping[str, Any]) -> str:
    return solved(json.dumps(challenge))


def check_in(browser: Browser, proof: str = "", path: str = CHECK_IN) -> dict[str, Any]:
    """What a page hears that shows this proof."""
    response = browser.post(path, headers={"Admitgate-Proof": proof} if proof else {})
    assert response.status_code in (200, 403, 410)
    said: dict[str, Any] = response.json
    return said


def called(site: Site) -> Browser:
    """A visitor whose number is called, behind somebody who is inside."""
    browser = site.browser()
    browser.place()
    return browser


@pytest.fixture
def signing() -> Altcha:
    return EASY.with_keys([KEY])


# --- at the gate


def test_who_checks_in_is_given_a_challenge_and_goes_in_with_its_solution(
    open_site: Opener, clock: Clock
) -> None:
    """The same solution serves every check-in, until there is room."""
    site = open_site(challenge=EASY)
    inside, browser = site.fill(), called(site)
    said = check_in(browser)
    assert said["state"] == "challenge"
    proof = answer_to(said["challenge"])
    assert check_in(browser, proof)["state"] == "ready"
    inside.post("/_admitgate/leave/gala")
    clock.forward(7)
    assert check_in(browser, proof)["state"] == "admitted"
    assert site.is_in(browser)


def test_loading_the_page_is_no_way_round(open_site: Opener, clock: Clock) -> None:
    """Whose number is called gets the page, however often they load it; its script brings the proof."""
    site = open_site(challenge=EASY)
    inside, browser = site.fill(), called(site)
    inside.post("/_admitgate/leave/gala")
    for method in ("GET", "POST", "GET"):
        clock.forward(7)
        response = browser.open(CHECKOUT, method=method, headers=JSON)
        assert (response.status_code, response.json["state"]) == (503, "ready")
        assert response.json["demands_proof"] is True
    assert len(site.shop.seen) == 1
    assert check_in(browser, answer_to(check_in(browser)["challenge"]))["state"] == "admitted"


def test_while_there_is_room_and_nobody_waits_no_proof_is_asked_for(open_site: Opener) -> None:
    """It is the line that is protected: a shop with room asks nothing of anybody."""
    site = open_site(challenge=EASY, capacity=2)
    assert site.is_in()
    assert site.is_in()


def test_who_is_inside_needs_no_proof_to_stay(open_site: Opener) -> None:
    """A lease is renewed by its cookie, by the page's check-in too."""
    site = open_site(challenge=EASY)
    assert check_in(site.fill())["state"] == "admitted"


def test_a_check_in_without_a_proof_never_comes_to_redis(
    open_site: Opener, redis_client: redis.Redis
) -> None:
    """So those who don't reckon cost it nothing."""
    site = open_site(challenge=EASY)
    site.fill()
    browser = called(site)
    before = sites.script_calls(redis_client)
    for proof in ("", "nonsense", "x" * 4001):
        assert check_in(browser, proof)["state"] == "challenge"
    assert sites.script_calls(redis_client) == before


def test_a_worker_that_has_heard_of_no_time_asks_redis_for_it(
    open_plain: Opener, redis_client: redis.Redis
) -> None:
    """Its own clock may be an hour off."""
    first, second = (open_plain(challenge=EASY) for _ in range(2))
    first.fill()
    browser = called(first)
    proof = answer_to(check_in(browser)["challenge"])
    elsewhere = second.browser()
    elsewhere.carry(browser.token())
    assert check_in(elsewhere)["state"] == "challenge"
    assert check_in(elsewhere, proof)["state"] == "ready"


def test_a_line_that_redis_has_lost_is_told_of_by_who_brings_a_proof(
    open_site: Opener, clock: Clock, redis_client: redis.Redis
) -> None:
    """The page says to wait a moment, and its check-in restores the numbering."""
    site = open_site(challenge=EASY)
    site.fill()
    browser = called(site)
    proof = answer_to(check_in(browser)["challenge"])
    sites.wipe(redis_client)
    clock.forward(2)
    assert browser.place()["state"] in ("hold", "ready")
    assert check_in(browser, proof)["state"] in ("hold", "ready")


def test_a_proof_is_worth_nothing_to_another_visitor(open_site: Opener) -> None:
    """So nobody can buy one."""
    site = open_site(challenge=EASY)
    site.fill()
    seller, buyer = called(site), called(site)
    proof = answer_to(check_in(seller)["challenge"])
    assert check_in(buyer, proof)["state"] == "challenge"
    assert check_in(seller, proof)["state"] == "ready"


def test_a_proof_is_worth_nothing_at_another_event(open_site: Opener) -> None:
    """Not even to the same browser."""
    site = open_site(challenge=EASY)
    other = "/events/other/checkout"
    site.fill(), site.fill(other)
    browser = site.browser()
    browser.place(), browser.place(other)
    proof = answer_to(check_in(browser)["challenge"])
    assert check_in(browser, proof, "/_admitgate/check-in/other")["state"] == "challenge"


def test_a_proof_ends_by_the_events_time(open_site: Opener, clock: Clock) -> None:
    """Then there is a new challenge."""
    site = open_site(challenge=Altcha(hashes=1000, valid_seconds=60), lease_seconds=600)
    site.fill()
    browser = called(site)
    proof = answer_to(check_in(browser)["challenge"])
    clock.forward(59)
    assert check_in(browser, proof)["state"] == "ready"
    clock.forward(2)
    said = check_in(browser, proof)
    assert said["state"] == "challenge"
    assert check_in(browser, answer_to(said["challenge"]))["state"] == "ready"


def test_a_huge_body_is_not_read(open_site: Opener) -> None:
    """The proof is in a header, which the server bounds: a body of a megabyte may say what it likes."""
    site = open_site(challenge=EASY, is_guarded=False)
    site.fill()
    browser = called(site)
    body = json.dumps({"challenge": "x" * 2**20})
    response = browser.post(CHECK_IN, data=body, content_type="application/json")
    assert (response.status_code, response.json["state"]) == (200, "challenge")


def test_observing_demands_nothing(open_site: Opener, clock: Clock) -> None:
    """Everybody goes in anyway, and nobody sees a page that could reckon."""
    site = open_site(challenge=EASY, mode="observe")
    browser = site.browser()
    assert site.is_in()
    assert site.is_in(browser)
    clock.forward(7)
    assert site.is_in(browser)
    assert check_in(browser)["state"] != "challenge"


def test_a_pass_is_the_way_in_for_who_can_bring_no_proof(open_site: Opener, clock: Clock) -> None:
    """The organisers have looked at who it is; neither the page's check-in nor loading it asks for more."""
    site = open_site(challenge=EASY, shop_url="http://shop.example/")
    config = Config.from_options({"rules": [CHECKOUT_RULE], "redis_url": "redis://x", "secret_key": KEY})
    inside, guest = site.fill(), site.browser()
    guest.get(pass_link(config, "gala", now_ms=clock.now_ms, valid_seconds=600, is_counted=True))
    assert check_in(guest)["state"] == "ready"
    inside.post("/_admitgate/leave/gala")
    clock.forward(7)
    assert site.is_in(guest)


def test_a_challenge_of_the_sites_own(open_site: Opener) -> None:
    """Any object that asks and verifies, or where it is to be found."""
    for challenge in (Riddle(), "test_challenge.Riddle", "test_challenge:Riddle"):
        site = open_site(challenge=challenge, key_prefix=str(id(challenge)))
        site.fill()
        browser = called(site)
        assert check_in(browser)["challenge"]["riddle"].startswith("What")
        assert check_in(browser, "a wheel")["state"] == "challenge"
        assert check_in(browser, "a needle")["state"] == "ready"


# --- off by default


def test_without_the_setting_nothing_is_asked_and_nothing_is_in_the_page(open_site: Opener) -> None:
    """Neither the script nor the words."""
    site = open_site()
    site.fill()
    browser = called(site)
    assert "demands_proof" not in browser.place()
    page = browser.get(CHECKOUT).text
    assert "function proving" not in page
    assert "calculation" not in page
    assert check_in(browser)["state"] == "ready"


def test_with_it_the_page_says_what_who_has_no_script_can_do(open_site: Opener) -> None:
    """A person has to help them: the organisers, by a link."""
    site = open_site(challenge=EASY)
    site.fill()
    page = called(site).get(CHECKOUT).text
    (note,) = (part for part in page.split("<noscript>") if "calculation" in part.partition("</noscript>")[0])
    assert "ask the organisers for a link" in note


def test_nobody_loads_altcha_who_does_not_use_it() -> None:
    """In a fresh interpreter."""
    program = "import sys, admitgate.edge, admitgate.challenge; print(*sys.modules)"
    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "altcha" not in fresh.stdout.split()


# --- the page's script


def test_the_pages_script_solves_what_altcha_asks(signing: Altcha) -> None:
    """The files of which it is made, under node."""
    node = shutil.which("node")
    if node is None:
        missing("node", cure="'apt install nodejs' (Debian)")
    challenges = [dict(signing.ask("gala", SID, NOW)) for _ in range(5)]
    script = "\n".join((SCRIPTS / name).read_text("utf-8") for name in ("sha256.js", "proof.js"))
    solve = f"Promise.all({json.dumps(challenges)}.map(solved)).then((found) => console.log(found.join()))"
    program = [str(node), "-e", f"{script}\n{solve}"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    answers = done.stdout.strip().split(",")
    assert [signing.verify("gala", SID, answer, NOW) for answer in answers] == [True] * 5


# --- the keys


def test_the_newest_key_asks_and_all_of_them_believe() -> None:
    """As with tokens: the list is oldest first."""
    before, between, after = (
        EASY.with_keys(keys) for keys in ([OLD_KEY], [OLD_KEY, NEW_KEY.encode()], [NEW_KEY])
    )
    old, new = (answer_to(challenge.ask("gala", SID, NOW)) for challenge in (before, between))
    assert between.verify("gala", SID, old, NOW)
    assert after.verify("gala", SID, new, NOW)
    assert not after.verify("gala", SID, old, NOW)
    assert not before.verify("gala", SID, new, NOW)


def test_a_challenge_tells_nobody_whose_it_is(signing: Altcha) -> None:
    """Neither the visitor's name nor the key: it is bound by how it is signed."""
    asked = json.dumps(signing.ask("gala", SID, NOW))
    assert SID not in asked
    assert "gala" not in asked
    assert KEY not in asked
    assert KEY not in repr(signing)


# --- what can't be made up


def test_an_answer_is_believed_for_its_own_visitor_event_and_time_only(signing: Altcha) -> None:
    """Whatever is exchanged."""
    proof = answer_to(signing.ask("gala", SID, NOW))
    assert signing.verify("gala", SID, proof, NOW + 599_999)
    assert not signing.verify("gala", SID, proof, NOW + 600_000)
    assert not signing.verify("gala", OTHER_SID, proof, NOW)
    assert not signing.verify("gale", SID, proof, NOW)


def _in(payload: dict[str, Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = payload["challenge"]["parameters"]
    return parameters


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda p: p["solution"].update(counter=p["solution"]["counter"] + 1), id="another number"
        ),
        pytest.param(lambda p: p["solution"].update(derivedKey="00" * 16), id="another hash"),
        pytest.param(lambda p: p["solution"].update(counter=-1), id="a number below 0"),
        pytest.param(lambda p: p["solution"].update(counter=2**40), id="a number that is too large"),
        pytest.param(lambda p: p["solution"].update(counter=True), id="no number"),
        pytest.param(lambda p: _in(p).update(keyPrefix=""), id="anything would do"),
        pytest.param(lambda p: _in(p)["data"].update(until=NOW * 2), id="a longer life"),
        pytest.param(lambda p: _in(p).pop("data"), id="no end"),
        pytest.param(lambda p: _in(p).update(data=None), id="an end that is nothing"),
        pytest.param(lambda p: _in(p).update(data={"__proto__": 1}), id="what can't be signed"),
        pytest.param(lambda p: _in(p).update(algorithm="none"), id="another algorithm"),
        pytest.param(lambda p: _in(p).update(cost=0), id="no work"),
        pytest.param(lambda p: _in(p).update(cost=10**9), id="work for the server"),
        pytest.param(lambda p: _in(p).update(keySignature="00"), id="a signature of the hash"),
        pytest.param(lambda p: _in(p).update(expiresAt=1), id="an end of altcha's own"),
        pytest.param(lambda p: p["challenge"].update(signature=""), id="no signature"),
        pytest.param(lambda p: p["challenge"].update(signature=7), id="a number for a signature"),
        pytest.param(lambda p: p["challenge"].update(signature="\ud800"), id="half a letter for a signature"),
        pytest.param(lambda p: p["challenge"].update(parameters=[]), id="a list"),
        pytest.param(lambda p: p.update(challenge="parameters"), id="a text"),
        pytest.param(lambda p: p.pop("solution"), id="half of it"),
    ],
)
def test_a_changed_answer_is_not_believed(
    signing: Altcha, change: Callable[[dict[str, Any]], object]
) -> None:
    """All that was asked is signed, and what was found is reckoned again."""
    payload = json.loads(base64.b64decode(answer_to(signing.ask("gala", SID, NOW))))
    change(payload)
    changed = base64.b64encode(json.dumps(payload).encode()).decode()
    assert not holds(signing, "gala", SID, changed, NOW)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="nothing"),
        pytest.param("=", id="half of base64"),
        pytest.param("été", id="letters that no header has"),
        pytest.param("\ud800", id="half a letter"),
        pytest.param("e30=", id="an empty object"),
        pytest.param("bnVsbA==", id="null"),
        pytest.param("WzFd", id="a list"),
        pytest.param(base64.b64encode(b"[" * 2900).decode(), id="a deep hole"),
        pytest.param(base64.b64encode(b'{"challenge":' + b"9" * 2900 + b"}").decode(), id="a long number"),
        pytest.param(base64.b64encode(bytes(range(256))).decode(), id="bytes"),
        pytest.param("A" * 1_000_000, id="a megabyte"),
    ],
)
def test_what_is_no_answer_is_not_believed(signing: Altcha, answer: str) -> None:
    """And breaks nothing."""
    assert holds(signing, "gala", SID, answer, NOW) is False


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode()))
@settings(max_examples=200)
def test_whatever_is_shown_as_an_answer(answer: str) -> None:
    """Nobody guesses one."""
    assert holds(EASY.with_keys([KEY]), "gala", SID, answer, NOW) is False


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=9,
    ),
    st.sampled_from(["challenge", "solution", "parameters", "signature", "data", "counter", "cost"]),
)
@settings(max_examples=200)
def test_whatever_stands_in_an_answers_place(value: Any, name: str) -> None:
    """An answer of the right form with something odd in it is refused, never a crash."""
    signing = EASY.with_keys([KEY])
    payload = json.loads(base64.b64decode(_one_answer()))
    places = (payload, payload["challenge"], payload["solution"], _in(payload))
    (place,) = [place for place in places if name in place]
    if place[name] == value:
        return
    place[name] = value
    changed = base64.b64encode(json.dumps(payload).encode()).decode()
    assert holds(signing, "gala", SID, changed, NOW) is False


@lru_cache
def _one_answer() -> str:
    return answer_to(EASY.with_keys([KEY]).ask("gala", SID, NOW))


# --- the setting


@pytest.mark.parametrize(
    ("challenge", "fault"),
    [
        pytest.param(Altcha(hashes=10), "challenge: hashes is 10: give a whole number", id="too easy"),
        pytest.param(Altcha(hashes=10**9), "challenge: hashes is 1000000000: give", id="too hard"),
        pytest.param(Altcha(hashes=1e5), "challenge: hashes is 100000.0: give", id="half numbers"),  # type: ignore[arg-type]
        pytest.param(Altcha(hashes=True), "challenge: hashes is True: give", id="no number"),
        pytest.param(Altcha(valid_seconds=1), "challenge: valid_seconds is 1: give seconds", id="too short"),
        pytest.param("altcha", "challenge is 'altcha', but that can't be had", id="no place"),
        pytest.param("", "challenge is '', but that can't be had", id="an empty text"),
        pytest.param("nowhere.Altcha", "that can't be had (No module named 'nowhere')", id="no such module"),
        pytest.param("admitgate.challenge.Hcaptcha", "that can't be had", id="no such name"),
        pytest.param("json.dumps", "which has no methods ask and verify", id="a function"),
        pytest.param(True, "challenge is True, which has no methods ask and verify", id="True"),
    ],
)
def test_a_challenge_that_cannot_be_used_is_refused_at_start(challenge: object, fault: str) -> None:
    """In a sentence, with its cure."""
    options = {"secret_key": KEY, "redis_url": "redis://nowhere", "challenge": challenge}
    with pytest.raises(ConfigError) as refused:
        Config.from_options({**options, "rules": [{"path": "/checkout", "capacity": 1}]})
    (sentence,) = refused.value.faults
    assert fault in sentence
    assert "give" in sentence


def test_without_the_package_the_setting_is_refused_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the first check-in."""
    monkeypatch.setitem(sys.modules, "altcha.v2", None)
    (fault,) = challenge_faults("admitgate.challenge.Altcha")
    assert fault == (
        "challenge is Altcha, which needs the package altcha, 2.3 or newer: pip install 'admitgate[altcha]'."
    )


def test_off_and_on() -> None:
    """No challenge, ours, or one by its place."""
    assert made(None, [KEY]) is None
    assert challenge_faults(None) == challenge_faults(Altcha()) == challenge_faults(Riddle()) == []
    assert made("admitgate.challenge.Altcha", [KEY]) == made(Altcha, [KEY]) == Altcha().with_keys([KEY])
