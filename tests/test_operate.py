"""The commands of the day: what they say, and how they end; in one sentence where nothing was done.

What they do to a live shop is in ``integration/test_operate_live.py``.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import sites
from click.testing import CliRunner, Result
from django.core.management import call_command
from flask import Flask
from sites import CHECKOUT, KEY, Clock, Opener

from admitgate import Config, Rule, control
from admitgate.cli import main
from admitgate.control import Control, EventControl
from admitgate.flask import AdmitGate, gated
from admitgate.operate import watch
from admitgate.operate.group import COMMANDS
from admitgate.tokens import Ticket, Tokens

clock, open_plain = sites.clock, sites.open_plain

RULES = [
    {"path": "/support", "capacity": 20},
    {"path": "/events/<event>/checkout", "capacity": 5, "admit_per_minute": 60, "methods": ["GET", "POST"]},
    {"path": "/tours/<tour>", "event": "tour-{tour}", "capacity": 2, "events": ["tour-north"]},
    {"path": "/watched", "capacity": 0, "mode": "observe"},
]

Run = Callable[..., Result]


@pytest.fixture
def run(redis_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``admitgate …`` with the shop's settings from the environment."""
    settings = {
        "REDIS_URL": redis_url,
        "SECRET_KEY": KEY,
        "RULES": json.dumps(RULES),
        "REDIS_TIMEOUT_SECONDS": "10",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"ADMITGATE_{name}", value)
    return lambda *words, **options: CliRunner().invoke(main, words, **options)


@pytest.fixture
def gala(redis_url: str, run: Run) -> EventControl:
    """An event that somebody has come to."""
    site = Opener(sites.PlainAdapter, redis_url)(capacity=5)
    site.fill()
    rules = [Rule(**options) for options in RULES]
    options = {"rules": rules, "redis_url": redis_url, "redis_timeout_seconds": 10, "secret_key": KEY}
    return Control.of(Config.from_options(options)).event("gala")


# --- looking


def test_status_has_a_row_for_each_event(run: Run, gala: EventControl) -> None:
    """Those that somebody has come to, and those that a rule names."""
    gala.close("Sold out")
    lines = run("status").output.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["event", "state", "inside", "of"],
        ["gala", "closed", "1", "5"],
        ["support", "quiet", "0", "20"],
        ["tour-north", "quiet", "0", "2"],
        ["watched", "quiet", "0", "0"],
    ]
    assert lines[1].endswith("Sold out")


def test_status_of_one_event_tells_all(run: Run, gala: EventControl) -> None:
    """What holds, whose value it is, and who changed it last."""
    gala.set(capacity=7, by="ada")
    output = run("status", "gala").output
    for words in ("1 of 7 inside", "1 admitted", "60 a minute (rule)", "last changed at", "by ada"):
        assert words in output


def test_status_for_programs(run: Run, gala: EventControl) -> None:
    """One document for one event, a list for several."""
    gala.set(capacity=7)
    one, every = (json.loads(run("status", *names, "--json").output) for names in (["gala"], []))
    assert (one["event"], one["state"], one["line"]["in_use"]) == ("gala", "open", 1)
    assert one["settings"] == {"capacity": "7"}
    assert [event["event"] for event in every] == ["gala", "support", "tour-north", "watched"]


def test_events_and_their_rules(run: Run, gala: EventControl) -> None:
    """Which rule an event belongs to."""
    found = json.loads(run("events", "--json").output)
    assert found[0] == {"event": "gala", "rule": "/events/<event>/checkout", "capacity": 5}
    assert "/support" in run("events").output


def test_the_log_tells_who_changed_what(run: Run, gala: EventControl, clock: Clock) -> None:
    """Of all events, newest first."""
    run("set", "gala", "capacity=7", "--by", "ada")
    clock.forward(60)
    run("pause", "support", "--by", "bob")
    lines = run("log").output.splitlines()
    assert [line.split() for line in lines[1:]] == [
        [lines[1].split()[0], "support", "bob", "state", "on", "→", "paused"],
        [lines[2].split()[0], "gala", "ada", "capacity", "5", "(rule)", "→", "7"],
    ]
    first = json.loads(run("log", "gala", "--json").output)[0]
    assert (first["by"], first["field"], first["from"], first["to"]) == ("ada", "capacity", None, "7")
    assert "Nothing has been changed." in run("log", "tour-north").output


def test_an_export_has_a_row_a_minute(run: Run, gala: EventControl, clock: Clock) -> None:
    """CSV for a table, JSON for a program."""
    clock.forward(60)
    Opener(sites.PlainAdapter, os.environ["ADMITGATE_REDIS_URL"])(capacity=5).fill()
    (row,) = csv.DictReader(io.StringIO(run("export", "gala").output))
    assert (row["event"], row["minute"], row["admitted"], row["capacity"]) == (
        "gala",
        "2023-11-14T22:13Z",
        "1",
        "5",
    )
    (minute,) = json.loads(run("export", "--format", "json").output)
    assert (minute["admitted"], minute["wait_p50"]) == (1, 0.0)


@pytest.mark.parametrize(
    ("url", "rule", "decision"),
    [
        pytest.param("/about", "none", "PASS: no rule means this path", id="another page"),
        pytest.param("/_admitgate/status/gala", "none: it is below", "ANSWER", id="the gate's own"),
        pytest.param("/events/gala/checkout", "/events/<event>/checkout", "ADMIT: nobody waits", id="gated"),
        pytest.param(
            "https://shop.example/events/gala/checkout/pay?x=1", "/events/", "ADMIT", id="with host"
        ),
        pytest.param("/tours/south", "/tours/<tour>", "404", id="an event that there isn't"),
        pytest.param("/watched", "mode observe", "ADMIT: the rule only observes. Else WAIT", id="observed"),
    ],
)
def test_explain_says_which_rule_and_why(run: Run, url: str, rule: str, decision: str) -> None:
    """And takes nothing."""
    told = json.loads(run("explain", url, "--json").output)
    assert told["rule"].startswith(rule) or rule in told["rule"]
    assert told["decision"].startswith(decision)


def test_explain_takes_no_number_and_no_slot(run: Run, gala: EventControl, redis_client: redis.Redis) -> None:
    """The line is as it was, whatever was asked."""
    before = gala.snapshot()
    for url in (CHECKOUT, "/events/nobody/checkout"):
        assert run("explain", url).exit_code == 0
    after = gala.snapshot()
    assert before is not None
    assert after is not None
    assert (after.in_use, after.issued) == (before.in_use, before.issued)
    assert len(list(redis_client.scan_iter("admitgate:*:line"))) == 1


@pytest.mark.parametrize(
    ("pull", "decision"),
    [
        pytest.param(
            lambda event: event.pause(), "WAIT: an operator has paused the event; they", id="paused"
        ),
        pytest.param(lambda event: event.close(), "WAIT: the event is closed; no number", id="closed"),
        pytest.param(lambda event: event.drain(), "WAIT: the line is being drained", id="drained"),
        pytest.param(lambda event: event.queue_all(), "WAIT: everybody takes a number first", id="queueing"),
        pytest.param(lambda event: event.set(capacity=1), "WAIT: all 1 slots are taken", id="full"),
        pytest.param(lambda event: event.set(max_waiting=0), "WAIT: the line itself is full", id="no line"),
        pytest.param(
            lambda event: event.set(opens_at="2100-05-01T10:00Z"), "WAIT: the event isn't open", id="early"
        ),
        pytest.param(
            lambda event: event.set(waiting_from="2100-05-01T10:00Z"), "WAIT: it is too early", id="too early"
        ),
    ],
)
def test_explain_knows_what_an_operator_did(
    run: Run, gala: EventControl, pull: Callable[[EventControl], Any], decision: str
) -> None:
    """The reason is the one that the scripts go by."""
    pull(gala)
    told = json.loads(run("explain", CHECKOUT, "--json").output)
    assert told["decision"].startswith(decision)


def test_explain_looks_at_a_cookie(run: Run, redis_url: str, gala: EventControl) -> None:
    """As a Cookie header, or as the value alone."""
    site = Opener(sites.PlainAdapter, redis_url)(capacity=5)
    gala.set(capacity=2)
    inside, waiting, later = site.fill(), site.browser(), site.browser()
    waiting.place(), later.place()

    def told(cookie: str) -> tuple[str, str]:
        answer = json.loads(run("explain", CHECKOUT, "--json", "--cookie", cookie).output)
        return answer["cookie"].partition(" of ")[0], answer["decision"].partition(":")[0]

    for browser, kind, decision in (
        (inside, "a lease", "ADMIT"),
        (waiting, "a ticket", "WAIT"),
        (later, "a ticket", "WAIT"),
    ):
        assert told(browser.token()) == (kind, decision)
        assert told(f"a=b; {sites.cookie_of('gala')}={browser.token()}") == (kind, decision)
    assert told("forged")[1] == "WAIT"
    inside.post("/_admitgate/leave/gala")
    assert told(inside.token() if inside.tokens() else "x")[1] == "WAIT"
    spoiled = Tokens(["another key"]).write("gala", Ticket("a" * 16, 1, 1))
    answer = json.loads(run("explain", CHECKOUT, "--json", "--cookie", spoiled).output)
    assert answer["cookie"] == "not good, so it counts as none: not our signature"


def watched(run: Run, monkeypatch: pytest.MonkeyPatch, *between: Callable[[], Any]) -> Result:
    """What ``watch`` shows, with something happening between two looks, until Ctrl-C."""
    happens = iter(between)

    def pause(seconds: float) -> None:
        try:
            next(happens)()
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=pause))
    monkeypatch.setattr(watch, "_search_seconds", 0.0)
    monkeypatch.setattr(control, "_search_share", 0)
    return run("watch", "--json")


def test_watch_outlives_an_outage(
    run: Run,
    gala: EventControl,
    clock: Clock,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It stands on a screen all day. What can't be asked is said in the line, and in no other."""

    def let_all(sign: str) -> None:
        asked = [sign + name for name in ("evalsha", "eval", "hgetall", "scan", "exists", "lrange")]
        redis_client.acl_setuser("default", enabled=True, commands=["+@all", *asked])
        clock.forward(5)

    try:
        result = watched(run, monkeypatch, lambda: let_all("-"), lambda: None, lambda: let_all("+"))
    finally:
        let_all("+")
    told = [json.loads(look)[0] for look in result.stdout.splitlines()]
    assert {line["event"] for line in told} == {"gala"}
    assert [line["state"] for line in told] == ["open", "outage", "outage", "open"]
    assert (result.exit_code, result.stderr, caplog.records) == (0, "", [])


def test_watch_shows_an_event_as_soon_as_somebody_comes_to_it(
    run: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches all of them hasn't to start anew."""
    site = Opener(sites.PlainAdapter, os.environ["ADMITGATE_REDIS_URL"])(capacity=5)
    result = watched(run, monkeypatch, lambda: site.fill("/events/late/checkout"))
    first, then = ([line["event"] for line in json.loads(look)] for look in result.stdout.splitlines())
    assert first == ["support", "tour-north", "watched"]
    assert then == [*first, "late"]


# --- acting


def test_set_says_from_what_to_what(run: Run, gala: EventControl) -> None:
    """And when it is obeyed."""
    result = run("set", "gala", "capacity=7", "message=Hello", "--by", "ada")
    assert result.output.splitlines() == [
        "gala",
        "  capacity          5 (rule) → 7",
        '  message           none → "Hello"',
        "Every worker obeys at its next request, and each waiting page hears of it at its next poll"
        " (in 2 to 30 s).",
    ]
    assert (gala.settings()["capacity"], gala.log(1)[0].who) == ("7", "ada")
    assert run("set", "gala", "capacity=rule").output.splitlines()[1].endswith("7 → 5 (rule)")


def test_nobody_is_told_the_seed_of_a_draw_to_come(run: Run, gala: EventControl) -> None:
    """Who knew it could tell which arrivals will be good ones: not even an operator's program is."""
    gala.set(opens_at="2999-05-01T10:00:00+02:00", shuffle=True)
    told = run("status", "gala", "--json").output
    seed = gala.snapshot().seed  # type: ignore[union-attr]
    assert len(seed) == 32
    assert seed not in told


def test_a_capacity_below_those_inside_is_remarked(run: Run, gala: EventControl) -> None:
    """Nobody is thrown out, and the operator is told so."""
    assert "None is thrown out" not in run("set", "gala", "capacity=1").output
    assert "1 are inside. None is thrown out; nobody goes in until" in run("set", "gala", "capacity=0").output


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        pytest.param(["pause"], {"state": "paused"}, id="pause"),
        pytest.param(["queue-all"], {"state": "queueing"}, id="queue-all"),
        pytest.param(["drain"], {"state": "draining"}, id="drain"),
        pytest.param(["close"], {"state": "closed"}, id="close"),
        pytest.param(
            ["close", "--message", "Sold out"], {"state": "closed", "message": "Sold out"}, id="why"
        ),
        pytest.param(["admit", "100"], {"extra": "100"}, id="admit"),
        pytest.param(["set", "max-waiting=none"], {"max_waiting": "-1"}, id="set"),
    ],
)
def test_a_command_sets_what_the_scripts_read(
    run: Run, gala: EventControl, words: list[str], settings: dict[str, str]
) -> None:
    """Tried first, which changes nothing; then done; then once more, which is no fault."""
    command = [words[0], "gala", *words[1:]]
    tried = run(*command, "--dry-run")
    assert (tried.exit_code, gala.settings()) == (0, {})
    assert "Nothing was changed" in tried.output
    assert run(*command).exit_code == 0
    assert gala.settings() == settings
    again = run(*command)
    assert again.exit_code == 0
    assert words[0] == "admit" or "nothing to do" in again.output


@pytest.mark.parametrize("words", [["pause"], ["queue-all"], ["drain"]])
def test_resume_goes_on_as_usual(run: Run, gala: EventControl, words: list[str]) -> None:
    """After each of them."""
    run(*words, "gala")
    assert run("resume", "gala").exit_code == 0
    assert gala.settings() == {}


def test_open_opens(run: Run, gala: EventControl) -> None:
    """What was closed."""
    run("close", "gala", "--message", "Sold out")
    assert run("open", "gala").exit_code == 0
    assert gala.settings() == {}


def test_a_schedule_is_set_as_people_write_it(run: Run, gala: EventControl) -> None:
    """Dates with a zone; what is set is said in the machine's own."""
    result = run("set", "gala", "opens_at=2100-05-01T10:00+02:00", "shuffle=yes")
    assert result.exit_code == 0
    assert "shuffle           none → yes" in result.output
    assert gala.settings()["opens_at"] == "4112841600000"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(["set", "gala", "capacity=-1"], "capacity is '-1': give", id="an impossible value"),
        pytest.param(
            ["set", "gala", "opens_at=2001-01-01T10:00Z"], "ago: give a time to come", id="the past"
        ),
        pytest.param(["set", "gala", "closes_at=tomorrow"], "closes_at is 'tomorrow'", id="no time"),
        pytest.param(["pause", "gaal"], "Nobody has come to 'gaal' yet. Did you mean 'gala'?", id="a slip"),
        pytest.param(["close", "tour-south"], "Did you mean 'tour-north'?", id="no such event"),
        pytest.param(["status", "gaal"], "Did you mean 'gala'?", id="looking at what there isn't"),
        pytest.param(["resume", "closed"], "closed is closed", id="resuming what is closed"),
        pytest.param(
            ["admit", "support", "5"], "support has no rate and isn't paused", id="nobody held back"
        ),
        pytest.param(["evict", "gala", "me"], "'me' is not the sid of a visitor", id="no sid"),
        pytest.param(["evict", "a" * 16], "has no slot and no place at any event", id="nobody of that name"),
        pytest.param(["reset", "support"], "support has no line yet", id="nothing to reset"),
        pytest.param(["reset", "gala"], "this asks first. Say --yes", id="nobody to ask"),
        pytest.param(["pass", "gala", "--valid", "0h"], "--valid is '0h'", id="a pass for no time"),
        pytest.param(["pass", "gala", "--valid", "91d"], "--valid is '91d'", id="a pass for ever"),
        pytest.param(
            ["pass", "gala", "--to", "//evil.example"], "--to is '//evil.example'", id="another site"
        ),
        pytest.param(["pass", "gala", "--site", "shop"], "--site is 'shop'", id="no address"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    run: Run, gala: EventControl, redis_url: str, words: list[str], sentence: str
) -> None:
    """Status 1, and nothing half-done."""
    if words[1] == "closed":
        run("close", "closed", "--yes")
    before = gala.settings(), gala.log()
    result = run(*words)
    assert (result.exit_code, len(result.stderr.splitlines()), result.stdout) == (1, 1, "")
    assert result.stderr.startswith("Error: ")
    assert sentence in result.stderr
    assert (gala.settings(), gala.log()) == before


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["set", "gala"], id="nothing to set"),
        pytest.param(["set", "gala", "capacity"], id="no value"),
        pytest.param(["set", "gala", "capacity=1", "capacity=2"], id="twice the same"),
        pytest.param(["admit", "gala", "0"], id="nobody"),
        pytest.param(["evict", "a", "b", "c"], id="too many words"),
        pytest.param(["frobnicate"], id="no such command"),
    ],
)
def test_a_command_that_was_not_understood(run: Run, gala: EventControl, words: list[str]) -> None:
    """Status 2, with a hint at what it wants."""
    result = run(*words)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"console-link"}))
def test_without_redis_each_command_says_so(
    run: Run,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One sentence, and status 1: nothing was done. No line of the log besides, which would be another."""
    monkeypatch.setenv("ADMITGATE_REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    words = {"set": ["support", "capacity=1"], "admit": ["support", "1"], "evict": ["a" * 16], "events": []}
    words |= {"explain": ["/support"], "status": [], "watch": [], "log": [], "export": []}
    result = run(command, *words.get(command, ["support"]))
    assert (result.exit_code, len(result.stderr.splitlines()), caplog.records) == (1, 1, [])
    assert "Nothing was done: Redis can't be asked" in result.stderr


def test_an_event_that_no_rule_can_have(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that is meant to be prepared."""
    monkeypatch.setenv("ADMITGATE_RULES", json.dumps(RULES[:1]))
    result = run("close", "suport", "--yes")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: No rule has an event 'suport'. Did you mean 'support'?\n",
    )


def test_without_settings_it_cannot_start(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 2: to start it again won't help."""
    assert run("status", "--settings", "no.such.module").exit_code == 2
    monkeypatch.setenv("ADMITGATE_RULES", "[]")
    result = run("status")
    assert (result.exit_code, "rules is empty" in result.stderr) == (2, True)


def test_an_event_is_prepared_by_saying_yes(run: Run) -> None:
    """Weeks before anybody comes."""
    assert run("set", "spring", "capacity=9").exit_code == 1
    assert run("set", "spring", "capacity=9", "--yes").exit_code == 0
    assert run("set", "spring", "capacity=8").exit_code == 0


def test_reset_asks_first(run: Run, gala: EventControl, monkeypatch: pytest.MonkeyPatch) -> None:
    """No is no, and --yes is for where nobody can answer."""
    monkeypatch.setattr("admitgate.operate.desk._can_be_asked", lambda: True)
    result = run("reset", "gala", input="n\n")
    assert result.exit_code == 1
    assert "The places of 0 waiting and 1 inside will be void, and its history ends." in result.output
    assert run("reset", "gala", input="y\n").exit_code == 0
    assert (gala.snapshot() or gala).in_use == 0  # type: ignore[union-attr]
    assert run("reset", "gala", "--yes").exit_code == 0


def test_evict_by_name_by_cookie_and_wherever_they_are(run: Run, redis_url: str, clock: Clock) -> None:
    """Whatever the operator has at hand."""
    site = Opener(sites.PlainAdapter, redis_url)(capacity=5)
    tokens = [site.fill().token() for _ in range(4)]
    sids = [token.split(".")[1] for token in tokens]
    for words in (["--", sids[0]], ["gala", "--", sids[1]], ["--event", "gala", "--", sids[2]], [tokens[3]]):
        result = run("evict", *words)
        assert (result.exit_code, "has lost their slot" in result.output) == (0, True)
    assert json.loads(run("status", "gala", "--json").output)["line"]["in_use"] == 0


def test_pass_prints_a_link_for_each(run: Run, gala: EventControl) -> None:
    """Nothing but the links on standard output; how many and of which kind is in the log."""
    result = run("pass", "gala", "--count", "2", "--site", "https://shop.example/", "--to", "/events/gala")
    links = result.stdout.splitlines()
    assert len(set(links)) == 2
    assert all(link.startswith("https://shop.example/_admitgate/pass/gala/p1.") for link in links)
    assert all(link.endswith("?back=/events/gala") for link in links)
    bare = run("pass", "gala", "--uncounted", "--valid", "7d")
    assert bare.stdout.startswith("/_admitgate/pass/gala/g1.")
    assert "say --site" in bare.stderr
    assert [note.after.partition(",")[0] for note in gala.log()] == ["1 uncounted", "2 counted"]
    tried = run("pass", "gala", "--dry-run")
    assert (tried.stdout, "would be made" in tried.stderr, len(gala.log())) == ("", True, 2)


# --- how it looks


def test_colours_are_for_terminals_that_want_them(
    run: Run, gala: EventControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None in a pipe, none with NO_COLOR."""
    gala.close()
    assert "\x1b[31mclosed" in run("status", color=True).output
    assert "\x1b" not in run("status").output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("status", color=True).output


def test_a_line_of_small_bars() -> None:
    """As high as the highest, and nothing where nobody was."""
    assert watch.sparkline([0, 1, 40, 80]) == " ▂▅█"
    assert watch.sparkline([]) == watch.sparkline([0])[:0] == ""


def test_the_help_has_them_all(run: Run) -> None:
    """In an order for the day, each with what it does in one line."""
    output = run("--help").output
    of_the_day = output.rpartition("On the day:")[2]
    assert [
        line.split()[0] for line in of_the_day.splitlines() if line.startswith("  ") and line[2] != " "
    ] == [*COMMANDS]
    assert "..." not in of_the_day


# --- inside of a framework


def test_flask_has_the_same_commands(redis_url: str, clock: Clock) -> None:
    """With the settings of the app, and its router for what goes by endpoints."""
    app = Flask("shop")
    app.config["SECRET_KEY"] = KEY
    app.config["ADMITGATE"] = {"REDIS_URL": redis_url, "RULES": [{"PATH": "/support", "CAPACITY": 20}]}
    gate = AdmitGate(app)

    @app.get("/buy/<event>")
    @gated(event="{event}", capacity=7)
    def buy(event: str) -> str:
        return event

    runner = app.test_cli_runner()
    assert "an endpoint" in runner.invoke(args=["admitgate", "explain", "/buy/gala"]).output
    assert runner.invoke(args=["admitgate", "close", "gala", "--yes"]).exit_code == 0
    with app.app_context():
        assert gate.event("gala").settings() == {"state": "closed"}
    assert runner.invoke(args=["admitgate", "close", "support", "--by", "ada"]).exit_code == 0
    assert "ada" in runner.invoke(args=["admitgate", "log"]).output


def test_manage_py_has_the_same_commands(redis_url: str, clock: Clock, capsys: Any) -> None:
    """With the settings of the project, on a command line and from a program."""
    from admitgate.django.management.commands.admitgate import Command

    options = {"rules": [sites.CHECKOUT_RULE], "redis_url": redis_url, "secret_key": KEY}
    adapter = sites.DjangoAdapter(sites.Shop(), options, sites.unguarded)
    adapter.open()
    try:
        out = io.StringIO()
        call_command("admitgate", "close", "gala", "--yes", "--by", "ada", stdout=out)
        assert "state             on → closed" in out.getvalue()
        with pytest.raises(SystemExit) as end:
            Command().run_from_argv(["manage.py", "admitgate", "explain", CHECKOUT])
        assert end.value.code == 0
        assert "WAIT: the event is closed" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            Command().run_from_argv(["manage.py", "admitgate", "--help"])
        assert "On the day:" in capsys.readouterr().out
    finally:
        adapter.close()
