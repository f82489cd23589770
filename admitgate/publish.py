"""The status of every live event as a file, rewritten every second: ``admitgate publish``.

Half a million pages that ask "is it my turn?" then ask nginx or a CDN, and neither the shop nor Redis hears
of them. The files hold the very answers of ``GET status/<event>``. While Redis can't be asked they go on
saying what was known, with the state "outage" and its ``age`` in seconds. Whoever waits depends on the files
being rewritten, so run this under something that starts it again.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import counter
from .config import Config, config_from_environment
from .connection import Breaker
from .control import counter_of, redis_of
from .errors import ConfigError, Outage
from .memory import Memories, Snapshot, monotonic
from .names import event_slug, slug_event
from .published import NotOurs, Published
from .rules import Match
from .status import document

log = logging.getLogger("admitgate")

_a_day = 86_400.0
_rests_after_seconds = 60.0
_search_pause = 5.0
_search_share = 20  # a search that takes long, in a Redis full of other things, comes the more seldom
_keys_a_step = 1000
_before_the_second = 0.2
Wait = Callable[[float], bool]


@dataclass(slots=True)
class _Line:
    """An event's line as it was last seen. ``peeked`` is what was there just before."""

    match: Match
    slug: str
    document: dict[str, Any] | None = None
    snapshot: Snapshot | None = None
    heard_at: float = 0.0
    quiet_since: float | None = None
    peeked: object = None
    is_gone: bool = False

    def take(self, snapshot: Snapshot | None, peeked: object) -> None:
        """A look has been made."""
        self.snapshot, self.heard_at, self.peeked = snapshot, monotonic(), peeked
        self.is_gone = snapshot is None
        if snapshot is None or not _is_quiet(snapshot):
            self.quiet_since = None
        elif self.quiet_since is None:
            self.quiet_since = self.heard_at

    def rests(self, peeked: object) -> bool:
        """True if nothing happens any more, nor has since it was seen; then only its time goes on."""
        now = monotonic()
        if self.snapshot is None or self.quiet_since is None or peeked != self.peeked:
            return False
        if now - self.quiet_since < _rests_after_seconds:
            return False
        passed_ms = int((now - self.heard_at) * 1000)
        self.snapshot = self.snapshot._replace(
            at_ms=self.snapshot.at_ms + passed_ms, clock_ms=self.snapshot.clock_ms + passed_ms
        )
        self.heard_at += passed_ms / 1000
        return True


@dataclass
class _Faults:
    """What can't be written, told when it begins and when it is over, not once a second."""

    known: set[str] = field(default_factory=set)
    now: dict[str, list[str]] = field(default_factory=dict)

    def add(self, slug: str, reason: str) -> None:
        self.now.setdefault(reason, []).append(slug)

    def tell(self) -> None:
        for reason, slugs in self.now.items():
            if reason not in self.known:
                others = f" and {len(slugs) - 1} more" if len(slugs) > 1 else ""
                log.error("can't publish %s%s (%s); the last good files stay", slugs[0], others, reason)
        if self.known and not self.now:
            log.warning("everything can be published again")
        self.known, self.now = set(self.now), {}


class Publisher:
    """Looks at every live event and writes what it sees."""

    def __init__(self, config: Config, folder: Published, *, events: Sequence[str] = ()) -> None:
        self._config = config
        self._folder = folder
        self._client, memories = redis_of(config), Memories()
        self._breaker = Breaker(on_open=memories.doubt)
        self._counter = counter_of(config, self._client, memories, self._breaker)
        self._of_event = config.compiled_rules().of_event
        self._lines: dict[str, _Line] = {}
        self._leftovers: set[str] = set()
        self._faults = _Faults()
        self._always = {*_fixed_events(config), *events}
        self._found: dict[Any, str] = {}  # the key of each line, and its event's slug
        for event in (*self._always, *folder.events()):
            self._add(event)
        strangers = sorted(event for event in events if event not in self._lines)
        if strangers:
            raise ConfigError([f"no rule has an event {event!r}." for event in strangers])

    def close(self) -> None:
        """Leave the files to another process."""
        self._folder.close()

    def search(self) -> None:
        """Find the events that live in Redis, those included that nobody named. Raises Outage."""
        found = {}
        pattern = f"{self._config.key_prefix}:{{*}}:line"
        with self._breaker:
            # Of a cluster this asks every primary.
            for key in self._client.scan_iter(match=pattern, count=_keys_a_step, _type="HASH"):
                slug = self._found.get(key) or self._client.hget(key, "event")
                if slug:
                    found[key] = slug.decode() if isinstance(slug, bytes) else slug
        self._found = found

    def keep_searching(self, wait: Wait) -> None:
        """Search every few seconds until ``wait`` says to stop."""
        took = 0.0
        while not wait(max(_search_pause, took * _search_share)):
            started = monotonic()
            try:
                self.search()
            except Outage:
                continue  # the breaker has said so
            took = monotonic() - started

    def publish(self) -> bool:
        """Every line's file, once. False if Redis couldn't be asked for all of them."""
        for slug in self._found.values():
            self._add(slug_event(slug))
        is_well = True
        for event, line in list(self._lines.items()):
            is_well = self._see(line) and is_well
            self._write(line)
            if line.is_gone and event not in self._always:
                self._leftovers.add(line.slug)
        self._clear_away()
        self._faults.tell()
        return is_well

    def _add(self, event: str) -> None:
        if event in self._lines:
            return
        match, slug = self._of_event(event), event_slug(event)
        if match is None:  # another shop's on this Redis, or one whose rule is no more
            if self._folder.read(slug) is not None:
                self._leftovers.add(slug)
            return
        last = self._folder.read(slug)
        age = self._folder.age_seconds(slug) + (last.get("age", 0) if last else 0)
        self._lines[event] = _Line(match, slug, last, heard_at=monotonic() - age)

    def _see(self, line: _Line) -> bool:
        """Look; or, where nothing has happened for a minute, peek whether it's still so. False in an outage.

        A look keeps an event's keys for another day, and the marks that it learns would make their end look
        like a loss. So an event that nobody comes to any more must not be looked at for ever.
        """
        try:
            peeked = self._peek(line) if line.quiet_since is not None else None
            if not line.rests(peeked):
                reply = self._counter.call(counter.look(line.match.rule, line.match.event))
                line.take(reply.snapshot, peeked)
        except Outage:
            line.document = self._in_an_outage(line)
            return False
        state = "" if line.snapshot else "open"
        line.document = document(self._config, line.match, line.snapshot, state)
        return True

    def _peek(self, line: _Line) -> list[Any]:
        """What anybody who comes to the event, or an operator who changes it, leaves there."""
        keys = self._counter.keys(line.match.event)
        with self._breaker:
            return [
                self._client.hmget(keys.line, "issued", "serving", "hold_until"),
                self._client.zcard(keys.leases),
                self._client.hgetall(keys.settings),
            ]

    def _in_an_outage(self, line: _Line) -> dict[str, Any]:
        if line.document is None:
            return document(self._config, line.match, None, "outage")
        return {**line.document, "state": "outage", "age": round(monotonic() - line.heard_at)}

    def _write(self, line: _Line) -> None:
        assert line.document is not None
        try:
            self._folder.write(line.slug, line.document)
        except NotOurs as error:
            self._faults.add(line.slug, str(error))
        except OSError as error:
            self._faults.add(line.slug, error.strerror or str(error))

    def _clear_away(self) -> None:
        """Events that have been gone for a day leave no file. Their keys outlived the last visit by a day."""
        alive = {line.slug for line in self._lines.values() if not line.is_gone}
        self._leftovers -= alive
        for slug in list(self._leftovers):
            if self._folder.age_seconds(slug) > _a_day:
                self._folder.remove(slug)
                self._lines.pop(slug_event(slug), None)
                self._leftovers.discard(slug)


def publish(
    settings: str | None, directory: Path, *, interval: float, events: Sequence[str], is_once: bool
) -> int:
    """The command: publish until SIGTERM or Ctrl-C, or once. Returns its exit status."""
    config = config_from_environment(settings)
    publisher = Publisher(config, Published(directory), events=events)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())  # the file in hand is finished
    return 0 if run(publisher, interval=interval, is_once=is_once, wait=stop.wait) else 1


def run(publisher: Publisher, *, interval: float, is_once: bool, wait: Wait) -> bool:
    """Publish until ``wait``, which sleeps so many seconds, says to stop. False if once, and in an outage."""
    try:
        publisher.search()
    except Outage:
        log.warning("which events are live will be known when Redis answers")
    if is_once:
        return publisher.publish()
    threading.Thread(target=publisher.keep_searching, args=[wait], daemon=True).start()
    is_late = False
    while True:
        started = monotonic()
        publisher.publish()
        took = monotonic() - started
        if (took > interval) is not is_late:
            is_late = not is_late
            log.warning("a round takes %.1f s, and there should be one every %g", took, interval)
        if wait(_until_next(interval, time.time())):
            return True


def _until_next(interval: float, now: float) -> float:
    """Seconds to the next round: shortly before a second begins, which is when nginx looks at a file again.

    nginx takes an open file for current until its clock's second is over. A file that is written just after
    that moment is served for a second more than one that is written just before.
    """
    return interval - (now + _before_the_second) % interval


def _is_quiet(line: Snapshot) -> bool:
    return not (line.waiting or line.in_use or line.present or line.hold_left_ms or line.shut)


def _fixed_events(config: Config) -> Iterator[str]:
    """The events that are known before anybody has come: those whose rule has just one."""
    for rule in config.rules:
        if rule.mode != "off" and rule.only_event is not None:
            yield rule.only_event
