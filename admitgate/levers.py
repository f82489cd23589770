"""The levers of one event: what changes live, who changed it, and how the line does.

Whatever changes is one script (``lua/change.lua``): the event's settings, which every worker's next call
reads, and a note in its log of who changed what, from what, to what. Two at once: the last one wins, and both
are in the log. Every method raises Outage where Redis can't be asked, and then nothing has been done; and
ValueError, a sentence, for what can't be.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from . import counter as verbs
from . import live
from .history import Minute, Totals, minutes_of, totals_of
from .levels import Levels, levels_of
from .memory import Snapshot
from .passes import pass_link
from .rules import Match, Rule
from .tokens import is_sid, new_sid
from .wire import as_text

if TYPE_CHECKING:
    from .control import Control

_own = frozenset({"event", "seed"})  # ours, among what operators have set
_notes_most = 500
_longest_name = 100
_extra_most = 1_000_000


class Change(NamedTuple):
    """One line of the log. What went back to the rule's, or was the rule's, is ``""``."""

    at_ms: int
    who: str
    field: str
    before: str
    after: str


class EventControl:
    """One event's levers. ``by`` is who pulls them, as the log will have it."""

    def __init__(self, match: Match, control: Control, *, is_trial: bool = False) -> None:
        self.name: str = match.event
        self.rule: Rule = match.rule
        self.match: Match = match
        self._control, self._is_trial = control, is_trial
        self._keys = control._counter.keys(match.event)

    def trial(self) -> EventControl:
        """The same levers, each of which only says what it would change."""
        return EventControl(self.match, self._control, is_trial=True)

    # --- looking

    def is_known(self) -> bool:
        """True where somebody has come, an operator has changed something, or a rule names the event."""
        if self.rule.events is not None or self.name in self._control.named():
            return True
        kept = (self._keys.line, self._keys.settings, self._keys.audit)
        return bool(self._control._ask("EXISTS", *kept))

    def snapshot(self) -> Snapshot | None:
        """The line as it is, moved on by the look; None while nobody has come."""
        return self._control._counter.call(verbs.look(self.rule, self.name)).snapshot

    def levels(self) -> Levels:
        """The line as it is, untouched: an event that nobody comes to any more ends in its time."""
        return levels_of(self._control._run("levels", self._keys, []), self.rule)

    def settings(self) -> dict[str, str]:
        """What operators have set, as Redis keeps it (live.OPTIONS, extra); what isn't here is the rule's."""
        raw = self._control._ask("HGETALL", self._keys.settings)
        pairs = raw.items() if isinstance(raw, Mapping) else zip(raw[::2], raw[1::2], strict=True)
        return {as_text(name): as_text(value) for name, value in pairs if as_text(name) not in _own}

    def totals(self) -> Totals:
        """How many have joined, were admitted, released, expired or absent since the line was born."""
        found = self._control._ask("HMGET", self._keys.line, *Totals._fields)
        return totals_of(dict(zip(Totals._fields, found, strict=True)))

    def history(self, minutes: int = 60) -> list[Minute]:
        """The last ``minutes`` in which anything happened, oldest first, without the one that runs."""
        entries = self._control._ask("LRANGE", self._keys.history, -minutes - 1, -1)
        return minutes_of(entries, minutes)

    def lease_of(self, sid: str) -> tuple[int, bool]:
        """Until when Redis holds a slot for them (0: it doesn't), and whether they gave back or lost one."""
        keys = (self._keys.leases, self._keys.released)
        held, gone = (self._control._ask("ZSCORE", key, sid) for key in keys)
        return int(float(held or 0)), float(gone or 0) > self.now_ms()

    def log(self, most: int = 50) -> list[Change]:
        """What was changed lately, and by whom; newest first."""
        found = self._control._ask("LRANGE", self._keys.audit, 0, most - 1)
        return [_change_of(note) for note in found]

    def now_ms(self) -> int:
        """The event's time, by which leases end. It is behind the clock by what outages of Redis took."""
        return self._times()[0]

    def clock_ms(self) -> int:
        """What the clocks on the wall say, by which an event opens and closes."""
        return self._times()[1]

    def _times(self) -> tuple[int, int]:
        event, clock = self._control._change(self.name, "", (), most=0)
        return int(as_text(event)), int(as_text(clock))

    # --- changing

    def set(self, *, by: str = "", **options: Any) -> list[Change]:
        """Change options (``live.OPTIONS``), all or none; what is so already is no change."""
        if options.keys().isdisjoint(live.SCHEDULE):
            return self._write(by, live.texts(options, 0))
        clock_ms, settings = self.clock_ms(), self.settings()
        changes = live.texts(options, clock_ms)
        faults = live.schedule_faults(settings, self.rule, changes)
        if faults:
            raise ValueError(" ".join(faults))
        steps = _steps(changes)
        if live.is_drawn_anew(settings, self.rule, changes, clock_ms):  # the last seed may have been shown
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
        clock_ms, settings = self.clock_ms(), self.settings()
        changes = {"state": ""}
        if settings.get("state") == "closed":
            changes["message"] = ""
        holds = {name: int(settings.get(name) or live.of_rule(self.rule, name) or 0) for name in live.TIMES}
        if holds["opens_at"] > clock_ms:
            changes["opens_at"] = str(clock_ms)  # and not none: those who came early may have to be drawn
        if holds["waiting_from"] > clock_ms:
            changes["waiting_from"] = "0"
        if 0 < holds["closes_at"] <= clock_ms:
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
            raise ValueError(f"{sid!r} is not the sid of a visitor: give its 16 characters, or 22.")
        if self._is_trial or not self._is_here(sid):
            return self._is_here(sid)
        call = verbs.evict(self.rule, self.name, sid, self._note(by, "evict", sid))
        return self._control._counter.call(call).verdict != "NOBODY"

    def passes(
        self, count: int, valid_seconds: float, *, is_counted: bool = True, back: str = "/", by: str = ""
    ) -> tuple[list[str], int]:
        """So many signed links that let people in before the line, and until when they are good (ms).

        They begin at the site's root, and lead to ``back`` in the shop. Counted ones take the next slot that
        comes free, uncounted ones take none, and nothing but their end ends them. A trial makes none.
        """
        now_ms, clock_ms = self._times()
        until_ms = clock_ms + int(valid_seconds * 1000)
        kind = "counted" if is_counted else "uncounted"
        self.note("pass", f"{count} {kind}, until {live.local(until_ms):%Y-%m-%d %H:%M %Z}", by=by)
        link = partial(pass_link, self._control._config, self.name, now_ms=now_ms, back=back)
        most = 0 if self._is_trial else count
        made = [link(valid_seconds=valid_seconds, is_counted=is_counted) for _ in range(most)]
        return made, until_ms

    def reset(self, *, by: str = "") -> bool:
        """Begin the line anew: all numbers and leases are void. False where nobody has come yet.

        What operators have set stays. Those inside are sent to the line by their next request to Redis.
        """
        is_there = self.snapshot() is not None
        if is_there and not self._is_trial:
            note = self._note(by, "reset", "the line began anew")
            self._control._counter.call(verbs.reset(self.rule, self.name, note))
        return is_there

    def note(self, field: str, text: str, *, by: str = "") -> list[Change]:
        """Write into the log what was done and is no setting."""
        return self._pull(by, (field, "!", text))

    def _write(self, by: str, changes: Mapping[str, str]) -> list[Change]:
        return self._pull(by, *_steps(changes))

    def _pull(self, by: str, *steps: tuple[str, str, str]) -> list[Change]:
        most = -1 if self._is_trial else _notes_most
        _, _, *notes = self._control._change(self.name, _name(by), steps, most=most)
        return [_change_of(note) for note in notes]

    def _note(self, by: str, field: str, text: str) -> tuple[str | int, ...]:
        """What is written down together with the act, as noted.lua takes it."""
        return new_sid(), _name(by), field, text, _notes_most

    def _is_here(self, sid: str) -> bool:
        keys = (self._keys.leases, self._keys.ready)
        return any(self._control._ask("ZSCORE", key, sid) is not None for key in keys)


def _name(by: str) -> str:
    return "".join(char for char in by[:_longest_name] if char.isprintable())


def _steps(changes: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [(name, "=", text) for name, text in changes.items()]


def _change_of(note: Any) -> Change:
    said = json.loads(as_text(note))
    return Change(int(said["at"]), said["who"], said["field"], said["from"], said["to"])
