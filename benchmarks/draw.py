"""Is the draw fair? 100,000 early visitors under 100 seeds, as the gate makes them: about three minutes.

    .venv/bin/python benchmarks/draw.py --json

Three times chi-square, each with the probability of as large a value by chance: do those who came in the
first half have their share of the better places; do the tenths of arrivals meet the tenths of places evenly;
do ranks follow arrivals (Spearman, by seed)? And how long it takes to reckon a place.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter

import click

from admitgate.draw import place_in_draw, seed_hash
from admitgate.tokens import seeds_of

OPENS_AT = 1_795_511_700_000


@click.command()
@click.option("--visitors", default=100_000, show_default=True, type=click.IntRange(100))
@click.option("--seeds", "draws", default=100, show_default=True, type=click.IntRange(1))
@click.option("--json", "is_json", is_flag=True, help="The figures alone, as JSON.")
def main(*, visitors: int, draws: int, is_json: bool) -> None:
    """Draw, and print what came out."""
    seed_of = seeds_of(["a key for measuring, of no worth to anybody"])
    seeds = [seed_of(OPENS_AT, f"event {number}") for number in range(draws)]
    halves = ranks = seconds = 0.0
    tenths: Counter[tuple[int, int]] = Counter()
    for seed in seeds:
        start = time.process_time()
        places = [place_in_draw(seed, visitors, ordinal) for ordinal in range(1, visitors + 1)]
        seconds += time.process_time() - start
        halves += of_halves(places)
        ranks += of_ranks(places)
        tenths.update((n * 10 // visitors, (place - 1) * 10 // visitors) for n, place in enumerate(places))
    wrong = f"{int(seeds[0], 16) ^ 1:032x}"
    asked = range(1, min(visitors, 10_000) + 1)
    found = {
        "visitors": visitors,
        "seeds": draws,
        "halves_chi_square": round(halves, 1),
        "halves_p": p_value(halves, draws),
        "tenths_chi_square": round(of_tenths(tenths, visitors * draws), 1),
        "tenths_p": p_value(of_tenths(tenths, visitors * draws), 81),
        "ranks_chi_square": round(ranks, 1),
        "ranks_p": p_value(ranks, draws),
        "places_that_survive_a_wrong_bit": sum(
            place_in_draw(seeds[0], visitors, n) == place_in_draw(wrong, visitors, n) for n in asked
        ),
        "hashes_differ": seed_hash(wrong) != seed_hash(seeds[0]),
        "microseconds_per_place": round(seconds / draws / visitors * 1e6, 1),
    }
    if is_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name.replace('_', ' '):36} {value}")


def of_halves(places: list[int]) -> float:
    """Chi-square of one draw, with one degree of freedom: who of the first half is in the better one?"""
    half = len(places) // 2
    better = sum(place <= half for place in places[:half])
    variance = half**2 * (len(places) - half) ** 2 / len(places) ** 2 / (len(places) - 1)
    return (better - half**2 / len(places)) ** 2 / variance


def of_ranks(places: list[int]) -> float:
    """The same of Spearman's correlation between arrival and place."""
    n = len(places)
    squares = sum((place - ordinal) ** 2 for ordinal, place in enumerate(places, 1))
    return (1 - 6 * squares / (n * (n * n - 1))) ** 2 * (n - 1)


def of_tenths(tenths: Counter[tuple[int, int]], total: int) -> float:
    """Of all draws together, with 81 degrees of freedom."""
    expected = total / 100
    return sum((tenths[a, b] - expected) ** 2 / expected for a in range(10) for b in range(10))


def p_value(chi_square: float, freedom: int) -> float:
    """How probable it is to be above that by chance (Wilson and Hilferty's approximation)."""
    spread = 2 / (9 * freedom)
    z = ((chi_square / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return round(math.erfc(z / math.sqrt(2)) / 2, 3)


if __name__ == "__main__":
    main()
