"""A sale with an hour behind it that never was, to photograph the console with: ``open_sale()``.

Its line is real and lives in a private Redis; its history is written as the scripts would have written it.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import redis
from made_up_history import entry
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client

from admitgate import AdmitGate, Rule
from admitgate.embedded import EmbeddedRedis
from admitgate.history import WAIT_BOUNDS, Totals

EVENT, INSIDE, IN_LINE = "summer-gala", 500, 640
_per_minute = 100


@contextmanager
def open_sale() -> Iterator[str]:
    """The address of the event's page in the console, as long as the block."""
    with EmbeddedRedis() as server, redis.Redis.from_url(server.url) as client:
        gate = _gate(server.url)
        for _ in range(INSIDE + IN_LINE):
            Client(gate).get(f"/events/{EVENT}/checkout")
        _steer(gate)
        _age(client)
        with make_server("127.0.0.1", 0, gate, threaded=True, request_handler=_Quiet) as site:
            thread = Thread(target=site.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{site.server_port}/_admitgate/console/event/{EVENT}"
            finally:
                site.shutdown()
                thread.join()


def _application(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the checkout"]


def _gate(redis_url: str) -> AdmitGate:
    return AdmitGate(
        _application,
        secret_key="a key that nobody outside this picture knows",
        redis_url=redis_url,
        redis_timeout_seconds=5,
        console=lambda environ: "Anna Weber",
        rules=[Rule("/events/<event>/checkout", capacity=INSIDE, lease_seconds=600)],
    )


def _steer(gate: AdmitGate) -> None:
    gala = gate.event(EVENT)
    gala.set(by="Tom Baker", capacity=450)
    gala.message("Row A is sold out", by="Tom Baker")
    gala.set(by="Anna Weber", capacity=520, admit_per_minute=120)


def _age(client: redis.Redis) -> None:
    """Give the line an hour, and the speed that it came to in it."""
    (line,) = client.keys("*:line")
    now_ms = int(time.time() * 1000)
    *minutes, totals = _hour(now_ms // 60_000)
    client.rpush(line.replace(b":line", b":history"), *minutes)
    told = {**totals._asdict(), "waits": ",".join(map(str, totals.waits))}
    speed = {"rate": _per_minute / 60, "rate_at": now_ms, "rate_from": now_ms - 3_600_000}
    client.hset(line, mapping={**told, **speed, "minute": now_ms // 60_000})


def _hour(now: int) -> Iterator[Any]:
    """A rush at the beginning, a line that shrinks, two changes of the capacity; the totals at the end."""
    chance = random.Random(4)
    totals, waiting = Totals(), 0
    for nth in range(59):
        share = nth / 59
        joined = chance.randint(20, 60) + int(300 * math.exp(-(((share - 0.12) / 0.17) ** 2)))
        admitted = min(waiting + joined, chance.randint(_per_minute - 12, _per_minute + 18))
        absent = min(waiting, chance.randint(0, 4 + waiting // 80)) if waiting else 0
        wait = waiting / _per_minute * 60
        waiting = max(0, waiting + joined - admitted - absent, IN_LINE - 12 * (59 - nth))
        capacity = 500 if share < 0.55 else 450 if share < 0.75 else 520
        in_use = min(capacity, int(capacity * share * 9), capacity - chance.randint(-3, 9))
        waits = _waits(chance, admitted, wait)
        added = Totals(joined, admitted, max(0, admitted - 8), chance.randint(0, 3), absent, waits)
        totals = totals.plus(added)
        yield entry(now - 59 + nth, totals, max(0, in_use), waiting, capacity)
    yield totals


def _waits(chance: random.Random, admitted: int, mean: float) -> tuple[int, ...]:
    counts = [0] * (len(WAIT_BOUNDS) + 1)
    for _ in range(admitted):
        wait = chance.gammavariate(6, mean / 6) if mean else 0
        counts[next((nth for nth, bound in enumerate(WAIT_BOUNDS) if wait <= bound), -1)] += 1
    return tuple(counts)


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""
