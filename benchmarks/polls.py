"""How many pages can ask "is it my turn?" of one core: four ways side by side.

    python benchmarks/polls.py            a table
    python benchmarks/polls.py --json     the same for a program

The waiting room alone (Python under gunicorn); nginx before it with ``examples/nginx/microcache.conf``; nginx
with the files of ``admitgate publish`` and ``examples/nginx/published.conf``; and, as the reference, nginx
with a file of the same size that never changes, served as nginx does by itself, and once more with the file
kept open (``open_file_cache``), as both configurations do.

All servers share one core and whoever asks has another. In every round each way has its turn, ratios are
formed inside a round, and the median of the rounds counts. Redis is asked by one worker, or by the publisher.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import redis
from timing import as_json
from visitors import get, no_op, request

from admitgate import AdmitGate
from admitgate.embedded import EmbeddedRedis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "nginx"))
import run as nginx_example
from run import Nginx, configuration, free_port, nginx_path, python, room_words, wait_for

EVENT = "gala"
PATH = f"/_admitgate/status/{EVENT}"
WAYS = ("python", "microcache", "published", "reference", "reference_open")
TARGETS = {"microcache_vs_reference": 0.85, "published_vs_reference": 0.9}
CACHES = {"reference": "", "reference_open": "open_file_cache max=100 inactive=60s;"}
CONNECTIONS = 64
ASKED = ("eval", "evalsha", "scan", "hget", "ping")  # by servers; what scripts call is not a call to Redis

REFERENCE = """
server {{
    listen 127.0.0.1:{port};
    location = {path} {{
        alias {file};
        default_type application/json;
        {cache}
    }}
}}
"""


@dataclass
class Way:
    """One of the four, with what was seen of it."""

    name: str
    port: int
    nginx: Nginx | None = None
    rates: list[float] = field(default_factory=list)
    per_cpu_second: list[float] = field(default_factory=list)
    redis_calls: list[float] = field(default_factory=list)
    oldest: float = 0.0
    oldest_after_quiet: float = 0.0
    oldest_after_restart: float = 0.0


@dataclass
class Loader:
    """Who asks: pinned to a core of its own."""

    name: str
    ask: Callable[[int, int], float]


def wrk(core: int | None) -> Loader:
    """wrk, with one thread."""
    pinned = ["taskset", "-c", str(core)] if core is not None and shutil.which("taskset") else []

    def ask(port: int, seconds: int) -> float:
        address = f"http://127.0.0.1:{port}{PATH}"
        command = [*pinned, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", address]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            raise click.ClickException(f"Not every poll was answered:\n{said}")
        found = re.search(r"Requests/sec:\s*([0-9.]+)", said)
        assert found is not None, said
        return float(found[1])

    return Loader("wrk", ask)


def own_client() -> Loader:
    """Pipelined requests from this process, for where wrk is missing. Slower than nginx: ratios go to 1."""
    together = 16
    wanted = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * together

    def ask(port: int, seconds: int) -> float:
        answers, ends_at = 0, time.monotonic() + seconds
        with ExitStack() as stack:
            callers = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(8)]
            for caller in callers:
                stack.enter_context(caller)
            while time.monotonic() < ends_at:
                for caller in callers:
                    caller.sendall(wanted)
                for caller in callers:
                    got = 0
                    while got < together:
                        got += caller.recv(65536).count(b"HTTP/1.1 200")
                answers += together * len(callers)
        return answers / seconds

    return Loader("a client of our own", ask)


def status(port: int, connection: http.client.HTTPConnection | None = None) -> dict[str, Any]:
    """One answer."""
    asked = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    asked.request("GET", PATH)
    answer = asked.getresponse()
    body = answer.read()
    if connection is None:
        asked.close()
    if answer.status != 200:
        raise click.ClickException(f"A poll was answered with {answer.status}: {body[:200]!r}")
    return dict(json.loads(body))


def age(answer: Mapping[str, Any]) -> float:
    """Seconds since Redis was asked for what an answer says; by one clock, as Redis is on this machine."""
    return time.time() - answer["updated"] / 1000


@contextmanager
def watched(way: Way) -> Iterator[None]:
    """Somebody else asks fifty times a second, and notes how old the oldest answer was."""
    is_over = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", way.port, timeout=5)
        while not is_over.wait(0.02):
            way.oldest = max(way.oldest, age(status(way.port, connection)))
        connection.close()

    watcher = threading.Thread(target=ask)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def cpu_seconds() -> float:
    """What all servers, the children of this process and theirs, have used so far."""
    children: dict[int, list[tuple[int, int]]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            words = (entry / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(words[1]), []).append((int(entry.name), int(words[11]) + int(words[12])))

    def used_below(parent: int) -> int:
        return sum(used + used_below(pid) for pid, used in children.get(parent, ()))

    return used_below(os.getpid()) / os.sysconf("SC_CLK_TCK")


def calls(client: redis.Redis) -> int:
    """How often Redis was asked."""
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ASKED)


def measure(way: Way, loader: Loader, client: redis.Redis, seconds: int) -> None:
    """One turn: the first answer after a quiet time, then as many as it can give."""
    if way.name not in CACHES:
        way.oldest_after_quiet = max(way.oldest_after_quiet, age(status(way.port)))
    used, asked, started = cpu_seconds(), calls(client), time.monotonic()
    rate = loader.ask(way.port, seconds)
    took = time.monotonic() - started
    way.rates.append(rate)
    way.redis_calls.append((calls(client) - asked) / took)
    way.per_cpu_second.append(rate * seconds / max(0.01, cpu_seconds() - used))


def judge_ages(way: Way, loader: Loader) -> None:
    """How old answers get under load, and the first ones after a restart."""
    with watched(way):
        loader.ask(way.port, 3)
    if way.nginx is not None:
        way.nginx.stop()
        way.nginx.start()
        way.oldest_after_restart = age(status(way.port))


@contextmanager
def opened(url: str, folder: Path) -> Iterator[list[Way]]:
    """The servers of all four ways, and an event with a line."""
    environment = {
        "SECRET_KEY": secrets.token_hex(),
        "ADMITGATE_SETTINGS": "settings",
        "ADMITGATE_REDIS_URL": url,
        "PYTHONPATH": os.pathsep.join([str(nginx_example.HERE), os.environ.get("PYTHONPATH", "")]),
    }
    rule = {"path": "/events/<event>/checkout", "capacity": 3, "lease_seconds": 60}
    gate = AdmitGate(no_op, secret_key=environment["SECRET_KEY"], redis_url=url, rules=[rule])
    for _ in range(rule["capacity"] + 20):
        get(gate, request(f"/events/{EVENT}/checkout"))
    with ExitStack() as stack:
        room_port = free_port()
        wait_for(room_port, stack.enter_context(python(*room_words(room_port), environment=environment)))
        size = len(json.dumps(status(room_port), separators=(",", ":")))
        (folder / "fixed").write_bytes(b"x" * size)
        ways = [Way("python", room_port)]
        for name in WAYS[1:]:
            own, port = folder / name, free_port()
            own.mkdir()
            text = (
                REFERENCE.format(port=port, path=PATH, file=folder / "fixed", cache=CACHES[name])
                if name in CACHES
                else configuration(name, folder=own, port=port, room_port=room_port)
            )
            way = Way(name, port, Nginx(own, {name: text}, port))
            way.nginx.start()
            stack.callback(way.nginx.stop)
            ways.append(way)
        words = ("-m", "admitgate", "publish", "--directory", str(folder / "published" / "status"))
        stack.enter_context(python(*words, environment=environment))
        while not (folder / "published" / "status" / EVENT).exists():
            time.sleep(0.05)
        yield ways


def cores() -> tuple[int | None, int | None]:
    """One core for the servers and one for who asks, the same where there is no other. Pins this process."""
    if not hasattr(os, "sched_setaffinity"):
        return None, None
    first, *others = sorted(os.sched_getaffinity(0))
    return first, others[0] if others else first


def before_others() -> bool:
    """Go before whatever else this machine does, where we may; as servers do that have it to themselves."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
        return True
    return False


def polls(*, rounds: int, seconds: int, quiet: float) -> dict[str, Any]:
    """Everything, as one mapping for --json."""
    server_core, client_core = cores()
    goes_first = before_others()
    if server_core is not None:
        os.sched_setaffinity(0, {server_core})  # every server that is started from here
    with EmbeddedRedis() as server, tempfile.TemporaryDirectory(prefix="admitgate-") as folder:
        client = redis.Redis.from_url(server.url)
        with opened(server.url, Path(folder)) as ways:
            if client_core is not None:
                os.sched_setaffinity(0, {client_core})
            loader = wrk(client_core) if shutil.which("wrk") else own_client()
            for way in ways:
                loader.ask(way.port, 1)  # warm
            for number in range(rounds):
                for way in ways if number % 2 else reversed(ways):
                    measure(way, loader, client, seconds)
            time.sleep(quiet)
            for way in ways[:-2]:
                way.oldest_after_quiet = max(way.oldest_after_quiet, age(status(way.port)))
                judge_ages(way, loader)
            return result(ways, loader, server_core, client_core, goes_first)


def result(ways: list[Way], loader: Loader, *where: Any) -> dict[str, Any]:
    """The figures of all rounds."""
    reference, kept_open = ways[-2:]
    live = ways[:-2]
    # While the reference has its turn only the publisher asks, as it does in everybody's.
    by_publisher = statistics.mean(reference.redis_calls + kept_open.redis_calls)
    asked = {way.name: statistics.mean(way.redis_calls) - by_publisher for way in live}
    asked["published"] = by_publisher
    return {
        **{way.name: statistics.median(way.rates) for way in ways},
        **{f"{way.name}_vs_reference": ratio(way.rates, reference.rates) for way in live},
        **{f"{way.name}_vs_reference_open": ratio(way.rates, kept_open.rates) for way in live},
        "redis_calls_per_s": max(asked.values()),
        "redis_calls_per_s_by_way": asked,
        "oldest_answer_s": max(
            max(way.oldest, way.oldest_after_quiet, way.oldest_after_restart) for way in live
        ),
        "oldest_answer_s_by_way": {
            way.name: {
                "under_load": way.oldest,
                "after_quiet": way.oldest_after_quiet,
                "after_restart": way.oldest_after_restart,
            }
            for way in live
        },
        "per_cpu_second": {way.name: statistics.median(way.per_cpu_second) for way in ways},
        "per_cpu_second_vs_reference": {
            way.name: ratio(way.per_cpu_second, reference.per_cpu_second) for way in (*live, kept_open)
        },
        "middle_half": {way.name: statistics.quantiles(way.rates, n=4)[::2] for way in ways},
        "rounds": len(reference.rates),
        "asked_by": loader.name,
        "cores": {"servers": where[0], "who_asks": where[1]},
        "goes_before_others": where[2],
        "nginx": subprocess.run([nginx_path() or "", "-v"], capture_output=True, text=True).stderr.strip(),
    }


def ratio(rates: list[float], reference: list[float]) -> float:
    """The median of the ratios of each round."""
    return statistics.median(own / other for own, other in zip(rates, reference, strict=True))


def table(result: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"{'':<15}{'polls/s':>8}  {'middle half':<17}{'of reference':>12}{'target':>8}{'of open':>8}" + (
        f"{'per CPU s':>11}{'of ref':>8}{'Redis/s':>9}{'oldest':>9}"
    )
    for way in WAYS:
        low, high = result["middle_half"][way]
        own, target = result.get(f"{way}_vs_reference"), TARGETS.get(f"{way}_vs_reference", "")
        ages = result["oldest_answer_s_by_way"].get(way)
        yield (
            f"{way:<15}{result[way]:>8,.0f}  {f'{low:,.0f} .. {high:,.0f}':<17}{_number(own):>12}{target:>8}"
            f"{_number(result.get(f'{way}_vs_reference_open')):>8}{result['per_cpu_second'][way]:>11,.0f}"
            f"{_number(result['per_cpu_second_vs_reference'].get(way)):>8}"
            f"{_number(result['redis_calls_per_s_by_way'].get(way)):>9}"
            f"{_number(ages and max(ages.values())):>9}" + ("  missed" if target and own < target else "")
        )
    yield ""
    yield f"redis_calls_per_s {result['redis_calls_per_s']:.2f} (at most 2), oldest_answer_s " + (
        f"{result['oldest_answer_s']:.2f} (at most 2)"
    )
    yield f"{result['rounds']} rounds, asked by {result['asked_by']}, {result['nginx']}, {result['cores']}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--rounds", default=8, show_default=True, help="How often each way has its turn.")
@click.option("--seconds", default=1, show_default=True, help="How long a turn takes.")
@click.option("--quiet", default=4.0, show_default=True, help="Seconds without a poll: 60 is a quiet minute.")
def main(is_json: bool, **options: Any) -> None:
    """Measure how many polls one core can answer."""
    if nginx_path() is None:
        raise click.ClickException("nginx is missing: apt install nginx-light")
    measured = polls(**options)
    click.echo(as_json(measured) if is_json else "\n".join(table(measured)))


if __name__ == "__main__":
    main()
