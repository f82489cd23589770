"""The operator's hands on an event: what changes live, that workers obey, and that it is written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
import sites
from sites import CHECKOUT, KEY, STATUS, Clock, Opener

from admitgate import Config, Outage, Rule, counter
from admitgate.control import Control, EventControl, Listing
from admitgate.django import event as django_event
from admitgate.flask import AdmitGate as FlaskGate
from admitgate.live import OPTIONS, local
from admitgate.tokens import new_sid

clock, open_plain = sites.clock, sites.open_plain

RULE = Rule("/events/<event>/checkout", capacity=5, admit_per_minute=60)
A_MINUTE = 60_000
_a_month_ms = 30 * 24 * 3600 * 1000


def control_of(url: str, *rules: Rule) -> Control:
    options = {"rules": rules or (RULE,), "redis_url": url, "redis_timeout_seconds": 10, "secret_key": KEY}
    return Control.of(Config.from_options(options))


@pytest.fixture
def event(redis_url: str, clock: Clock) -> EventControl:
    """The levers of an event that nobody has come to yet, on a Redis whose time stands still."""
    return control_of(redis_url).event("gala")


def in_words(changes: list[Any]) -> list[tuple[str, str, str]]:
    return [(change.field, change.before, change.after) for change in changes]


class Away:
    """A control that can't ask, until it can."""

    def __init__(self) -> None:
        self.is_away, self.searches = True, 0

    def events(self) -> list[str]:
        self.searches += 1
        if self.is_away:
            raise Outage("Redis can't be asked")
        return ["gala"]


def test_events_that_could_not_be_searched_are_searched_again_at_once() -> None:
    """No events is not what a Redis that was away has said. What it has said holds for a while."""
    control: Any = Away()
    listing = Listing(control, 3600)
    with pytest.raises(Outage):
        listing.names()
    control.is_away = False
    assert [listing.names(), listing.names()] == [["gala"], ["gala"]]
    assert control.searches == 2


# --- what may be set


@pytest.mark.parametrize(
    ("option", "given", "kept"),
    [
        pytest.param("capacity", 800, "800", id="a number"),
        pytest.param("capacity", "800", "800", id="a number as text"),
        pytest.param("capacity", 0, "0", id="no room at all"),
        pytest.param("admit_per_minute", "2.5", "2.5", id="a broken number where that makes sense"),
        pytest.param("admit_per_minute", "none", "0", id="no rate although the rule has one"),
        pytest.param("max_waiting", "None", "-1", id="a line without an end"),
        pytest.param("lease_seconds", 90.0, "90", id="seconds"),
        pytest.param("message", "  Back in\n five  minutes ", "Back in five minutes", id="a message, tidied"),
        pytest.param("shuffle", False, "0", id="no draw although the rule has one"),
        pytest.param("closes_at", "none", "0", id="no end"),
        pytest.param("closes_at", "2100-05-01T10:00:00Z", "4112848800000", id="a time with a zone"),
        pytest.param("closes_at", "2100-05-01T12:00:00+02:00", "4112848800000", id="a time elsewhere"),
        pytest.param("closes_at", local(4112848800000), "4112848800000", id="a datetime"),
    ],
)
def test_an_option_is_kept_as_the_scripts_read_it(
    event: EventControl, option: str, given: Any, kept: str
) -> None:
    """Whether it comes from Python, a command or a form; and "rule" takes it back."""
    assert in_words(event.set(**{option: given})) == [(option, "", kept)]
    assert event.settings() == {option: kept}
    assert in_words(event.set(**{option: "rule"})) == [(option, kept, "")]
    assert event.settings() == {}


def test_a_time_of_the_day_is_todays_on_this_machine(event: EventControl) -> None:
    """What day it is, Redis says."""
    now = local(event.now_ms())
    event.set(closes_at="23:59:30")
    kept = local(int(event.settings()["closes_at"]))
    assert (kept.date(), f"{kept:%H:%M:%S}") == (now.date(), "23:59:30")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"capacity": -1}, "capacity is -1: give a whole number from 0", id="a number too small"),
        pytest.param({"capacity": 2.5}, "capacity is 2.5: give a whole number", id="half a slot"),
        pytest.param({"capacity": True}, "capacity is True", id="a truth for a number"),
        pytest.param({"capacity": "none"}, "capacity is 'none'", id="no capacity at all"),
        pytest.param({"lease_seconds": "nan"}, "lease_seconds is 'nan'", id="not a number"),
        pytest.param({"max_waiting": "inf"}, "max_waiting is 'inf'", id="an endless number"),
        pytest.param({"capcity": 3}, "capcity can't be changed: did you mean 'capacity'?", id="a slip"),
        pytest.param({"extra": 3}, "extra can't be changed: there are capacity, ", id="what isn't an option"),
        pytest.param({"state": "ajar"}, "state is 'ajar': give one of paused, closed", id="no such state"),
        pytest.param({"shuffle": "perhaps"}, "shuffle is 'perhaps': give yes, no", id="neither yes nor no"),
        pytest.param({"message": "x" * 501}, "message has 501 characters", id="a novel"),
        pytest.param({"message": "a\x1b[2Jb"}, "printable", id="a message that moves the terminal"),
        pytest.param({"opens_at": "2100-05-01T10:00:00"}, "with a zone", id="a time without a zone"),
        pytest.param({"opens_at": "25:00"}, "opens_at is '25:00'", id="an hour that there isn't"),
        pytest.param(
            {"opens_at": "2001-05-01T10:00Z"}, "ago: give a time to come, or open it now", id="past"
        ),
        pytest.param({"closes_at": "00:00"}, "ago: give a time to come, or close it now", id="past midnight"),
        pytest.param({"closes_at": 7}, "closes_at is 7", id="a number for a time"),
        pytest.param({"shuffle": True}, "there is no opens_at", id="a draw without an opening"),
        pytest.param(
            {"opens_at": "2100-05-01T10:00Z", "closes_at": "2100-05-01T09:00Z"},
            "is not after opens_at",
            id="an end before the beginning",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    event: EventControl, options: dict[str, Any], sentence: str
) -> None:
    """And nothing of it is done: what stands beside it is left undone too."""
    with pytest.raises(ValueError, match=r"[.?]$") as refusal:
        event.set(**{"max_waiting": 7, **options} if "max_waiting" not in options else options)
    assert sentence in str(refusal.value)
    assert (event.settings(), event.log()) == ({}, [])


def test_all_faults_are_told_at_once(event: EventControl) -> None:
    """Nobody mends one to be told the next."""
    with pytest.raises(ValueError, match=r"capacity is 'x'.*lease_seconds is 0"):
        event.set(capacity="x", lease_seconds=0)


def test_an_event_that_no_rule_can_have(redis_url: str) -> None:
    """One sentence."""
    control = control_of(redis_url, Rule("/checkout", capacity=1))
    assert control.event("checkout").name == "checkout"
    with pytest.raises(LookupError, match="No rule has an event 'gala'"):
        control.event("gala")


# --- the log


def test_each_change_is_written_down(event: EventControl, clock: Clock) -> None:
    """When, who, what, from what, to what; newest first."""
    event.set(capacity=7, message="Hello", by="ada")
    clock.forward(60)
    event.set(capacity=8, by="bob")
    log = event.log()
    assert [(note.who, *note[2:]) for note in log] == [
        ("bob", "capacity", "7", "8"),
        ("ada", "message", "", "Hello"),
        ("ada", "capacity", "", "7"),
    ]
    assert [note.at_ms for note in log] == [clock.now_ms] + [clock.now_ms - A_MINUTE] * 2
    assert event.log(1) == log[:1]


def test_what_is_so_already_is_no_change(event: EventControl) -> None:
    """Two who pause are one pause."""
    assert len(event.pause()) == 1
    assert event.pause() == []
    assert len(event.log()) == 1


def test_of_two_operators_the_last_one_wins(redis_url: str, clock: Clock) -> None:
    """And both are in the log, with what each of them found."""
    ada, bob = (control_of(redis_url).event("gala") for _ in range(2))
    ada.set(capacity=7, by="ada")
    bob.set(capacity=9, by="bob")
    assert ada.settings() == {"capacity": "9"}
    assert [(note.who, note.before, note.after) for note in ada.log()] == [
        ("bob", "7", "9"),
        ("ada", "", "7"),
    ]


def test_a_name_is_kept_short_and_clean(event: EventControl) -> None:
    """It is shown in terminals and pages."""
    event.pause(by="\x1b[31m" + "x" * 500)
    (note,) = event.log()
    assert note.who == "[31m" + "x" * 95


def test_a_trial_says_what_would_change(event: EventControl, redis_client: redis.Redis) -> None:
    """And leaves nothing, not even a key."""
    assert in_words(event.trial().set(capacity=7)) == [("capacity", "", "7")]
    assert in_words(event.trial().close("Sold out")) == [("state", "", "closed"), ("message", "", "Sold out")]
    assert list(redis_client.scan_iter("admitgate:*")) == []


# --- the script, and what breaks where one of its rules is gone


def audit_of(client: redis.Redis) -> bytes:
    (key,) = client.scan_iter("admitgate:*:audit")
    return bytes(key)


def the_log_is_bounded(event: EventControl, client: redis.Redis) -> None:
    for number in range(510):
        event.set(capacity=number)
    assert client.llen(audit_of(client)) == 500
    assert event.log(1)[0].after == "509"


def both_are_kept_for_a_month(event: EventControl, client: redis.Redis) -> None:
    event.set(capacity=7)
    keys = list(client.scan_iter("admitgate:*"))
    assert len(keys) == 2
    assert all(_a_month_ms - A_MINUTE < client.pttl(key) <= _a_month_ms for key in keys)


def an_answer_that_got_lost_is_asked_for_again(event: EventControl, client: redis.Redis) -> None:
    event.pause()
    control: Any = event._control
    words = ["ada", "the same change", 500, "gala", "extra", "+", 5]
    calls = [counter_call(control, words) for _ in range(2)]
    assert calls[0][1:] == calls[1][1:]
    assert event.settings()["extra"] == "5"


def counter_call(control: Any, words: list[Any]) -> list[Any]:
    source, keys = control._counter.script("change")[0], control._counter.keys("gala")
    named = (keys.line, keys.settings, keys.audit)
    answer: list[Any] = control._client.execute_command("EVAL", source, len(named), *named, *words)
    return answer


def counts_add_up(event: EventControl, client: redis.Redis) -> None:
    event.pause()
    assert in_words(event.admit(20)) == [("extra", "", "20")]
    assert in_words(event.admit(5)) == [("extra", "20", "25")]


def nothing_but_a_name_is_no_setting(event: EventControl, client: redis.Redis) -> None:
    event.set(capacity=7)
    event.set(capacity=None)
    assert list(client.scan_iter("admitgate:*:settings")) == []


def the_rules_own_comes_back(event: EventControl, client: redis.Redis) -> None:
    event.set(capacity=7, max_waiting=3)
    event.set(capacity="rule")
    assert event.settings() == {"max_waiting": "3"}


def the_times_are_the_events(event: EventControl, client: redis.Redis) -> None:
    event._control._counter.call(counter.join(event.rule, event.name, "a" * 16))
    (line,) = client.scan_iter("admitgate:*:line")
    before = event.now_ms()
    client.hset(line, mapping={"offset": A_MINUTE, "stopped": 2 * A_MINUTE})
    assert (event.now_ms(), event.clock_ms()) == (before + A_MINUTE, before + 3 * A_MINUTE)
    assert event.pause()[0].at_ms == before + 3 * A_MINUTE


def who_only_tries_changes_nothing(event: EventControl, client: redis.Redis) -> None:
    event.set(capacity=7)
    event.trial().set(capacity=8)
    event.trial().set(capacity="rule")
    assert (event.settings(), len(event.log())) == ({"capacity": "7"}, 1)


def a_note_is_no_setting(event: EventControl, client: redis.Redis) -> None:
    event.note("pass", "2 counted", by="ada")
    assert (event.settings(), event.log()[0].after) == ({}, "2 counted")


def a_seed_is_told_to_nobody(event: EventControl, client: redis.Redis) -> None:
    event.set(opens_at="2100-05-01T10:00Z", shuffle=True)
    (settings,) = client.scan_iter("admitgate:*:settings")
    assert len(client.hget(settings, "seed") or b"") == 32
    assert "seed" not in event.settings()
    assert "seed" not in {note.field for note in event.log()}


Rules = Callable[[EventControl, redis.Redis], None]
MUTANTS = [
    ("redis.call('LTRIM', AUDIT, 0, most - 1)", "", the_log_is_bounded),
    ("redis.call('LTRIM', AUDIT, 0, most - 1)", "redis.call('LTRIM', AUDIT, -most, -1)", the_log_is_bounded),
    ("redis.call('PEXPIRE', SETTINGS, KEPT_MS)", "", both_are_kept_for_a_month),
    ("redis.call('PEXPIRE', AUDIT, KEPT_MS)", "", both_are_kept_for_a_month),
    ("cjson.decode(note).id == id", "false", an_answer_that_got_lost_is_asked_for_again),
    ("(tonumber(before) or 0) + tonumber(value)", "tonumber(value)", counts_add_up),
    ("redis.call('DEL', SETTINGS)", "", nothing_but_a_name_is_no_setting),
    ("redis.call('HLEN', SETTINGS) == 1", "true", the_rules_own_comes_back),
    ("(tonumber(line[1]) or 0)", "0", the_times_are_the_events),
    ("(tonumber(line[2]) or 0)", "0", the_times_are_the_events),
    ("is_trial = most < 0", "is_trial = false", who_only_tries_changes_nothing),
    ("or is_trial then", "then", who_only_tries_changes_nothing),
    ("if how == '!' or is_trial then", "if is_trial then", a_note_is_no_setting),
    ("if how ~= '.' then", "do", a_seed_is_told_to_nobody),
    ("if to ~= before then", "do", lambda event, client: test_what_is_so_already_is_no_change(event)),
]


@pytest.mark.parametrize(
    "rule", dict.fromkeys(check for *_, check in MUTANTS[:-1]), ids=lambda rule: rule.__name__
)
def test_the_scripts_rules_hold(event: EventControl, redis_client: redis.Redis, rule: Rules) -> None:
    """With the script as it is."""
    rule(event, redis_client)


@pytest.mark.parametrize(("text", "changed", "rule"), MUTANTS, ids=[text for text, *_ in MUTANTS])
def test_a_rule_that_is_gone_is_noticed(
    event: EventControl, redis_client: redis.Redis, text: str, changed: str, rule: Rules
) -> None:
    """Each rule of the script is there for a reason that a test knows."""
    source: str = event._control._counter.script("change")[0]
    assert source.count(text) == 1
    event._control._counter._scripts["change"] = (
        source.replace(text, changed),
        "no digest, so that Redis asks for the source",
    )
    with pytest.raises((AssertionError, Outage, redis.RedisError)):
        rule(event, redis_client)


# --- the levers, and who obeys


def test_every_worker_obeys_at_its_next_request(open_plain: Opener, redis_url: str, clock: Clock) -> None:
    """Who changes it is a third process, and nobody tells the workers."""
    ours, theirs = open_plain(capacity=1), open_plain(capacity=1)
    ours.fill()
    theirs.browser().place()
    event = control_of(redis_url).event("gala")
    event.close(message="Sold out", by="box office")
    for site in (ours, theirs):
        told = site.browser().place()
        assert (told["state"], told["message"]) == ("closed", "Sold out")


def of_plain(app: Any) -> EventControl:
    event: EventControl = app.event("gala")
    return event


def of_flask(app: Any) -> EventControl:
    with app.app_context():
        return FlaskGate().event("gala")


def of_django(app: Any) -> EventControl:
    return django_event("gala")


@pytest.mark.parametrize(
    ("adapter", "levers"),
    [
        pytest.param(sites.PlainAdapter, of_plain, id="plain WSGI"),
        pytest.param(sites.FlaskAdapter, of_flask, id="Flask"),
        pytest.param(sites.DjangoAdapter, of_django, id="Django"),
    ],
)
def test_an_application_pulls_the_levers_itself(
    adapter: type[sites.Adapter], levers: Callable[[Any], EventControl], redis_url: str, clock: Clock
) -> None:
    """From a view: the stock is gone, so the event is closed. Whoever is inside stays."""
    options = {"rules": [sites.CHECKOUT_RULE], "redis_url": redis_url, "secret_key": KEY}
    shop = sites.Shop()
    opened = adapter(shop, options, sites.unguarded)
    app = opened.open()
    site = sites.Site(app, shop)
    try:
        shop.view = lambda seen: (levers(app).close(message="Sold out"), sites.Said())[1]
        inside = site.browser()
        assert inside.get(CHECKOUT).status_code == 200
        told = site.browser().place()
        assert (told["state"], told["message"]) == ("closed", "Sold out")
        assert inside.get(CHECKOUT).status_code == 200
    finally:
        opened.close()


def test_close_says_why_and_open_takes_it_back(event: EventControl) -> None:
    """What was said at the closing would be a riddle after the opening."""
    event.close("Sold out")
    event.close("Sold out, really")
    assert event.settings() == {"state": "closed", "message": "Sold out, really"}
    assert in_words(event.open()) == [("state", "closed", ""), ("message", "Sold out, really", "")]


def test_a_pause_keeps_the_message(event: EventControl) -> None:
    """It was said to those who go on waiting."""
    event.message("Doors at eight")
    event.pause()
    event.resume()
    assert event.settings() == {"message": "Doors at eight"}
    assert in_words(event.message("")) == [("message", "Doors at eight", "")]


def test_a_closed_event_is_not_resumed_by_accident(event: EventControl) -> None:
    """Closed is for good, until somebody says open."""
    event.close()
    with pytest.raises(ValueError, match="gala is closed, and not just paused: open it"):
        event.resume()


@pytest.mark.parametrize("pull", ["drain", "queue_all", "pause"])
def test_a_state_takes_the_place_of_another(event: EventControl, pull: str) -> None:
    """And resume ends each of them."""
    getattr(event, pull)()
    event.resume()
    assert event.settings() == {}


def test_open_opens_what_the_clock_keeps_shut(event: EventControl, clock: Clock) -> None:
    """Now, and not never: whoever came early is let in in the order that was promised to them."""
    event.set(waiting_from="2100-05-01T09:00Z", opens_at="2100-05-01T10:00Z", closes_at="2100-05-02T10:00Z")
    event.open()
    assert event.settings() == {
        "waiting_from": "0",
        "opens_at": str(clock.now_ms),
        "closes_at": "4112935200000",
    }


def test_open_opens_what_the_clock_has_closed(redis_url: str, clock: Clock) -> None:
    """The rule's times too."""
    rule = Rule("/checkout", capacity=1, closes_at="2001-05-01T10:00:00Z")
    event = control_of(redis_url, rule).event("checkout")
    assert in_words(event.open()) == [("closes_at", "", "0")]


def test_nobody_is_counted_in_where_nobody_is_held_back(redis_url: str, clock: Clock) -> None:
    """The count would lie in wait until the next pause, and then let people in."""
    event = control_of(redis_url, Rule("/checkout", capacity=1)).event("checkout")
    with pytest.raises(ValueError, match="has no rate and isn't paused"):
        event.admit(100)
    event.pause()
    event.admit(100)
    event.resume()
    assert in_words(event.pause()) == [("state", "", "paused"), ("extra", "100", "")]


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "7", 1_000_001])
def test_a_count_that_is_none(event: EventControl, count: Any) -> None:
    """A sentence."""
    with pytest.raises(ValueError, match="can't be admitted: give a whole number from 1 to 1000000"):
        event.admit(count)


def test_a_lowered_capacity_throws_nobody_out(open_plain: Opener, redis_url: str, clock: Clock) -> None:
    """Nobody goes in until there are fewer than that."""
    site = open_plain(capacity=3)
    inside = [site.fill() for _ in range(3)]
    event = control_of(redis_url, Rule("/events/<event>/checkout", capacity=3)).event("gala")
    event.set(capacity=1)
    clock.forward(30)
    assert all(site.is_in(browser) for browser in inside)
    assert not site.is_in()
    snapshot = event.snapshot()
    assert snapshot is not None
    assert (snapshot.in_use, snapshot.capacity) == (3, 1)


def test_who_is_evicted_lines_up(open_plain: Opener, redis_url: str, clock: Clock) -> None:
    """Their slot is the next one's; the log says who did it."""
    site = open_plain(capacity=1, verify_every_request=True)
    site.shop.view = lambda seen: sites.Said(body=str(seen.admission and seen.admission.sid).encode())
    browser = site.browser()
    sid = browser.get(CHECKOUT).text
    event = control_of(redis_url).event("gala")
    assert event.evict(sid, by="ada")
    assert not event.evict(sid)
    assert [(note.who, note.field, note.after) for note in event.log()] == [("ada", "evict", sid)]
    assert site.browser().get(CHECKOUT).status_code == 200
    assert browser.get(CHECKOUT).status_code == 503


def test_what_is_no_sid_is_not_asked_for(event: EventControl) -> None:
    """A sentence."""
    with pytest.raises(ValueError, match="'me' is not the sid of a visitor"):
        event.evict("me")


def test_a_reset_begins_the_line_anew(open_plain: Opener, redis_url: str, clock: Clock) -> None:
    """Settings and log stay; a line that there isn't can't begin again."""
    event = control_of(redis_url).event("gala")
    assert not event.reset()
    site = open_plain(capacity=1)
    site.fill()
    site.browser().place()
    event.set(capacity=2, by="ada")
    assert event.trial().reset()
    assert event.reset(by="bob")
    snapshot = event.snapshot()
    assert snapshot is not None
    assert (snapshot.in_use, snapshot.waiting, snapshot.capacity) == (0, 0, 2)
    assert [note.who for note in event.log()] == ["bob", "ada"]


# --- what is done to a line, and its note: one call each, so that nothing is half-done


def goes_in(event: EventControl) -> str:
    sid, rule = new_sid(), replace(event.rule, admit_per_minute=None)
    assert event._control._counter.call(counter.join(rule, event.name, sid)).verdict == "ADMIT"
    return sid


def call_of(event: EventControl, act: str, sid: str, own_name: str, *, most: int = 500) -> counter.Call:
    note = (own_name, "ada", act, "said of it", most)
    if act == "reset":
        return counter.reset(event.rule, event.name, note)
    return counter.evict(event.rule, event.name, sid, note)


def what_can_not_be_written_down_is_not_done(event: EventControl, client: redis.Redis, act: str) -> None:
    sid = goes_in(event)
    client.acl_setuser("default", enabled=True, commands=["-lpush"])
    try:
        with pytest.raises(Outage):
            event.evict(sid) if act == "evict" else event.reset()
    finally:
        client.acl_setuser("default", enabled=True, commands=["+@all"])
    assert event._control._counter._client.exists(event._keys.audit) == 0
    assert client.zscore(event._keys.leases, sid)


def what_was_done_is_in_the_log(event: EventControl, client: redis.Redis, act: str) -> None:
    sid = goes_in(event)
    assert event.evict(sid, by="ada") if act == "evict" else event.reset(by="ada")
    assert event.lease_of(sid)[0] == 0
    (note,) = event.log()
    assert (note.who, note.field, note.before, note.at_ms) == ("ada", act, "", event.clock_ms())
    assert note.after == (sid if act == "evict" else "the line began anew")


def what_is_asked_for_twice_happens_once(event: EventControl, client: redis.Redis, act: str) -> None:
    first, call = goes_in(event), event._control._counter.call
    assert call(call_of(event, act, first, "an act")).verdict in ("RELEASED", "RESET")
    newcomer = goes_in(event)
    assert call(call_of(event, act, newcomer, "an act")).verdict == "DONE"
    assert (event.lease_of(newcomer)[0] > 0, len(event.log())) == (True, 1)


def the_log_of_acts_is_bounded_and_outlives_the_line(
    event: EventControl, client: redis.Redis, act: str
) -> None:
    for number in range(4):
        event._control._counter.call(call_of(event, act, goes_in(event), f"act {number}", most=2))
    assert client.llen(event._keys.audit) == 2
    assert _a_month_ms - A_MINUTE < client.pttl(event._keys.audit) <= _a_month_ms


def who_has_left_meanwhile_is_not_evicted(event: EventControl, client: redis.Redis, act: str) -> None:
    goes_in(event)
    assert event._control._counter.call(call_of(event, "evict", new_sid(), "an act")).verdict == "NOBODY"
    assert event.log() == []


def who_is_ready_is_evicted_too(event: EventControl, client: redis.Redis, act: str) -> None:
    goes_in(event)
    sid = new_sid()
    client.zadd(event._keys.ready, {sid: 1})
    client.zadd(event._keys.seen, {sid: event.now_ms() + A_MINUTE})
    assert event.evict(sid)
    assert (client.zcard(event._keys.ready), len(event.log())) == (0, 1)


Acts = Callable[[EventControl, redis.Redis, str], None]
NOTE_MUTANTS: list[tuple[str, str, Acts]] = [
    ("'LPUSH', AUDIT", "'EXISTS', AUDIT", what_was_done_is_in_the_log),
    ("'LPUSH', AUDIT", "'RPUSH', AUDIT", what_can_not_be_written_down_is_not_done),
    ("string.format('%.0f', clock_ms)", "'0'", what_was_done_is_in_the_log),
    ("cjson.decode(note).id == ARGV[21]", "false", what_is_asked_for_twice_happens_once),
    ("redis.call('LTRIM', AUDIT, 0, ARGV[25] - 1)", "", the_log_of_acts_is_bounded_and_outlives_the_line),
    (
        "redis.call('PEXPIRE', AUDIT, SETTINGS_EXPIRY_MS)",
        "",
        the_log_of_acts_is_bounded_and_outlives_the_line,
    ),
    ("table.remove(KEYS, 9)", "KEYS[9]", the_log_of_acts_is_bounded_and_outlives_the_line),
    ("return finish('NOBODY', 0)", "", who_has_left_meanwhile_is_not_evicted),
    ("and not redis.call('ZSCORE', READY, sid)", "", who_is_ready_is_evicted_too),
]


@pytest.mark.parametrize("act", ["evict", "reset"])
@pytest.mark.parametrize(
    "rule", dict.fromkeys(check for *_, check in NOTE_MUTANTS), ids=lambda rule: rule.__name__
)
def test_an_act_and_its_note_are_one(
    event: EventControl, redis_client: redis.Redis, rule: Acts, act: str
) -> None:
    """With the scripts as they are: Redis may be gone between any two calls."""
    rule(event, redis_client, act)


@pytest.mark.parametrize(("text", "changed", "rule"), NOTE_MUTANTS, ids=[text for text, *_ in NOTE_MUTANTS])
def test_a_rule_of_the_note_that_is_gone_is_noticed(
    event: EventControl, redis_client: redis.Redis, text: str, changed: str, rule: Acts
) -> None:
    """By one act or the other."""
    scripts = event._control._counter._scripts
    for act in ("evict", "reset"):
        source = scripts[act][0]
        assert source.count(text) == 1
        scripts[act] = source.replace(text, changed), "no digest, so that Redis asks for the source"
    noticed = 0
    for act in ("evict", "reset"):
        redis_client.flushdb()
        try:
            rule(event, redis_client, act)
        except (AssertionError, Outage, redis.RedisError, ValueError, pytest.fail.Exception):
            noticed += 1
    assert noticed


# --- looking


def test_the_events_are_those_that_anybody_knows_of(redis_url: str, open_plain: Opener, clock: Clock) -> None:
    """Somebody has come, an operator has prepared it, or a rule names it; strangers on this Redis aren't."""
    rules = (Rule("/support", capacity=1), Rule("/events/<event>/checkout", capacity=1))
    open_plain(capacity=1).fill()
    control = control_of(redis_url, *rules)
    control.event("opening night").set(capacity=7)
    assert control.events() == ["gala", "opening night", "support"]
    assert control_of(redis_url, rules[0]).events() == ["support"]
    assert [control.event(name).is_known() for name in ("gala", "opening night", "support", "nobody")] == [
        True,
        True,
        True,
        False,
    ]


def test_an_event_that_a_rule_names_is_that_rules(redis_url: str) -> None:
    """Whoever else could have it, and wherever it stands in the list."""
    control = control_of(redis_url, RULE, Rule("/support", capacity=20))
    assert control.event("support").rule.capacity == 20


def test_looking_creates_nothing(event: EventControl, redis_client: redis.Redis) -> None:
    """An operator's curiosity is no visit."""
    assert event.snapshot() is None
    assert (event.settings(), event.log(), event.history(), event.totals().joined) == ({}, [], [], 0)
    assert list(redis_client.scan_iter("admitgate:*")) == []


def test_what_happened_can_be_read(redis_url: str, open_plain: Opener, clock: Clock) -> None:
    """Totals up to now, and the minutes that are over."""
    site, event = open_plain(capacity=2, lease_seconds=600), control_of(redis_url).event("gala")
    for _ in range(3):
        site.browser().get(CHECKOUT)
    clock.forward(60)
    site.browser().get(CHECKOUT)
    totals, (minute,) = event.totals(), event.history()
    assert (totals.admitted, totals.joined) == (2, 2)
    assert (minute.admitted, minute.joined, minute.in_use, minute.capacity) == (2, 1, 2, 2)


def test_without_redis_nothing_is_done(tmp_path: Any) -> None:
    """One Outage, whatever lever it is."""
    event = control_of(f"unix://{tmp_path}/nobody.sock").event("gala")
    for pull in (event.pause, event.open, event.snapshot, event.log, lambda: event.set(capacity=1)):
        with pytest.raises(Outage, match="Redis"):
            pull()


def test_a_changed_message_is_in_the_shared_status(open_plain: Opener, redis_url: str, clock: Clock) -> None:
    """From where every page that waits has it at its next poll."""
    site = open_plain(capacity=1)
    site.fill()
    control_of(redis_url).event("gala").message("Back in five minutes")
    clock.forward(2)
    assert json.loads(site.browser().get(STATUS).data)["message"] == "Back in five minutes"


def test_the_options_have_a_place_in_the_readme() -> None:
    """Whoever adds one tells the operator."""
    text = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    assert not [option for option in OPTIONS if option not in text and option != "state"]
