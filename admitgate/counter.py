"""The state of one event in Redis, behind five verbs. Each is one round trip and atomic.

``join``, ``check_in``, ``renew``, ``release`` and ``look`` are Lua scripts (``lua/``; the schema of every key
stands on top of ``prelude.lua``, a verb's contract on top of its own file). This module builds the keys,
adds what the worker remembers, and learns from every reply. Nothing else writes an event's keys.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

from .connection import Breaker, evaluate
from .errors import Outage
from .memory import EventMemory, Marks, Memories, Snapshot, monotonic
from .rules import Rule, event_slug
from .tokens import Lease, Ticket, is_of_account
from .wire import as_text, evalsha

log = logging.getLogger("admitgate")

Seed = Callable[[int, str], str]  # of the draw at an event's opening, where nobody has chosen another

_parts = {
    "join": ("prelude", "schedule", "brief", "flow", "admit", "join"),
    "check_in": ("prelude", "schedule", "flow", "admit", "check_in"),
    "renew": ("prelude", "renew"),
    "release": ("prelude", "schedule", "flow", "release"),
    "look": ("prelude", "schedule", "flow", "look"),
    "evict": ("prelude", "schedule", "flow", "noted", "release"),
    "reset": ("prelude", "noted", "reset"),
    "change": ("change",),  # for control.py, which has no rule to send along
    "ramp": ("prelude", "schedule", "flow", "ramp"),
    "levels": ("levels",),
}
_remembered = 10_000
_no_format: tuple[Rule | None, int, bytes] = (None, 0, b"")
_shut = ("", "paused", "closed", "opens", "early")
_numbers = 17  # in a reply with a snapshot, behind the verdict; what follows are the draw and a message
_NORMAL, _UNASKED, _CLAIM = 0, 1, 2  # kinds of leases, as renew.lua has them


def _no_seed(opens_at: int, event: str) -> str:
    return ""


# A verdict that shows that the event is more than a first visit which may yet turn out to be a 404.
_firm = frozenset(
    {"TICKET", "FULL", "CLOSED", "READY", "WAIT", "SHARED", "DRAWN", "GONE", "COPIED", "RELEASED", "RESET"}
)


@dataclass(frozen=True, slots=True)
class Call:
    """One question to an event's state. ``args`` are the verb's own, in the order of its contract.

    ``note`` is what the event's log shall have of an operator's act, as noted.lua says.
    """

    verb: str
    rule: Rule
    event: str
    sid: str = ""
    args: tuple[int, ...] = ()
    note: tuple[str | int, ...] = ()


T = TypeVar("T")
Steps = Generator["Call", "Reply", T]
"""What asks for Redis and does no I/O: yields each Call and is sent its Reply, or has an Outage thrown in."""

PING = Call("ping", Rule("/", capacity=0), "")  # a sign of life; touches no event


@dataclass(frozen=True, slots=True)
class Reply:
    """What a verb said. ``value`` is a deadline in ms, a number or a rank, as the verdict has it."""

    verdict: str
    value: int
    now_ms: int
    snapshot: Snapshot | None


def join(rule: Rule, event: str, sid: str, *, is_brief: bool = False) -> Call:
    """A newcomer: ADMIT (value: the lease's deadline), TICKET (its number), FULL, EARLY or CLOSED.

    INSIDE (deadline) where the sid has a lease already: an account on another device, a repeated call.

    For a caller who has just seen the line the answer may be brief, without a snapshot; then it takes half
    the time.
    """
    return Call("join", rule, event, sid, (int(is_brief),))


def check_in(rule: Rule, event: str, ticket: Ticket, *, is_claim: bool, drawn: int = 0) -> Call:
    """An invited visitor is here: ADMIT (deadline), READY (rank from 0), WAIT (not invited) or GONE.

    Or SHARED, where their client has as many places as one may have. A claim is a short lease, for a page
    that still has to make the request which makes it a full one. ``drawn`` is the number that counts in the
    ticket's stead since the opening; without it (0) somebody who has one hears DRAWN.
    """
    give_ms = int(rule.claim_seconds * 1000) if is_claim else 0
    return Call("check_in", rule, event, ticket.sid, (ticket.number, give_ms, ticket.joined_ms, drawn))


def renew(rule: Rule, event: str, lease: Lease, *, seconds: float = 0) -> Call:
    """Somebody shows a lease: ADMIT (new deadline), GONE (given back) or EXPIRED. 0 seconds: the rule's.

    Or COPIED, where two newer tokens of it have been given out. The devices of one account each have their
    own.
    """
    kind = _UNASKED if lease.is_unasked else _NORMAL if lease.renew_at_ms else _CLAIM
    overlap_ms = 0 if is_of_account(lease.sid) else int(rule.lease_overlap_seconds * 1000)
    return Call("renew", rule, event, lease.sid, (lease.deadline_ms, int(seconds * 1000), kind, overlap_ms))


def release(rule: Rule, event: str, sid: str, deadline_ms: int = 0, *, forget: bool = False) -> Call:
    """Give back a slot or a place: RELEASED, or FORGOTTEN where ``forget`` left no keys of the event."""
    return Call("release", rule, event, sid, (deadline_ms, int(forget)))


def look(rule: Rule, event: str) -> Call:
    """Move the line on and see: SEEN, or UNKNOWN for an event that has no keys (and gets none)."""
    return Call("look", rule, event)


def evict(rule: Rule, event: str, sid: str, note: tuple[str | int, ...]) -> Call:
    """A release by an operator: RELEASED, NOBODY where they have neither slot nor place, DONE if repeated."""
    return Call("evict", rule, event, sid, (0, 0), note)


def reset(rule: Rule, event: str, note: tuple[str | int, ...] = ()) -> Call:
    """Begin the line anew: RESET, all tickets and leases of before are void; UNKNOWN; DONE if repeated."""
    return Call("reset", rule, event, "", (0, 0), note)


def ramp(rule: Rule, event: str, answers: int, slow: int) -> Call:
    """How the application does, as one worker has seen it: RAMPED, and how many slots that leaves."""
    floor = rule.ramp_floor or max(1, rule.capacity_now() // 10)
    return Call("ramp", rule, event, "", (answers, slow, floor))


class Keys(NamedTuple):
    """An event's keys, in the order of the scripts' KEYS; one hash tag, so one cluster node."""

    line: str
    leases: str
    ready: str
    seen: str
    released: str
    settings: str
    places: str
    history: str

    @property
    def audit(self) -> str:
        """The key of the event's log, which only what operators do is told."""
        return self.line.removesuffix("line") + "audit"


def event_keys(prefix: str, event: str) -> Keys:
    """The keys of ``event`` among those that begin with ``prefix``."""
    tag = hashlib.sha256(event.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    names = ("ready:seen" if name == "seen" else name for name in Keys._fields)
    return Keys(*(f"{prefix}:{{{tag}}}:{name}" for name in names))


def load_scripts() -> dict[str, str]:
    """The source of each verb's script."""
    folder = files(__package__) / "lua"
    names = {name for parts in _parts.values() for name in parts}
    texts = {name: (folder / f"{name}.lua").read_text("utf-8") for name in names}
    return {verb: "\n".join(texts[part] for part in parts) for verb, parts in _parts.items()}


class Counter:
    """Asks a redis-py client. Safe in threads and after a fork; raises Outage where Redis can't be asked."""

    def __init__(
        self,
        client: Any,
        memories: Memories,
        *,
        prefix: str = "admitgate",
        scripts: Mapping[str, str] | None = None,
        breaker: Breaker | None = None,
        seed: Seed | None = None,
    ) -> None:
        self._client = client
        self._memories = memories
        self._prefix = prefix
        self._scripts = {
            verb: (source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
            for verb, source in (scripts or load_scripts()).items()
        }
        self._breaker = breaker or Breaker(on_open=memories.doubt)
        self._seed = seed or _no_seed
        self._keys: dict[str, Keys] = {}
        self._formats: dict[tuple[str, str], tuple[Rule | None, int, bytes]] = {}
        self._takes_packed = hasattr(client, "ask_packed")

    def call(self, call: Call) -> Reply:
        """One round trip. What the reply tells of the event is remembered before it is returned."""
        if call is PING:
            return self._ping()
        memory = self._memories.of(call.event)
        sent_at = monotonic()
        try:
            with self._breaker:
                raw = self._ask(call, memory)
        except Outage:
            memory.doubt(sent_at)  # this event at least: a cluster's other nodes may be well
            raise
        return unpack(raw, call, memory, sent_at)

    def _ask(self, call: Call, memory: EventMemory) -> Any:
        source, digest = self._scripts[call.verb]
        keys = self.keys(call.event)
        if call.note:
            every = (*keys, keys.audit)
            return evaluate(self._client, source, digest, every, lambda: pack(call, memory, self._seed))
        packed = self._packed(call, memory, digest, keys) if self._takes_packed else None
        return evaluate(self._client, source, digest, keys, lambda: pack(call, memory, self._seed), packed)

    def _packed(self, call: Call, memory: EventMemory, digest: str, keys: Keys) -> bytes:
        rule, slots, format_ = self._formats.get((call.verb, call.event), _no_format)
        if rule is not call.rule or slots != call.rule.capacity_now():
            words = fixed(call.rule, call.event, self._seed)
            format_ = evalsha(digest, keys, words, event_slug(call.event), len(call.args))
            if len(self._formats) >= _remembered:
                self._formats.clear()
            self._formats[call.verb, call.event] = call.rule, words[0], format_
        sid, draw = call.sid.encode("ascii"), memory.draw_to_send().encode("ascii")
        return format_ % (*changing(memory), len(sid), sid, len(draw), draw, *call.args)

    def in_wire_format(self, call: Call, memory: EventMemory) -> tuple[str, bytes]:
        """A key of the call's event, and the call as Redis takes it: for ``AsyncCounter``."""
        keys = self.keys(call.event)
        return keys.line, self._packed(call, memory, self._scripts[call.verb][1], keys)

    def with_source(self, call: Call, memory: EventMemory) -> list[Any]:
        """The words of the same for a Redis that doesn't have the script."""
        keys = self.keys(call.event)
        source = self._scripts[call.verb][0]
        return ["EVAL", source, len(keys), *keys, *pack(call, memory, self._seed)]

    def _ping(self) -> Reply:
        try:
            with self._breaker:
                self._client.ping()
        except Outage:
            self._memories.doubt()
            raise
        return Reply("PONG", 0, 0, None)

    def script(self, name: str) -> tuple[str, str]:
        """The source of a script and its digest."""
        return self._scripts[name]

    def keys(self, event: str) -> Keys:
        """The event's keys, remembered."""
        keys = self._keys.get(event)
        if keys is None:
            if len(self._keys) >= _remembered:
                self._keys.clear()
            keys = self._keys[event] = event_keys(self._prefix, event)
        return keys


def pack(call: Call, memory: EventMemory, seed: Seed = _no_seed) -> list[Any]:
    """ARGV of a call, as the prelude's contract has it."""
    words = [*changing(memory), *fixed(call.rule, call.event, seed), call.sid, event_slug(call.event)]
    return [*words, memory.draw_to_send(), *call.args, *call.note]


def changing(memory: EventMemory) -> tuple[int, ...]:
    """What a worker knows of an event by now."""
    expected_ms = memory.now_ms()  # first, as a memory that is too old starts over
    return expected_ms, *memory.marks_to_send(), memory.away_ms()


def fixed(rule: Rule, event: str, seed: Seed) -> tuple[Any, ...]:
    """What the settings say."""
    times = ":".join(map(str, rule.schedule))
    return (
        rule.capacity_now(),
        int(rule.lease_seconds * 1000),
        int(rule.grace_seconds * 1000),
        int(rule.cold_hold_seconds * 1000),
        rule.admit_per_minute or 0,
        -1 if rule.max_waiting is None else rule.max_waiting,
        rule.places_per_client or 0,
        f"{times}:{seed(rule.schedule.opens_at, event) if rule.shuffle else ''}"
        if any(rule.schedule)
        else "",
    )


def unpack(raw: Any, call: Call, memory: EventMemory, sent_at: float) -> Reply:
    """The reply in words; raises Outage for what no script of ours returns."""
    try:
        verdict, *words = as_text(raw).split(" ", _numbers + 1)
        value, *numbers = map(int, words[:_numbers])
        heard = Marks(*numbers[:5])
        snapshot = _snapshot(heard, numbers[5:], *words[_numbers].split(" ", 1)) if len(numbers) > 5 else None
    except (TypeError, ValueError, IndexError) as error:
        raise Outage(
            f"Redis answered {call.verb} with something that isn't ours: {raw!r:.80}", error
        ) from error
    if verdict == "UNKNOWN":
        return Reply(verdict, value, heard.last_ms, None)
    memory.hear(heard, sent_at)
    if "!" in verdict:
        verdict, _, stepped_ms = verdict.partition("!")
        log.warning(
            "the clock of Redis stepped by %.0f s; event %s goes on by the workers' clocks",
            int(stepped_ms) / 1000,
            ascii(call.event),
        )
    if (
        verdict in _firm
        or (verdict == "ADMIT" and call.verb != "join")
        or (snapshot and snapshot.waiting > 0)
    ):
        memory.is_firm = True
    if snapshot:
        memory.see(snapshot, sent_at)
    elif verdict == "TICKET":
        memory.see_the_end(heard)
    return Reply(verdict, value, heard.last_ms, snapshot)


def _snapshot(heard: Marks, numbers: list[int], draw: str, message: str) -> Snapshot:
    present, in_use, capacity, waiting, rate, hold_left, step, poll, shut, opens_at, stopped_ms = numbers
    return Snapshot(
        heard.serving,
        heard.issued,
        present,
        in_use,
        capacity,
        waiting,
        rate / 1000,
        heard.gap_from,
        heard.gap_to,
        hold_left,
        step,
        poll,
        message,
        heard.last_ms,
        _shut[shut],
        opens_at,
        draw if draw != "-" else "",
        heard.last_ms + stopped_ms,
    )
