"""Time by the size of what is shown: twice as much must take at most about twice as long, or be refused.

Used by attacks.py. Counted is the time of this thread on its core, without collections of garbage; each size
is tried a few times and the shortest counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from timing import no_collections
from visitors import get, request

from admitgate import AdmitGate, Config, Rule
from admitgate.cookies import cookie_values
from admitgate.matching import Rules
from admitgate.names import cookie_name

tries = 7
order_most = 2.0  # ten times as much in less than twenty times the time
key = "Vn3zq8Wm2Lr7Tb5Xc9Jd4Hf6Gs1Kp0Ya"
name = cookie_name("admitgate", "checkout")
cookie_sizes = (1_000, 10_000, 100_000, 1_000_000)
path_sizes = (1_000, 10_000, 100_000)
rule_counts = (10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class Growth:
    """Microseconds by size."""

    name: str
    micros: dict[int, float]

    @property
    def order(self) -> float:
        """How the time of the largest relates to that of the next, by how their sizes do: 1 is linear."""
        (small, less), (large, more) = list(self.micros.items())[-2:]
        return (more / less) / (large / small)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        by_size = {str(size): micros for size, micros in self.micros.items()}
        return {"micros_by_size": by_size, "order": self.order}

    @staticmethod
    def lines(name: str, growth: dict[str, Any]) -> Iterator[str]:
        """For people."""
        sizes = growth["micros_by_size"].items()
        figures = "".join(f"{int(size):>10,}: {micros:>9.1f}" for size, micros in sizes)
        is_linear = growth["order"] < order_most
        yield f"{name:<36}{figures}   {'linear' if is_linear else 'MORE THAN LINEAR'}"


def growths(url: str) -> Iterator[Growth]:
    """All of them."""
    for title, text in (
        ("a cookie of one value", lambda size: f"{name}=" + "x" * size),
        ("cookies of our name", lambda size: f"{name}=x; " * (size // (len(name) + 4))),
        ("our name and nothing else", lambda size: f"{name}=" * (size // (len(name) + 1))),
        ("semicolons", lambda size: ";" * size),
    ):
        yield _growth(f"finder: {title}", cookie_sizes, _find_cookies, text)
        yield _growth(f"request: {title}", cookie_sizes, _request_with_cookies(url), text)
    rules = Rules([Rule(f"/{path}/checkout", capacity=1) for path in ("events/<event>", "any/<path:x>")])
    for title, piece in (
        ("letters", "a"),
        ("segments", "/a"),
        ("slashes", "/"),
        ("dots", "/.."),
        ("parameters", ";a"),
        ("encoded", "%25"),
        ("nearly the rule", "/checkout"),
    ):
        for start in ("/events/", "/any/"):
            made = _paths_of(start, piece)
            yield _growth(f"path {start}… of {title}", path_sizes, rules.find, made)
    yield _growth("rules, a path that none means", rule_counts, _find_last, _rules_and_path("/other/%61"))
    yield _growth("rules, a path of the last", rule_counts, _find_last, _rules_and_path(None))


def _paths_of(start: str, piece: str) -> Callable[[int], str]:
    return lambda size: start + piece * ((size - len(start)) // len(piece)) + "x"


def _request_with_cookies(url: str) -> Callable[[str], Any]:
    rule = Rule("/checkout", capacity=0)
    options = {"secret_key": key, "redis_url": url, "redis_timeout_seconds": 10, "rules": [rule]}
    gate = AdmitGate(lambda environ, start: [], Config.from_options(options))
    return lambda header: get(gate, request("/checkout", HTTP_COOKIE=header))


def _rules_and_path(path: str | None) -> Callable[[int], tuple[Rules, str]]:
    def make(count: int) -> tuple[Rules, str]:
        rules = Rules([Rule(f"/shop-{number}/<event>/checkout", capacity=1) for number in range(count)])
        return rules, path or f"/shop-{count - 1}/gala/checkout"

    return make


def _find_cookies(header: str) -> Any:
    return list(cookie_values(header, name))


def _find_last(case: tuple[Rules, str]) -> Any:
    rules, path = case
    return rules.find(path)


def _growth(
    title: str, sizes: tuple[int, ...], do: Callable[[Any], Any], make: Callable[[int], Any]
) -> Growth:
    with no_collections():
        return Growth(title, {size: _shortest(do, make(size)) for size in sizes})


def _shortest(do: Callable[[Any], Any], item: Any) -> float:
    taken = []
    for _ in range(tries):
        started = time.thread_time_ns()
        do(item)
        taken.append(time.thread_time_ns() - started)
    return min(taken) / 1000
