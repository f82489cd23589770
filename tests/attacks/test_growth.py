"""No quadratic anything: what a size may multiply is counted here; times are in benchmarks/attacks.py."""

from __future__ import annotations

from typing import Any

import pytest

from admitgate import matching as module
from admitgate.cookies import cookie_values
from admitgate.matching import Rules
from admitgate.names import cookie_name
from admitgate.rules import Rule

NAME = cookie_name("admitgate", "gala")


class Header(str):
    """A Cookie header that counts how many of its characters were copied."""

    copied = 0

    def __getitem__(self, place: Any) -> str:
        piece = super().__getitem__(place)
        self.copied += len(piece)
        return piece


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(f"{NAME}=", id="our name and nothing else"),
        pytest.param(f"{NAME}=x;", id="cookies of our name"),
        pytest.param(f"x{NAME}=", id="names that end like ours"),
        pytest.param("=;", id="neither names nor values"),
    ],
)
def test_a_megabyte_of_cookies_is_copied_about_once(piece: str) -> None:
    """The finder copies what it yields and the character before a name, and nothing twice."""
    header = Header(piece * (1_000_000 // len(piece)))
    for _ in cookie_values(header, NAME):
        pass
    assert header.copied <= 1.2 * len(header)


@pytest.mark.parametrize("piece", ["/", "/..", "/a", "/checkout", ";a", "%25"])
def test_a_long_path_is_held_against_each_rule_a_few_times(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As often as a short one, however many segments it has."""
    from admitgate import matching as module

    tried, values = [0], module.values_at

    def counted(*args: Any) -> Any:
        tried[0] += 1
        return values(*args)

    monkeypatch.setattr(module, "values_at", counted)
    rules = Rules([Rule("/events/<event>/checkout", capacity=1)])
    counts = set()
    for size in (500, 5_000, 50_000):
        tried[0] = 0
        rules.find("/events/" + piece * (size // len(piece)) + "x")
        counts.add(tried[0])
    assert len(counts) == 1
    assert max(counts) <= 40


def test_of_many_rules_only_a_prefix_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that none of them means is held against none."""
    rules = Rules([Rule(f"/shop-{number}/<event>/checkout", capacity=1) for number in range(100)])
    monkeypatch.setattr(module, "values_at", lambda *args: pytest.fail("a rule was asked"))
    assert rules.find("/static/x.css") is None
    assert rules.find("//Static/%78.css;a") is None
