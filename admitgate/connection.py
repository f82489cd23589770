"""From a URL to a Redis client that never keeps a request waiting, and the breaker before it."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from .errors import Outage
from .memory import monotonic

log = logging.getLogger("admitgate")

_connections_most = 64
# A script that meets one of these has met the state of the server, whatever its keys hold.
_states_of_redis = (
    "MISCONF",
    "OOM",
    "READONLY",
    "NOREPLICAS",
    "BUSY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
)


def connect(url: str, timeout_seconds: float) -> redis.Redis:
    """A client for ``url``. It connects when it is first used, so that a fork after this is safe.

    Half of the deadline is for getting and opening a connection, half for the answer. A call that has run
    out of time isn't tried again: a caller that has waited once answers its visitor.
    """
    half = timeout_seconds / 2
    pool = redis.BlockingConnectionPool.from_url(
        url.replace("valkey", "redis", 1) if url.startswith("valkey") else url,
        max_connections=_connections_most,
        timeout=half,
        socket_connect_timeout=half,
        socket_timeout=half,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    return Client(connection_pool=pool, connections=Connections(pool.make_connection, wait_seconds=half))


class Client(redis.Redis):
    """redis-py's client, with a road of its own for scripts.

    On redis-py's, the locks, metrics, retries and looks at the socket of one call take as long as Redis does.
    """

    def __init__(self, *, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._connections = connections

    def execute_command(self, *words: Any, **options: Any) -> Any:
        """One command and its answer."""
        if words[0] != "EVALSHA":
            return super().execute_command(*words, **options)  # type: ignore[no-untyped-call]
        connection = self._connections.lend()
        try:
            return _ask(connection, _packed(words))
        finally:
            self._connections.give_back(connection)


class Connections:
    """Connections to one Redis, lent for a call each; whichever came back last goes out first.

    Bounded: many threads (or greenlets) queue for one instead of failing. A forked process starts with none,
    as two that share a socket get each other's answers.
    """

    def __init__(
        self, make: Callable[[], Any], *, wait_seconds: float, most: int = _connections_most
    ) -> None:
        self._make, self._wait_seconds, self._most = make, wait_seconds, most
        self._start_over()

    def lend(self) -> Any:
        """A connection, open or not. Raises ConnectionLost if none comes free in time."""
        if self._pid != os.getpid():
            self._start_over()
        return self._take() or self._make_or_wait()

    def give_back(self, connection: Any) -> None:
        """Let the next one have it."""
        self._idle.append(connection)
        if self._waiting:
            with self._change:
                self._change.notify()

    def _start_over(self) -> None:
        self._idle: deque[Any] = deque()
        self._made = self._waiting = 0
        self._change = threading.Condition()
        self._pid = os.getpid()

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _make_or_wait(self) -> Any:
        with self._change:
            if self._made < self._most:
                self._made += 1
                return self._make()
            self._waiting += 1  # before we look: whoever gives one back from now on tells us
            try:
                connection = self._change.wait_for(self._take, self._wait_seconds)
            finally:
                self._waiting -= 1
        if connection is None:
            raise ConnectionLost(f"all {self._most} connections are in use")
        return connection


def _ask(connection: Any, packed: bytes) -> Any:
    """The answer to one command, asked again where the connection turns out to be closed.

    That is what a restarted Redis and a proxy's patience leave behind, and a script of ours may run twice.
    A call that has run out of time is not asked again.
    """
    try:
        return _answer(connection, packed)
    except ConnectionLost:
        return _answer(connection, packed)


def _answer(connection: Any, packed: bytes) -> Any:
    connection.send_packed_command([packed], check_health=False)
    return connection.read_response()


def _packed(words: Sequence[Any]) -> bytes:
    """Redis' wire format. All of our words are ASCII, so a text is as long as its bytes."""
    texts = map(str, words)
    return "".join([f"*{len(words)}\r\n", *[f"${len(text)}\r\n{text}\r\n" for text in texts]]).encode("ascii")


def _is_of_one_event(error: BaseException) -> bool:
    """True where Redis is well and a script stumbled over what somebody else wrote to an event's keys."""
    words = str(error)
    return (
        isinstance(error, ResponseError)
        and ("WRONGTYPE" in words or "user_script" in words)
        and not any(state in words for state in _states_of_redis)
    )


class Breaker:
    """Stops asking a Redis that doesn't answer: closed, open, and half-open for one probing caller.

    While it is open a call costs nothing and the answer is known: outage. The pause before the next probe
    doubles up to ``pause_most`` seconds, with jitter so that a fleet doesn't come back in one beat.
    Changes of state are logged, requests are not. Use it as a context around one call.
    """

    def __init__(
        self,
        *,
        pause_least: float = 0.25,
        pause_most: float = 5.0,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        self._least, self._most, self._on_open = pause_least, pause_most, on_open
        self._pause = 0.0
        self._probe_at = 0.0
        self._opened_at = 0.0

    @property
    def is_open(self) -> bool:
        """True while Redis is believed to be away."""
        return self._pause > 0

    def __enter__(self) -> None:
        """Before a call to Redis. Raises Outage at once while open."""
        if self._pause:
            self._take_the_probe()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """After it. The client's errors become an Outage."""
        if isinstance(error, NoScriptError):
            return  # Redis is well, it only has to be told the script
        if error is None or _is_of_one_event(error):
            if self._pause:
                self._close()
            if error is None:
                return
        elif isinstance(error, RedisError | OSError):
            self._fail(error)
        else:
            return
        raise Outage(f"Redis can't be asked ({type(error).__name__}: {error})", error) from error

    def _take_the_probe(self) -> None:
        now = monotonic()
        if now < self._probe_at:
            raise Outage("Redis didn't answer a moment ago")
        self._probe_at = now + self._pause  # the others go on without, while this caller probes

    def _fail(self, error: BaseException) -> None:
        if not self._pause:
            self._opened_at = monotonic()
            log.error("outage: Redis can't be asked (%s: %s)", type(error).__name__, error)
            self._on_open()
        self._pause = min(self._most, max(self._least, self._pause * 2))
        self._probe_at = monotonic() + self._pause * random.uniform(0.8, 1.2)

    def _close(self) -> None:
        self._pause = 0.0
        log.warning("outage over: Redis answers again after %.1f s", monotonic() - self._opened_at)


def evaluate(client: Any, source: str, digest: str, keys: list[str], args: list[Any]) -> Any:
    """Run a script by its digest; a Redis that doesn't have it (restarted, flushed) is sent the source."""
    try:
        return client.execute_command("EVALSHA", digest, len(keys), *keys, *args)
    except NoScriptError:
        return client.execute_command("EVAL", source, len(keys), *keys, *args)
