"""A minute of fuzzing in all, and everything again that was ever found. ``make fuzz`` takes ten for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz_targets import TARGETS, Target, knows_readings, redis_server, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_corpus = Path(__file__).with_name("corpus")
_words = (
    "/ // . .. checkout Checkout events any gala x \\ ;a=b %2f %2F %63 %2563 %00 %0a %0d % %25 %20 "
    '; = " event\xc5\xbf chec\xe2\x84\xaaout admitgate_ l1. t1. - 0 9999999999999999 ~ \xe9 \xff \x80\x05\x03'
)
_pieces = st.sampled_from([*_words.encode("latin-1").split(b" "), b" ", b"; ", b"\n", b"\x00", b"\t"])
_data = st.one_of(st.binary(max_size=200), st.lists(_pieces, max_size=14).map(b"".join))
_first = st.one_of(st.just(b"\x00"), st.binary(min_size=3, max_size=3))


@pytest.fixture(scope="module", autouse=True)
def _redis_of_our_own() -> Iterator[None]:
    """For the one target that needs it; ended before anybody wonders whose it is."""
    yield
    if redis_server.cache_info().currsize:
        redis_server().stop()


def fuzzed(examples: int, target: Target) -> None:
    """Feed a target. Not shrunk from memory: each run tries something else."""

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(_first, _data)
    def feed(first: bytes, data: bytes) -> None:
        target(first + data)

    feed()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "examples"),
    [
        pytest.param("tokens", 6_000, id="the token reader accepts only what was written"),
        pytest.param("paths", 7_000, id="the path matcher gates whatever could be the check-out"),
        pytest.param("cookies", 7_000, id="the cookie finder finds ours and no more"),
        pytest.param("answers", 6_000, id="status and check-in answer anything"),
    ],
)
def test_a_few_thousand_inputs(name: str, examples: int) -> None:
    """No crash, no hang, no acceptance."""
    fuzzed(examples, TARGETS[name])


@pytest.mark.xfail(not knows_readings, strict=True, reason="one canonical form can't be all routers' reading")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/checkout//..", id="dots behind an empty segment"),
        pytest.param("/events/gala/checkout//../x", id="dots behind an empty segment, and more"),
        pytest.param("/x//../../checkout", id="an empty segment that dots take along"),
        pytest.param("/checkout \x00", id="a space before a NUL"),
        pytest.param("/checkout ;a", id="a space before a parameter"),
        pytest.param("/;%2f ../checkout;a", id="an encoded slash within a parameter"),
        pytest.param("/x/../checkout/\x00..", id="dots behind a control character"),
        pytest.param("/events/%00/Checkout", id="a name that is nothing once decoded, and capitals"),
    ],
)
def test_what_one_router_drops_leads_no_other_one_past_the_gate(path: str) -> None:
    """Each of these is the check-out, or below it, to a router that tidies up a little less than others."""
    match = rules.find(path)
    assert match is not None
    assert match.is_gated


@pytest.mark.parametrize("name", TARGETS)
def test_everything_in_the_corpus(name: str) -> None:
    """What a fuzzer found interesting once, and what once was a fault."""
    files = sorted((_corpus / name).iterdir())
    assert files
    for file in files:
        TARGETS[name](file.read_bytes())
