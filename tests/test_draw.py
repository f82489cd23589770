"""The draw of the early visitors: fair, the same for everybody who reckons it, and good for one seed only."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admitgate.draw import Draw, drawn_number, place_in_draw, published, seed_hash

VECTORS = json.loads(
    (Path(__file__).parent / "js/draw.json").read_text("utf-8")
)  # the page's script has them too
SEED = VECTORS["seed"]
seeds = st.text("0123456789abcdef", min_size=1, max_size=64)


@pytest.mark.parametrize(("text", "expected"), VECTORS["hashes"], ids=lambda value: str(len(value)))
def test_what_is_shown_of_a_seed_is_its_hash(text: str, expected: str) -> None:
    """SHA-256 in hexadecimal, as ``sha256sum`` prints it."""
    assert seed_hash(text) == expected


@pytest.mark.parametrize(("seed", "count", "ordinal", "place"), VECTORS["places"])
def test_a_place_is_the_same_everywhere(seed: str, count: int, ordinal: int, place: int) -> None:
    """As the script's tests have it, and whoever else reckons it."""
    assert place_in_draw(seed, count, ordinal) == place


@pytest.mark.parametrize(
    ("span", "hole", "number", "expected"),
    [pytest.param(*row, id=why) for why, *row in VECTORS["numbers"]],
)
def test_the_number_that_counts(span: list[int], hole: list[int] | None, number: int, expected: int) -> None:
    """The early ones' are drawn; all others keep theirs."""
    born = VECTORS["born"]
    draw = Draw(*(born + n for n in span), *((born + n for n in hole) if hole else (0, 0)))
    assert drawn_number(draw, SEED, born + number) == born + expected


@given(seeds, st.integers(1, 300))
def test_everybody_has_a_place_and_nobody_the_same(seed: str, count: int) -> None:
    """Whatever the seed, and however many came."""
    places = [place_in_draw(seed, count, ordinal) for ordinal in range(1, count + 1)]
    assert sorted(places) == list(range(1, count + 1))


@given(seeds, st.integers(0, 90), st.integers(0, 40), st.integers(0, 40))
def test_a_hole_leaves_no_place_empty(seed: str, before: int, hole: int, after: int) -> None:
    """The drawn numbers follow one another from the first on, wherever numbers were left out."""
    first = 1000
    last, hole_from = first + before + hole + after, first + before
    draw = Draw(first, last, hole_from, hole_from + hole) if hole else Draw(first, last)
    early = [n for n in range(first + 1, last + 1) if not hole_from < n <= hole_from + hole]
    drawn = sorted(drawn_number(draw, seed, number) for number in early)
    assert draw.people == len(early)
    assert drawn == list(range(first + 1, first + 1 + len(early)))


@pytest.mark.parametrize("ordinal", [0, -1, 101, 10**20])
def test_an_arrival_that_there_was_not_is_refused(ordinal: int) -> None:
    """In a sentence."""
    with pytest.raises(ValueError, match=rf"no arrival number {ordinal} among 100: they go from 1 to 100\."):
        place_in_draw(SEED, 100, ordinal)


def wrong_seeds() -> list[str]:
    """The seed with each of its bits turned round, one at a time."""
    number = int(SEED, 16)
    return [f"{number ^ 1 << bit:0{len(SEED)}x}" for bit in range(len(SEED) * 4)]


@pytest.mark.parametrize("wrong", wrong_seeds()[::17])
def test_one_wrong_bit_in_the_seed_is_noticed(wrong: str) -> None:
    """Its hash is another, and so are nearly all places."""
    assert seed_hash(wrong) != seed_hash(SEED)
    asked = range(1, 201)
    same = sum(place_in_draw(SEED, 5000, n) == place_in_draw(wrong, 5000, n) for n in asked)
    assert same < 5


def test_one_more_visitor_changes_everybodys_place() -> None:
    """So whoever knew the seed could not tell beforehand which arrival will be a good one."""
    same = sum(place_in_draw(SEED, 5000, n) == place_in_draw(SEED, 5001, n) for n in range(1, 201))
    assert same < 5


@pytest.mark.parametrize(("count", "draws"), [(2, 4000), (3, 6000), (4, 12_000)])
def test_a_handful_is_in_any_order_alike(count: int, draws: int) -> None:
    """Chi-square over all orders below what comes up once in a thousand times."""
    orders = Counter(
        tuple(place_in_draw(f"{seed:x}", count, n) for n in range(1, count + 1)) for seed in range(draws)
    )
    expected = draws / len(list(permutations(range(count))))
    every = permutations(range(1, count + 1))
    chi = sum((orders[order] - expected) ** 2 / expected for order in every)
    assert chi < {2: 10.8, 3: 20.5, 4: 49.7}[count]


def test_coming_early_makes_no_difference() -> None:
    """2,000 visitors, 40 seeds: neither half has better places, no tenth of arrivals a favourite tenth."""
    rng, count, halves, tenths = random.Random(1), 2000, 0, Counter[tuple[int, int]]()
    for _ in range(40):
        seed = f"{rng.getrandbits(128):032x}"
        for ordinal in range(1, count + 1):
            place = place_in_draw(seed, count, ordinal)
            halves += ordinal <= count // 2 and place <= count // 2
            tenths[(ordinal - 1) * 10 // count, (place - 1) * 10 // count] += 1
    expected = count * 40 / 100
    assert abs(halves - count * 40 / 4) < 4 * (40 * count / 16) ** 0.5
    chi = sum((tenths[a, b] - expected) ** 2 / expected for a in range(10) for b in range(10))
    assert chi < 133  # p = 0.0001 with 81 degrees of freedom


def test_what_is_published_before_the_draw_doesnt_tell_the_seed() -> None:
    """Only that it has been chosen."""
    assert published(None, SEED) == {"hash": seed_hash(SEED)}
    told = published(Draw(1, 9, 3, 4), SEED)
    assert told == {"hash": seed_hash(SEED), "seed": SEED, "first": 1, "last": 9, "hole": [3, 4]}
