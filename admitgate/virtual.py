"""Virtual time for the simulator: the real scripts in a real Redis, and hours that pass in a minute.

The scripts read the clock in one place, ``redis.call('TIME')``. Here, and nowhere in a gate that serves
visitors, that text is replaced by the last two arguments, which are added to every call.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import counter, memory
from .counter import Call, Counter, Reply
from .errors import AdmitgateError
from .memory import EventMemory, Memories, Snapshot
from .rules import Rule

_clock_call = "redis.call('TIME')"
_virtual_clock = "{ARGV[#ARGV - 1], ARGV[#ARGV]}"
_opening_us = 1_800_000_000_000_000
_opening_monotonic = 1000.0
_answer_seconds = 60.0
_together_most = 200

Take = Callable[[Reply], None]


class Clock:
    """Redis' clock and the workers' monotonic one, which run together."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return _opening_monotonic + self.seconds

    def redis_us(self) -> int:
        return _opening_us + round(self.seconds * 1e6)

    @contextmanager
    def drives_the_workers(self) -> Iterator[None]:
        """As long as the block, workers in this process count time by this clock."""
        own = memory.monotonic
        memory.monotonic = self.monotonic
        try:
            yield
        finally:
            memory.monotonic = own


class Wire:
    """A connection that speaks just enough of Redis' protocol: a simulation makes millions of calls."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_answer_seconds)
        self._socket.connect(str(path))
        self._answers = self._socket.makefile("rb", buffering=65536)

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def ask(self, *words: object) -> Any:
        self.send(f"*{len(words)}\r\n{_bulk(words)}")
        return self.read()

    def send(self, text: str) -> None:
        self._socket.sendall(text.encode())

    def read(self) -> Any:
        line = self._answers.readline()
        kind = line[:1]
        if kind == b":":
            return int(line[1:])
        if kind == b"$":
            return self._answers.read(int(line[1:]) + 2)[:-2]
        if kind == b"*":
            return [self.read() for _ in range(int(line[1:]))]
        if kind == b"+":
            return line[1:-2]
        if not line:
            raise AdmitgateError("The private Redis ended in the middle of the run; is there memory enough?")
        raise AdmitgateError(f"The private Redis said: {line!r:.200}")


def _bulk(words: Sequence[object]) -> str:
    """Part of a command. All that a simulation says is ASCII, so that characters are bytes."""
    texts = [str(word) for word in words]
    return "".join([f"${len(text)}\r\n{text}\r\n" for text in texts])


class Fleet:
    """Workers with memories of their own, before one Redis that knows nothing yet.

    Calls of one short moment travel together, as those of a busy fleet do: ``put`` each at its time, in
    order, then ``send``, then ``hear``. Redis runs them one after the other, each at its own time.
    """

    def __init__(self, wire: Wire, clock: Clock, rule: Rule, event: str, size: int) -> None:
        self._wire, self._clock, self._rule, self._event = wire, clock, rule, event
        self._workers = [Memories() for _ in range(size)]
        self._keys = Counter(None, self._workers[0]).keys(event)
        self._heads = dict(self._load())
        self._put: list[tuple[Call, EventMemory, float, Take]] = []
        self._sent: list[tuple[Call, EventMemory, float, Take]] = []
        self._texts: list[str] = []
        self._turn = 0
        self.calls = dict.fromkeys(self._heads, 0)

    def _load(self) -> Iterator[tuple[str, str]]:
        """Each verb's script, made to be told the time: what all calls of it begin with."""
        for verb, source in counter.load_scripts().items():
            if source.count(_clock_call) != 1:
                raise AdmitgateError(f"{verb}.lua must read the clock in exactly one place.")
            script = source.replace(_clock_call, _virtual_clock).encode("ascii", "replace").decode()
            self._wire.ask("SCRIPT", "LOAD", script)
            digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
            yield verb, _bulk(["EVALSHA", digest, len(self._keys), *self._keys])

    def _worker(self) -> EventMemory:
        """What the next worker in turn knows of the event."""
        self._turn += 1
        return self._workers[self._turn % len(self._workers)].of(self._event)

    def put(self, call: Call, take: Take) -> None:
        """Ask by whichever worker comes next, now by the clock; ``take`` gets the reply."""
        self._ask_by(self._worker(), call, take)
        if len(self._put) >= _together_most:
            now = self._clock.seconds
            self.send()
            self.hear()
            self._clock.seconds = now

    def _ask_by(self, worker: EventMemory, call: Call, take: Take) -> None:
        args = counter.pack(call, worker)
        args.extend(divmod(self._clock.redis_us(), 1_000_000))
        words = 3 + len(self._keys) + len(args)
        self._texts.append(f"*{words}\r\n{self._heads[call.verb]}{_bulk(args)}")
        self._put.append((call, worker, self._clock.seconds, take))
        self.calls[call.verb] += 1

    def send(self) -> None:
        """Off they go. Whatever can be done before the replies matter is done while Redis works."""
        if self._texts:
            self._wire.send("".join(self._texts))
        self._sent, self._put, self._texts = self._put, [], []

    def hear(self) -> None:
        """Hand out the replies to what was sent, each at its time."""
        sent, self._sent = self._sent, []
        for call, worker, at, take in sent:
            self._clock.seconds = at
            take(counter.unpack(self._wire.read(), call, worker, self._clock.monotonic()))

    def status(self) -> Snapshot | None:
        """The shared status of the next worker: where it is a second old, the worker looks again."""
        worker = self._worker()
        if worker.fresh_snapshot() is None and worker.takes_the_look():
            self._ask_by(worker, counter.look(self._rule, self._event), _ignore)
        return worker.snapshot


def _ignore(_: Reply) -> None: ...
