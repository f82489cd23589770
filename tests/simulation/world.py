"""A small shop under virtual time: its workers, the Redis behind them, and what can befall either.

The workers are whole ones, with an edge, a gate, a breaker and memories of their own, and the real scripts in
a real Redis. Only clocks are invented, and misfortunes, which happen on the way to Redis.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import redis
from oracle import Answer, Bounds, Oracle, Terms
from virtual import EVENT, Clock, Pauses, Stage, at

from admitgate import AdmitGate
from admitgate.control import EventControl
from admitgate.rules import Rule

PATH = f"/events/{EVENT}/checkout"
_moment = 0.0003  # between any two requests
_longest = 1500.0  # virtual seconds
_key = "the shop's key, known to nobody outside"


class WorkerDied(BaseException):
    """The process ends in the middle of a request."""


class Wire:
    """One worker's way to Redis. Scripts that travel on it are told the virtual time."""

    def __init__(self, client: Any, clock: Clock, dice: random.Random) -> None:
        self._client, self._clock, self._dice = client, clock, dice
        self.is_cut = self.is_dead = False
        self.fates: tuple[str, ...] = ()  # what may become of a call: "lost", "repeated", "killed before", …
        self.risk = 0.0
        self.struck = 0  # how many calls met one of them

    def execute_command(self, *words: Any) -> Any:
        self._must_be_up()
        fate = self._dice.choice(self.fates) if self.fates and self._dice.random() < self.risk else ""
        self.struck += bool(fate)
        if fate == "killed before":
            self._die()
        if fate == "frozen":
            self._clock.advance(self._dice.uniform(0.6, 4.5))
        answer = self._send(words)
        if fate == "killed after":
            self._die()
        if fate in ("lost", "frozen"):
            raise redis.TimeoutError("no answer came")
        return self._send(words) if fate == "repeated" else answer

    def ping(self) -> Any:
        self._must_be_up()
        return self._client.ping()

    def _must_be_up(self) -> None:
        if self.is_dead:
            raise WorkerDied
        if self.is_cut:
            raise redis.ConnectionError("the wire is cut")

    def _die(self) -> None:
        self.is_dead = True
        raise WorkerDied

    def _send(self, words: tuple[Any, ...]) -> Any:
        clock = divmod(self._clock.redis_us, 1_000_000) if words[0] in ("EVALSHA", "EVAL") else ()
        return self._client.execute_command(*words, *clock)


class Worker:
    """One process of the shop."""

    def __init__(self, wire: Wire, options: Mapping[str, Any]) -> None:
        self.wire = wire
        self._options = options
        self.restart()

    def restart(self) -> None:
        """Another process takes its place, and remembers nothing."""
        self.wire.is_dead = False
        self._application = AdmitGate(_shop, redis_client=self.wire, **self._options)

    def answer(
        self, method: str, path: str, cookie: str | None = None, *, status: int = 200, releases: bool = False
    ) -> Seen:
        """What a client gets; ``status`` is what the shop says if it is asked at all."""
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "HTTP_ACCEPT": "application/json",
            "HTTP_COOKIE": cookie or "",
            "wsgi.url_scheme": "http",
            "shop.says": (f"{status} Whatever", [("Admitgate-Release", "1")] if releases else []),
        }
        sent: list[Any] = []
        body = b"".join(self._application(environ, lambda *start: sent.extend(start)))  # type: ignore[arg-type]
        cookies = [value.partition(";")[0] for name, value in sent[1] if name == "Set-Cookie"]
        is_ours = body.startswith(b"{")
        return Seen(int(sent[0][:3]), json.loads(body) if is_ours else {}, cookies[0] if cookies else None)

    def levers(self) -> EventControl:
        """What an operator changes the event with."""
        return self._application.event(EVENT)

    def is_well(self) -> bool:
        """What a balancer asks."""
        return self.answer("GET", "/_admitgate/healthz").status == 200


def _shop(environ: Any, start_response: Any) -> list[bytes]:
    start_response(*environ["shop.says"])
    return [b"the shop"]


@dataclass(frozen=True)
class Seen:
    """A response as the browser has it. ``cookie`` is None where none was set, "name=" where taken away."""

    status: int
    body: Mapping[str, Any]
    cookie: str | None


class World:
    """The shop, its visitors' stage, and the oracle that watches."""

    def __init__(
        self,
        client: redis.Redis,
        road: Any,
        patch: pytest.MonkeyPatch,
        *,
        seed: int,
        terms: Terms,
        bounds: Bounds,
        idle_most: float,
        cold_hold: float = 0,
        on_outage: str = "hold",
        opens_in: float = 0,
    ) -> None:
        terms = replace(terms, opens_at=opens_in)
        random.seed(seed)
        self.dice = random.Random(seed)
        self.clock = Clock().run_workers(patch)
        self.stage = Stage(self.clock)
        self.client, self.terms = client, terms
        self.oracle = Oracle(terms, bounds, idle_most)
        rule = Rule(
            "/events/<event>/checkout",
            capacity=terms.capacity,
            lease_seconds=terms.lease,
            claim_seconds=terms.claim,
            grace_seconds=terms.grace,
            cold_hold_seconds=cold_hold,
            admit_per_minute=terms.per_minute or None,
            max_waiting=terms.max_waiting,
            opens_at=at(self.clock, opens_in) if opens_in else None,
            shuffle=opens_in > 0,
        )
        options = {"rules": [rule], "secret_key": _key, "on_outage": on_outage}
        self.fleet = [Worker(Wire(road, self.clock, self.dice), options) for _ in range(3)]
        self._about = 0
        if cold_hold:
            self.oracle.strikes(self.now, "the line is to be born")
        self.client.flushall()

    def enter(self, visit: Pauses, *, after: float = 0.0) -> None:
        """A visitor comes; the run lasts until all have gone."""
        self._about += 1
        self.stage.enter(self._until_gone(visit), after=after)

    def _until_gone(self, visit: Pauses) -> Pauses:
        yield from visit
        self._about -= 1

    def run(self, misfortunes: Pauses) -> None:
        """Until everybody has gone and everything has befallen; then every slot must be free again."""
        self.enter(misfortunes)
        self.stage.run(_longest, until=lambda: not self._about)
        self.oracle.note(self.now, "everybody has gone" if not self._about else "it is late")
        assert not self._about, "the run doesn't end"
        self.stage.enter(self._onlooker())
        self.stage.run(self.terms.lease * 2 + self.terms.grace * 3)
        self._fill_up()

    def _onlooker(self) -> Pauses:
        """Somebody whose page asks the shared status, which moves the line on."""
        while True:
            self.ask("GET", f"/_admitgate/status/{EVENT}", None)
            yield 1.0

    def _fill_up(self) -> None:
        for nth in range(self.oracle.capacity + 1):
            seen = self.ask("GET", PATH, None)
            answer = answer_of(seen, None, self.terms)
            self.oracle.sees(self.now, f"last{nth}", "opens the page", answer)
            if nth < self.oracle.capacity and answer.state != "in":
                self.oracle.accuse(f"nobody is inside, and the slot number {nth + 1} is not free")

    @property
    def now(self) -> float:
        return self.clock.seconds

    def set_capacity(self, capacity: int) -> None:
        """An operator's live change."""
        self.note(f"the capacity is set to {capacity}")
        self.levers().set(capacity=capacity)
        self.oracle.capacity = capacity

    def pulls(self, lever: str, *how: Any) -> None:
        """An operator does something to the event."""
        self.note(f"THE OPERATOR: {lever} {' '.join(map(str, how))}")
        getattr(self.levers(), lever)(*how)

    def levers(self) -> EventControl:
        """The event's. Which worker the operator's request comes to makes no difference."""
        return self.fleet[0].levers()

    def note(self, words: str) -> None:
        self.oracle.note(self.now, words)

    def ask(
        self, method: str, path: str, cookie: str | None, *, status: int = 200, releases: bool = False
    ) -> Seen | None:
        """By whichever worker the balancer picks. None where no answer comes: the worker died."""
        self.clock.advance(_moment)
        worker = self.dice.choice(self.fleet)
        try:
            return worker.answer(method, path, cookie, status=status, releases=releases)
        except WorkerDied:
            self.note("a worker died")
            worker.restart()
            return None

    def keys(self) -> dict[str, bytes]:
        """The event's keys that are there, by their short names."""
        return {key.decode().partition("}:")[2]: key for key in self.client.scan_iter()}


def answer_of(seen: Seen | None, shown: str | None, terms: Terms, *, is_claim: bool = False) -> Answer:
    """What the oracle is told of a response to the cookie ``shown``."""
    if seen is None:
        return Answer("lost")
    lease = terms.claim if is_claim else terms.lease
    is_lease = bool(seen.cookie) and "=l1." in str(seen.cookie)
    is_renamed = bool(seen.cookie and shown and not seen.cookie.endswith("=")) and _name(
        seen.cookie
    ) != _name(shown)
    state = seen.body.get("state", "in")
    return Answer(
        "in" if state == "admitted" else state,
        number=seen.body.get("number"),
        position=seen.body.get("position"),
        term=lease if is_lease else 0.0,
        is_renamed=is_renamed,
    )


def _name(cookie: str | None) -> str:
    """The part of a token that stays the same for as long as it is the same person's."""
    return str(cookie).split(".")[1]
