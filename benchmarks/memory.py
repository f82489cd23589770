"""What an event costs Redis, however long its line: bytes at a thousand tickets, and at a million.

    python benchmarks/memory.py                    a table, after a minute or two
    python benchmarks/memory.py --json             the same for a program
    python benchmarks/memory.py --most 100000      sooner

Every ticket is given out by the real script, one call each. Beside it stands a waiting room that keeps its
visitors in a sorted set, as many do. What was found is in README.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click
import redis
from timing import as_json

from admitgate import Rule, counter
from admitgate.connection import connect
from admitgate.counter import Counter
from admitgate.embedded import EmbeddedRedis
from admitgate.memory import Memories
from admitgate.tokens import Ticket, new_sid

sizes = (1_000, 10_000, 100_000, 1_000_000)
capacity, event = 1_000, "gala"
flat_within, bytes_most = 0.05, 1_200_000
rule = Rule("/checkout", event=event, capacity=capacity, lease_seconds=7200)
ready_most = 800  # that ``ready`` holds with this grace
released_most = 10 * capacity + 1_000


class Gate:
    """An event that is full: every slot is in use, and whoever comes gets a ticket."""

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(url)
        self._counter = Counter(connect(url, 5), Memories())
        self._keys = self._counter.keys(event)
        self._first: list[Ticket] = []
        self._run_every_script()
        self._before = self._used()
        for _ in range(capacity):
            self._join()
        self.tickets = 0

    def grow(self, tickets: int) -> None:
        """Newcomers, until so many have a ticket."""
        while self.tickets < tickets:
            self._join()
            self.tickets += 1

    def fill(self) -> dict[str, int]:
        """All that can be there at once: as many ready, and as many released, as are kept. Says how many."""
        self.redis.hset(self._keys[-1], mapping={"capacity": 2 * capacity, "admit_per_minute": 0.001})
        ends_at = time.monotonic() + 10 * rule.grace_seconds
        while self.redis.zcard(self._keys[2]) < ready_most and time.monotonic() < ends_at:
            for ticket in self._first:  # room enough to call them, but the pace lets none of them in
                self._counter.call(counter.check_in(rule, event, ticket, is_claim=False))
        self.redis.hset(self._keys[-1], mapping={"capacity": capacity, "message": "m" * 200})
        until_ms = time.time_ns() // 1_000_000 + 3_600_000
        for _ in range(released_most + 100):
            self._counter.call(counter.release(rule, event, new_sid(), until_ms))
        return {key.rpartition("}:")[2]: self.redis.zcard(key) for key in self._keys[1:5]}

    def bytes(self) -> int:
        """MEMORY USAGE of all its keys."""
        return sum(self.redis.memory_usage(key, samples=0) or 0 for key in self._keys)

    def server_bytes(self) -> int:
        """By how much the server has grown since there was no event."""
        return self._used() - self._before

    def _join(self) -> None:
        sid = new_sid()
        reply = self._counter.call(counter.join(rule, event, sid))
        if reply.verdict == "TICKET" and len(self._first) < ready_most + 1:
            self._first.append(Ticket(sid, reply.value, reply.now_ms))

    def _run_every_script(self) -> None:
        """On an event that is then gone, so that what the scripts themselves take isn't counted."""
        ticket = Ticket(new_sid(), 0, 0)
        for call in (
            counter.join(rule, "rehearsal", ticket.sid),
            counter.check_in(rule, "rehearsal", ticket, is_claim=False),
            counter.release(rule, "rehearsal", ticket.sid),
        ):
            self._counter.call(call)
        self.redis.delete(*self._counter.keys("rehearsal"))

    def _used(self) -> int:
        return int(self.redis.info("memory")["used_memory"])


class SortedSet:
    """The usual way: a member for each visitor, by number. (Who is still there would take another set.)"""

    key = "room"

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(url)
        self.tickets = 0

    def grow(self, tickets: int) -> None:
        """Newcomers, until so many are in it; ten thousand at a time."""
        newcomers = ((new_sid(), number) for number in range(self.tickets, tickets))
        while some := dict(islice(newcomers, 10_000)):
            self.redis.zadd(self.key, some)
        self.tickets = tickets

    def bytes(self) -> int:
        return int(self.redis.memory_usage(self.key, samples=0) or 0)


def measure(most: int, say: Any) -> dict[str, Any]:
    """Both, at every size up to ``most`` tickets; then the event with everything that it can hold."""
    gated, grown, rival = {}, {}, {}
    with EmbeddedRedis() as server:
        gate, room = Gate(server.url), SortedSet(server.url)
        for size in (size for size in sizes if size <= most):
            gate.grow(size)
            gated[str(size)], grown[str(size)] = gate.bytes(), gate.server_bytes()
            say(f"{size:,} tickets: {gated[str(size)]:,} bytes")
        held = gate.fill()
        fullest = gate.bytes()
        for size in (size for size in sizes if size <= most):
            room.grow(size)
            rival[str(size)] = room.bytes()
    return {
        "bytes_by_tickets": gated,
        "server_bytes_by_tickets": grown,
        "bytes_fullest": fullest,
        "held_fullest": held,
        "sorted_set_bytes_by_tickets": rival,
        "spread": max(gated.values()) / min(gated.values()) - 1,
        "capacity": capacity,
    }


def table(result: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"an event with capacity {capacity:,}, all slots in use; bytes in Redis"
    yield f"{'tickets':>12}{'the event':>14}{'server grew':>14}{'a sorted set':>16}"
    for size, value in result["bytes_by_tickets"].items():
        grown, rival = (
            result[name][size] for name in ("server_bytes_by_tickets", "sorted_set_bytes_by_tickets")
        )
        yield f"{int(size):>12,}{value:>14,}{grown:>14,}{rival:>16,}"
    held = ", ".join(f"{name} {count:,}" for name, count in result["held_fullest"].items())
    yield f"{'at its most':>12}{result['bytes_fullest']:>14,}   ({held})"
    yield _verdict(
        f"flat within {flat_within:.0%}", f"{result['spread']:.2%}", result["spread"] <= flat_within
    )
    most = max(result["bytes_by_tickets"].values())
    yield _verdict(f"at most {bytes_most:,} bytes", f"{most:,}", most <= bytes_most)
    fullest = result["bytes_fullest"]
    yield _verdict(f"the same at its most: {bytes_most:,}", f"{fullest:,}", fullest <= bytes_most)


def _verdict(target: str, value: str, is_reached: bool) -> str:
    return f"{target:<36}{value:>14}   {'reached' if is_reached else 'missed'}"


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--most", default=sizes[-1], show_default=True, help="The longest line.")
def main(is_json: bool, most: int) -> None:
    """What a line costs Redis, at every length."""
    result = measure(most, lambda sentence: click.echo(sentence, err=True))
    click.echo(as_json(result) if is_json else "\n".join(table(result)))


if __name__ == "__main__":
    main()
