"""What stands behind every edge: the gate, its page, its status and its counter, put together.

An edge translates a request into a ``Visit``, asks ``respond``, and sends the answer or lets the application
answer; then ``headers`` says what goes out with the application's own. ``AsyncEdge`` does the same for edges
that await: it differs in how Redis is asked, and has no word in what is decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from .admission import Admission, Levers
from .config import Config
from .connection import Breaker
from .console.console import Console
from .control import Control, EventControl, counter_of, redis_of
from .cookies import set_cookie
from .counter import Call, Counter, Reply, Steps, T
from .decision import Unknown, Wait
from .endpoints import Chosen, Endpoints, Router
from .errors import Outage
from .gate import Decision, Gate
from .in_flight import InFlight, too_many
from .memory import Memories
from .page import Page
from .road import Road
from .rules import OURS, Find, Match, Rule
from .signals import Signals
from .start import StartCheck
from .status import Status
from .unknown import unknown_event
from .visit import Answer, Visit

if TYPE_CHECKING:
    from .metrics import Metrics

RELEASE_HEADER = "admitgate-release"
Outcome = Answer | Admission | None
"""An answer to send as it is; or the application's turn, with an admission or (None) without."""

SETTLED = (Answer, Admission)
"""The kinds of an outcome for which nobody has to be asked."""

_pause_most = 2.0  # seconds


def _no_match(path: str) -> Match | None:
    """A gate that isn't enabled means nobody."""


def _metrics(config: Config, control: Control) -> Metrics | None:
    if config.metrics_token is None:
        return None
    from .metrics import Metrics  # with a library of its own, for who wants them

    return Metrics(config, control)


def _longest_pause(rules: Iterable[Rule]) -> float:
    """Well below a grace: nobody can show presence through a worker that isn't asking again yet."""
    return min([_pause_most, *(rule.grace_seconds / 3 for rule in rules)])


class Edge:
    """One application's gate. Building it opens no connection, so a fork afterwards is safe.

    Where there is a ``router``, rules may go by what it chooses, and views may say that nobody waits there.
    """

    config: Config
    memories: Memories
    gate: Gate
    signals: Signals
    breaker: Breaker
    counter: Counter
    control: Control
    console: Console | None
    start_check: StartCheck
    match: Find
    find: Find
    leave: Callable[[Admission], None]

    def __init__(self, config: Config, router: Router | None = None) -> None:
        self._asks_the_shop = bool(config.exempt_calls) or config.identity is not None
        self._asks_for_events = any(rule.asks_for_events for rule in config.rules)
        self._endpoints = Endpoints(config, router) if router is not None else None
        if self._endpoints is not None:
            config = replace(config, exempt=(*config.exempt, self._endpoints.is_ungated))
        self.config = config
        self.memories = memories = Memories()
        self.gate = Gate(config, memories)
        self.signals = Signals(config.on_event, moves_by_itself=self._moves_by_itself)
        memories.watch = self.signals.see
        page = Page(
            status_code=config.status_code,
            mount=config.mount,
            status_url=config.status_url,
            poll=config.poll,
            template=config.template,
            brand=config.brand,
            ask_first=config.ask_first,
            enter_seconds=config.enter_seconds,
            demands_proof=config.challenge is not None,
        )
        self._road = Road(config, page)
        self._in_flight = InFlight(config.requests_in_flight)
        self.leave = self._in_flight.leave
        """To be called for each admission, when the application has answered or broken."""
        self._status = Status(config, self.gate, page, self._road, memories)
        client = redis_of(config)
        self.signals.listen_to(client)
        self.breaker = Breaker(
            on_open=self._go_without, on_close=self.signals.back, pause_most=_longest_pause(config.rules)
        )
        self.counter = counter_of(config, client, memories, self.breaker)
        self.control = Control(config, self.counter, client, self.breaker, self.gate.of_known_event)
        self.console = Console(config, self.control) if config.console is not None else None
        self._metrics = _metrics(config, self.control)
        self.start_check = StartCheck(config)
        self.match = self.gate.match if config.enabled else _no_match
        self.find = self.gate.find if config.enabled else _no_match
        if self._endpoints is not None:
            self._endpoints.stand_beside(self.gate.rules)

    def match_view(self, chosen: Chosen, passed: str | None = None) -> Match | None:
        """The match of the view the router chose. ``passed`` is the path that was foreseen, if it was."""
        if self._endpoints is None or not self.config.enabled:
            return None
        by_path = self.match(passed) if passed is not None else None
        return self._endpoints.match(chosen, by_path if by_path and by_path.is_gated else None)

    def respond(self, visit: Visit, match: Match) -> Outcome:
        """What becomes of the visit."""
        outcome = self.outcome(visit, match, self)
        return outcome if outcome is None or isinstance(outcome, SETTLED) else self._run(outcome)

    def may_block(self, visit: Visit, match: Match) -> bool:
        """True where the steps to an outcome ask the shop's own callables, which may take their time.

        The operator's console and the metrics are what asks Redis by itself.
        """
        if match is not OURS:
            rule = match.rule
            return self._asks_the_shop or (rule.events is not None and rule.may_block(match.event))
        is_for_us = self._is_for_console(visit) or self._is_for_metrics(visit)
        return is_for_us or self._asks_the_shop or self._asks_for_events

    def reads_a_form(self, visit: Visit, match: Match) -> bool:
        """True where an edge that awaits has to read the body first."""
        return match is OURS and visit.method == "POST" and self._is_for_console(visit)

    def _is_for_metrics(self, visit: Visit) -> bool:
        return self._metrics is not None and self._metrics.means(visit.path)

    def _is_for_console(self, visit: Visit) -> bool:
        return self.console is not None and self.console.means(visit.path)

    def outcome(self, visit: Visit, match: Match, levers: Levers) -> Outcome | Steps[Outcome]:
        """The same, or the steps to it; ``levers`` are what an admission will have."""
        if match is OURS:
            return self._below_the_mount(visit)
        decided = self.gate.decide(visit, match)
        if decided is None:
            return None
        if isinstance(decided, Unknown):
            return unknown_event(visit)
        if isinstance(decided, Admission):
            return self._enter(visit, decided, levers)
        return self._decided(visit, match, decided, levers)

    def _below_the_mount(self, visit: Visit) -> Outcome | Steps[Outcome]:
        """To who may not operate the console is one of the addresses that there aren't."""
        if self.console is not None and self.console.means(visit.path):
            return self.console.answer(visit) or self._status.answer(visit)
        if self._metrics is not None and self._metrics.means(visit.path):
            return self._metrics.answer(visit)
        return self._status.answer(visit)

    def _decided(self, visit: Visit, match: Match, steps: Steps[Decision], levers: Levers) -> Steps[Outcome]:
        decision = yield from steps
        if isinstance(decision, Wait):
            return self._road.waiting(visit, match, decision)
        return self._enter(visit, decision, levers)

    def _enter(self, visit: Visit, admission: Admission, levers: Levers) -> Outcome:
        """The application's turn, unless enough of this visitor's requests are inside."""
        admission.levers = levers
        if self._in_flight.enter(admission):
            return admission
        return too_many(visit, self.own_headers(visit, admission))

    def headers(
        self, visit: Visit, admission: Admission, status: int, given: Iterable[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """The application's headers as they go out; gives the slot back where the response asks for it."""
        headers, steps = self.conclude(admission, status, given)
        if steps:
            self._run(steps)
        return [*headers, *self.own_headers(visit, admission)]

    def conclude(
        self, admission: Admission, status: int, given: Iterable[tuple[str, str]]
    ) -> tuple[list[tuple[str, str]], Steps[None] | None]:
        """The application's headers without its word to us, and the steps that this word asks for."""
        headers, is_release_wanted = [], False
        for name, value in given:
            if name.lower() == RELEASE_HEADER:
                is_release_wanted = is_release_wanted or value == "1"
            else:
                headers.append((name, value))
        return headers, self.gate.leaving.conclude(admission, status, is_release_wanted=is_release_wanted)

    def own_headers(self, visit: Visit, admission: Admission) -> list[tuple[str, str]]:
        """What goes out with the application's headers."""
        vary = ("Vary", "Cookie")
        if admission.set_cookie is None:
            return [vary]
        cookie = set_cookie(self.config, visit, admission.match, admission.set_cookie)
        return [vary, ("Set-Cookie", cookie)]

    def give_up(self, admission: Admission) -> None:
        """The application broke before it answered: a slot whose cookie never goes out must come free."""
        steps = self.giving_up(admission)
        if steps:
            self._run(steps)

    def giving_up(self, admission: Admission) -> Steps[None] | None:
        """The steps to that; None where there is nothing to give."""
        if not (admission.is_first and admission.lease) or admission.is_released:
            return None
        admission.is_released = True
        return self.gate.leaving.give_back(admission.match, admission.lease, forget=True)

    def release(self, admission: Admission) -> None:
        """Give the admission's slot back now."""
        self._run(self.gate.leaving.release(admission))

    def extend(self, admission: Admission, seconds: float) -> None:
        """Let the admission's lease end later."""
        self._run(self.gate.leaving.extend(admission, seconds))

    async def arelease(self, admission: Admission) -> None:
        """The same for a coroutine."""
        await asyncio.to_thread(self.release, admission)

    async def aextend(self, admission: Admission, seconds: float) -> None:
        """The same for a coroutine."""
        await asyncio.to_thread(self.extend, admission, seconds)

    def release_sid(self, event: str, sid: str | None) -> None:
        """Give back the slot of a lease known by name. Raises LookupError where no rule has the event."""
        if self.config.enabled:
            self._run(self.releasing_sid(event, sid))

    def releasing_sid(self, event: str, sid: str | None) -> Steps[None]:
        """The steps to that."""
        match = self.gate.of_event(event) or self._of_a_rule_that_is_off(event)
        if match is None:
            raise LookupError(f"no rule has an event {event!r}")
        return self.gate.leaving.give_back_sid(match, sid)

    def _of_a_rule_that_is_off(self, event: str) -> Match | None:
        """Who was let in before it was switched off still pays, and a payment must not end in an error."""
        off = tuple(replace(rule, mode="on") for rule in self.config.rules if rule.mode == "off")
        return replace(self.config, rules=off).compiled_rules().of_event(event)

    def event(self, name: str) -> EventControl:
        """The levers of one event. Raises LookupError where no rule has it."""
        return self.control.event(name)

    def _go_without(self) -> None:
        self.memories.doubt()
        self.signals.away()

    def _moves_by_itself(self, event: str) -> bool:
        """True where an event's capacity changes without an operator's doing."""
        match = self.gate.of_event(event)
        return match is not None and match.rule.capacity_moves

    def _run(self, steps: Steps[T]) -> T:
        """Drive the story: ask Redis where it wants to, hand it the reply or the outage."""
        call: Call
        try:
            call = next(steps)
            while True:
                try:
                    reply: Reply = self.counter.call(call)
                except Outage as outage:
                    call = steps.throw(outage)
                else:
                    call = steps.send(reply)
        except StopIteration as done:
            self.start_check.once()
            result: T = done.value
            return result
