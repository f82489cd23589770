"""What came of a simulation: as facts (JSON), as text, and as one HTML file with its own plots."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from .plots import STYLE, Plot, figure
from .simulate import Simulation

Facts = dict[str, Any]

_points_most = 300
_percentiles = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_verbs = {"join": "join", "check_in": "check in", "renew": "renew", "release": "release", "look": "look"}


def facts_of(simulation: Simulation) -> Facts:
    """Everything that is worth knowing, ready for JSON."""
    tally, series, scenario = simulation.tally, simulation.series, simulation.scenario
    seconds = max(1, tally.seconds_waited_for)
    per_second = [sum(calls) for calls in zip(*series.calls.values(), strict=True)]
    checks = _checks(simulation)
    return {
        "ok": all(check["ok"] for check in checks),
        "checks": checks,
        "scenario": asdict(scenario),
        "simulated_seconds": len(series.in_line),
        "ended": _ending(simulation),
        "visitors": {
            "came": simulation.arrived,
            "admitted": tally.admitted,
            "admitted_at_once": tally.admitted_at_once,
            "paid": tally.paid,
            "walked_away": tally.walked_away,
            "outlived_their_lease": tally.outlived,
            "no_shows": tally.no_shows,
            "gave_up": tally.gave_up,
            "still_in_line": simulation.in_line,
            "still_inside": simulation.inside,
        },
        "wait_seconds": _waits(simulation.waits),
        "slots": {
            "capacity": scenario.capacity,
            "leases_most": simulation.leases.most,
            "use_while_somebody_waits": _rounded(tally.use / seconds),
            "use_by_who_had_walked_away": _rounded(tally.use_by_the_gone / seconds),
        },
        "line_most": tally.line_most,
        "overtakings": simulation.order.overtakings,
        "polls": {
            "status": round(tally.status_polls),
            "check_in": simulation.calls["check_in"],
            "status_per_second_most": round(max(series.status_polls, default=0)),
            "check_in_per_second_most": round(max(series.calls["check_in"], default=0)),
        },
        "redis_calls": {
            **simulation.calls,
            "total": sum(simulation.calls.values()),
            "per_second_most": round(max(per_second, default=0)),
        },
        "wait_by_share": [_rounded(wait) for wait in _quantiles(simulation.waits, 100)],
        "over_time": _over_time(simulation),
    }


def _checks(simulation: Simulation) -> list[Facts]:
    tally, capacity = simulation.tally, simulation.scenario.capacity
    stuck = simulation.in_line if simulation.is_stuck else 0
    found = (
        ("never more leases than the capacity", simulation.leases.most, capacity),
        ("nobody present was overtaken", simulation.order.overtakings, 0),
        ("ticket numbers are unique and without gaps", tally.numbers_wrong, 0),
        ("nobody got an answer that a healthy event doesn't give", tally.refused, 0),
        ("nobody was left in line beside free slots", stuck, 0),
    )
    return [{"check": name, "ok": n <= most, "found": n, "allowed": most} for name, n, most in found]


def _ending(simulation: Simulation) -> str:
    if simulation.is_stuck:
        return "nobody was admitted any more, though slots were free"
    if simulation.is_cut:
        return "stopped by --stop-after"
    return "everybody had been"


def _waits(waits: Iterable[float]) -> Facts:
    """Of those who were admitted, whoever went in at once among them."""
    known = sorted(wait for wait in waits if wait >= 0)
    if not known:
        return {**dict.fromkeys(_percentiles), "max": None}
    found = {name: _rounded(_quantile(known, share)) for name, share in _percentiles.items()}
    return {**found, "max": _rounded(known[-1])}


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest figure that ``share`` of all don't exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _quantiles(waits: Iterable[float], count: int) -> list[float]:
    known = sorted(wait for wait in waits if wait >= 0)
    return [_quantile(known, nth / count) for nth in range(count + 1)] if known else []


def _over_time(simulation: Simulation) -> Facts:
    """Means of equal stretches of time: few enough to be drawn."""
    series = simulation.series
    stretch = max(1, math.ceil(len(series.in_line) / _points_most))
    return {
        "seconds": list(range(0, len(series.in_line), stretch)),
        "in_line": _means(series.in_line, stretch),
        "leases": _means(series.leases, stretch),
        "leases_of_who_had_walked_away": _means(series.abandoned, stretch),
        "status_polls_per_second": _means(series.status_polls, stretch),
        "redis_calls_per_second": {verb: _means(calls, stretch) for verb, calls in series.calls.items()},
    }


def _means(figures: array[float], stretch: int) -> list[float]:
    parts = (figures[start : start + stretch] for start in range(0, len(figures), stretch))
    return [_rounded(sum(part) / len(part)) for part in parts]


def _rounded(figure: float) -> float:
    return round(figure, 3)


# -- text ---------------------------------------------------------------------------------------------


def as_text(facts: Facts) -> str:
    """For people at a terminal."""
    rows = [f"{name + ':':<26}{value}" for name, value in _summary(facts)]
    checks = [f"  {'ok    ' if check['ok'] else 'FAILED'}  {_check_text(check)}" for check in facts["checks"]]
    return "\n".join([*rows, "", "Checks", *checks, "", *map(_sentence, notes(facts))]).rstrip()


def _sentence(note: str) -> str:
    return f"Note: {note}"


def _summary(facts: Facts) -> list[tuple[str, str]]:
    """The figures in the order in which an operator asks for them."""
    who, wait, slots = facts["visitors"], facts["wait_seconds"], facts["slots"]
    polls, calls = facts["polls"], facts["redis_calls"]
    waits = ", ".join(f"{name} {duration(seconds)}" for name, seconds in wait.items())
    verbs = ", ".join(f"{calls[verb]:,} {words}" for verb, words in _verbs.items())
    return [
        ("simulated", f"{duration(facts['simulated_seconds'])}, until {facts['ended']}"),
        ("visitors", f"{who['came']:,}, of whom {who['admitted']:,} were admitted"),
        ("  admitted at once", f"{who['admitted_at_once']:,}"),
        ("  paid", f"{who['paid']:,}"),
        ("  walked away inside", f"{who['walked_away']:,}"),
        ("  left the line", f"{who['no_shows']:,} without a word, {who['gave_up']:,} out of patience"),
        ("wait of the admitted", waits),
        ("longest line", f"{facts['line_most']:,} people"),
        ("most leases", f"{slots['leases_most']:,} of {slots['capacity']:,}"),
        (
            "slots in use",
            f"{slots['use_while_somebody_waits']:.1%} while somebody waited, of that "
            f"{slots['use_by_who_had_walked_away']:.1%} by people who had walked away",
        ),
        (
            "status polls",
            f"{polls['status']:,}, at most {polls['status_per_second_most']:,} per second "
            "(no call to Redis of their own)",
        ),
        ("check-ins", f"{polls['check_in']:,}, at most {polls['check_in_per_second_most']:,} per second"),
        ("calls to Redis", f"{calls['total']:,}, at most {calls['per_second_most']:,} per second"),
        ("  by verb", verbs),
        ("overtakings", f"{facts['overtakings']:,} among the present"),
    ]


def _check_text(check: Facts) -> str:
    return f"{check['check']} ({check['found']:,} found, {check['allowed']:,} allowed)"


def notes(facts: Facts) -> list[str]:
    """What the visitors were made of, and what an operator should look at."""
    who, slots = facts["visitors"], facts["slots"]
    found = [
        "arrivals are front-loaded (exponential, half of them in the first sixth of the time), check-outs "
        "lognormal (sigma 0.5). Of the no-shows nine in ten leave before they are called, the others right "
        "after they said that they are there. Polls far from being called are counted, not acted out."
    ]
    if slots["use_by_who_had_walked_away"] > 0.2:
        found.append(
            "much of the capacity was held by people who had walked away. A shorter --lease-seconds, or a "
            "button to leave the check-out, would let others in sooner."
        )
    if who["outlived_their_lease"]:
        found.append(
            f"{who['outlived_their_lease']:,} check-outs went on without a request for longer than their "
            "lease and lost their slot: --lease-seconds is short for such check-outs."
        )
    if who["still_in_line"]:
        found.append(
            f"{who['still_in_line']:,} people were still in line at the end; their waits don't count."
        )
    return found


def duration(seconds: float | None) -> str:
    """In the two largest units that matter."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"


# -- HTML ---------------------------------------------------------------------------------------------


def as_html(facts: Facts) -> str:
    """One file that needs nothing else: no script, no network, readable in light and in dark."""
    summary = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _summary(facts)
    )
    checks = "".join(
        f'<li class="{"ok" if check["ok"] else "failed"}">{"ok" if check["ok"] else "FAILED"}: '
        f"{escape(_check_text(check))}</li>"
        for check in facts["checks"]
    )
    options = " ".join(
        f"--{name.replace('_', '-')} {value:g}"
        for name, value in facts["scenario"].items()
        if value is not None
    )
    remarks = "".join(f"<p>{escape(note[0].upper() + note[1:])}</p>" for note in notes(facts))
    plots = "".join(map(figure, _plots(facts)))
    verdict = "All checks passed." if facts["ok"] else "A check FAILED."
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>admitgate: simulation</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>A sale, simulated</h1>"
        f"<p><code>admitgate simulate {escape(options)}</code></p><p><strong>{verdict}</strong></p>"
        f'<ul class="checks">{checks}</ul><table class="summary">{summary}</table>{plots}'
        f"<h2>Notes</h2>{remarks}</body></html>\n"
    )


def _plots(facts: Facts) -> list[Plot]:
    time, wait, in_line = facts["over_time"], facts["wait_by_share"], facts["over_time"]["in_line"]
    xs, calls = time["seconds"], time["redis_calls_per_second"]
    polls = {"status polls": time["status_polls_per_second"], "check-ins": calls["check_in"]}
    shares = [float(nth) for nth in range(len(wait))]
    return [
        Plot("People in line", "Who has a ticket and has not left.", "time", xs, {"in line": in_line}),
        Plot(
            "Wait",
            "How long the admitted waited: so many of a hundred waited no longer.",
            "of a hundred admitted",
            shares,
            {"minutes": [seconds / 60 for seconds in wait]},
            is_time=False,
        ),
        Plot(
            "Slots in use",
            f"Leases, of a capacity of {facts['slots']['capacity']:,}.",
            "time",
            xs,
            {"leases": time["leases"], "of who had walked away": time["leases_of_who_had_walked_away"]},
        ),
        Plot("Polls per second", "What waiting pages ask, all together.", "time", xs, polls),
        Plot(
            "Redis calls per second",
            "By verb. A status poll makes no call of its own.",
            "time",
            xs,
            {words: calls[verb] for verb, words in _verbs.items()},
        ),
    ]
