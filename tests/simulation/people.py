"""What people do in front of a waiting room, and behind it. They know their cookie and what they are told."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from oracle import Answer
from virtual import EVENT, Pauses
from world import PATH, Seen, World, answer_of

from admitgate.decision import PollPolicy
from admitgate.draw import Draw, drawn_number

_status, _check_in, _leave = (f"/_admitgate/{verb}/{EVENT}" for verb in ("status", "check-in", "leave"))
_floor = 2.0
Steps = Generator[float, None, Any]


class Visitor:
    """One browser."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self.dice = world, name, world.dice
        self.cookie: str | None = None
        self.number: int | None = None
        self.line: dict[str, Any] = {}

    # What a browser sends

    def page(self, *, status: int = 200) -> Answer:
        """The page that everybody wants to see."""
        return self._send("opens the page", "GET", PATH, status=status)[0]

    def check_in(self) -> tuple[Answer, Seen | None]:
        return self._send("checks in", "POST", _check_in, is_claim=self.has_ticket)

    def pay(self) -> Answer:
        shown = self.cookie
        seen = self.world.ask("POST", PATH, shown, releases=True)
        answer = answer_of(seen, shown, self.world.terms)
        self._keep(seen)
        self.world.oracle.pays(self.world.now, self.name, answer)
        return answer

    def leave(self) -> None:
        if self._send("leaves", "POST", _leave)[0].state != "left":
            self.go_away("closes the page")

    def ask(self) -> bool:
        """The shared status. True if an answer came that says something."""
        seen = self.world.ask("GET", _status, None)
        state = "lost" if seen is None else str(seen.body["state"])
        self.world.oracle.sees(self.world.now, self.name, "asks", Answer(state))
        if seen is None or state == "outage":
            return False
        if seen.body["updated"] >= self.line.get("updated", 0):
            self.line = dict(seen.body)
            if "draw" in self.line:
                self.world.oracle.hears_of_lots(self.world.now, self.name, self.line)
        return True

    def _send(
        self, did: str, method: str, path: str, *, status: int = 200, is_claim: bool = False
    ) -> tuple[Answer, Seen | None]:
        shown = self.cookie
        seen = self.world.ask(method, path, shown, status=status)
        answer = answer_of(seen, shown, self.world.terms, is_claim=is_claim)
        self._keep(seen)
        if answer.number is not None:
            self.number = answer.number
        self.world.oracle.sees(self.world.now, self.name, did, answer)
        return answer, seen

    def _keep(self, seen: Seen | None) -> None:
        if seen is not None and seen.cookie is not None:
            self.cookie = None if seen.cookie.endswith("=") else seen.cookie

    @property
    def has_ticket(self) -> bool:
        return "=t1." in (self.cookie or "")

    # What the waiting page does

    def get_in(self, *, has_script: bool = True) -> Steps:
        """Until inside."""
        answer = self.page()
        while answer.state != "in":
            if not self.has_ticket or not has_script:
                yield self.jittered(_floor)
            else:
                yield from self.wait()
            answer = self.page()

    def wait(self) -> Steps:
        """Until the page is told to reload itself."""
        self.line = {}
        yield self.jittered(_floor)
        while True:
            if not self.must_check_in():
                if not self.ask():
                    yield self.jittered(_floor)
                    continue
                if not self.must_check_in():
                    yield self.jittered(self.poll_seconds())
                    continue
            answer, seen = self.check_in()
            if answer.state in ("in", "gone", "no-ticket"):
                yield self.dice.uniform(0.1, 0.4)
                return
            if answer.state in ("waiting",) and seen:
                self.line["serving"] = min(seen.body["serving"], self.counting - 1)
                self.line["issued"] = max(self.line.get("issued", 0), self.number or 0)
            yield self.jittered(seen.body.get("poll", _floor) if seen else _floor)

    @property
    def counting(self) -> int:
        """After a draw the number that was drawn, else one's own."""
        number, draw = self.number or 0, self.line.get("draw", {})
        if "seed" not in draw:
            return number
        return drawn_number(Draw(draw["first"], draw["last"], *draw["hole"]), draw["seed"], number)

    def must_check_in(self) -> bool:
        number = self.counting
        return bool(self.line) and (number <= self.line["serving"] or number > self.line["issued"])

    def poll_seconds(self) -> float:
        line, gap = self.line, self.line.get("gap")
        if "draw" in line and "seed" not in line["draw"]:
            return self._until_drawn(line["poll"]["ceiling"])
        missing = max(0, min(gap[1], self.counting - 1) - max(gap[0], line["serving"])) if gap else 0
        ahead = self.counting - line["serving"] - missing
        expected = (ahead + line["ready"]) / (line["admitted_per_minute"] / 60 or 1)
        return PollPolicy(**line["poll"]).seconds(
            expected, ahead=ahead, step=line["step"], grace=line["grace"]
        )

    def _until_drawn(self, seconds: float) -> float:
        """Nobody has a place yet; after the opening everybody asks at some moment of their own."""
        left = (self.line.get("opens_at", 0) - self.line.get("clock", 0)) / 1000
        return seconds if seconds < left else left + seconds * self.dice.random()

    def jittered(self, seconds: float) -> float:
        return seconds * self.dice.uniform(0.8, 1.2)

    # Kinds of people

    def buys(self, session: float = 6.0, *, has_script: bool = True) -> Pauses:
        """Waits, goes in, pays, and is gone."""
        yield from self.get_in(has_script=has_script)
        yield from self.shop(session)
        self.pay()

    def shop(self, session: float) -> Steps:
        """Looks at a page now and then. Who is put out all the same waits again."""
        end = self.world.now + session * self.dice.uniform(0.5, 1.5)
        while (left := end - self.world.now) > 0.001:
            yield min(left, self.dice.uniform(2, 9))
            if self.page().state != "in":
                yield from self.get_in()

    def wanders_off(self) -> Pauses:
        """Goes in and doesn't say good-bye: the slot is taken until the lease ends."""
        yield from self.get_in()
        yield from self.shop(4.0)

    def reads_at_length(self) -> Pauses:
        """Makes a request just before the lease would end, and one long after."""
        yield from self.get_in()
        self.page()  # a claim becomes a lease
        yield self.world.terms.lease - self.dice.uniform(0.3, 3)
        self.page()
        yield self.world.terms.lease + self.dice.uniform(0.3, 30)
        yield from self.buys(3.0)

    def takes_a_ticket_only(self) -> Pauses:
        """Is not seen again."""
        self.page()
        yield 0.0
        self.go_away("closes the page")

    def sleeps(self) -> Pauses:
        """Closes the page for a while. The place is still theirs."""
        self.page()
        yield self.jittered(_floor)
        self.go_away("closes the page")
        yield self.dice.uniform(10, 60)
        yield from self.buys()

    def changes_their_mind(self) -> Pauses:
        """Leaves the line by the button."""
        if self.page().state == "in":
            self.pay()
            return
        yield self.dice.uniform(1, 25)
        self.leave()

    def looks_for_what_is_not_there(self) -> Pauses:
        """The application says 404 to them, and a first visit's slot goes back."""
        self.page(status=404)
        yield 0.0
        self.go_away("was told 404")

    def cheats(self) -> Pauses:
        """Pays, and shows the old cookie again and again."""
        yield from self.get_in()
        yield from self.shop(4.0)
        old = self.cookie
        if self.pay().state != "in":
            return
        paid_at = self.world.now
        for _ in range(4):
            yield self.dice.uniform(0.05, self.world.terms.lease / 2)
            self.show_again(old, self.world.now - paid_at)

    def show_again(self, old: str | None, age: float) -> None:
        did = self.dice.choice(["checks in", "checks in", "opens the page"])
        method, path = ("POST", _check_in) if did == "checks in" else ("GET", PATH)
        seen = self.world.ask(method, path, old)
        answer = answer_of(seen, old, self.world.terms)
        self.world.oracle.is_shown_a_released_lease(self.world.now, self.name, age, did, answer)

    def go_away(self, how: str) -> None:
        self.world.oracle.goes_away(self.world.now, self.name, how)


_kinds = {
    Visitor.buys: 54,
    Visitor.wanders_off: 10,
    Visitor.reads_at_length: 4,
    Visitor.takes_a_ticket_only: 10,
    Visitor.sleeps: 8,
    Visitor.changes_their_mind: 5,
    Visitor.looks_for_what_is_not_there: 3,
    Visitor.cheats: 6,
}


def crowd(world: World, size: int, seconds: float) -> None:
    """Half of them are there when the sale opens, the others come bit by bit."""
    for nth in range(size):
        visitor = Visitor(world, f"v{nth}")
        kind = world.dice.choices([*_kinds], [*_kinds.values()])[0]
        has_script = world.dice.random() < 0.85
        visit = visitor.buys(has_script=False) if kind is Visitor.buys and not has_script else kind(visitor)
        late = world.dice.random() < 0.5
        world.enter(visit, after=world.dice.uniform(0, seconds if late else 3))
