"""Wrong settings are refused at start: every fault at once, each a sentence with setting, value and cure."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from sites import KEY, NEW_KEY, OLD_KEY

from admitgate import AdmitGate, Config, ConfigError, Rule
from admitgate.asgi import AdmitGateASGI

RULE: dict[str, Any] = {"path": "/events/<event>/checkout", "capacity": 5}
GOOD: dict[str, Any] = {"rules": [RULE], "secret_key": KEY, "redis_url": "redis://localhost/0"}


def faults_of(options: dict[str, Any]) -> tuple[str, ...]:
    """What is wrong with these settings."""
    try:
        Config.from_options(options)
    except ConfigError as error:
        return error.faults
    return ()


def fault_of(**options: Any) -> str:
    """The one thing that is wrong with otherwise good settings."""
    (fault,) = faults_of(GOOD | options)
    return fault


def fault_of_rule(**options: Any) -> str:
    """The one thing that is wrong with a rule."""
    return fault_of(rules=[RULE | options])


def test_good_settings_have_no_faults() -> None:
    """The smallest ones."""
    assert faults_of(GOOD) == ()


BAD: dict[str, Any] = {
    "secret_key": "",
    "secret_key_fallbacks": [OLD_KEY, ""],
    "redis_url": "http://localhost",
    "redis_timeout_seconds": 0,
    "on_outage": "pray",
    "mount": "queue",
    "key_prefix": "a b",
    "cookie_prefix": "a=b",
    "cookie_domain": "a;b",
    "cookie_samesite": "lax",
    "cookie_secure": "yes",
    "trusted_proxies": -1,
    "identity": "no.such.account_of",
    "requests_in_flight": 0,
    "console": True,
    "exempt": ["nowhere"],
    "status_code": 404,
    "status_url": "//cdn.example",
    "waiting_url": "queue.example/",
    "shop_url": "https://shop.example",
    "poll_budget_per_second": 0,
    "poll_floor_seconds": 0,
    "poll_ceiling_seconds": 1e9,
    "poll_divisor": math.nan,
    "template": "/no/such/file.html",
    "ask_first": "yes",
    "websockets": "close",
    "enter_seconds": 31,
    "brand_name": "",
    "brand_logo": "/no/such/logo.svg",
    "brand_accent": "#ffcc00",
    "brand_message": None,
    "brand_contact": "javascript:alert(1)",
    "on_event": "no.such.listener",
    "metrics_token": "short",
    "challenge": "no.such.Challenge",
    "enabled": "no",
    "debug": "no",
}
BAD_RULE: dict[str, Any] = {
    "path": "checkout",
    "endpoint": "",
    "capacity": -1,
    "event": "",
    "lease_seconds": 0,
    "claim_seconds": math.inf,
    "grace_seconds": "6",
    "cold_hold_seconds": -5,
    "admit_per_minute": 0,
    "max_waiting": 1.5,
    "methods": ["GE T"],
    "mode": "maybe",
    "release_on": "thanks",
    "on_outage": "close",
    "verify_every_request": 1,
    "events": "gala",
    "events_seconds": 0,
    "capacity_seconds": 0,
    "ramp_seconds": 0,
    "ramp_floor": 0,
    "waiting_from": "tomorrow",
    "opens_at": "2026-05-01T10:00:00",
    "closes_at": 5,
    "shuffle": "yes",
    "places_per_client": 0,
    "lease_overlap_seconds": 0,
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_setting_is_named_with_its_value(name: str) -> None:
    """A sentence with the setting's name, the value (unless it is a secret) and what to give instead."""
    fault = fault_of(**{name: BAD[name]})
    assert name in fault
    if name == "redis_url":
        assert "'http'" in fault
    elif name == "exempt":
        assert "'nowhere'" in fault
    elif not name.startswith("secret_key"):
        assert repr(BAD[name]) in fault
    assert fault.endswith(".")


@pytest.mark.parametrize("name", BAD_RULE)
def test_a_wrong_option_of_a_rule_is_named_with_its_value(name: str) -> None:
    """And the rule's number in the list."""
    fault = fault_of_rule(**{name: BAD_RULE[name]})
    assert fault.startswith("rule 1: ")
    assert name in fault
    assert repr(BAD_RULE[name]) in fault
    assert fault.rstrip(")").endswith(".")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        pytest.param(
            {"path": "/events/<slug:event>/pay"}, "write <name> for any text", id="Django's converter"
        ),
        pytest.param(
            {"path": "/events/{event}/pay"}, "'{event}' stands for nothing", id="FastAPI's parameter"
        ),
        pytest.param({"path": "/checkout/*"}, "'*' stands for nothing", id="a star"),
        pytest.param({"capacity": lambda event: 5}, "without arguments", id="a capacity for each event"),
    ],
)
def test_what_other_tools_would_take_is_refused_with_the_cure(option: dict[str, Any], words: str) -> None:
    """It would gate nothing, or let nobody in, and the shop would learn it on the day."""
    assert words in fault_of_rule(**option)


def test_every_fault_is_told_at_once() -> None:
    """Nobody corrects twenty settings one start at a time."""
    rules = [BAD_RULE, RULE | {"capacity": "5"}, "/checkout"]
    with pytest.raises(ConfigError) as caught:
        Config.from_options(BAD | {"rules": rules, "polls": 3})
    told = str(caught.value)
    assert [name for name in [*BAD, *BAD_RULE, "polls"] if f"{name} " not in told] == []
    assert all(f"rule {number}: " in told for number in (1, 2, 3))
    assert told.count("\n  * ") == len(caught.value.faults)


def test_the_tables_above_know_every_setting() -> None:
    """A setting without a check is a setting that fails at the first visitor."""
    assert set(BAD) | {"rules", "redis_client"} == {option.name for option in fields(Config)}
    assert set(BAD_RULE) == {option.name for option in fields(Rule)} - {"_"}


JUNK = [
    *(None, True, 0, -1, 1.5, 10**30, math.nan, math.inf, b"x", object(), lambda request: True),
    *("", "x", "/", "//", "\x00", "<", "/<", "/<a", "/<a:b>", "/<nothing:b>", "/<a>/<a>", "{", "}", "é"),
    *([], ["x"], [None], [[]], {}, {"a": 1}, {1: 2}, set()),
    *("redis://[", "redis://localhost:port/0", "redis://localhost:99999", "unix://", "http://[/", "http:///"),
]


def stumbles(settings: dict[str, Any]) -> str:
    """What else is raised by settings that should start or be refused with a ConfigError."""
    try:
        AdmitGate(lambda environ, start_response: [], **settings)
    except ConfigError as error:
        return "" if error.faults else "ConfigError without a fault"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("name", [option.name for option in fields(Config) if option.name != "redis_client"])
def test_a_setting_is_good_or_refused(name: str) -> None:
    """Whatever is given: the gate starts, or says why in a ConfigError."""
    stumbled = {ascii(value): stumbles(GOOD | {name: value}) for value in JUNK}
    assert {value: error for value, error in stumbled.items() if error} == {}


@pytest.mark.parametrize("name", [option.name for option in fields(Rule) if option.name != "_"])
@pytest.mark.parametrize("make", [pytest.param(dict, id="in a mapping"), pytest.param(Rule, id="in a Rule")])
def test_a_rules_option_is_good_or_refused(make: Any, name: str) -> None:
    """Whatever is given: the gate starts, or says why in a ConfigError."""
    rule = RULE | {"release_on": "/events/<event>/thanks"}
    stumbled = {ascii(value): stumbles(GOOD | {"rules": [make(**rule | {name: value})]}) for value in JUNK}
    assert {value: error for value, error in stumbled.items() if error} == {}


@pytest.mark.parametrize("given", [None, [], (), "x", {}, RULE, Rule("/", capacity=1), 5], ids=repr)
def test_rules_have_to_be_a_list(given: Any) -> None:
    """With at least one in it."""
    assert "give at least one Rule" in fault_of(rules=given)


@pytest.mark.parametrize(
    ("option", "near"),
    [
        ("REDIS_URI", "redis_url"),
        ("secret_keys", "secret_key"),
        ("EXEMPTS", "exempt"),
        ("trusted_proxy", "trusted_proxies"),
    ],
)
def test_an_unknown_setting_suggests_the_near_one(option: str, near: str) -> None:
    """Most are slips of the keyboard."""
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping({**GOOD, option: 1})
    assert caught.value.faults == (f"{option.lower()} is not a setting: did you mean {near!r}?",)


def test_an_unknown_option_of_a_rule_suggests_the_near_one() -> None:
    """The same for rules."""
    assert "did you mean 'capacity'?" in fault_of_rule(capacty=5)


def test_an_unknown_setting_that_is_near_to_none_lists_all() -> None:
    """There is nothing to guess."""
    assert "redis_url" in fault_of(zzz=1)


def test_a_rule_needs_a_path_and_a_capacity() -> None:
    """Both are asked for at once."""
    faults = faults_of(GOOD | {"rules": [{}]})
    assert faults == (
        "rule 1: path is missing: give it, or an endpoint.",
        "rule 1: capacity is missing: give it.",
    )


def test_mappings_use_upper_case() -> None:
    """As settings files do; rules may be mappings too."""
    config = Config.from_mapping(
        {
            "REDIS_URL": "redis://x",
            "STATUS_CODE": 429,
            "EXEMPT": "/health",
            "RULES": [{"PATH": "/a", "CAPACITY": 3, "LEASE_SECONDS": 5}],
        },
        secret_key=KEY,
    )
    assert (config.status_code, config.secret_key, config.exempt) == (429, KEY, ("/health",))
    assert config.rules == (Rule("/a", capacity=3, lease_seconds=5),)


def test_the_mapping_wins_over_the_frameworks_defaults() -> None:
    """A key of the gate's own, for instance."""
    config = Config.from_mapping(
        {"SECRET_KEY": NEW_KEY, "REDIS_URL": "redis://x", "RULES": [RULE]}, secret_key=KEY
    )
    assert config.secret_key == NEW_KEY


@pytest.mark.parametrize("settings", [[], "x", 5, {1: 2}], ids=repr)
def test_settings_that_are_no_mapping_of_names(settings: Any) -> None:
    """Said, and not stumbled over."""
    with pytest.raises(ConfigError):
        Config.from_mapping(settings)


def test_redis_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """ADMITGATE_REDIS_URL, where the settings name none."""
    monkeypatch.setenv("ADMITGATE_REDIS_URL", "redis://from-the-environment")
    without = {name: GOOD[name] for name in ("rules", "secret_key")}
    assert Config.from_options(without).redis_url == "redis://from-the-environment"
    assert Config.from_options(without | {"redis_url": None}).redis_url == "redis://from-the-environment"
    assert Config.from_options(GOOD).redis_url == GOOD["redis_url"]


def test_without_any_redis_both_ways_are_told() -> None:
    """The setting and the environment."""
    fault = fault_of(redis_url=None)
    assert "redis_url is missing" in fault
    assert "ADMITGATE_REDIS_URL" in fault


def test_a_client_object_is_as_good_as_a_url() -> None:
    """For sites that have one, with their own pool."""
    client = object()
    assert Config.from_options(GOOD | {"redis_url": None, "redis_client": client}).redis_client is client


@pytest.mark.parametrize(
    "option",
    [
        {"lease_seconds": 5},
        {"capacity": 6},
        {"grace_seconds": 5},
        {"admit_per_minute": 5},
        {"max_waiting": 5},
    ],
    ids=lambda option: next(iter(option)),
)
def test_rules_that_share_an_event_have_to_agree(option: dict[str, Any]) -> None:
    """One line can't have two capacities."""
    (name,) = option
    rules = [Rule("/a", capacity=5, event="gala"), Rule("/b", event="gala", **({"capacity": 5} | option))]
    fault = fault_of(rules=rules)
    assert all(word in fault for word in ("'/a'", "'/b'", "'gala'", name, "5"))


def test_rules_that_share_an_event_may_differ_in_what_is_theirs() -> None:
    """Methods, mode, the way out."""
    rules = [
        Rule("/a", capacity=5, event="gala", methods=["POST"]),
        Rule("/b", capacity=5, event="gala", release_on="/thanks"),
    ]
    assert faults_of(GOOD | {"rules": rules}) == ()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"event": "{city}"}, "has no <city>"),
        ({"event": "{}"}, "in braces"),
        ({"event": "{event!r}"}, "in braces"),
        ({"event": "{event:>9}"}, "in braces"),
        ({"event": "{event.upper}"}, "in braces"),
        ({"event": "{event"}, "in braces"),
        ({"release_on": "/thanks"}, "has no <event>"),
    ],
    ids=str,
)
def test_an_events_template_has_only_what_its_paths_have(rule: dict[str, Any], words: str) -> None:
    """Names in braces that are placeholders of the path, and of the way out as well."""
    assert words in fault_of_rule(**rule)


def test_the_poll_has_a_floor_below_its_ceiling() -> None:
    """Two good numbers can still be wrong together."""
    assert "poll_ceiling_seconds is 5, which is below poll_floor_seconds (9)" in fault_of(
        poll_floor_seconds=9, poll_ceiling_seconds=5
    )


def test_a_template_that_cannot_be_rendered_is_refused(tmp_path: Path) -> None:
    """At start, not at the first visitor who has to wait."""
    (tmp_path / "page.html").write_text(
        "{% extends 'admitgate/waiting.html' %}{% block title %}{{ nothing }}{% endblock %}"
    )
    with pytest.raises(ConfigError, match="template"):
        AdmitGate(lambda environ, start_response: [], **GOOD, template=str(tmp_path / "page.html"))


def test_secrets_stay_out_of_tracebacks() -> None:
    """The keys and Redis' address, with its password, are not in the settings' text."""
    options = GOOD | {
        "secret_key": f"sesame {KEY}",
        "secret_key_fallbacks": [f"old-sesame {KEY}"],
        "redis_url": "redis://:pass@x",
    }
    text = repr(Config.from_options(options))
    assert "sesame" not in text
    assert "pass@" not in text
    assert "sesame" not in str(
        faults_of(options | {"status_code": 1, "secret_key_fallbacks": ["old-sesame", ""]})
    )


def test_settings_cannot_be_changed_later() -> None:
    """They are shared by threads."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config.from_options(GOOD).status_code = 200  # type: ignore[misc]


@pytest.mark.parametrize("key", [KEY, OLD_KEY.encode(), b'_5#y2L"F4Q8z\n\xec]/' + bytes(range(16))], ids=repr)
def test_a_key_may_be_text_or_bytes(key: Any) -> None:
    """Frameworks take both for theirs."""
    assert faults_of(GOOD | {"secret_key": key, "secret_key_fallbacks": [key]}) == ()


def test_the_newest_key_comes_last() -> None:
    """itsdangerous signs with the last of a list; fallbacks are given newest first."""
    config = Config.from_options(GOOD | {"secret_key": NEW_KEY, "secret_key_fallbacks": [OLD_KEY, KEY]})
    assert config.keys == [KEY, OLD_KEY, NEW_KEY]


def test_starting_opens_no_connection() -> None:
    """So a server may fork afterwards, and a site starts while its Redis is away."""
    AdmitGate(lambda environ, start_response: [], **GOOD | {"redis_url": "redis://nowhere.invalid:1"})


@pytest.mark.parametrize("option", ["ssl_cert_reqs", "max_connnections"], ids=["TLS without TLS", "a typo"])
@pytest.mark.parametrize("gate", [AdmitGate, AdmitGateASGI])
def test_an_option_in_the_url_that_redis_py_does_not_know_is_refused_at_start(gate: Any, option: str) -> None:
    """Redis-py would raise TypeError whenever it makes a connection: an error to every visitor."""
    with pytest.raises(ConfigError, match=f"redis_url has the option '{option}'"):
        gate(lambda *_: [], **GOOD | {"redis_url": f"redis://localhost/0?{option}=none"})


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://[::1]:6379/1/",
        "redis://me:p%23@h1:6379/0?client_name=shop",
        "redis://:a@b@h1",
        "rediss://h1:6380/0?ssl_cert_reqs=none",
        "valkeys://h1/0?ssl_check_hostname=false",
        "unix:///run/redis.sock?db=1",
        "unix://me:pass@/run/redis.sock",
    ],
)
def test_what_redis_py_takes_is_taken(url: str) -> None:
    """No connection is made for it."""
    AdmitGate(lambda environ, start_response: [], **GOOD | {"redis_url": url})


def test_rules_whose_events_can_have_the_same_names_must_agree() -> None:
    """Whatever their placeholders are called: event '7' of the one would be event '7' of the other."""
    paths = [{"path": "/events/<event>/pay", "capacity": 5}, {"path": "/tickets/<int:ticket>", "capacity": 9}]
    assert "share the event '{ticket}', but one has capacity 5 and the other 9" in fault_of(rules=paths)
    paths[1]["event"] = "ticket-{ticket}"
    assert not faults_of(GOOD | {"rules": paths})
