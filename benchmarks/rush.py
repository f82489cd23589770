"""The doors open: everybody asks for the same event at once. How fast does the line take them in?

    python benchmarks/rush.py            a table
    python benchmarks/rush.py --json     the same for a program

A Flask app behind the gate, under gunicorn with two workers; a private Redis. A newcomer's request is a first
visit: one call to Redis, a signature, a cookie, the whole waiting page. It is compared with the same app's
view that says hello, which no rule means; and with the least that the same gunicorn can answer, which is not
Flask's. What was found is in README.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import click
from load import Answer, Burst, burst, message
from servers import gunicorn, load_core, stay_on
from timing import as_json

from admitgate.embedded import EmbeddedRedis

target = 0.6
worker_classes = ("sync", "gthread", "gevent")


def measure(port: int, *, rounds: int, newcomers: int, at_once: int, capacity: int) -> dict[str, Any]:
    """Medians over the rounds, each of which has an event of its own and greets before and after it."""
    hello, least = ([message(path)] * (newcomers // 5) for path in ("/hello", "/no-op"))
    burst(port, hello[:500], at_once=at_once)  # imports, memories
    seen = []
    for number in range(rounds):
        before = [burst(port, greeting, at_once=at_once) for greeting in (hello, least)]
        busy = time.process_time()
        joins = burst(port, [message(f"/events/gala-{number}/checkout")] * newcomers, at_once=at_once)
        busy = (time.process_time() - busy) / joins.seconds
        after = [burst(port, greeting, at_once=at_once) for greeting in (hello, least)]
        figures = of_round(joins, *zip(before, after, strict=True))
        seen.append({**figures, **judged(joins.answers, capacity), "load_generator_busy": busy})
    medians = {
        name: statistics.median(each[name] for each in seen) for name in seen[0] if name not in counted
    }
    return {**medians, **{name: sum(each[name] for each in seen) for name in counted}}


def of_round(joins: Burst, hellos: tuple[Burst, Burst], least: tuple[Burst, Burst]) -> dict[str, float]:
    """Joins beside the throughput of the trivial views, which were asked before and after."""
    trivial, no_op = (statistics.fmean(turn.per_second for turn in turns) for turns in (hellos, least))
    return {
        "joins_vs_trivial": joins.per_second / trivial,
        "joins_vs_no_op": joins.per_second / no_op,
        "joins_per_s": joins.per_second,
        "trivial_per_s": trivial,
        "no_op_per_s": no_op,
        **{
            f"{name}_p{percent}_ms": turn.percentile(percent) * 1000
            for name, turn in (("joins", joins), ("trivial", hellos[0]), ("no_op", least[0]))
            for percent in (50, 99)
        },
    }


counted = ("errors", "numbers_twice", "numbers_left_out", "admitted_beyond_capacity")


def judged(answers: list[Answer], capacity: int) -> dict[str, int]:
    """What must not be: an error, a number given twice or left out, one lease too many."""
    tokens = [answer.cookie.partition("=")[2].split(".") for answer in answers if answer.status in (200, 503)]
    numbers = sorted(int(token[2]) for token in tokens if token[0] == "t1")
    leases = sum(token[0] == "l1" for token in tokens)
    unique = len(set(numbers))
    return {
        "errors": len(answers) - len(numbers) - leases,
        "numbers_twice": len(numbers) - unique,
        "numbers_left_out": numbers[-1] - numbers[0] + 1 - unique if numbers else 0,
        "admitted_beyond_capacity": max(0, leases - capacity),
    }


def table(result: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    newcomers, rounds = result["newcomers"], result["rounds"]
    yield f"{newcomers:,} newcomers in one burst, {result['at_once']} at once; median of {rounds} bursts"
    yield f"{'':<24}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}"
    for name in ("joins", "trivial", "no_op"):
        figures = (result[f"{name}_per_s"], result[f"{name}_p50_ms"], result[f"{name}_p99_ms"])
        yield f"{name:<24}{figures[0]:>12,.0f}{figures[1]:>10.1f}{figures[2]:>10.1f}"
    verdict = "reached" if result["joins_vs_trivial"] >= target else "missed"
    yield f"{'joins_vs_trivial':<24}{result['joins_vs_trivial']:>12.3f}   at least {target}: {verdict}"
    yield f"{'joins_vs_no_op':<24}{result['joins_vs_no_op']:>12.3f}"
    yield f"load generator busy {result['load_generator_busy']:.0%} of the time"
    yield ", ".join(f"{name.replace('_', ' ')} {result[name]}" for name in counted)


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--newcomers", default=20_000, show_default=True, help="How many come in one burst.")
@click.option("--rounds", default=3, show_default=True, help="How many bursts, each on an event of its own.")
@click.option("--at-once", default=128, show_default=True, help="How many connections are open at a time.")
@click.option("--worker-class", type=click.Choice(worker_classes), default="sync", show_default=True)
def main(is_json: bool, newcomers: int, rounds: int, at_once: int, worker_class: str) -> None:
    """A burst of newcomers on one event, beside a trivial view."""
    stay_on(load_core)
    capacity = newcomers // 100
    with EmbeddedRedis() as redis:
        site = f"flask_site(redis_url={redis.url!r}, capacity={capacity})"
        threads = 8 if worker_class == "gthread" else 1
        with gunicorn(site, worker_class=worker_class, threads=threads) as port:
            figures = measure(port, rounds=rounds, newcomers=newcomers, at_once=at_once, capacity=capacity)
    told = {"newcomers": newcomers, "rounds": rounds, "at_once": at_once, "worker_class": worker_class}
    result = {**figures, **told}
    click.echo(as_json(result) if is_json else "\n".join(table(result)))


if __name__ == "__main__":
    main()
