"""The connections that scripts are asked over: few, shared, and good after a restart or a fork."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as ConnectionLost

from admitgate.connection import connect
from admitgate.connections import Connections
from admitgate.embedded import EmbeddedRedis
from admitgate.memory import monotonic

ECHO = "return ARGV[1]"


def test_threads_queue_for_few_connections(redis_url: str, redis_client: redis.Redis) -> None:
    """Everybody gets their own answer, over no more connections than there may be."""
    client: Any = connect(redis_url, 5)
    client._connections._most = 2
    digest = redis_client.script_load(ECHO)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda n: client.execute_command("EVALSHA", digest, 0, n), range(2000)))
    assert answers == [str(n).encode() for n in range(2000)]
    assert len(client._connections._idle) <= 2


def test_whoever_gets_no_connection_in_time_is_told() -> None:
    """As of an outage."""
    connections = Connections(object, seconds=9, most=1)
    connections.lend(monotonic() + 9)
    with pytest.raises(ConnectionLost, match="in use"):
        connections.lend(monotonic() + 0.01)


def test_a_connection_given_back_wakes_one_who_waits() -> None:
    """At once, and not when the deadline is over."""
    connections, until = Connections(object, seconds=30, most=1), monotonic() + 30
    first, got = connections.lend(until), []
    waiter = threading.Thread(target=lambda: got.append(connections.lend(until)))
    waiter.start()
    while not connections._waiting:
        pass
    connections.give_back(first)
    waiter.join(10)
    assert got == [first]


def test_a_restarted_redis_is_asked_again_without_an_outage() -> None:
    """The connection of before is closed; no visitor needs to know."""
    with EmbeddedRedis() as server:
        client: Any = connect(server.url, 5)
        for word in (b"before", b"after"):
            with redis.Redis.from_url(server.url) as other:
                digest = other.script_load(ECHO)
            assert client.execute_command("EVALSHA", digest, 0, "x" + word.decode()) == b"x" + word
            server.restart()


def test_a_redis_that_is_master_no_more_is_looked_for_anew() -> None:
    """Behind a name or a proxy there may be another by now: whoever says READONLY loses the connection."""
    with EmbeddedRedis() as server, redis.Redis.from_url(server.url) as other:
        client: Any = connect(server.url, 5)
        write = "return redis.call('INCR', KEYS[1])"
        client.execute_command("EVAL", write, 1, "key")
        other.replicaof("127.0.0.1", 1)
        before = other.info("stats")["total_connections_received"]
        with pytest.raises(redis.ResponseError, match="read only replica"):
            client.execute_command("EVAL", write, 1, "key")
        assert other.info("stats")["total_connections_received"] == before + 1
        other.replicaof("NO", "ONE")
        assert client.execute_command("EVAL", write, 1, "key") == 2


def test_a_forked_process_has_connections_of_its_own(redis_url: str, redis_client: redis.Redis) -> None:
    """Two processes on one socket would read each other's answers."""
    client: Any = connect(redis_url, 5)
    digest = redis_client.script_load(ECHO)
    client.execute_command("EVALSHA", digest, 0, "parent")
    parents = client._connections._idle[0]
    child = os.fork()
    if child == 0:
        is_well = client.execute_command("EVALSHA", digest, 0, "child") == b"child"
        os._exit(0 if is_well and client._connections._idle[0] is not parents else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.execute_command("EVALSHA", digest, 0, "parent") == b"parent"
    assert client._connections._idle[0] is parents
