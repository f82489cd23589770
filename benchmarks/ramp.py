"""Does the ramp come to rest? A shop with a knee, more people than it can serve, and the real script.

    python benchmarks/ramp.py            a table, after a minute or two
    python benchmarks/ramp.py --json     the same for a program

Invented visitors look at something, think, and look again until they have paid. The shop is a few servers
with one queue before them: up to so many visitors every answer is quick, and a few more make all slow.
The capacity in the settings is twice what it can serve; people without end want to get in. Workers count
slow answers as the edges do, and a private Redis decides under virtual time. Each scene is also played with
the best capacity that somebody could have known beforehand, and with a script that doesn't wait until it
shows, as a text-book has it. What was found is in README.md.
"""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import click
import redis
from timing import as_json

from admitgate import Rule, counter, health, memory
from admitgate.counter import Counter
from admitgate.embedded import EmbeddedRedis
from admitgate.health import Health
from admitgate.memory import Memories
from admitgate.tokens import new_sid

event, target, capacity, workers = "gala", 1.0, 1000, 4
lasts, rests_from = 40, 25  # minutes of a scene, and from when on it should have come to rest
tried_lasts, tried_rests_from = 15, 5
tried_shares = (0.8, 0.88, 0.95)  # of the knee, as capacities for who knows it
waits_until_it_shows = "if in_use <= ceiling then\n"
of_those_inside = "math.floor(in_use * DOWN)"
wild = 0.25  # so far from the middle


@dataclass(frozen=True)
class Scene:
    """A shop and its visitors; means, in seconds."""

    name: str
    servers: int = 8
    service: float = 0.1
    think: float = 6.0
    answers: float = 20.0  # of a visit
    leave_without_a_word: float = 0.1
    gone_after: float = 300.0  # their lease
    capacity: int = capacity
    breaks: tuple[float, float, int] = (0.0, 0.0, 0)  # from and until when it has fewer servers, in minutes

    def servers_at(self, now: float) -> int:
        """How many there are."""
        since, until, fewer = self.breaks
        return fewer if since * 60 <= now < until * 60 else self.servers

    @property
    def knee(self) -> int:
        """So many visitors keep all servers busy."""
        return int(self.servers * (self.think + self.service) / self.service)

    @property
    def sitting(self) -> float:
        """The same with the slots of those who have gone without a word, until their leases end."""
        visit = self.answers * (self.think + self.service)
        return self.knee * (1 + self.leave_without_a_word * self.gone_after / visit)


scenes = (
    Scene("twice too many"),
    Scene("short visits", answers=5),
    Scene("long visits", answers=60),
    Scene("half of them leave without a word", leave_without_a_word=0.5),
    Scene("few servers", servers=2, service=0.05, think=3.0, capacity=250),
    Scene("loses half of its servers for ten minutes", breaks=(10, 20, 4)),
    Scene("all is well", capacity=400),
)


@dataclass
class Day:
    """What was seen, by second."""

    minutes: int
    rests_from: int
    ceilings: list[int] = field(default_factory=list)
    answers: list[tuple[float, bool]] = field(default_factory=list)
    paid: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Of the time in which it should be at rest; ``settled_min`` is since when it was not wild."""
        rest = self.rests_from * 60
        ceilings = sorted(self.ceilings[rest:])
        middle = statistics.median(ceilings)
        low, high = ceilings[len(ceilings) // 20], ceilings[-1 - len(ceilings) // 20]
        slow = [is_slow for at, is_slow in self.answers if at >= rest]
        strays = [at for at, ceiling in enumerate(self.ceilings) if abs(ceiling / middle - 1) > wild]
        return {
            "ceiling": middle,
            "ceiling_low": low,
            "ceiling_high": high,
            "swing": (high - low) / middle,
            "settled_min": (strays[-1] + 1) / 60 if strays else 0.0,
            "slow_share": sum(slow) / max(1, len(slow)),
            "paid_per_min": sum(at >= rest for at in self.paid) / (self.minutes - self.rests_from),
        }


class Gate:
    """Workers on a Redis whose time is the scene's. Without ``ramps`` they count nothing."""

    def __init__(self, client: redis.Redis, scene: Scene, scripts: dict[str, str], *, ramps: bool) -> None:
        client.flushall()
        self.now, self.ramps, self._client = 0.0, ramps, client
        options = {"ramp_seconds": target} if ramps else {}
        self.rule = Rule("/checkout", event=event, capacity=scene.capacity, lease_seconds=43_000, **options)
        memories = [Memories() for _ in range(workers)]
        self._counters = [Counter(self, each, scripts=scripts) for each in memories]
        self._health = [Health() for _ in range(workers)]

    def execute_command(self, *words: Any) -> Any:
        """A script, told the time."""
        return self._client.execute_command(*words, *divmod(round((1_800_000_000 + self.now) * 1e6), 10**6))

    def join(self, dice: random.Random) -> str:
        """Somebody goes in."""
        sid = new_sid()
        assert dice.choice(self._counters).call(counter.join(self.rule, event, sid)).verdict == "ADMIT"
        return sid

    def leave(self, sid: str) -> None:
        """Paid, or their lease has ended."""
        self._counters[0].call(counter.release(self.rule, event, sid))

    def look(self) -> Any:
        """The line."""
        return self._counters[0].call(counter.look(self.rule, event)).snapshot

    def take(self, seconds: float, dice: random.Random) -> None:
        """An answer of the shop, by one of its workers."""
        worker = dice.randrange(workers)
        seen = self._health[worker].take(event, self.rule, seconds, 200)
        if seen is not None:
            self._counters[worker].call(counter.ramp(self.rule, event, *seen))


def play(gate: Gate, scene: Scene, seed: int, minutes: int = lasts, rests_from: int = rests_from) -> Day:
    """One day of it."""
    day, dice, order = Day(minutes, rests_from), random.Random(seed), itertools.count()
    free_at = [0.0] * scene.servers
    turns: list[tuple[float, int, str, Any]] = [(0.0, next(order), "tick", None)]

    def put(at: float, kind: str, what: Any) -> None:
        heapq.heappush(turns, (at, next(order), kind, what))

    while turns and turns[0][0] < minutes * 60:
        now, _, kind, what = heapq.heappop(turns)
        gate.now = now
        if kind == "tick":
            snapshot = gate.look()
            in_use, room = (snapshot.in_use, snapshot.capacity) if snapshot else (0, scene.capacity)
            for _ in range(room - in_use):
                put(now + dice.random(), "ask", gate.join(dice))
            day.ceilings.append(room)
            put(now + 1, "tick", None)
        elif kind == "ask":
            free_at.sort()
            next_free = len(free_at) - scene.servers_at(now)  # those before it are out of order
            free_at[next_free] = max(now, free_at[next_free]) + dice.expovariate(1 / scene.service)
            put(free_at[next_free], "answered", (what, free_at[next_free] - now))
        elif kind == "answered":
            sid, seconds = what
            day.answers.append((now, seconds > target))
            if gate.ramps:
                gate.take(seconds, dice)
            if dice.random() >= 1 / scene.answers:
                put(now + dice.expovariate(1 / scene.think), "ask", sid)
            elif dice.random() < scene.leave_without_a_word:
                put(now + scene.gone_after, "gone", sid)
            else:
                day.paid.append(now)
                put(now, "gone", sid)
        else:
            gate.leave(what)
    return day


@contextmanager
def time_of(gate: list[Gate]) -> Iterator[None]:
    """The workers' clocks are the scene's."""
    modules = (memory, counter, health)
    own = memory.monotonic
    for module in modules:
        module.monotonic = lambda: 1000 + gate[0].now  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.monotonic = own  # type: ignore[attr-defined]


def scripts_of_a_scene() -> dict[str, str]:
    """The real ones, told the time."""
    clock = "{ARGV[#ARGV - 1], ARGV[#ARGV]}"
    return {verb: text.replace("redis.call('TIME')", clock) for verb, text in counter.load_scripts().items()}


def _hasty(script: str) -> str:
    """As a text-book has it: a share of the ceiling less, every five seconds, as long as it is slow."""
    assert script.count(waits_until_it_shows) == script.count(of_those_inside) == 1
    script = script.replace(waits_until_it_shows, "if true then\n")
    return script.replace(of_those_inside, "math.floor(ceiling * DOWN)")


def measure(client: redis.Redis, scene: Scene, seed: int) -> dict[str, Any]:
    """With the ramp, with one that doesn't wait, and with the best capacity that there is."""
    usual = scripts_of_a_scene()
    hasty = {**usual, "ramp": _hasty(usual["ramp"])}
    gates: list[Gate] = [None]  # type: ignore[list-item]

    def played(scene: Scene, scripts: dict[str, str], *times: int, ramps: bool) -> dict[str, float]:
        gates[0] = Gate(client, scene, scripts, ramps=ramps)
        return play(gates[0], scene, seed, *times).figures()

    with time_of(gates):
        best = {"paid_per_min": 0.0}
        for share in tried_shares:
            fixed = replace(scene, capacity=min(scene.capacity, int(scene.sitting * share)), breaks=(0, 0, 0))
            tried = played(fixed, usual, tried_lasts, tried_rests_from, ramps=False)
            if tried["slow_share"] <= 0.1 and tried["paid_per_min"] > best["paid_per_min"]:
                best = tried
        found = played(scene, usual, ramps=True)
        found["paid_vs_best"] = found["paid_per_min"] / best["paid_per_min"]
        found["best_ceiling"] = best["ceiling"]
        without = played(scene, hasty, ramps=True)
    hasty_paid = without["paid_per_min"] / best["paid_per_min"]
    return {**found, "hasty_swing": without["swing"], "hasty_paid_vs_best": hasty_paid}


@click.command()
@click.option("--json", "is_json", is_flag=True, help="For programs.")
@click.option("--seed", default=1, show_default=True)
@click.option("--scene", "only", type=click.Choice([scene.name for scene in scenes]), help="Only this one.")
def main(*, is_json: bool, seed: int, only: str | None) -> None:
    """Play every scene."""
    with EmbeddedRedis() as server, redis.Redis.from_url(server.url) as client:
        found = {scene.name: measure(client, scene, seed) for scene in scenes if only in (None, scene.name)}
    if is_json:
        click.echo(as_json(found))
        return
    click.echo(f"{'':<44}ceiling  5…95 of 100  swing  settled   slow  paid, of   hasty: swing  paid")
    click.echo(f"{'':<44}                           after min share  the best               of best")
    for name, f in found.items():
        click.echo(
            f"{name:<44}{f['ceiling']:>7.0f}{f['ceiling_low']:>7}…{f['ceiling_high']:<5}{f['swing']:>6.0%}"
            f"{f['settled_min']:>9.1f}{f['slow_share']:>7.1%}{f['paid_vs_best']:>10.0%}"
            f"{f['hasty_swing']:>15.0%}{f['hasty_paid_vs_best']:>6.0%}"
        )


if __name__ == "__main__":
    main()
