"""What attackers can make the gate keep, or work at: memory, places, and time by the size of the input.

    python benchmarks/attacks.py                      tables, after a few minutes
    python benchmarks/attacks.py --json               the same for a program
    python benchmarks/attacks.py --share 0.01         sooner, with a hundredth of the crowd

Requests go through the WSGI edge in this process, on a private Redis. What was found is in README.md and, as
promises, in SECURITY.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
import redis
from growth import Growth, growths
from timing import as_json
from visitors import get, request

from admitgate import AdmitGate, Config, Rule
from admitgate.embedded import EmbeddedRedis
from admitgate.rules import cookie_name

joins, invented, tickets = 100_000, 1_000_000, 10_000
memory_most = 1_048_576
capacity, per_client = 100, 2
address = "198.51.100.7"
key = "Vn3zq8Wm2Lr7Tb5Xc9Jd4Hf6Gs1Kp0Ya"
Say = Callable[[str], None]


class Shop:
    """A gate on an empty Redis, and how much that Redis holds."""

    def __init__(self, url: str, rule: Rule, answer: str = "200 OK", **options: Any) -> None:
        self.redis = redis.Redis.from_url(url)
        self.redis.flushall()

        def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response(answer, [("Content-Type", "text/plain")])
            return [b"inside"]

        options = {"secret_key": key, "redis_url": url, "redis_timeout_seconds": 10, **options}
        self.gate = AdmitGate(application, Config.from_options({**options, "rules": [rule]}))

    def visit(self, path: str, cookie: str = "", **others: Any) -> tuple[int, dict[str, str], bytes]:
        """One request from the one address."""
        environ = request(path, cookie, REMOTE_ADDR=address, **others)
        return get(self.gate, environ)

    def used(self) -> int:
        """Bytes in Redis that aren't buffers of this client's, which come and go."""
        self.redis.memory_purge()
        return int(self.redis.info("memory")["used_memory_dataset"])

    def grown(self, path: Callable[[int], str], count: int) -> int:
        """By how much Redis grew for ``count`` visits without cookies, after a few that load its scripts."""
        for number in range(50):
            self.visit(path(-number))
        before = self.used()
        for number in range(count):
            self.visit(path(number))
        return self.used() - before


def joins_without_cookies(url: str, count: int) -> dict[str, Any]:
    """Newcomers of one event, again and again, each a number in line."""
    shop = Shop(url, Rule("/events/<event>/checkout", capacity=1))
    return {"visits": count, "bytes": shop.grown(lambda _: "/events/gala/checkout", count)}


def invented_names(url: str, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A new event's name with each visit; by what the shop says to it, and what the rule knows of it."""
    path = "/events/<event>/checkout"
    ways: dict[str, Callable[[], Shop]] = {
        "the shop says 404": lambda: Shop(url, Rule(path, capacity=100), "404 Not Found"),
        "the shop says 200": lambda: Shop(url, Rule(path, capacity=100)),
        "nobody is let in (capacity 0)": lambda: Shop(url, Rule(path, capacity=0)),
    }
    if knows("events"):
        ways["the rule knows its events"] = lambda: Shop(url, rule_with(path, events=["gala"]))
    for way, make in ways.items():
        size = count if way in ("the shop says 404", "the rule knows its events") else min(count, 20_000)
        shop = make()
        grown = shop.grown(lambda number: f"/events/invented-{number}/checkout", size)
        yield way, {"visits": size, "bytes": grown, "keys": int(shop.redis.dbsize())}


def hoarder(url: str, count: int) -> dict[str, Any]:
    """How many places somebody holds who has ``count`` tickets from one address, and uses them all."""
    options = {"places_per_client": per_client} if knows("places_per_client") else {}
    shop = Shop(url, rule_with("/checkout", grace_seconds=1, **options), "200 OK")
    event, name = "checkout", cookie_name("admitgate", "checkout")
    cookies = []
    for _ in range(count):
        _, headers, _ = shop.visit("/checkout")
        if headers.get("Set-Cookie", "").startswith(name):
            cookies.append(headers["Set-Cookie"].partition(";")[0])
    prefix = next(k for k in shop.redis.scan_iter("admitgate:*:line")).decode().removesuffix("line")
    for _ in range(3):
        for cookie in cookies[-2_000:]:
            shop.visit(f"/_admitgate/check-in/{event}", cookie, REQUEST_METHOD="POST")
    held = max(0, shop.redis.zcard(prefix + "leases") - 1) + shop.redis.zcard(prefix + "ready")
    return {"tickets": len(cookies), "places": held, "places_per_client": options.get("places_per_client")}


def knows(option: str) -> bool:
    """Does this version's Rule have it?"""
    return option in Rule.__dataclass_fields__


def rule_with(path: str, **options: Any) -> Rule:
    """A rule with options that not every version has."""
    make: Any = Rule
    rule: Rule = make(path, capacity=capacity, **options)
    return rule


def measure(url: str, share: float, say: Say) -> dict[str, Any]:
    """Everything, as one mapping for --json."""
    say(f"{int(joins * share):,} joins without cookies")
    joined = joins_without_cookies(url, int(joins * share))
    names = {}
    say(f"{int(invented * share):,} invented names")
    for way, figures in invented_names(url, int(invented * share)):
        say(f"  {way}: {figures}")
        names[way] = figures
    say(f"a hoarder with {int(tickets * share):,} tickets")
    hoarded = hoarder(url, int(tickets * share))
    say("times by size")
    return {
        "joins_memory_growth": joined["bytes"],
        "invented_events_memory_growth": names["the shop says 404"]["bytes"],
        "hoarder_places": hoarded["places"],
        "joins": joined,
        "invented_names": names,
        "hoarder": hoarded,
        "growth": {growth.name: growth.as_dict() for growth in growths(url)},
    }


def table(result: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"{'':<44}{'visits':>10}{'Redis grew by':>16}{'keys':>10}"
    yield _line("joins without cookies", result["joins"])
    for way, figures in result["invented_names"].items():
        yield _line(f"invented names: {way}", figures)
    hoarded = result["hoarder"]
    yield ""
    bound = hoarded["places_per_client"]
    yield f"a hoarder with {hoarded['tickets']:,} tickets holds {hoarded['places']} places of {capacity}" + (
        f"; places_per_client is {bound}" if bound else "; there is no places_per_client"
    )
    yield ""
    yield "µs by size, from small to large"
    for name, growth in result["growth"].items():
        yield from Growth.lines(name, growth)


def _line(name: str, figures: dict[str, Any]) -> str:
    is_much = figures["bytes"] > memory_most
    verdict = "  more than 1 MB" if is_much else "  within 1 MB"
    return f"{name:<44}{figures['visits']:>10,}{figures['bytes']:>16,}{figures.get('keys', 0):>10,}{verdict}"


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--share", default=1.0, show_default=True, help="How much of the crowd comes.")
def main(is_json: bool, share: float) -> None:
    """Measure what attackers can make the gate keep, or work at."""
    with EmbeddedRedis() as server:
        result = measure(server.url, share, lambda sentence: click.echo(sentence, err=True))
    click.echo(as_json(result) if is_json else "\n".join(table(result)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
