"""More visitors than the shop can bear: what becomes of its check-outs, with the gate and without it?

    python benchmarks/overload.py            a table, after four minutes
    python benchmarks/overload.py --json     the same for a program

A shop under gunicorn on one core; on the other, Redis and the visitors: they arrive whether or not the shop
keeps up, think between the steps of a check-out, give up on an answer after some seconds and try again. In
line they do what the waiting page does. What it stands for and what was found is in README.md.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click
from load import Answer, ask, message, percentile
from servers import free_port, gunicorn, load_core, stay_on
from shop import steps
from timing import as_json

from admitgate.decision import PollPolicy
from admitgate.embedded import EmbeddedRedis

loads = (1, 2, 5, 10)
event, mount = "gala", "/_admitgate/"
patience_seconds = 5.0
tries = 3
think_seconds = 2.0
grace_seconds = 3.0
share_that_keeps_it_quick = 0.3  # of what it manages flat out; beyond that too many requests meet
hand_over_seconds = 3.5  # from a slot's release until the next visitor, who has to ask, is in it
pace = 1.1  # of what it bears: who is let in at once comes back at once, so an opening is a ramp
warm_seconds, measured_seconds, measured_between_seconds = 13.0, 20.0, 10.0
goodput_target, p95_target = 0.9, 1.5


@dataclass
class Seen:
    """What the visitors of one stage saw from ``since`` on, each thing at the time it ended."""

    since: float = 0.0
    finished: int = 0
    given_up: int = 0
    in_the_shop: list[float] = field(default_factory=list)  # seconds; a time-out with all that it took
    turned_away: list[float] = field(default_factory=list)
    polls: int = 0

    def is_counting(self) -> bool:
        return time.perf_counter() >= self.since


class Site(NamedTuple):
    """The ports of the shop and of its waiting room; one where the shop does both."""

    shop: int
    room: int


class Visitor:
    """One person with a browser: comes, waits if told to, checks out."""

    def __init__(self, site: Site, seen: Seen, dice: random.Random, think: float = think_seconds) -> None:
        self._site, self._seen, self._dice, self._think = site, seen, dice, think
        self._cookie = ""

    async def check_out(self) -> None:
        """The whole visit, until it's paid or given up."""
        for step in range(1, steps + 1):
            if step > 1:
                await asyncio.sleep(self._think * self._dice.uniform(0.5, 1.5))
            if not await self._is_done(step):
                self._seen.given_up += self._seen.is_counting()
                return
        self._seen.finished += self._seen.is_counting()

    async def _is_done(self, step: int) -> bool:
        """A step of the check-out; who hears nothing, or of a fault, tries again."""
        path, method = f"/events/{event}/checkout/{step}", "GET" if step == 1 else "POST"
        failures = 0
        while failures < tries:
            answer = await self._ask(self._site.shop, path, method)
            if answer.status in (303, 503):
                self._note(self._seen.turned_away, answer)
                await self._wait(answer)
                continue
            self._note(self._seen.in_the_shop, answer)
            if answer.status == 200:
                return True
            failures += 1
        return False

    async def _wait(self, answer: Answer) -> None:
        """The waiting page, until it leads back to the shop: admitted, or to begin anew."""
        if answer.status == 303:
            answer = await self._ask(
                self._site.room, urlsplit(answer.header("location"))._replace(scheme="", netloc="").geturl()
            )
            if answer.status == 303:
                return
        seconds, number, serving = float(answer.header("retry-after") or 2), self._number(), 0
        while True:
            await asyncio.sleep(seconds * self._dice.uniform(0.8, 1.2))
            self._seen.polls += self._seen.is_counting()
            if number > serving:
                line = _json(await self._ask(self._site.room, f"{mount}status/{event}"))
                serving = line.get("serving", serving)
                seconds = _poll_seconds(line, number) if line else 2.0
                if number > serving:
                    continue
            said = _json(await self._ask(self._site.room, f"{mount}check-in/{event}", "POST"))
            if said.get("state") in ("admitted", "gone", "no-ticket"):
                return
            serving = number - 1 if said.get("state") == "waiting" else serving
            seconds = said.get("poll", 2.0)

    async def _ask(self, port: int, path: str, method: str = "GET") -> Answer:
        text = message(path, self._cookie, method=method)
        answer = await ask(port, text, patience=patience_seconds)
        self._cookie = answer.cookie or self._cookie
        return answer

    def _number(self) -> int:
        token = self._cookie.partition("=")[2].split(".")
        return int(token[2]) if token[0] == "t1" else 0

    def _note(self, times: list[float], answer: Answer) -> None:
        if self._seen.is_counting():
            times.append(answer.seconds)


def _json(answer: Answer) -> dict[str, Any]:
    with suppress(ValueError):
        return dict(json.loads(answer.body))
    return {}


def _poll_seconds(line: dict[str, Any], number: int) -> float:
    """As ``waiting.js`` reckons it."""
    ahead = max(1, number - line["serving"])
    expected = (ahead + line["ready"]) / (line["admitted_per_minute"] / 60 or 1)
    return PollPolicy(**line["poll"]).seconds(expected, ahead=ahead, step=line["step"], grace=line["grace"])


async def _crowd(site: Site, per_second: float, seconds: float, seed: int) -> Seen:
    """So many visitors a second, each at a moment of chance in their turn, whatever becomes of the others."""
    dice, started, people = random.Random(seed), time.perf_counter(), set()
    seen = Seen(started + warm_seconds)
    for number in range(int((warm_seconds + seconds) * per_second)):
        due = started + (number + dice.random()) / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        people.add(asyncio.create_task(Visitor(site, seen, dice).check_out()))
    await asyncio.sleep(max(0.0, started + warm_seconds + seconds - time.perf_counter()))
    await _send_home(people)
    return seen


async def _send_home(people: set[asyncio.Task[None]]) -> None:
    for person in people:
        person.cancel()
    ends = await asyncio.gather(*people, return_exceptions=True)
    for fault in (end for end in ends if isinstance(end, Exception)):
        raise fault


async def _alone(site: Site, visits: int = 12) -> Seen:
    """One visitor after the other, in a shop that has nothing else to do."""
    seen = Seen()
    for _ in range(visits):
        await Visitor(site, seen, random.Random(0), think=0.05).check_out()
    return seen


async def _flat_out(site: Site, people: int = 24, seconds: float = 8.0) -> float:
    """Check-outs per second by visitors who don't think, always so many: all that there is in the shop."""
    seen, ends_at = Seen(time.perf_counter() + seconds / 4), time.perf_counter() + seconds

    async def again_and_again() -> None:
        while True:
            await Visitor(site, seen, random.Random(0), think=0.0).check_out()

    crowd = {asyncio.create_task(again_and_again()) for _ in range(people)}
    await asyncio.sleep(ends_at - time.perf_counter())
    await _send_home(crowd)
    return seen.finished / (seconds * 3 / 4)


@dataclass(frozen=True)
class Shop:
    """What the shop is like, and the Redis of its gate."""

    cpu_ms: float
    wait_ms: float
    redis_url: str
    worker_class: str = "gthread"
    threads: int = 16
    has_room: bool = True

    def run(
        self, crowd: Callable[[Site], Coroutine[Any, Any, Any]], rule: dict[str, float] | None = None
    ) -> Any:
        """A crowd in a shop that has just been opened, behind a gate if there is a rule."""
        with self._opened(rule) as site:
            return asyncio.run(crowd(site))

    @contextmanager
    def _opened(self, rule: dict[str, float] | None) -> Iterator[Site]:
        serve = partial(gunicorn, worker_class=self.worker_class, threads=self._threads)
        shop = f"checkout_site(cpu_ms={self.cpu_ms}, wait_ms={self.wait_ms}, gate={{}})".format
        if rule is None:
            with serve(shop(None)) as port:
                yield Site(port, port)
            return
        gate: dict[str, Any] = {"redis_url": self.redis_url, "rule": rule}
        if not self.has_room:
            with serve(shop(gate)) as port:
                yield Site(port, port)
            return
        there, here = free_port(), free_port()
        gate["waiting_url"], gate["shop_url"] = (
            f"http://127.0.0.1:{there}{mount}",
            f"http://127.0.0.1:{here}/",
        )
        room = gunicorn(f"waiting_room(gate={gate})", port=there, core=load_core, workers=1)
        with room, serve(shop(gate), port=here):
            yield Site(here, there)

    @property
    def _threads(self) -> int:
        return 1 if self.worker_class == "sync" else self.threads


def measure(shop: Shop, redis: EmbeddedRedis, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything: the shop alone, flat out, then each load with the gate and without it."""
    alone = shop.run(_alone)
    most = shop.run(_flat_out)
    bears = most * share_that_keeps_it_quick
    mean = sum(alone.in_the_shop) / len(alone.in_the_shop)
    visit = steps * mean + (steps - 1) * think_seconds
    capacity = max(1, round(bears * (visit + hand_over_seconds)))
    rule = {"capacity": capacity, "grace_seconds": grace_seconds, "admit_per_minute": bears * 60 * pace}
    say(f"at most {most:.1f} check-outs/s, so it bears {bears:.1f}; capacity {capacity}")
    stages = []
    for load in loads:
        for gate in (rule, None):
            redis.restart()
            is_judged = gate is not None and load in (loads[0], loads[-1])
            seconds = measured_seconds if is_judged else measured_between_seconds
            crowd = partial(_crowd, per_second=bears * load, seconds=seconds, seed=load)
            stages.append(_stage(load, gate is not None, seconds, shop.run(crowd, gate)))
            say(f"{load}x {'with' if gate else 'without'} the gate: {stages[-1]['finished_per_s']:.2f}/s")
    return {
        **_ratios(stages, percentile(alone.in_the_shop, 95)),
        "most_per_s": most,
        "bears_per_s": bears,
        "capacity": capacity,
        "unloaded_p50_ms": percentile(alone.in_the_shop, 50) * 1000,
        "unloaded_p95_ms": percentile(alone.in_the_shop, 95) * 1000,
        "stages": stages,
    }


def _stage(load: int, is_gated: bool, seconds: float, seen: Seen) -> dict[str, Any]:
    return {
        "load": load,
        "gate": is_gated,
        "finished_per_s": seen.finished / seconds,
        "p50_ms": percentile(seen.in_the_shop, 50) * 1000,
        "p95_ms": percentile(seen.in_the_shop, 95) * 1000,
        "requests_per_s": len(seen.in_the_shop) / seconds,
        "turned_away_per_s": len(seen.turned_away) / seconds,
        "turned_away_p95_ms": percentile(seen.turned_away, 95) * 1000,
        "polls_per_s": seen.polls / seconds,
        "given_up_per_s": seen.given_up / seconds,
    }


def _ratios(stages: list[dict[str, Any]], unloaded_p95: float) -> dict[str, float]:
    """The overload's figures by those of the load that the shop can bear, and of the quiet shop."""
    found = {}
    for is_gated, ending in ((True, ""), (False, "_without_gate")):
        least, *_, most = (stage for stage in stages if stage["gate"] is is_gated)
        found[f"goodput_ratio_10x{ending}"] = most["finished_per_s"] / max(least["finished_per_s"], 1e-9)
        found[f"p95_ratio_10x{ending}"] = most["p95_ms"] / 1000 / unloaded_p95
        found[f"p95_ratio_1x{ending}"] = least["p95_ms"] / 1000 / unloaded_p95
    return found


def table(result: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield (
        f"at most {result['most_per_s']:.1f} check-outs a second, bears {result['bears_per_s']:.1f}; "
        f"capacity {result['capacity']}; a request in the quiet shop: "
        f"p50 {result['unloaded_p50_ms']:.0f} ms, p95 {result['unloaded_p95_ms']:.0f} ms"
    )
    columns = (
        "finished_per_s",
        "p50_ms",
        "p95_ms",
        "turned_away_per_s",
        "turned_away_p95_ms",
        "polls_per_s",
        "given_up_per_s",
    )
    yield f"{'load':>5}{'gate':>6}" + "".join(
        f"{name.replace('turned_away', 'away'):>16}" for name in columns
    )
    for stage in result["stages"]:
        figures = "".join(f"{stage[name]:>16.1f}" for name in columns)
        yield f"{stage['load']:>4}x{'on' if stage['gate'] else 'off':>6}{figures}"
    yield _verdict("goodput_ratio_10x", result, f"at least {goodput_target}", lambda it: it >= goodput_target)
    yield _verdict("p95_ratio_10x", result, f"at most {p95_target}", lambda it: it <= p95_target)


def _verdict(name: str, result: dict[str, Any], target: str, is_reached: Callable[[float], bool]) -> str:
    verdict = "reached" if is_reached(result[name]) else "missed"
    without = result[f"{name}_without_gate"]
    return f"{name:<20}{result[name]:>8.3f}   {target}: {verdict}; without the gate {without:.3f}"


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--cpu-ms", default=20.0, show_default=True, help="CPU time of a step of the check-out.")
@click.option("--wait-ms", default=100.0, show_default=True, help="How long a step waits for other machines.")
@click.option("--worker-class", type=click.Choice(["gthread", "sync"]), default="gthread", show_default=True)
@click.option("--room/--no-room", default=True, show_default=True, help="A waiting room on the other core.")
def main(is_json: bool, cpu_ms: float, wait_ms: float, worker_class: str, room: bool) -> None:
    """Offer a shop more than it can bear, with the gate and without it."""
    stay_on(load_core)
    with EmbeddedRedis() as redis:
        shop = Shop(cpu_ms, wait_ms, redis.url, worker_class, has_room=room)
        result = measure(shop, redis, lambda sentence: click.echo(sentence, err=True))
    click.echo(as_json(result) if is_json else "\n".join(table(result)))


if __name__ == "__main__":
    main()
