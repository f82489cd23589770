"""What the gate adds in an event loop, as ratios; and a thousand visitors who wait at one uvicorn worker.

    python benchmarks/overhead_async.py            a table
    python benchmarks/overhead_async.py --json     the same for a program

As ``overhead.py`` has it: a private Redis on the core of this process, everything interleaved, medians of
ratios that are formed within a round. The unit is a PING of redis.asyncio's client.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import click
import redis
import timing
import uvicorn
from asgi_shop import fastapi_shop
from crowd_async import on_one_worker
from overhead import again
from redis.asyncio import Redis
from redis.utils import HIREDIS_AVAILABLE
from stage import Stage, event_of, full, room
from timing import Contender, Loop, Round, TooNoisy, as_json, interleave, pin
from visitors import request

from admitgate import counter
from admitgate.asgi import AdmitGateASGI
from admitgate.embedded import EmbeddedRedis
from admitgate.tokens import Lease, new_sid

timing.piece_seconds = 0.004  # to begin a piece takes an event loop some time, which must not count
Figure = Callable[[Round], float]
FIGURES: dict[str, tuple[Figure, float | None]] = {
    "admitted_vs_ping": (
        lambda t: (t["admitted"] - t["FastAPI"]) / (t["FastAPI and ping"] - t["FastAPI"]),
        0.15,
    ),
    "admitted_vs_tight_ping": (lambda t: (t["admitted"] - t["FastAPI"]) / t["ping"], None),
    "admitted_no_op_vs_ping": (lambda t: (t["admitted no-op"] - t["no-op"]) / t["ping"], None),
    "pass_through_vs_bare": (lambda t: t["pass"] / t["no-op"], None),
    "join_vs_ping": (lambda t: max(t["join with room"], t["join the line"]) / t["ping"], 1.8),
    "join_with_room_vs_ping": (lambda t: t["join with room"] / t["ping"], None),
    "join_the_line_vs_ping": (lambda t: t["join the line"] / t["ping"], None),
    "renew_vs_ping": (lambda t: t["renew"] / t["ping"], None),
    "newcomer_let_in_vs_ping": (lambda t: (t["newcomer let in"] - t["FastAPI"]) / t["ping"], None),
    "newcomer_turned_away_vs_ping": (lambda t: t["newcomer turned away"] / t["ping"], None),
    "turned_away_vs_fastapi_hello": (lambda t: t["turned away"] / t["FastAPI"], None),
    "raw_evalsha_of_nothing_vs_ping": (lambda t: t["evalsha"] / t["ping"], None),
}


class Timed:
    """Awaits in one event loop what shall be timed."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self.stage = Stage(url)
        self.redis = Redis.from_url(url)
        self.shop = fastapi_shop()
        self.gate = AdmitGateASGI(self.shop, self.stage.config)
        self.gate_of_no_op = AdmitGateASGI(no_op, self.stage.config)

    def each(self, call: Callable[[Any], Awaitable[Any]]) -> Loop:
        """A loop that awaits ``call`` for each item."""

        async def batch(items: Iterable[Any]) -> None:
            for item in items:
                await call(item)

        return lambda items: self._loop.run_until_complete(batch(items))

    def answered(self, app: Any) -> Loop:
        """Whole answers of an application to scopes."""
        return self.each(lambda scope: app(dict(scope), receive, send))

    def answered_with_a_ping(self, app: Any) -> Loop:
        """The same, and each asks Redis for a sign of life."""

        async def answer(scope: Any) -> None:
            await app(dict(scope), receive, send)
            await self.redis.ping()

        return self.each(answer)

    def close(self) -> None:
        """The loop ends as a server's does."""
        self._loop.run_until_complete(self.redis.aclose())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


async def no_op(scope: Any, receive: Any, send: Any) -> None:
    """The least that is an ASGI application."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def receive() -> dict[str, Any]:
    """No body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: dict[str, Any]) -> None:
    """A server's part that does nothing."""


def scope_of(environ: dict[str, Any]) -> dict[str, Any]:
    """The same request as an ASGI server has it."""
    names = [name for name in environ if name.startswith("HTTP_")]
    headers = [(name[5:].replace("_", "-").lower().encode(), environ[name].encode()) for name in names]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": environ["PATH_INFO"],
        "raw_path": environ["PATH_INFO"].encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("198.51.100.7", 50000),
        "server": ("shop.example", 443),
    }


def contenders(timed: Timed) -> list[Contender]:
    """Everybody but the PING."""
    stage = timed.stage
    hello, admitted, waiting = request("/hello"), stage.admitted(), stage.waiting()
    newcomer, refused = (
        request(room.path.replace("<event>", "gala")),
        request(full.path.replace("<event>", "gala")),
    )
    leases = [lease for lease in stage.inside if isinstance(lease, Lease)]
    renewals = [counter.renew(full, event_of(full), lease) for lease in leases]
    call = timed.each(timed.gate._edge._counter.call)
    digest = stage.redis.script_load("return 1")
    in_scopes = lambda environ: again([scope_of(environ)])  # noqa: E731

    def joins(rule: Any) -> Callable[[int], Iterable[Any]]:
        return lambda size: [counter.join(rule, event_of(rule), new_sid()) for _ in range(size)]

    return [
        Contender("no-op", timed.answered(no_op), in_scopes(hello)),
        Contender("pass", timed.answered(timed.gate_of_no_op), in_scopes(hello)),
        Contender("admitted no-op", timed.answered(timed.gate_of_no_op), in_scopes(admitted)),
        Contender("FastAPI", timed.answered(timed.shop), in_scopes(admitted)),
        Contender("FastAPI and ping", timed.answered_with_a_ping(timed.shop), in_scopes(admitted)),
        Contender("admitted", timed.answered(timed.gate), in_scopes(admitted)),
        Contender("turned away", timed.answered(timed.gate), in_scopes(waiting)),
        Contender("newcomer let in", timed.answered(timed.gate), in_scopes(newcomer)),
        Contender("newcomer turned away", timed.answered(timed.gate), in_scopes(refused)),
        Contender("join with room", call, joins(room)),
        Contender("join the line", call, joins(full)),
        Contender("renew", call, again(renewals)),
        Contender("evalsha", timed.each(lambda _: timed.redis.evalsha(digest, 0))),
    ]


def measure(url: str, seconds: float) -> dict[str, Any]:
    """The ratios, as one mapping for --json."""
    timed = Timed(url)
    ping = Contender("ping", timed.each(lambda _: timed.redis.ping()))
    run = interleave(contenders(timed), ping, seconds=seconds)
    timed.close()
    return {
        **{name: run.median(figure) for name, (figure, _) in FIGURES.items()},
        "async_ping_us": run.median(lambda taken: taken["ping"]),
        "fastapi_hello_us": run.median(lambda taken: taken["FastAPI"]),
        "middle_half": {name: run.middle_half(figure) for name, (figure, _) in FIGURES.items()},
        "rounds": len(run.rounds),
        "rounds_thrown_away": run.thrown_away,
    }


def table(result: dict[str, Any]) -> Iterable[str]:
    """The result for people."""
    yield f"{'':<34}{'median':>8}  {'middle half':<18}{'target':>8}"
    for name, (_, target) in FIGURES.items():
        low, high = result["middle_half"][name]
        missed = "  missed" if target is not None and result[name] > target else ""
        half = f"{low:.3f} .. {high:.3f}"
        yield f"{name:<34}{result[name]:>8.3f}  {half:<18}{'' if target is None else target:>8}{missed}"
    yield f"asyncio PING {result['async_ping_us']:.1f} µs, FastAPI {result['fastapi_hello_us']:.1f} µs; "
    yield f"{result['rounds']} rounds, {result['rounds_thrown_away']} thrown away"
    yield ""
    for step in ("join", "poll"):
        told = result["waiting_connections"][step]
        yield f"{result['waiting_connections']['visitors']} connections, {step}: {told['statuses']}, " + (
            f"{told['per_second']:.0f}/s, median {told['median_ms']:.0f} ms, last {told['last_ms']:.0f} ms"
        )
    yield ", ".join(f"{name} {value}" for name, value in result["machine"].items())


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--seconds", default=30.0, show_default=True, help="How long to measure.")
@click.option("--core", type=int, help="Which core both ends run on; the first by default.")
@click.option("--visitors", default=1000, show_default=True, help="How many wait at one worker.")
def main(is_json: bool, seconds: float, core: int | None, visitors: int) -> None:
    """Measure what the gate adds in an event loop."""
    with EmbeddedRedis() as server:
        crowd = on_one_worker(server.url, visitors)  # before this process keeps to one core
    core = pin(core)
    with EmbeddedRedis() as server:
        try:
            result = {**measure(server.url, seconds), "waiting_connections": crowd}
        except TooNoisy as error:
            raise click.ClickException(str(error)) from None
    result["machine"] = {
        "python": platform.python_version(),
        "redis_py": redis.__version__,
        "hiredis": HIREDIS_AVAILABLE,
        "uvicorn": uvicorn.__version__,
        "core": core,
    }
    click.echo(as_json(result) if is_json else "\n".join(table(result)))


if __name__ == "__main__":
    main()
