"""How much of its throughput a Flask app under gunicorn keeps when the gate is put before it.

Two servers that differ only in the gate take turns. Every request is that of somebody who has a lease: the
dearest of those that cost no call to Redis. A connection for each, as nginx makes them unless told otherwise.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from load import Burst, burst, message
from servers import gunicorn

threads_of = {"sync": 1, "gthread": 8, "gevent": 1}
path = "/events/under-gunicorn/checkout"  # an event that nobody else here fills
rounds, requests, at_once = 15, 500, 32


def kept_under_gunicorn(redis_url: str, say: Callable[[str], None]) -> dict[str, float]:
    """The share that is kept, for each worker class that is here; the median of pairs of turns."""
    found = {}
    for worker_class, threads in threads_of.items():
        if worker_class == "gevent" and find_spec("gevent") is None:
            say("gunicorn's gevent workers are left out: pip install -r benchmarks/requirements.txt")
            continue
        gated = f"flask_site(redis_url={redis_url!r}, capacity=1000)"
        serve = partial(gunicorn, worker_class=worker_class, threads=threads)
        with serve("flask_site()") as bare_port, serve(gated) as gated_port:
            found[worker_class] = _kept(bare_port, gated_port)
    return found


def _kept(bare_port: int, gated_port: int) -> float:
    newcomers = burst(gated_port, [message(path)] * at_once, at_once=1)
    visits = [message(path, newcomers.answers[nth % at_once].cookie) for nth in range(requests)]

    def turn(port: int) -> Burst:
        done = burst(port, visits, at_once=at_once)
        statuses = {answer.status for answer in done.answers}
        assert statuses == {200}, statuses
        return done

    for port in (bare_port, gated_port):
        turn(port)
    shares = []
    for number in range(rounds):
        order = (bare_port, gated_port) if number % 2 else (gated_port, bare_port)
        pace = {port: turn(port).per_second for port in order}
        shares.append(pace[gated_port] / pace[bare_port])
    return statistics.median(shares)
