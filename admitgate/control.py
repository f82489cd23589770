"""The operator's hands on the shop: which events there are, and the way to one's levers.

    event = control.event("gala")
    event.close(message="Sold out", by="box office")

It asks the same Redis as the gate does, over the same client, and is as safe in threads and after a fork.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from .config import Config
from .connection import Breaker, connect, evaluate
from .counter import Counter
from .errors import Outage
from .levers import Change as Change
from .levers import EventControl as EventControl
from .memory import Memories, monotonic
from .names import event_slug, slug_event
from .rules import Find, Rule
from .tokens import new_sid, seeds_of
from .wire import as_text

_events_most = 10_000
_keys_a_step = 1000
_search_share = 20


def redis_of(config: Config) -> Any:
    """The client that the settings name or ask for. It connects when it is first asked."""
    return config.redis_client or connect(config.redis_url or "", config.redis_timeout_seconds)


def counter_of(config: Config, client: Any, memories: Memories, breaker: Breaker) -> Counter:
    """A counter with what the settings say of it."""
    seed = seeds_of(config.keys)
    return Counter(client, memories, prefix=config.key_prefix, breaker=breaker, seed=seed)


class Listing:
    """The events that there are, looked for now and then: in a Redis full of other things that takes long.

    At most every ``pause_seconds``, and the more seldom the longer a search takes.
    """

    def __init__(self, control: Control, pause_seconds: float) -> None:
        self._control, self._pause_seconds = control, pause_seconds
        self._names: list[str] = []
        self._due = 0.0

    def names(self) -> list[str]:
        """Those of the last search. Raises Outage where one is due and Redis can't be asked."""
        started = monotonic()
        if started >= self._due:
            self._due = started + self._pause_seconds  # for the others, while this one searches
            try:
                self._names = self._control.events()
            except Outage:
                self._due = 0.0
                raise
            self._due += _search_share * (monotonic() - started)
        return self._names


class Control:
    """Finds the events, and hands out the levers of one."""

    def __init__(
        self,
        config: Config,
        counter: Counter,
        client: Any,
        breaker: Breaker,
        of_event: Find,
    ) -> None:
        self._config, self._of_event = config, of_event
        self._counter, self._client, self._breaker = counter, client, breaker

    @classmethod
    def of(cls, config: Config, of_event: Find | None = None) -> Control:
        """One that stands alone, for a program beside the shop. It connects when it is first asked.

        ``of_event`` knows of rules that aren't in the settings, such as decorated views'.
        """
        client, memories = redis_of(config), Memories()
        breaker = Breaker(on_open=memories.doubt)
        counter = counter_of(config, client, memories, breaker)
        return cls(config, counter, client, breaker, of_event or config.compiled_rules().of_known_event)

    @property
    def is_redis_away(self) -> bool:
        """True where it was last asked in vain."""
        return self._breaker.is_open

    def events(self) -> list[str]:
        """Every event that somebody has come to or an operator has changed, and those that a rule names."""
        found = {slug_event(slug) for slug in self._slugs()}
        return sorted(self.named() | {event for event in found if self._of_event(event) is not None})

    def named(self) -> set[str]:
        """The events that are known before anybody has come."""
        return set(_named(self._config.rules))

    def event(self, name: str) -> EventControl:
        """The levers of one event. Raises LookupError, a sentence, where no rule can have it."""
        match = self._of_event(name)
        if match is None:
            raise LookupError(f"No rule has an event {name!r}.")
        return EventControl(match, self)

    def _slugs(self) -> Iterator[str]:
        """Of a cluster this asks every primary."""
        with self._breaker:
            keys = self._client.scan_iter(
                match=f"{self._config.key_prefix}:{{*}}:*", count=_keys_a_step, _type="HASH"
            )
            of_events = (key for key in keys if as_text(key).endswith((":line", ":settings")))
            for key in islice(of_events, 2 * _events_most):
                slug = self._client.hget(key, "event")
                if slug:
                    yield as_text(slug)

    def _ask(self, *words: Any) -> Any:
        with self._breaker:
            return self._client.execute_command(*words)

    def _change(self, event: str, who: str, steps: Iterable[tuple[str, str, str]], *, most: int) -> list[Any]:
        words = [who, new_sid(), most, event_slug(event), *(word for step in steps for word in step)]
        keys = self._counter.keys(event)
        answer = self._run("change", (keys.line, keys.settings, keys.audit), words)
        if not isinstance(answer, list):
            raise Outage(f"Redis answered a change with something that isn't ours: {answer!r:.80}")
        return answer

    def _run(self, script: str, keys: Sequence[str], words: list[Any]) -> Any:
        with self._breaker:
            return evaluate(self._client, *self._counter.script(script), keys, lambda: words)


def _named(rules: Iterable[Rule]) -> Iterator[str]:
    """A rule's only event, or those that it lists."""
    for rule in rules:
        if rule.mode != "off":
            if rule.only_event is not None:
                yield rule.only_event
            elif isinstance(rule.events, list | tuple | set | frozenset):
                yield from map(str, rule.events)
