"""What stands behind every synchronous edge: the gate, its page, its status and its counter, put together.

An edge translates a request into a ``Visit``, asks ``respond``, and sends the answer or lets the application
answer; then ``headers`` says what goes out with the application's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .admission import Admission
from .config import Config
from .connection import Breaker, connect
from .cookies import set_cookie
from .counter import Call, Counter, Reply
from .decision import Unknown, Wait
from .endpoints import Chosen, Endpoints, Router
from .errors import Outage
from .gate import Gate, Steps, T
from .memory import Memories
from .page import Page
from .road import Road
from .rules import OURS, Match, Rule
from .start import StartCheck
from .status import Status
from .unknown import unknown_event
from .visit import Answer, Visit

RELEASE_HEADER = "admitgate-release"
_pause_most = 2.0  # seconds


def _no_match(path: str) -> Match | None:
    """A gate that isn't enabled means nobody."""


def _longest_pause(rules: Iterable[Rule]) -> float:
    """Well below a grace: nobody can show presence through a worker that isn't asking again yet."""
    return min([_pause_most, *(rule.grace_seconds / 3 for rule in rules)])


class Edge:
    """One application's gate. Building it opens no connection, so a fork afterwards is safe.

    Where there is a ``router``, rules may go by what it chooses, and views may say that nobody waits there.
    """

    def __init__(self, config: Config, router: Router | None = None) -> None:
        self._endpoints = Endpoints(config, router) if router is not None else None
        if self._endpoints is not None:
            config = replace(config, exempt=(*config.exempt, self._endpoints.is_ungated))
        self.config = config
        memories = Memories()
        self._gate = Gate(config, memories)
        page = Page(
            status_code=config.status_code,
            mount=config.mount,
            status_url=config.status_url,
            poll=config.poll,
            template=config.template,
            brand=config.brand,
            ask_first=config.ask_first,
            enter_seconds=config.enter_seconds,
        )
        self._road = Road(config, page)
        self._status = Status(config, self._gate, page, self._road, memories)
        client = config.redis_client or connect(config.redis_url or "", config.redis_timeout_seconds)
        breaker = Breaker(on_open=memories.doubt, pause_most=_longest_pause(config.rules))
        self._counter = Counter(client, memories, prefix=config.key_prefix, breaker=breaker)
        self._start_check = StartCheck(config)
        self.match = self._gate.match if config.enabled else _no_match
        self.find = self._gate.find if config.enabled else _no_match
        if self._endpoints is not None:
            self._endpoints.stand_beside(self._gate.rules)

    def match_view(self, chosen: Chosen, passed: str | None = None) -> Match | None:
        """The match of the view the router chose. ``passed`` is the path that was foreseen, if it was."""
        if self._endpoints is None or not self.config.enabled:
            return None
        by_path = self.match(passed) if passed is not None else None
        return self._endpoints.match(chosen, by_path if by_path and by_path.is_gated else None)

    def respond(self, visit: Visit, match: Match) -> Answer | Admission | None:
        """An answer to send as it is; or the application's turn, with an admission or (None) without."""
        if match is OURS:
            return self._run(self._status.answer(visit))
        decided = self._gate.decide(visit, match)
        if decided is None:
            return None
        if isinstance(decided, Unknown):
            return unknown_event(visit)
        decision = decided if isinstance(decided, Admission) else self._run(decided)
        if isinstance(decision, Wait):
            return self._road.waiting(visit, match, decision)
        decision.levers = self
        return decision

    def headers(
        self, visit: Visit, admission: Admission, status: int, given: Iterable[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """The application's headers as they go out; gives the slot back where the response asks for it."""
        headers, is_release_wanted = [], False
        for name, value in given:
            if name.lower() == RELEASE_HEADER:
                is_release_wanted = is_release_wanted or value == "1"
            else:
                headers.append((name, value))
        steps = self._gate.conclude(admission, status, is_release_wanted=is_release_wanted)
        if steps:
            self._run(steps)
        headers.append(("Vary", "Cookie"))
        if admission.set_cookie is not None:
            headers.append(
                ("Set-Cookie", set_cookie(self.config, visit, admission.match, admission.set_cookie))
            )
        return headers

    def give_up(self, admission: Admission) -> None:
        """The application broke before it answered: a slot whose cookie never goes out must come free."""
        if admission.is_first and admission.lease and not admission.is_released:
            admission.is_released = True
            self._run(self._gate.give_back(admission.match, admission.lease, forget=True))

    def release(self, admission: Admission) -> None:
        """Give the admission's slot back now."""
        self._run(self._gate.release(admission))

    def extend(self, admission: Admission, seconds: float) -> None:
        """Let the admission's lease end later."""
        self._run(self._gate.extend(admission, seconds))

    def release_sid(self, event: str, sid: str) -> None:
        """Give back the slot of a lease known by name. Raises LookupError where no rule has the event."""
        match = self._gate.of_event(event)
        if match is None:
            raise LookupError(f"no rule has an event {event!r}")
        self._run(self._gate.give_back_sid(match, sid))

    def _run(self, steps: Steps[T]) -> T:
        """Drive the story: ask Redis where it wants to, hand it the reply or the outage."""
        call: Call
        try:
            call = next(steps)
            while True:
                try:
                    reply: Reply = self._counter.call(call)
                except Outage as outage:
                    call = steps.throw(outage)
                else:
                    call = steps.send(reply)
        except StopIteration as done:
            self._start_check.once()
            result: T = done.value
            return result
