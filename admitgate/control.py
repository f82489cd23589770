"""The operator's hands on an event: what changes live, who changed it, and how the line does.

    event = control.event("gala")
    event.close(message="Sold out", by="box office")

Whatever changes is one script (``lua/change.lua``): the event's settings, which every worker's next call
reads, and a note in its log of who changed what, from what, to what. Two at once: the last one wins, and both
are in the log. Every method raises Outage where Redis can't be asked, and then nothing has been done; and
ValueError, a sentence, for what can't be.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from . import counter as verbs
from . import live
from .config import Config
from .connection import Breaker, connect, evaluate
from .counter import Counter
from .errors import Outage
from .history import Minute, Totals, minutes_of, totals_of
from .levels import Levels, levels_of
from .memory import Memories, Snapshot
from .names import event_name, event_slug, slug_event, template_names
from .rules import Match, Rule
from .tokens import is_sid, new_sid, seeds_of

_own = frozenset({"event", "seed"})  # ours, among what operators have set
_notes_most = 500
_longest_name = 100
_events_most = 10_000
_keys_a_step = 1000
_extra_most = 1_000_000
_scripts = ("change", "levels")  # that stand alone


class Change(NamedTuple):
    """One line of the log. What went back to the rule's, or was the rule's, is ``""``."""

    at_ms: int
    who: str
    field: str
    before: str
    after: str


class Control:
    """Finds the events, and hands out the levers of one."""

    def __init__(
        self,
        config: Config,
        counter: Counter,
        client: Any,
        breaker: Breaker,
        of_event: Callable[[str], Match | None],
    ) -> None:
        self._config, self._of_event = config, of_event
        self._counter, self._client, self._breaker = counter, client, breaker
        self._script, self._levels = map(_with_digest, map(verbs.load_scripts().__getitem__, _scripts))

    @classmethod
    def of(cls, config: Config) -> Control:
        """One that stands alone, for a program beside the shop. It connects when it is first asked."""
        client = config.redis_client or connect(config.redis_url or "", config.redis_timeout_seconds)
        memories = Memories()
        breaker = Breaker(on_open=memories.doubt)
        counter = Counter(
            client, memories, prefix=config.key_prefix, breaker=breaker, seed=seeds_of(config.keys)
        )
        return cls(config, counter, client, breaker, config.compiled_rules().of_known_event)

    @property
    def is_redis_away(self) -> bool:
        """True where it was last asked in vain."""
        return self._breaker.is_open

    def events(self) -> list[str]:
        """Every event that somebody has come to or an operator has changed, and those that a rule names."""
        found = {slug_event(slug) for slug in self._slugs()}
        named = set(_named(self._config.rules))
        return sorted(named | {event for event in found if self._of_event(event) is not None})

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
            of_events = (key for key in keys if _text(key).endswith((":line", ":settings")))
            for key in islice(of_events, 2 * _events_most):
                slug = self._client.hget(key, "event")
                if slug:
                    yield _text(slug)

    def _keys(self, event: str) -> tuple[str, str, str]:
        """Line, settings and audit: what change.lua takes."""
        line = self._counter.keys(event)[0].removesuffix("line")
        return f"{line}line", f"{line}settings", f"{line}audit"

    def _ask(self, *words: Any) -> Any:
        with self._breaker:
            return self._client.execute_command(*words)

    def _change(self, event: str, who: str, steps: Iterable[tuple[str, str, str]], *, most: int) -> list[Any]:
        words = [who, new_sid(), most, event_slug(event), *(word for step in steps for word in step)]
        source, digest = self._script
        with self._breaker:
            answer = evaluate(self._client, source, digest, list(self._keys(event)), lambda: words)
        if not isinstance(answer, list):
            raise Outage(f"Redis answered a change with something that isn't ours: {answer!r:.80}")
        return answer


class EventControl:
    """One event's levers. ``by`` is who pulls them, as the log will have it."""

    def __init__(self, match: Match, control: Control, *, is_trial: bool = False) -> None:
        self.name: str = match.event
        self.rule: Rule = match.rule
        self.match: Match = match
        self._control, self._is_trial = control, is_trial

    def trial(self) -> EventControl:
        """The same levers, each of which only says what it would change."""
        return EventControl(self.match, self._control, is_trial=True)

    # --- looking

    def is_known(self) -> bool:
        """True where somebody has come, an operator has changed something, or a rule names the event."""
        if self.rule.events is not None or self.name in _named(self._control._config.rules):
            return True
        return bool(self._control._ask("EXISTS", *self._control._keys(self.name)))

    def snapshot(self) -> Snapshot | None:
        """The line as it is, moved on by the look; None while nobody has come."""
        return self._control._counter.call(verbs.look(self.rule, self.name)).snapshot

    def levels(self) -> Levels:
        """The line as it is, untouched: an event that nobody comes to any more ends in its time."""
        control = self._control
        source, digest = control._levels
        with control._breaker:
            answer = evaluate(control._client, source, digest, control._counter.keys(self.name), lambda: [])
        return levels_of(answer, self.rule)

    def settings(self) -> dict[str, str]:
        """What operators have set, as Redis keeps it (live.OPTIONS, extra); what isn't here is the rule's."""
        raw = self._control._ask("HGETALL", self._control._keys(self.name)[1])
        pairs = raw.items() if isinstance(raw, Mapping) else zip(raw[::2], raw[1::2], strict=True)
        return {_text(name): _text(value) for name, value in pairs if _text(name) not in _own}

    def totals(self) -> Totals:
        """How many have joined, were admitted, released, expired or absent since the line was born."""
        found = self._control._ask("HMGET", self._control._keys(self.name)[0], *Totals._fields)
        return totals_of(dict(zip(Totals._fields, found, strict=True)))

    def history(self, minutes: int = 60) -> list[Minute]:
        """The last ``minutes`` in which anything happened, oldest first, without the one that runs."""
        line = self._control._keys(self.name)[0]
        entries = self._control._ask("LRANGE", line.removesuffix("line") + "history", -minutes - 1, -1)
        return minutes_of(entries, minutes)

    def lease_of(self, sid: str) -> tuple[int, bool]:
        """Until when Redis holds a slot for them (0: it doesn't), and whether they gave back or lost one."""
        _, leases, _, _, released, *_ = self._control._counter.keys(self.name)
        held, gone = (self._control._ask("ZSCORE", key, sid) for key in (leases, released))
        return int(float(held or 0)), float(gone or 0) > self.now_ms()

    def log(self, most: int = 50) -> list[Change]:
        """What was changed lately, and by whom; newest first."""
        found = self._control._ask("LRANGE", self._control._keys(self.name)[2], 0, most - 1)
        return [_change_of(note) for note in found]

    def now_ms(self) -> int:
        """The event's time."""
        return int(_text(self._control._change(self.name, "", (), most=0)[0]))

    # --- changing

    def set(self, *, by: str = "", **options: Any) -> list[Change]:
        """Change options (``live.OPTIONS``), all or none; what is so already is no change."""
        if not live.SCHEDULE & options.keys():
            return self._write(by, live.texts(options, 0))
        now_ms, settings = self.now_ms(), self.settings()
        changes = live.texts(options, now_ms)
        faults = live.schedule_faults(settings, self.rule, changes)
        if faults:
            raise ValueError(" ".join(faults))
        steps = _steps(changes)
        if live.is_drawn_anew(settings, self.rule, changes, now_ms):  # the last seed may have been shown
            steps.append(("seed", ".", secrets.token_hex(16)))
        return self._pull(by, *steps)

    def pause(self, *, by: str = "") -> list[Change]:
        """Nobody goes in for now but whom ``admit`` counts in; the line grows and keeps its order."""
        return self._write(by, {"state": "paused", "extra": ""})

    def queue_all(self, *, by: str = "") -> list[Change]:
        """Everybody gets a number first, even while there is room."""
        return self._write(by, {"state": "queueing"})

    def drain(self, *, by: str = "") -> list[Change]:
        """No newcomer gets a number; whoever has one is served."""
        return self._write(by, {"state": "draining"})

    def resume(self, *, by: str = "") -> list[Change]:
        """Back to normal after pause, queue_all or drain."""
        if self.settings().get("state") == "closed":
            raise ValueError(f"{self.name} is closed, and not just paused: open it.")
        return self._write(by, {"state": ""})

    def close(self, message: str | None = None, *, by: str = "") -> list[Change]:
        """Nobody else goes in, and whoever waits is told so, with ``message``. Those inside stay."""
        said = {} if message is None else live.texts({"message": message}, 0)
        return self._write(by, {"state": "closed", **said})

    def open(self, *, by: str = "") -> list[Change]:
        """Let people in now, whatever kept them out: a state, or a time of the schedule.

        What was said at the closing is said no more.
        """
        now_ms, settings = self.now_ms(), self.settings()
        changes = {"state": ""}
        if settings.get("state") == "closed":
            changes["message"] = ""
        holds = {name: int(settings.get(name) or live.of_rule(self.rule, name) or 0) for name in live.TIMES}
        if holds["opens_at"] > now_ms:
            changes["opens_at"] = str(now_ms)  # and not none: those who came early may have to be drawn
        if holds["waiting_from"] > now_ms:
            changes["waiting_from"] = "0"
        if 0 < holds["closes_at"] <= now_ms:
            changes["closes_at"] = "0"
        return self._write(by, changes)

    def message(self, text: str, *, by: str = "") -> list[Change]:
        """Tell everybody who waits; an empty text takes it back."""
        return self.set(by=by, message=text)

    def admit(self, count: int, *, by: str = "") -> list[Change]:
        """Let ``count`` more in above the rate, never above the capacity; adds to what is left of before."""
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _extra_most:
            raise ValueError(f"{count!r} can't be admitted: give a whole number from 1 to {_extra_most}.")
        settings = self.settings()
        rate = float(settings.get("admit_per_minute") or live.of_rule(self.rule, "admit_per_minute") or 0)
        if not rate and settings.get("state") != "paused":
            raise ValueError(
                f"{self.name} has no rate and isn't paused: whoever is next goes in anyway as there is room."
            )
        return self._pull(by, ("extra", "+", str(count)))

    def evict(self, sid: str, *, by: str = "") -> bool:
        """Take a slot or a place back from its holder. False if nobody of that name has one.

        A worker that trusts their lease unasked goes on for up to a third of a lease (none with
        ``verify_every_request``).
        """
        if not is_sid(sid):
            raise ValueError(f"{sid!r} is not the sid of a visitor: it has 16 letters, digits, '-' or '_'.")
        keys = self._control._counter.keys(self.name)
        is_here = any(self._control._ask("ZSCORE", key, sid) is not None for key in keys[1:3])
        if is_here and not self._is_trial:
            self._control._counter.call(verbs.release(self.rule, self.name, sid))
            self._pull(by, ("evict", "!", sid))
        return is_here

    def reset(self, *, by: str = "") -> bool:
        """Begin the line anew: all numbers and leases are void. False where nobody has come yet.

        What operators have set stays. Those inside are sent to the line by their next request to Redis.
        """
        is_there = self.snapshot() is not None
        if is_there and not self._is_trial:
            self._control._counter.call(verbs.reset(self.rule, self.name))
            self._pull(by, ("reset", "!", "the line began anew"))
        return is_there

    def note(self, field: str, text: str, *, by: str = "") -> list[Change]:
        """Write into the log what was done and is no setting."""
        return self._pull(by, (field, "!", text))

    def _write(self, by: str, changes: Mapping[str, str]) -> list[Change]:
        return self._pull(by, *_steps(changes))

    def _pull(self, by: str, *steps: tuple[str, str, str]) -> list[Change]:
        who = "".join(char for char in by[:_longest_name] if char.isprintable())
        most = -1 if self._is_trial else _notes_most
        _, *notes = self._control._change(self.name, who, steps, most=most)
        return [_change_of(note) for note in notes]


def _steps(changes: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [(name, "=", text) for name, text in changes.items()]


def _named(rules: Iterable[Rule]) -> Iterator[str]:
    """The events that are known before anybody has come: a rule's only one, or those that it lists."""
    for rule in rules:
        if rule.mode != "off":
            if not template_names(rule.template()):
                yield event_name(rule.template(), {})
            elif isinstance(rule.events, list | tuple | set | frozenset):
                yield from map(str, rule.events)


def _with_digest(source: str) -> tuple[str, str]:
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _change_of(note: Any) -> Change:
    said = json.loads(_text(note))
    return Change(int(said["at"]), said["who"], said["field"], said["from"], said["to"])


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
