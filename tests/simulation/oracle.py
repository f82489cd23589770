"""Judges a run by what clients see, and by nothing else.

It is told, in order of true time, what each visitor asked and what they were answered. It knows the terms of
the sale, as any visitor may read them, and which misfortune was arranged. It never looks into Redis and
imports nothing of the product: so it can't make the product's mistakes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from door import Door, Lots

_hair = 0.005  # seconds; deadlines are kept in whole milliseconds
_story_lines = 60
_never = -math.inf


@dataclass(frozen=True)
class Terms:
    """What the shop tells everybody; seconds."""

    capacity: int
    lease: float
    claim: float
    grace: float
    per_minute: float = 0.0  # 0: as fast as slots come free
    max_waiting: int | None = None
    opens_at: float = 0.0  # who came before is put into an order that is drawn then; 0: it is open


@dataclass(frozen=True)
class Bounds:
    """What a misfortune may cost. The defaults are the strict promises."""

    overshoot: int = 0  # so many times the capacity may be inside beyond it
    forgets_admissions: bool = False  # leases of a lost moment may be given again until they are shown again
    renumbers: bool = False  # numbers given in a lost moment may be given again
    is_ordered: bool = True  # nobody who is present is passed over
    idle_seconds: float = 0.0  # a slot may stay free so much longer than usual while somebody waits
    hold: float = 0.0  # for so long after the misfortune visitors may be told of a hold
    forgets_releases: bool = False  # a lease given back before the loss is good again until its time


@dataclass(frozen=True)
class Answer:
    """What came back.

    ``state`` is "in" where the shop itself answered, "lost" where nothing came, else what was said. ``term``
    is for how long a lease's cookie was given, 0 where none was. ``is_renamed`` is true if the cookie that
    came is in another name than the one that was shown.
    """

    state: str
    number: int | None = None
    position: int | None = None
    term: float = 0.0
    is_renamed: bool = False


@dataclass
class Person:
    """A visitor as they see themselves."""

    name: str
    number: int | None = None
    place: float = math.inf  # how many were given a ticket before; a newcomer comes after all of them
    ticket_at: float = _never
    is_displaced: bool = False  # their number is another's as well
    waits: bool = False  # has a ticket, and the page open
    is_ready: bool = False
    heard_at: float = _never  # when last an answer came
    there_since: float = math.inf
    until: float = _never  # until then a slot is theirs, they believe
    stretch: float = 0.0  # how much of that an outage gave
    perhaps_until: float = _never  # a slot may be taken in their name without their knowing
    given_at: float = _never
    stopped: float = 0.0  # for how long time had stood still when they gave it back
    is_unheard: bool = False  # gave their lease back while Redis may not have heard of it
    is_forgotten: bool = False  # theirs was given in a moment that was lost


class Violation(AssertionError):
    """A promise was broken."""


@dataclass
class Oracle:
    """Keeps the books and the last lines of the story."""

    terms: Terms
    bounds: Bounds
    idle_most: float  # a free slot is taken within that, if somebody is there to take it
    capacity: int = 0
    people: dict[str, Person] = field(default_factory=dict)
    tickets: int = 0
    highest: int = 0
    idle_since: float = math.inf
    idle_longest: float = 0.0
    idle: float = 0.0  # slot-seconds
    needed: float = 0.0
    at: float = 0.0
    struck_at: float = _never
    is_unnoticed: bool = False  # nobody has been answered since
    outage_at: float = _never
    stopped: float = 0.0  # for how long nobody could ask
    is_total: bool = False
    is_outage: bool = False  # some can't ask: a slot that is given back may come free by its deadline only
    admissions: deque[float] = field(default_factory=deque)
    story: deque[str] = field(default_factory=lambda: deque(maxlen=_story_lines))

    def __post_init__(self) -> None:
        self.capacity = self.terms.capacity
        self.door = Door(self.terms.opens_at, is_drawn=self.terms.opens_at > 0)
        self.lots = Lots(self.terms.opens_at)

    # What happens

    def note(self, at: float, words: str) -> None:
        self.story.append(f"{at:8.3f}  {words}")

    def sees(self, at: float, name: str, did: str, answer: Answer) -> None:
        """``name`` asked with their own cookie, or none, and was answered."""
        person = self.people.setdefault(name, Person(name))
        self.note(at, f"{name} {did} -> {_words(answer)}")
        self._pass_time(at)
        self._attend(at, person, did, answer)
        if answer.state == "hold" and at > self.struck_at + self.bounds.hold:
            self.accuse("a hold, for no reason or for too long")
        if answer.state == "in":
            self._goes_in(at, person, answer)
        else:
            self._stays_out(at, person, did, answer)

    def hears_of_lots(self, at: float, name: str, status: Mapping[str, Any]) -> None:
        """``name`` read what the shared status says of the draw."""
        told = status["draw"]
        is_news = "seed" in told and not self.lots.drawn
        if fault := self.lots.hear(at, told, status["updated"]):
            self.accuse(f"{name} is told of the draw: {fault}")
        if is_news:
            self.note(at, f"lots are drawn: {told}")
            self._draws()

    def goes_away(self, at: float, name: str, how: str) -> None:
        """Closes the page without a word."""
        self.note(at, f"{name} {how}")
        self._pass_time(at)
        person = self.people[name]
        person.waits = person.is_ready = False
        person.there_since = math.inf
        person.heard_at = _never

    def pays(self, at: float, name: str, answer: Answer) -> None:
        """A holder of a lease made the request that gives it back; the shop said thank you, or not."""
        self.sees(at, name, "pays", answer)
        if answer.state in ("in", "lost"):
            self._gives_back(self.people[name])

    def is_shown_a_released_lease(self, at: float, name: str, age: float, did: str, answer: Answer) -> None:
        """Somebody shows the cookie of a lease that was given back ``age`` seconds ago.

        A page may be shown for a third of a lease: the price of no round trip for each request.
        """
        self.note(at, f"{name} {did}, {age:.1f} s after giving it back -> {_words(answer)}")
        self._pass_time(at)
        is_excused = self.bounds.forgets_releases or self.is_outage or self.people[name].is_unheard
        if answer.state != "in" or is_excused:
            return
        age -= self.stopped - self.people[name].stopped
        is_within_reason = did != "checks in" and age <= self.terms.lease / 3 and not answer.term
        if not (is_within_reason or answer.is_renamed):
            self.accuse("a lease that was given back was good again")

    def begins_outage(self, at: float, words: str, *, is_total: bool = False) -> None:
        """Redis can't be asked, or not by all, or not always. Time may stand still now and then."""
        self.note(at, words)
        self._pass_time(at)
        self.is_outage, self.is_total, self.outage_at = True, is_total, at
        self.struck_at, self.is_unnoticed = at, True

    def is_well_again(self, at: float) -> None:
        """Every worker has noticed that the outage is over."""
        self.is_outage = self.is_total = False
        self.outage_at = at

    def ends_outage(self, at: float, words: str, *, stretch: float = 0.0) -> None:
        """It is over. Whoever was inside when it began stays inside for ``stretch`` seconds longer."""
        self.note(at, words)
        self._pass_time(at)
        self.stopped += at - self.outage_at if self.is_total else 0.0
        self.struck_at, self.is_unnoticed = at, True
        for person in self.people.values():
            person.heard_at += at - self.outage_at if self.is_total else 0.0  # nobody could show presence
            if person.until > self.outage_at and person.given_at < self.outage_at:
                person.stretch += max(0.0, stretch)
                person.until += max(0.0, stretch)

    def strikes(self, at: float, words: str) -> None:
        """A misfortune: from now on its price may be asked."""
        self.note(at, words.upper())
        self._pass_time(at)
        self.struck_at, self.is_unnoticed = at, True

    def loses_moment(self, since: float, until: float) -> None:
        """What was written in between is lost."""
        self.strikes(until, f"fail-over, back to {since:.3f}")
        for person in self.people.values():
            person.is_forgotten = person.is_forgotten or since - _hair <= person.given_at
            person.is_displaced = person.is_displaced or (self.bounds.renumbers and person.ticket_at >= since)
            if person.until < until:
                person.perhaps_until = max(person.perhaps_until, person.given_at + self.terms.lease)
        if self.bounds.renumbers:
            told = [person.number or 0 for person in self.people.values() if person.ticket_at < since]
            self.highest = max(told, default=0)

    # The rules

    def _goes_in(self, at: float, person: Person, answer: Answer) -> None:
        is_inside = person.until > at - _hair
        if is_inside and answer.is_renamed:
            self.accuse(f"{person.name} had a lease and was taken for a newcomer")
        if person.waits and answer.is_renamed:
            self.accuse(f"{person.name} lost their place")
        is_same_lease = person.until > _never and not person.waits and not answer.is_renamed
        if is_same_lease and not is_inside:
            if person.given_at > self.outage_at and not self.is_outage:
                self.accuse(f"{person.name}'s lease was good after its time")
        elif not is_inside:
            self._admits(at, person)
        person.waits = person.is_ready = False
        person.perhaps_until = _never
        if answer.term:
            person.until, person.given_at, person.is_forgotten = at + answer.term, at, False
            person.stretch = 0.0
        self._watch(at)

    def _draws(self) -> None:
        """From now on the early ones come in the order of the draw, and all others behind them."""
        have_a_place = [person for person in self.people.values() if person.place < math.inf]
        drawn = [(self.lots.place_of(person.number or 0), person) for person in have_a_place]
        early = [(place, person) for place, person in drawn if place]
        before = min((person.place for _, person in early), default=0) - 1
        for place, person in early:
            person.place = before + place / (len(drawn) + self.tickets)

    def _admits(self, at: float, person: Person) -> None:
        if reason := self.door.lets_in(at):
            self.accuse(f"{person.name} goes in, and {reason}")
        others = [other for other in self.people.values() if other is not person]
        inside = sum(other.until > at + _hair and not other.is_forgotten for other in others)
        earlier = [other for other in others if other.place < person.place and self._counts(at, other)]
        most = self.capacity * (1 + self.bounds.overshoot)
        if inside + 1 > most:
            self.accuse(f"{person.name} is one too many: {inside} are inside, capacity {self.capacity}")
        is_ordered = self.bounds.is_ordered and not person.is_displaced
        if is_ordered and inside + len(earlier) + 1 > max(most, 1):
            names = ", ".join(other.name for other in earlier)
            self.accuse(f"{person.name} passed over {names}; {inside} inside, capacity {self.capacity}")
        self.admissions.append(at)
        while self.admissions[0] < at - 60:
            self.admissions.popleft()
        per_minute = self.terms.per_minute
        if per_minute and len(self.admissions) > per_minute + max(1, per_minute / 12) + 1:
            self.accuse(f"{len(self.admissions)} were let in within a minute")
        self.idle_since = math.inf

    def _counts(self, at: float, person: Person) -> bool:
        """Present as the grace has it: they are told their turn has come, or have been there for a grace."""
        if not person.waits or person.is_displaced or at - person.heard_at > self.terms.grace:
            return False
        return person.is_ready or at - person.there_since >= self.terms.grace

    def _stays_out(self, at: float, person: Person, did: str, answer: Answer) -> None:
        is_inside = person.until > at + _hair
        if answer.state in ("lost", "outage"):
            if did != "asks" and (person.waits or not is_inside):
                person.perhaps_until = at + self.terms.lease
            is_surely_inside = person.until - person.stretch > at + _hair
            # A worker that still waits to try again doesn't know that the clock stood still.
            is_given_since = self.is_total and person.given_at > self.outage_at
            if answer.state == "outage" and is_surely_inside and not is_given_since:
                self.accuse(f"{person.name} was inside and is kept out")
        elif did == "leaves":
            self._gives_back(person)
        elif did != "asks":
            self._is_put_off(at, person, answer, is_inside=is_inside)
        self._watch(at)

    def _is_put_off(self, at: float, person: Person, answer: Answer, *, is_inside: bool) -> None:
        if is_inside:
            self.accuse(f"{person.name} was inside and is thrown out")
        if answer.state == "gone" and person.waits:
            self.accuse(f"{person.name} lost their place")
        if answer.number is not None and answer.number != person.number:
            self._takes_ticket(at, person, answer)
        person.is_ready = answer.state == "ready"
        if answer.position is not None and not 1 <= answer.position <= self.tickets + self.capacity:
            self.accuse(f"{person.name} is told {answer.position} of {self.tickets}")

    def _takes_ticket(self, at: float, person: Person, answer: Answer) -> None:
        if person.waits:
            self.accuse(f"{person.name} lost their place")
        number = answer.number or 0
        if number <= self.highest:
            self.accuse(f"{person.name} got number {number}, and {self.highest} is given out already")
        self.tickets += 1
        self.highest = number
        person.number, person.place, person.waits = number, self.tickets, True
        person.is_displaced = False
        person.there_since = person.ticket_at = at

    def _gives_back(self, person: Person) -> None:
        person.is_unheard, person.stopped = self.is_outage, self.stopped
        if self.is_outage:
            person.perhaps_until = max(person.perhaps_until, person.until)
        person.until, person.waits, person.is_ready = _never, False, False
        person.place = math.inf

    def _attend(self, at: float, person: Person, did: str, answer: Answer) -> None:
        if answer.state in ("outage", "lost"):
            if did != "asks" and not person.is_ready:
                person.there_since = at  # called perhaps, and can't say that they are there
            return
        if self.is_unnoticed:
            self.struck_at, self.is_unnoticed = at, False
        if at - person.heard_at > self.terms.grace:
            person.there_since, person.is_ready = at, False
        person.heard_at = at

    # Slots that are free

    def _free(self, at: float) -> int:
        """How many slots are free for certain."""
        taken = sum(max(person.until, person.perhaps_until) > at for person in self.people.values())
        return self.capacity - taken

    def _waiting(self, at: float) -> int:
        """How many pages ask, which is how a slot that comes free finds somebody."""
        pause = 2 * self.terms.grace
        return sum(person.waits and at - person.heard_at <= pause for person in self.people.values())

    def _pass_time(self, at: float) -> None:
        free, waiting = self._free(self.at), self._waiting(self.at)
        if waiting:
            self.idle += max(0, min(free, waiting)) * (at - self.at)
            self.needed += min(self.capacity, waiting + self.capacity - free) * (at - self.at)
        self.at = at
        self._watch(at)

    def _watch(self, at: float) -> None:
        if self.is_total or not self.door.is_open(at) or self._free(at) <= 0 or not self._waiting(at):
            self.idle_since = math.inf
        elif self.idle_since == math.inf:
            self.idle_since = at
        else:
            lasted = at - self.idle_since
            self.idle_longest = max(self.idle_longest, lasted)
            if lasted > self.idle_most + self.bounds.idle_seconds:
                self.accuse(
                    f"{self._free(at)} slots free, {self._waiting(at)} wait: stuck for {lasted:.1f} s"
                )

    def accuse(self, words: str) -> None:
        raise Violation("\n".join([*self.story, f"BROKEN: {words}"]))


def _words(answer: Answer) -> str:
    words = answer.state
    if answer.number is not None:
        words += f", number …{answer.number % 10**9}"
    if answer.position is not None:
        words += f", position {answer.position}"
    if answer.term:
        words += f", a lease for {answer.term:g} s"
    return words + (", in a new name" if answer.is_renamed else "")
