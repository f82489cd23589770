"""From a URL to a Redis client that never keeps a request waiting, and the breaker before it."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry

from .connections import Connections, connections_most
from .errors import ConfigError, Outage
from .hurry import hurried
from .memory import monotonic

log = logging.getLogger("admitgate")

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
    *("can't run this command", "no permissions to run"),  # by the ACL, in Redis' words and in Valkey's
    *("Unknown Redis command", "Unknown command called"),  # renamed away
)
_well = (NoScriptError, AskError)  # it only has to be told the script, or names another node (MOVED, ASK)


def connect(url: str, timeout_seconds: float) -> Any:
    """A client for ``url``. It connects when it is first used, so that a fork after this is safe.

    A script's call has ``timeout_seconds`` in all (for names that have to be looked up, the system's own
    time comes on top). One that has run out of them isn't tried again: who has waited answers their visitor.
    """
    if "+" in url.partition(":")[0]:
        from .topology import connect_many  # who has one Redis needs none of it

        return connect_many(url, timeout_seconds)
    half = timeout_seconds / 2
    pool = redis.BlockingConnectionPool.from_url(
        url.replace("valkey", "redis", 1) if url.startswith("valkey") else url,
        max_connections=connections_most,
        timeout=half,
        **patience(half),
    )
    _refuse_strange_options(pool)
    return Client(pool, timeout_seconds)


def _refuse_strange_options(pool: redis.ConnectionPool) -> None:
    """Now, and not at each request. To make a connection opens none."""
    try:
        pool.connection_class(**pool.connection_kwargs)
    except TypeError as error:
        option = str(error).rpartition(" ")[2]
        cure = "leave it out; those that begin with ssl_ are for rediss://"
        raise ConfigError(
            [f"redis_url has the option {option}, which redis-py doesn't know there: {cure}."]
        ) from error


def patience(seconds: float) -> dict[str, Any]:
    """redis-py's options of a connection that waits no longer, and tries once."""
    return {
        "socket_connect_timeout": seconds,
        "socket_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "protocol": 2,  # no greeting, and nothing that is pushed in between
    }


class Client(redis.Redis):
    """redis-py's client, with a road of its own for scripts.

    On redis-py's, the locks, metrics, retries and looks at the socket of one call take as long as Redis does.
    """

    def __init__(self, pool: redis.ConnectionPool, seconds: float) -> None:
        super().__init__(connection_pool=pool)
        make = hurried(pool.connection_class, pool.connection_kwargs)
        self._connections = Connections(make, seconds=seconds)

    def execute_command(self, *words: Any, **options: Any) -> Any:
        """One command and its answer."""
        if words[0] == "EVALSHA" or words[0] == "EVAL":
            return self._connections.ask(words)
        return super().execute_command(*words, **options)  # type: ignore[no-untyped-call]

    def ask_packed(self, packed: bytes, key: str) -> Any:
        """The answer to a script's call that is in Redis' wire format already."""
        return self._connections.ask(packed)


def _is_of_one_event(error: BaseException) -> bool:
    """True where Redis is well and a script stumbled over what somebody else wrote to an event's keys.

    Or over keys that are on their way to another node of a cluster. Errors that have a class of their own in
    redis-py are states of Redis, and have lost their first word.
    """
    words = str(error)
    return isinstance(error, TryAgainError) or (
        type(error) is ResponseError
        and ("WRONGTYPE" in words or "user_script" in words)
        and not any(state in words for state in _states_of_redis)
    )


def _caller() -> int:
    """Who is asking: a task among those that share an event loop's thread; else a thread, or a greenlet."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        task = None
    return id(task) if task else threading.get_ident()


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
        pause_most: float = 2.0,
        on_open: Callable[[], None] = lambda: None,
        on_close: Callable[[], None] = lambda: None,
        what: str = "Redis",
    ) -> None:
        self._least, self._most, self._what = pause_least, pause_most, what
        self._on_open, self._on_close = on_open, on_close
        self._pause = 0.0
        self._prober = 0
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
        if error is None or isinstance(error, _well) or _is_of_one_event(error):
            if self._pause:
                self._close()
            if error is None or isinstance(error, _well):
                return
        elif isinstance(error, RedisError | RedisClusterException | OSError):
            self._fail(error)
        else:
            return
        raise Outage(f"{self._what} can't be asked ({type(error).__name__}: {error})", error) from error

    def _take_the_probe(self) -> None:
        now = monotonic()
        if now < self._probe_at:
            raise Outage(f"{self._what} didn't answer a moment ago")
        self._probe_at = now + self._pause  # the others go on without, while this caller probes
        self._prober = _caller()

    def _fail(self, error: BaseException) -> None:
        is_first = not self._pause
        if not is_first and self._prober != _caller():
            return  # it set out before the first one failed, and tells nothing new
        pause = min(self._most, max(self._least, self._pause * 2))
        self._probe_at = monotonic() + pause * random.uniform(0.8, 1.2)
        self._pause = pause
        if is_first:
            self._opened_at = monotonic()
            fields = {"admitgate_kind": "outage_began", "admitgate_details": {"what": self._what}}
            log.error(
                "outage: %s can't be asked (%s: %s)", self._what, type(error).__name__, error, extra=fields
            )
            self._on_open()

    def _close(self) -> None:
        self._pause = 0.0
        seconds = monotonic() - self._opened_at
        fields = {"admitgate_kind": "outage_ended", "admitgate_details": {"seconds": round(seconds, 1)}}
        log.warning("outage over: %s answers again after %.1f s", self._what, seconds, extra=fields)
        self._on_close()


def evaluate(
    client: Any,
    source: str,
    digest: str,
    keys: Sequence[str],
    args: Callable[[], list[Any]],
    packed: bytes | None = None,
) -> Any:
    """Run a script by its digest; a Redis that doesn't have it (restarted, flushed) is sent the source.

    A client of ours takes the call in one piece, ``packed``; any other needs its ``args``.
    """
    try:
        if packed is not None:
            return client.ask_packed(packed, keys[0])
        return client.execute_command("EVALSHA", digest, len(keys), *keys, *args())
    except NoScriptError:
        return client.execute_command("EVAL", source, len(keys), *keys, *args())
