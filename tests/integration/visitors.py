"""A light load of real visitors, who remember what they were told.

They know nothing of Redis and of tokens: what they hold against the gate is what it has told them. Each
comes, waits as the waiting page does, makes a few requests at the check-out, pays, and comes again as
somebody else. From a fault until Redis is asked again nobody pays: a slot that is given back meanwhile comes
free when its lease ends, and that would be all there is to see.

Beside them there are passers-by at an event without a slot: each is one question to Redis, and shows how
long that takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fleet import Balanced, Fleet, Told
from servers import until
from shop import CLOSED, EVENT

CHECKOUT, THANKS = f"/events/{EVENT}/checkout", f"/events/{EVENT}/thanks"
STATUS, CHECK_IN = f"/_admitgate/status/{EVENT}", f"/_admitgate/check-in/{EVENT}"
ELSEWHERE = f"/events/{CLOSED}/checkout"
POLL_SECONDS = 0.25
_step_seconds, _steps = 0.15, 4  # their requests at the check-out before they pay
_settled_seconds = 1.0


@dataclass(eq=False)
class Stay:
    """One visitor, from coming to leaving. Times are this machine's; None: not yet."""

    came_at: float = field(default_factory=time.monotonic)
    number: int | None = None
    numbered_at: float = 0.0
    in_at: float | None = None
    out_at: float | None = None
    sid: str | None = None
    shut_out: int = 0  # they were in, and got an outage's answer
    lost: list[str] = field(default_factory=list)


@dataclass
class Fault:
    """When it began and ended."""

    began_at: float
    ended_at: float = float("inf")


class Crowd:
    """``visitors`` of them in a circle, and two passers-by, until ``stop``."""

    def __init__(self, fleet: Fleet | Balanced, visitors: int) -> None:
        self.fleet = fleet
        self.stays: list[Stay] = []
        self.told: list[Told] = []
        self.passing: list[Told] = []
        self.over = threading.Event()
        self.may_pay = threading.Event()
        self.may_pay.set()
        self._threads: list[threading.Thread] = []
        self.arrive(visitors)
        for _ in range(2):
            self._live(self._pass_by)

    def arrive(self, visitors: int) -> None:
        """More of them come, now."""
        for _ in range(visitors):
            self._live(self._come_again_and_again)

    def stop(self) -> None:
        """They go home."""
        self.over.set()
        for thread in self._threads:
            thread.join(20)

    @contextmanager
    def fault(self) -> Iterator[Fault]:
        """The time in which something is broken. Nobody pays until ``may_pay`` is set again."""
        fault = Fault(time.monotonic())
        self.may_pay.clear()
        try:
            yield fault
        finally:
            fault.ended_at = time.monotonic()

    def settle(self) -> None:
        """Wait until the shop is full and the line moves, for a while."""
        start = time.monotonic()

        def is_settled() -> bool:
            stays = list(self.stays)
            inside = [stay for stay in stays if stay.in_at and not stay.out_at]
            moves = [stay for stay in stays if stay.number and (stay.in_at or 0) > start]
            return (
                len(inside) >= self.fleet.capacity
                and bool(moves)
                and time.monotonic() > start + _settled_seconds
            )

        until(is_settled, seconds=30, what="the shop is full and the line moves")

    def ask(self, path: str, method: str = "GET", cookie: str = "") -> Told:
        """One request of somebody's, which is remembered."""
        told = self.fleet.ask(path, method, cookie)
        self.told.append(told)
        return told

    def _live(self, life: object) -> None:
        thread = threading.Thread(target=life, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _come_again_and_again(self) -> None:
        while not self.over.is_set():
            Visitor(self).live()

    def _pass_by(self) -> None:
        while not self.over.wait(0.03):
            self.passing.append(self.ask(ELSEWHERE))


class Visitor:
    """Somebody with a cookie and, perhaps, a place."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._cookie = ""
        self.stay = Stay()
        crowd.stays.append(self.stay)

    def live(self) -> None:
        """Come, wait, shop, pay."""
        while not self._crowd.over.is_set() and not self.stay.in_at and not self.stay.lost:
            self._wait() if self.stay.number else self._come()
            self._crowd.over.wait(POLL_SECONDS)
        self._shop()
        if self.stay.in_at and not self._crowd.over.is_set():
            self.stay.out_at = time.monotonic()
            self._ask(THANKS)

    def _come(self) -> None:
        """Without a place: the page itself."""
        told = self._ask(CHECKOUT)
        if told.status == 200:
            self._goes_in(told)
        elif number := told.body.get("number"):
            self.stay.number, self.stay.numbered_at = number, told.came_at

    def _wait(self) -> None:
        """With a number: what everybody is told, and in person when it is served or unknown to the line."""
        status, number = self._ask(STATUS).body, self.stay.number or 0
        if not status or status["state"] == "outage" or status["serving"] < number <= status["issued"]:
            return
        told = self._ask(CHECK_IN, "POST")
        if told.state == "admitted":
            self._goes_in(told)
        elif told.state not in ("ready", "waiting", "hold", "outage", ""):
            self.stay.lost.append(f"place {number}: {told.state}")

    def _goes_in(self, told: Told) -> None:
        self.stay.in_at = told.came_at
        self.stay.sid = told.body.get("sid")

    def _shop(self) -> None:
        """A few requests, and more while nobody may pay. An outage's page asks again by itself."""
        good = 0
        while not self._crowd.over.wait(_step_seconds) and not self.stay.lost:
            if good >= _steps and self._crowd.may_pay.is_set():
                return
            told = self._ask(CHECKOUT)
            if told.status == 200:
                good += 1
                self._is_still_in(told)
            elif told.state == "outage":
                self.stay.shut_out += 1
            elif told.status:
                self.stay.lost.append(f"a slot: told {told.status} {told.state}")

    def _is_still_in(self, told: Told) -> None:
        sid = told.body["sid"]
        if self.stay.sid and sid and sid != self.stay.sid:
            self.stay.lost.append("a slot: it became another one")
        self.stay.sid = sid or self.stay.sid

    def _ask(self, path: str, method: str = "GET") -> Told:
        told = self._crowd.ask(path, method, self._cookie)
        if told.cookie:
            self._cookie = told.cookie.partition(";")[0]
        return told
