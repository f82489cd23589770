"""The simulator: its visitors meet the real scripts, its checks have teeth, its report says what it found."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
import redis
from click.testing import CliRunner, Result

from admitgate import counter, memory, rehearsal, search
from admitgate.asking import Asking
from admitgate.cli import main
from admitgate.decision import PollPolicy
from admitgate.embedded import EmbeddedRedis
from admitgate.rehearsal import Progress
from admitgate.report import Facts, as_html, as_text, duration, facts_of
from admitgate.scenario import Scenario
from admitgate.search import Trial, find_capacity
from admitgate.simulate import EVENT, Crowd, Simulation

sale = Scenario(visitors=300, arrive_over=60, capacity=40, session_seconds=30, lease_seconds=60)


@pytest.fixture
def simulated(redis_server: EmbeddedRedis) -> Callable[[Scenario], Simulation]:
    def simulate(scenario: Scenario) -> Simulation:
        simulation = Simulation(scenario, redis_server)
        simulation.run()
        return simulation

    return simulate


Simulate = Callable[[Scenario], Simulation]


def failed(facts: Facts) -> list[str]:
    return [check["check"] for check in facts["checks"] if not check["ok"]]


def patch_scripts(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """The scripts with a fault in them."""
    scripts = counter.load_scripts()
    assert any(old in source for source in scripts.values())
    broken = {verb: source.replace(old, new) for verb, source in scripts.items()}
    monkeypatch.setattr(counter, "load_scripts", lambda: broken)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="a small sale"),
        pytest.param({"no_show": 0.9}, id="nine of ten leave the line"),
        pytest.param({"capacity": 1, "visitors": 30}, id="one slot"),
        pytest.param({"arrive_over": 0}, id="everybody comes in the same instant"),
        pytest.param({"admit_per_minute": 120.0}, id="a pace of admission"),
        pytest.param({"patience_seconds": 60.0}, id="people lose patience"),
        pytest.param({"pay": 0.0, "claim_seconds": 1.0}, id="nobody pays"),
        pytest.param({"workers": 1, "poll_ceiling": 5.0}, id="one worker, eager pages"),
    ],
)
def test_a_healthy_event_passes_all_checks(simulated: Simulate, changes: dict[str, Any]) -> None:
    """Whatever the sale is like; and everybody who came is accounted for."""
    facts = facts_of(simulated(replace(sale, **changes)))
    who = facts["visitors"]
    assert facts["ok"], failed(facts)
    assert who["came"] == who["admitted"] + who["no_shows"] + who["gave_up"]
    assert who["admitted"] == who["paid"] + who["walked_away"] + who["outlived_their_lease"]
    assert who["still_in_line"] == who["still_inside"] == 0
    assert facts["slots"]["leases_most"] <= facts["slots"]["capacity"]
    assert facts["redis_calls"]["join"] == who["came"]


def test_the_same_seed_gives_the_same_result_and_another_seed_another(simulated: Simulate) -> None:
    """To the last figure, on whatever the machine is busy with."""
    first, again = (facts_of(simulated(sale)) for _ in range(2))
    other = facts_of(simulated(replace(sale, seed=2)))
    assert first == again
    assert first["wait_seconds"] != other["wait_seconds"]


def test_the_same_visitors_come_whatever_the_capacity() -> None:
    """Common random numbers: what differs between two capacities is the capacity."""
    small, large = Crowd(sale), Crowd(replace(sale, capacity=200))
    assert (small.arrives, small.session, small.leaves, small.pays) == (
        large.arrives,
        large.session,
        large.leaves,
        large.pays,
    )


def test_the_leases_it_counts_are_those_that_redis_has(
    simulated: Simulate, redis_client: redis.Redis, redis_server: EmbeddedRedis
) -> None:
    """The simulator keeps its own account of who is inside, and doesn't take the scripts' word."""
    simulation = simulated(replace(sale, stop_after=100.0))
    leases = counter.Counter(None, memory.Memories()).keys(EVENT).leases
    held = redis_client.zcount(leases, f"({simulation.clock.redis_us() // 1000}", "(+inf")
    assert simulation.leases.count == held > 0


def test_the_workers_clock_is_their_own_again_afterwards(simulated: Simulate) -> None:
    """Virtual time ends with the run."""
    before = memory.monotonic
    simulated(replace(sale, visitors=5))
    assert memory.monotonic is counter.monotonic is before  # type: ignore[attr-defined]


def test_polls_that_are_counted_are_as_many_as_those_that_are_acted_out(
    redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far from being called a page asks every ceiling: that need not be acted out to be known."""
    crowded = replace(sale, visitors=900, no_show=0.5, poll_ceiling=5.0)
    counted = Simulation(crowded, redis_server)
    counted.run()
    monkeypatch.setattr(Asking, "far_ahead", lambda *_: 2**40)
    acted = Simulation(crowded, redis_server)
    acted.run()
    assert sum(counted.series.status_polls) == pytest.approx(sum(acted.series.status_polls), rel=0.02)
    assert max(counted.waits) == pytest.approx(max(acted.waits), rel=0.05)


@pytest.mark.parametrize("waiting", [1_000, 89_030])
def test_far_is_where_the_page_asks_as_seldom_as_it_ever_does(
    redis_server: EmbeddedRedis, waiting: int
) -> None:
    """The border is the smallest number whose page waits for the ceiling, which rises with the line."""
    asking = Simulation(replace(sale, visitors=100_000), redis_server).asking
    line = memory.Snapshot(1000, 1000 + waiting, 30, 40, 40, waiting, 120.0, 0, 0, 0, 50, 2000, "", 0)
    border, pause, ceiling = asking.far_ahead(line), asking.pause(line), asking.policy(line).ceiling
    assert (ceiling == PollPolicy().ceiling) == (waiting == 1_000)
    assert pause(border - 1) < ceiling == pause(border) == pause(10 * border)


def test_a_long_line_stays_below_the_poll_budget(simulated: Simulate) -> None:
    """Pages are told to ask less often; nobody misses their turn for it."""
    crowded = replace(sale, visitors=3000, session_seconds=10, pay=1.0, stop_after=300.0)
    eager, modest = simulated(crowded), simulated(replace(crowded, poll_budget=100.0))
    assert facts_of(modest)["ok"]
    assert modest.asking.polls < eager.asking.polls
    assert max(modest.series.status_polls[60:]) < max(eager.series.status_polls[60:])


# -- the checks have teeth ----------------------------------------------------------------------------------


def test_a_script_that_admits_too_many_is_found_out(
    simulated: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulator counts leases by their deadlines."""
    patch_scripts(monkeypatch, "math.min(capacity - in_use,", "math.min(capacity + 1 - in_use,")
    facts = facts_of(simulated(sale))
    assert failed(facts) == ["never more leases than the capacity"]
    assert "FAILED  never more leases than the capacity (41 found, 40 allowed)" in as_text(facts)
    assert "A check FAILED." in as_html(facts)


def test_a_script_that_lets_the_present_be_overtaken_is_found_out(
    simulated: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever polls first when a slot comes free gets it, whatever their number."""
    patch_scripts(monkeypatch, "rank < room() and", "room() > 0 and")
    facts = facts_of(simulated(sale))
    assert failed(facts) == ["nobody present was overtaken"]
    assert facts["overtakings"] > 0


def test_a_line_that_never_moves_is_found_out_and_ends_the_run(
    simulated: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free slots, people who ask, and nobody admitted."""
    patch_scripts(monkeypatch, "rank < room() and", "false and")
    facts = facts_of(simulated(sale))
    assert failed(facts) == ["nobody was left in line beside free slots"]
    assert facts["visitors"]["still_in_line"] > 0


def test_a_number_given_out_twice_is_found_out(simulated: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticket numbers go up by one."""
    patch_scripts(monkeypatch, "issued = issued + 1", "issued = issued + issued % 2")
    assert "ticket numbers are unique and without gaps" in failed(
        facts_of(simulated(replace(sale, stop_after=30.0)))
    )


def test_check_outs_that_outlive_their_lease_are_told(simulated: Simulate) -> None:
    """Leases of five seconds, and somebody who sends a request every minute."""
    facts = facts_of(simulated(replace(sale, lease_seconds=5.0, request_seconds=60.0)))
    assert facts["visitors"]["outlived_their_lease"] > 0
    assert "--lease-seconds is short" in as_text(facts)


# -- the report ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def facts(redis_server: EmbeddedRedis) -> Facts:
    simulation = Simulation(replace(sale, visitors=600), redis_server)
    simulation.run()
    return facts_of(simulation)


def test_the_facts_are_json_and_bounded(facts: Facts) -> None:
    """However long a sale takes, a few hundred points show it."""
    assert json.loads(json.dumps(facts)) == facts
    over_time = facts["over_time"]
    assert len(over_time["in_line"]) == len(over_time["seconds"]) <= 300
    assert len(facts["wait_by_share"]) == 101


def test_the_percentiles_are_in_order(facts: Facts) -> None:
    """And end with the longest wait there was."""
    waits = facts["wait_seconds"]
    ordered = [waits[name] for name in ("p50", "p90", "p95", "p99", "max")]
    assert ordered == sorted(ordered)
    assert ordered[0] > 0


def test_the_html_needs_nothing_else(facts: Facts) -> None:
    """No script, no network, a dark face, and each plot has its figures in a table as well."""
    html = as_html(facts)
    assert not re.search(r"<script|<link|<img|https?:|src=|@import|url\(", html)
    assert "prefers-color-scheme:dark" in html
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(pictures) == html.count("<table><thead>") == 5
    for picture in pictures:
        drawing = ElementTree.fromstring(picture)
        assert drawing.attrib["aria-label"]
        assert drawing.findall("polyline")
        for number in re.findall(r'points="([^"]*)"', picture):
            assert all(0 <= float(value) <= 760 for value in re.split("[ ,]", number))


def test_a_sale_where_nobody_waits_has_a_report_too(simulated: Simulate) -> None:
    """A capacity for everybody."""
    facts = facts_of(simulated(replace(sale, capacity=300)))
    assert facts["wait_seconds"]["max"] == 0
    assert facts["line_most"] == 0
    assert "admitted at once:       300" in as_text(facts)
    assert "People in line" in as_html(facts)


def test_a_run_in_which_nobody_is_admitted_has_a_report_too(simulated: Simulate) -> None:
    """It was stopped in its first second."""
    facts = facts_of(simulated(replace(sale, visitors=1, stop_after=1.0, arrive_over=86_400.0)))
    assert facts["wait_seconds"]["p95"] is None
    assert "p95 unknown" in as_text(facts)
    assert "There is nothing to show" in as_html(facts)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown"),
        (0, "0 s"),
        (59.4, "59 s"),
        (61, "1 min 1 s"),
        (3600, "1 h 0 min"),
        (90_061, "25 h 1 min"),
    ],
)
def test_durations_are_words(seconds: float | None, words: str) -> None:
    """The two largest units."""
    assert duration(seconds) == words


# -- the search ---------------------------------------------------------------------------------------------


def share_in_time(simulation: Simulation, target: float) -> float:
    stays = [
        wait for wait, leaves in zip(simulation.waits, simulation.crowd.leaves, strict=True) if leaves == 2
    ]
    return sum(0 <= wait <= target for wait in stays) / len(stays)


def test_the_search_finds_the_smallest_capacity(simulated: Simulate, redis_server: EmbeddedRedis) -> None:
    """With it 95 of 100 wait no longer than the target, and with one slot less they do."""
    found = find_capacity(sale, 60.0, redis_server).capacity
    assert found is not None
    assert share_in_time(simulated(replace(sale, capacity=found)), 60.0) >= 0.95
    assert share_in_time(simulated(replace(sale, capacity=found - 1)), 60.0) < 0.95


def test_a_large_sale_is_searched_scaled_down_and_confirmed_in_full(
    redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The capacity is that of the whole sale, give or take the factor."""
    whole = find_capacity(sale, 60.0, redis_server)
    monkeypatch.setattr(search, "search_visitors", 100)
    scaled = find_capacity(sale, 60.0, redis_server)
    assert all(trial.is_in_full for trial in whole.trials)
    assert [trial.is_in_full for trial in scaled.trials].index(True) > 1
    assert scaled.trials[-1].is_in_full
    assert whole.capacity
    assert scaled.capacity == pytest.approx(whole.capacity, rel=0.25)
    assert "95 of 100 who stay within 1 min 0 s" in rehearsal.search_text(scaled, sale)


def test_where_scaling_down_is_too_hopeful_the_search_goes_on_in_full(
    simulated: Simulate, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the whole sale needs is what counts."""
    monkeypatch.setattr(search, "search_visitors", 100)
    monkeypatch.setattr(search, "_scaled", lambda scenario, _: replace(scenario, visitors=100, no_show=0.97))
    found = find_capacity(sale, 60.0, redis_server)
    assert found.capacity is not None
    assert share_in_time(simulated(replace(sale, capacity=found.capacity)), 60.0) >= 0.95
    assert found.coarse == 6
    assert "Scaled down fewer would do; in full they don't" in rehearsal.search_text(found, sale)


def test_a_target_that_no_capacity_keeps_is_said_so(redis_server: EmbeddedRedis) -> None:
    """Where admissions are paced a slot for everybody doesn't help; one run is enough to know."""
    paced = replace(sale, admit_per_minute=10.0)
    found = find_capacity(paced, 60.0, redis_server)
    assert found.capacity is None
    assert [trial.is_kept for trial in found.trials] == [False]
    assert rehearsal.search_text(found, paced) == (
        "No capacity keeps the wait of 95 of 100 within 1 min 0 s: not even a slot for each of the 300 "
        "visitors does. Admissions are paced: raise --admit-per-minute (10)."
    )


# -- the command --------------------------------------------------------------------------------------------

few = ("--visitors", "60", "--arrive-over", "10", "--capacity", "5", "--session-seconds", "5")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *arguments])


pytestmark = pytest.mark.usefixtures("redis_server")  # no Redis on this machine, no simulation


def test_the_command_reports_as_text() -> None:
    """Checks and figures, and the exit status of a healthy run."""
    result = invoke(*few)
    assert result.exit_code == 0, result.output
    assert "visitors:                 60, of whom" in result.stdout
    assert "ok      nobody present was overtaken (0 found, 0 allowed)" in result.stdout


def test_the_command_reports_as_json_and_as_html(tmp_path: Path) -> None:
    """Standard output has nothing but the JSON."""
    page = tmp_path / "report.html"
    result = invoke(*few, "--json", "--html", str(page))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["visitors"]["came"] == 60
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_a_check_that_fails_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """For scripts that ask no further."""
    patch_scripts(monkeypatch, "math.min(capacity - in_use,", "math.min(capacity + 1 - in_use,")
    result = invoke(*few)
    assert result.exit_code == 1
    assert "FAILED" in result.stdout


def test_the_command_searches() -> None:
    """Each trial is told while the search goes on, the answer alone is the output."""
    result = invoke(*few, "--find-capacity", "--target-wait", "20", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert 0 < found["capacity"] < 60
    assert result.stderr.count("capacity ") == len(found["trials"])


def test_a_search_without_an_answer_exits_with_1() -> None:
    """And says why."""
    result = invoke(*few, "--find-capacity", "--target-wait", "5", "--admit-per-minute", "6")
    assert result.exit_code == 1
    assert "No capacity keeps the wait of 95 of 100 within 5 s" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(
            ["--visitors", "0"], "--visitors is 0: give a whole number from 1 to 2,000,000.", id="no visitors"
        ),
        pytest.param(
            ["--capacity", "0"], "--capacity is 0: give a whole number from 1 to 10,000,000.", id="no slot"
        ),
        pytest.param(["--pay", "1.5"], "--pay is 1.5: give a number from 0 to 1.", id="more than all"),
        pytest.param(["--no-show", "nan"], "--no-show is nan: give a number from 0 to 1.", id="not a number"),
        pytest.param(
            ["--grace-seconds", "0"], "--grace-seconds is 0.0: give a number from 1 to 600.", id="no grace"
        ),
        pytest.param(
            ["--poll-floor", "9", "--poll-ceiling", "3"],
            "give the larger number to the ceiling",
            id="floor above",
        ),
        pytest.param(["--find-capacity"], "--find-capacity needs --target-wait", id="a search for nothing"),
        pytest.param(
            ["--target-wait", "9"], "--target-wait is for --find-capacity", id="a target for nothing"
        ),
        pytest.param(
            ["--find-capacity", "--target-wait", "-1"], "--target-wait is -1: give a number", id="below zero"
        ),
        pytest.param(
            ["--find-capacity", "--target-wait", "9", "--html", "x.html"],
            "--html shows one run",
            id="which run",
        ),
        pytest.param(
            ["--html", "/no/such/folder/x.html"],
            "can't be written (No such file or directory)",
            id="no folder",
        ),
        pytest.param(["--visitors", "many"], "'many' is not a valid integer", id="a word"),
    ],
)
def test_bad_options_are_refused_before_anything_starts(arguments: list[str], sentence: str) -> None:
    """A sentence with the option, the value and the cure; exit status 2."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_all_faults_are_told_together() -> None:
    """Nobody mends them one by one."""
    told = invoke("--visitors", "0", "--pay", "2", "--find-capacity").stderr
    assert all(option in told for option in ("--visitors is 0", "--pay is 2", "--find-capacity needs"))


@pytest.fixture
def at_work(redis_server: EmbeddedRedis) -> Simulation:
    simulation = Simulation(sale, redis_server)
    simulation.arrived, simulation.in_line, simulation.leases.count = 300, 150, 40
    return simulation


def test_progress_is_a_bar_on_a_terminal(at_work: Simulation, capsys: pytest.CaptureFixture[str]) -> None:
    """Redrawn in place, and gone in the end."""
    progress = Progress(is_terminal=True)
    progress(at_work)
    progress.end()
    shown = capsys.readouterr().err
    assert shown.startswith("\r[###############...............]  50% after 0 s: 150 in line, 40 leases")
    assert shown.endswith("\r\x1b[K")


def test_progress_is_a_plain_line_now_and_then_elsewhere(
    at_work: Simulation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing for a short run, and no control characters in a log."""
    progress = Progress(is_terminal=False)
    progress(at_work)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(rehearsal, "_plain_line_seconds", 0.0)
    progress = Progress(is_terminal=False)
    progress(at_work)
    assert capsys.readouterr().err == " 50%  after 0 s: 150 in line, 40 leases\n"


def test_a_trial_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, so that the answer stays alone."""
    rehearsal._tell(Trial(1250, 0.051, False, False))
    assert capsys.readouterr().err == "capacity 1,250, scaled down: too long (at least 5.1% wait longer)\n"


def test_every_field_of_a_scenario_is_an_option() -> None:
    """One list of what can be chosen."""
    command = main.commands["simulate"]
    names = {parameter.name for parameter in command.params if isinstance(parameter, click.Option)}
    assert set(Scenario.__dataclass_fields__) <= names
