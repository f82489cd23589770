"""The ``admitgate simulate`` command: judges its options, shows how far it is, writes what came of it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .embedded import EmbeddedRedis
from .report import as_html, as_text, duration, facts_of
from .scenario import Scenario
from .search import Search, Trial, find_capacity
from .simulate import Simulation

_redraw_seconds = 0.5
_plain_line_seconds = 10.0
_bar_width = 30
_target_most = 30 * 86_400.0


def rehearse(
    options: dict[str, Any],
    *,
    is_json: bool,
    html: str | None,
    is_search: bool,
    target_wait: float | None,
) -> int:
    """The exit status: 0, or 1 where a check failed or no capacity was found. Raises UsageError."""
    scenario = Scenario(**options)
    faults = [*scenario.faults(), *_faults(html=html, is_search=is_search, target_wait=target_wait)]
    if faults:
        raise click.UsageError("\n".join(faults))
    with EmbeddedRedis() as redis:
        if is_search:
            return _search(scenario, target_wait or 0.0, redis, is_json=is_json)
        return _simulate(scenario, redis, is_json=is_json, html=html)


def _faults(*, html: str | None, is_search: bool, target_wait: float | None) -> list[str]:
    faults = []
    if is_search and target_wait is None:
        faults.append("--find-capacity needs --target-wait: say how many seconds 95 of 100 may wait at most.")
    if target_wait is not None and not is_search:
        faults.append("--target-wait is for --find-capacity: add that, or leave the target out.")
    if target_wait is not None and not 0 <= target_wait <= _target_most:
        faults.append(f"--target-wait is {target_wait:g}: give a number from 0 to {_target_most:,.0f}.")
    if html is not None and is_search:
        faults.append("--html shows one run: leave it out here, and simulate the capacity that is found.")
    elif html is not None:
        faults.extend(_file_faults(html))
    return faults


def _file_faults(html: str) -> list[str]:
    """Found out before the run: it may take minutes."""
    try:
        Path(html).open("a").close()
    except OSError as error:
        return [
            f"--html is {html}, which can't be written ({error.strerror}): name a file in a folder of yours."
        ]
    return []


def _simulate(scenario: Scenario, redis: EmbeddedRedis, *, is_json: bool, html: str | None) -> int:
    simulation = Simulation(scenario, redis)
    progress = Progress(is_terminal=sys.stderr.isatty())
    simulation.run(progress)
    progress.end()
    facts = facts_of(simulation)
    click.echo(json.dumps(facts) if is_json else as_text(facts))
    if html is not None:
        try:
            Path(html).write_text(as_html(facts), "utf-8")
        except OSError as error:
            raise click.ClickException(
                f"{html} can't be written ({error.strerror}): name another file."
            ) from error
    return 0 if facts["ok"] else 1


def _search(scenario: Scenario, target: float, redis: EmbeddedRedis, *, is_json: bool) -> int:
    search = find_capacity(scenario, target, redis, tell=_tell)
    click.echo(json.dumps(asdict(search)) if is_json else search_text(search, scenario))
    return 1 if search.capacity is None else 0


def _tell(trial: Trial) -> None:
    verdict = "short enough" if trial.is_kept else "too long"
    at_least = "" if trial.is_kept else "at least "
    scale = "" if trial.is_in_full else ", scaled down"
    click.echo(
        f"capacity {trial.capacity:,}{scale}: {verdict} ({at_least}{trial.late_share:.1%} wait longer)",
        err=True,
    )


def search_text(search: Search, scenario: Scenario) -> str:
    """The answer in words, with what it is worth."""
    wait = duration(search.target_seconds)
    if search.capacity is None:
        pace = scenario.admit_per_minute
        why = f" Admissions are paced: raise --admit-per-minute ({pace:g})." if pace else ""
        return (
            f"No capacity keeps the wait of 95 of 100 within {wait}: not even a slot for each of the "
            f"{scenario.visitors:,} visitors does.{why}"
        )
    answer = (
        f"The smallest capacity that keeps the wait of 95 of 100 who stay within {wait}: {search.capacity:,}"
    )
    if all(trial.is_in_full for trial in search.trials):
        return answer
    return f"{answer}\n{_grain_text(search)}"


def _grain_text(search: Search) -> str:
    """What was done in full, and what that says."""
    fewer = f"{search.coarse:,} fewer may do as well."
    if sum(trial.is_in_full for trial in search.trials) == 1:
        return f"Searched scaled down, confirmed in full; {fewer}"
    return (
        "Scaled down fewer would do; in full they don't: no line lets in more than so many a second. "
        f"Searched in full from there; {fewer}"
    )


class Progress:
    """How far a run is: a bar that stays where it is, or a line now and then where there is no terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._due = time.monotonic() + (0 if is_terminal else _plain_line_seconds)

    def __call__(self, simulation: Simulation) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (_redraw_seconds if self._is_terminal else _plain_line_seconds)
        text = _progress_text(simulation)
        if self._is_terminal:
            click.echo(f"\r{_bar(_done(simulation))} {text}\x1b[K", err=True, nl=False, color=True)
        else:
            click.echo(f"{_done(simulation):4.0%}  {text}", err=True)

    def end(self) -> None:
        """Leave the terminal's line to whoever writes next."""
        if self._is_terminal:
            click.echo("\r\x1b[K", err=True, nl=False, color=True)


def _done(simulation: Simulation) -> float:
    return (simulation.arrived - simulation.in_line) / simulation.scenario.visitors


def _progress_text(simulation: Simulation) -> str:
    at = duration(simulation.clock.seconds)
    return f"after {at}: {simulation.in_line:,} in line, {simulation.leases.count:,} leases"


def _bar(share: float) -> str:
    filled = int(share * _bar_width)
    return f"[{'#' * filled}{'.' * (_bar_width - filled)}] {share:4.0%}"
