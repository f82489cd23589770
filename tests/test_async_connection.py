"""Redis asked from event loops: one connection, one deadline, and nobody reads another's answer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import InvalidResponse, NoScriptError, ResponseError
from redis.exceptions import TimeoutError as TimeRanOut

from admitgate.async_client import AsyncClient, connect_async, options_of
from admitgate.connection import Breaker
from admitgate.embedded import EmbeddedRedis
from admitgate.errors import Outage
from admitgate.wire import evalsha

ECHO = "return ARGV[1]"
WRITE = "return redis.call('INCR', KEYS[1])"
PING = b"*1\r\n$4\r\nPING\r\n"


def words(script: str, *args: Any) -> list[Any]:
    """A script's call with one key."""
    return ["EVAL", script, 1, "key", *args]


def test_tasks_share_one_connection(redis_url: str, redis_client: redis.Redis) -> None:
    """A thousand ask in one moment; everybody gets their own answer."""
    before = redis_client.info("stats")["total_connections_received"]

    async def story() -> None:
        client = connect_async(redis_url, 5)
        answers = await asyncio.gather(*(client.ask(words(ECHO, n)) for n in range(1000)))
        assert answers == [str(n).encode() for n in range(1000)]

    asyncio.run(story())
    assert redis_client.info("stats")["total_connections_received"] == before + 1


def test_a_busy_loop_is_no_outage(redis_url: str) -> None:
    """While it connects and while it is answered: what has come counts, though the loop is late to it."""

    async def busy(until: asyncio.Event) -> None:
        while not until.is_set():
            blocked = time.perf_counter() + 0.06
            while time.perf_counter() < blocked:
                pass
            await asyncio.sleep(0)

    async def story() -> None:
        client, is_over = connect_async(redis_url, 0.05), asyncio.Event()
        others = [asyncio.ensure_future(busy(is_over)) for _ in range(2)]
        assert [await client.ask(words(ECHO, n)) for n in range(2)] == [b"0", b"1"]
        is_over.set()
        await asyncio.gather(*others)

    asyncio.run(story())


@pytest.mark.parametrize("turns", range(12))
def test_nobody_reads_the_answer_of_a_call_that_was_cancelled(redis_url: str, turns: int) -> None:
    """At whatever moment; while it connects, too."""

    async def story() -> None:
        client = connect_async(redis_url, 5)
        call = asyncio.ensure_future(client.ask(words(ECHO, "theirs")))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert await client.ask(words(ECHO, "ours")) == b"ours"

    asyncio.run(story())


def test_a_restarted_redis_is_asked_again_without_an_outage() -> None:
    """The connection of before is closed; no visitor needs to know. The script is sent along once more."""

    async def story(server: EmbeddedRedis) -> None:
        client = connect_async(server.url, 5)
        packed = evalsha("f" * 40, ["key"], [], "", 0)  # a script that this Redis doesn't have
        packed = packed % (*[0] * 7, 0, b"", 0, b"")
        for word in (b"before", b"after"):
            assert await client.evaluate(packed, "key", lambda word=word: words(ECHO, word)) == word
            await asyncio.to_thread(server.restart)

    with EmbeddedRedis() as server:
        asyncio.run(story(server))


def test_a_crowd_sends_a_script_once(redis_client: redis.Redis, redis_url: str) -> None:
    """A Redis that was restarted in a rush is told tens of kilobytes, not those times a thousand."""
    digest = hashlib.sha1(ECHO.encode()).hexdigest()
    packed = evalsha(digest, ["key"], [], "", 0) % (7, *[0] * 6, 0, b"", 0, b"")

    async def story() -> None:
        client = connect_async(redis_url, 5)
        calls = [client.evaluate(packed, "key", lambda: words(ECHO, f"{7:016}")) for _ in range(1000)]
        assert set(await asyncio.gather(*calls)) == {b"%016d" % 7}

    redis_client.script_flush()
    redis_client.config_resetstat()
    asyncio.run(story())
    assert redis_client.info("commandstats")["cmdstat_eval"]["calls"] == 1


def test_a_script_that_never_arrived_is_sent_by_another(redis_client: redis.Redis, redis_url: str) -> None:
    """Whoever was sending it has left meanwhile."""
    packed = evalsha(hashlib.sha1(ECHO.encode()).hexdigest(), ["key"], [], "", 0) % (*[0] * 7, 0, b"", 0, b"")

    async def story() -> None:
        client = connect_async(redis_url, 5)
        sends = asyncio.Event()

        def source() -> list[Any]:
            sends.set()
            return words(ECHO, "a word")

        first, *others = (asyncio.ensure_future(client.evaluate(packed, "key", source)) for _ in range(5))
        await sends.wait()
        first.cancel()
        assert len(await asyncio.gather(*others)) == 4

    redis_client.script_flush()
    asyncio.run(story())


def test_a_redis_that_is_master_no_more_is_looked_for_anew() -> None:
    """Whoever says READONLY loses the connection, and is asked over a new one."""

    async def story(server: EmbeddedRedis, other: redis.Redis) -> None:
        client = connect_async(server.url, 5)
        assert await client.ask(words(WRITE)) == 1
        other.replicaof("127.0.0.1", 1)
        before = other.info("stats")["total_connections_received"]
        with pytest.raises(redis.ResponseError, match="read only replica"):
            await client.ask(words(WRITE))
        assert other.info("stats")["total_connections_received"] == before + 1
        other.replicaof("NO", "ONE")
        assert await client.ask(words(WRITE)) == 2

    with EmbeddedRedis() as server, redis.Redis.from_url(server.url) as other:
        asyncio.run(story(server, other))


def test_a_redis_that_hangs_costs_each_call_its_deadline() -> None:
    """Afterwards it is asked over a new connection."""

    async def story(server: EmbeddedRedis) -> None:
        client = connect_async(server.url, 0.2)
        assert await client.ask(words(ECHO, 1)) == b"1"
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for outcome in await asyncio.gather(
                *(client.ask(words(ECHO, n)) for n in range(3)), return_exceptions=True
            ):
                assert isinstance(outcome, ConnectionLost | TimeRanOut)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert await client.ask(words(ECHO, 2)) == b"2"

    with EmbeddedRedis() as server:
        asyncio.run(story(server))


# --- what else may be at the other end

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def told(answers: Answering, path: Path, seconds: float = 5) -> Any:
    """What a call hears from something that does this."""
    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await answers(reader, writer)
        writer.close()

    server = await asyncio.start_unix_server(serve, str(path))
    try:
        return await AsyncClient(partial(connection_without_a_greeting, path), seconds).ask(PING)
    finally:
        server.close()
        for task in filter(None, served):
            task.cancel()
        await asyncio.sleep(0.01)


async def connection_without_a_greeting(path: Path) -> Any:
    """As the other end may be no Redis at all."""
    kind: Any
    kind, options = options_of(f"unix://{path}")

    async def greet(self: Any, **_: Any) -> None:
        self._parser.on_connect(self)

    return type("Silent", (kind,), {"on_connect": greet, "on_connect_check_health": greet})(**options)


def saying(*pieces: bytes, pause: float = 0.001) -> Answering:
    """An answer to whatever is asked, in these pieces."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(pause)

    return answer


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([b"$5\r\nADMIT\r\n"], b"ADMIT", id="a text at once"),
        pytest.param([b"$", b"5", b"\r", b"\nAD", b"MIT\r", b"\n"], b"ADMIT", id="a text in pieces"),
        pytest.param([b"$200000\r\n" + b"x" * 200_000 + b"\r\n"], b"x" * 200_000, id="a long text"),
        pytest.param([b":4", b"2\r\n"], 42, id="a number in pieces"),
        pytest.param([b"+PO", b"NG\r\n"], b"PONG", id="a sign of life in pieces"),
    ],
)
def test_an_answer_is_read_whole(tmp_path: Path, pieces: list[bytes], expected: object) -> None:
    """Whatever the network makes of it."""
    assert asyncio.run(told(saying(*pieces), tmp_path / "s")) == expected


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        pytest.param([b"-NOSCRIPT No matching", b" script.\r\n"], NoScriptError, id="an error in pieces"),
        pytest.param([b"-ERR user_script:1: x\r\n"], ResponseError, id="an error of a script"),
        pytest.param([b"*1\r\n:1\r\n"], InvalidResponse, id="a list"),
        pytest.param([b"HTTP/1.1 400 Bad Request\r\n"], InvalidResponse, id="another kind of server"),
    ],
)
def test_what_is_no_answer_is_an_error_of_redis(tmp_path: Path, pieces: list[bytes], error: Any) -> None:
    """Which the breaker knows, so that it becomes an outage and not a traceback."""
    with pytest.raises(error):
        asyncio.run(told(saying(*pieces), tmp_path / "s"))


def test_a_byte_at_a_time_does_not_keep_anybody_longer(tmp_path: Path) -> None:
    """The deadline is the whole call's."""
    with pytest.raises(TimeRanOut):
        asyncio.run(told(saying(*[b"$"] * 100, pause=0.01), tmp_path / "s", 0.1))


def test_a_connection_that_closes_in_the_middle_of_an_answer_is_lost(tmp_path: Path) -> None:
    """As one that closes before it."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"$5\r\nAD")

    with pytest.raises(ConnectionLost):
        asyncio.run(told(half, tmp_path / "s"))


def test_nobody_at_the_other_end(tmp_path: Path) -> None:
    """No such socket."""
    with pytest.raises(ConnectionLost):
        asyncio.run(connect_async(f"unix://{tmp_path}/nobody.sock", 1).ask(PING))


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost/1",
        "rediss://localhost/1",
        "valkey://localhost/1",
        "valkeys://localhost/1",
        "unix:///x?db=1",
    ],
)
def test_every_scheme_makes_a_connection(url: str) -> None:
    """Without retries, and without waits of redis-py's own: the deadline is kept for it."""
    kind, options = options_of(url)
    connection = kind(**options)
    assert (connection.db, connection.socket_timeout, connection.socket_connect_timeout) == (1, None, None)
    assert options["retry"]._retries == 0


# --- the breaker among tasks


def test_tasks_that_fail_together_count_once() -> None:
    """They share a thread, and are not one caller for that."""
    breaker = Breaker(pause_least=100, pause_most=1000)

    async def one_of_many(together: asyncio.Event) -> None:
        with contextlib.suppress(Outage), breaker:
            await together.wait()
            raise ConnectionLost("gone")

    async def story() -> None:
        together = asyncio.Event()
        tasks = [asyncio.ensure_future(one_of_many(together)) for _ in range(8)]
        await asyncio.sleep(0)
        together.set()
        await asyncio.gather(*tasks)

    asyncio.run(story())
    assert breaker._pause == 100


def test_one_task_probes_while_the_others_go_on_without() -> None:
    """And those that set out before it tell nothing new, whatever they come to."""
    breaker = Breaker(pause_least=100, pause_most=1000)

    async def asks(until: asyncio.Event, *, fails: bool) -> str:
        try:
            with breaker:
                await until.wait()
                if fails:
                    raise ConnectionLost("gone")
        except Outage as outage:
            return "failed" if outage.cause else "spared"
        return "answered"

    async def story() -> None:
        early, late = asyncio.Event(), asyncio.Event()
        before = asyncio.ensure_future(asks(early, fails=True))
        await asyncio.sleep(0)
        first = asyncio.Event()
        first.set()
        assert await asks(first, fails=True) == "failed"
        breaker._probe_at = 0
        probe = asyncio.ensure_future(asks(late, fails=True))
        await asyncio.sleep(0)
        assert await asks(first, fails=False) == "spared"
        early.set()
        await before
        assert breaker._pause == 100
        late.set()
        await probe
        assert breaker._pause == 200

    asyncio.run(story())
