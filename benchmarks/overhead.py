"""What the gate adds to a request, as ratios that hold on any machine.

    python benchmarks/overhead.py            a table
    python benchmarks/overhead.py --json     the same for a program

Starts a private Redis that shares one core with this process. What each figure means, and what was found,
is in README.md. Not a test: a busy machine gives no figures rather than wrong ones.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice
from operator import itemgetter
from typing import Any

import click
import redis
from kept import kept_under_gunicorn
from peers import Peer, flask_host, fresh, peers
from redis.utils import HIREDIS_AVAILABLE
from servers import load_core, stay_on
from stage import Stage, event_of, full, room, shut
from timing import Contender, Loop, Round, Run, TooNoisy, as_json, each, interleave, nothing, pin
from visitors import answered, called, called_with, get, no_op, put_into, request

from admitgate import counter
from admitgate.decision import Place
from admitgate.embedded import EmbeddedRedis
from admitgate.middleware import visit_of
from admitgate.page import Page
from admitgate.tokens import Lease, new_sid


@dataclass(frozen=True)
class Figure:
    """A line of the table: how it is formed within a round, what it has to be, what it shall come to."""

    name: str
    of: Callable[[Round], float]
    target: float | None = None
    later: float | None = None


def per(name: str, unit: str) -> Callable[[Round], float]:
    """How many times as long."""
    return lambda taken: taken[name] / taken[unit]


def per_bare(name: str, bare: str, loop: str) -> Callable[[Round], float]:
    """How many times as long, of what takes so little that the loop around it would count."""
    return lambda taken: (taken[name] - taken[loop]) / (taken[bare] - taken[loop])


def added(name: str, bare: str) -> Callable[[Round], float]:
    """What comes on top of ``bare``, in PINGs."""
    return lambda taken: (taken[name] - taken[bare]) / taken["ping"]


def dearer(*names: str) -> Callable[[Round], float]:
    """The dearest of the ways that something can go, in PINGs."""
    return lambda taken: max(taken[name] for name in names) / taken["ping"]


FIGURES = (
    Figure("pass_through_vs_bare", per_bare("pass", "bare", "loop"), 3, 2.5),
    Figure("pass_through_1000_paths_vs_bare", per_bare("pass 1000", "bare each", "loop each"), 3, 2.5),
    Figure("pass_through_new_path_vs_bare", per_bare("pass new", "bare each", "loop each")),
    Figure("admitted_vs_ping", added("admitted", "bare"), 0.15, 0.10),
    Figure("admitted_1000_visitors_vs_ping", added("admitted 1000", "bare each"), 0.15, 0.10),
    Figure("admitted_new_token_vs_ping", added("admitted new", "bare each")),
    Figure("join_vs_ping", dearer("join with room", "join the line"), 2.5, 2.0),
    Figure("join_with_room_vs_ping", per("join with room", "ping"), 2.5, 2.0),
    Figure("join_the_line_vs_ping", per("join the line", "ping"), 2.5, 2.0),
    Figure("join_a_line_just_seen_vs_ping", per("join briefly", "ping"), 2.0),
    Figure("renew_vs_ping", per("renew", "ping"), 2.0, 1.7),
    Figure("check_in_vs_ping", per("check in", "ping")),
    Figure("release_vs_ping", per("release", "ping")),
    Figure("look_vs_ping", per("look", "ping")),
    Figure("turned_away_vs_flask_hello", per("turned away", "Flask hello"), 1.5),
    Figure("newcomer_turned_away_vs_flask_hello", per("newcomer turned away", "Flask hello")),
    Figure("newcomer_turned_away_vs_ping", per("newcomer turned away", "ping")),
)
UNITS = {"ping_us": "ping", "no_op_us": "bare", "flask_hello_us": "Flask hello", "page_render_us": "page"}


def passing(stage: Stage) -> list[Contender]:
    """Requests that no rule means: the same again, one of a thousand, one nobody asked for yet."""
    one, many, numbers = [request("/events/gala")], request("/"), count()

    def thousand(size: int) -> list[str]:
        return [f"/tickets/{number % 1000}" for number in range(size)]

    def new(size: int) -> list[str]:
        return [f"/found/{number}" for number in islice(numbers, size)]

    return [
        Contender("loop", nothing),
        Contender("bare", called(no_op), again(one)),
        Contender("pass", called(stage.gate), again(one)),
        Contender("loop each", put_into(many, "PATH_INFO"), thousand),
        Contender("bare each", called_with(no_op, many, "PATH_INFO"), thousand),
        Contender("pass 1000", called_with(stage.gate, many, "PATH_INFO"), thousand),
        Contender("pass new", called_with(stage.gate, many, "PATH_INFO"), new),
    ]


def admitted(stage: Stage) -> list[Contender]:
    """Requests with a lease that isn't due: the same again, one of a thousand, one nobody has shown yet."""
    one, many = stage.admitted(), stage.admitted()
    thousand = [stage.admitted()["HTTP_COOKIE"] for _ in range(1000)]

    def new(size: int) -> list[str]:
        return [stage.admitted_elsewhere()["HTTP_COOKIE"] for _ in range(size)]

    return [
        Contender("admitted", called(stage.gate), again([one])),
        Contender("admitted 1000", called_with(stage.gate, many, "HTTP_COOKIE"), again(thousand)),
        Contender("admitted new", called_with(stage.gate, many, "HTTP_COOKIE"), new),
    ]


def verbs(stage: Stage) -> list[Contender]:
    """One round trip each."""
    leases = [lease for lease in stage.inside if isinstance(lease, Lease)]

    def newcomers(rule: Any, **options: bool) -> Callable[[int], Iterable[Any]]:
        return lambda size: [counter.join(rule, event_of(rule), new_sid(), **options) for _ in range(size)]

    def leaving(size: int) -> list[Any]:
        return [counter.release(room, event_of(room), stage.join(room).sid) for _ in range(size)]

    renewals = [counter.renew(full, event_of(full), lease) for lease in leases]
    arrivals = [counter.check_in(shut, event_of(shut), ticket, is_claim=False) for ticket in stage.ready]
    call = each(stage.counter.call)
    return [
        Contender("join with room", call, newcomers(room)),
        Contender("join the line", call, newcomers(full)),
        Contender("join briefly", call, newcomers(full, is_brief=True)),
        Contender("renew", call, again(renewals)),
        Contender("check in", call, again(arrivals)),
        Contender("release", call, leaving),
        Contender("look", call, again([counter.look(full, event_of(full))])),
    ]


def turned_away(stage: Stage) -> list[Contender]:
    """Whole answers, read to their end, beside a Flask view's."""
    waiting, newcomer = stage.waiting(), request(full.path.replace("<event>", "gala"))
    assert [get(stage.gate, environ)[0] for environ in (waiting, newcomer)] == [503, 503]
    page, visit = Page(), visit_of(waiting)
    place = Place("gala", "waiting", number=2_310, position=2_310, wait_seconds=(600, 1_200), poll_seconds=30)
    return [
        Contender("turned away", answered(stage.gate), fresh(waiting), lambda: get(stage.gate, waiting)),
        Contender("newcomer turned away", answered(stage.gate), fresh(newcomer)),
        Contender("page", each(lambda _: page.answer(visit, place))),
    ]


def again(items: list[Any]) -> Callable[[int], Iterable[Any]]:
    """The same things over and over."""
    return lambda size: list(islice(cycle(items), size))


def commands(stage: Stage, loop: Loop, environ: Any, requests: int = 1000) -> int:
    """How many commands Redis runs while somebody who was let in goes on and on."""
    before = stage.commands()
    loop([dict(environ) for _ in range(requests)])
    return stage.commands() - before


def measure(url: str, seconds: float) -> dict[str, Any]:
    """Everything, as one mapping for --json."""
    stage = Stage(url)
    others = list(peers(stage, lambda sentence: click.echo(sentence, err=True)))
    ping = Contender("ping", each(lambda _: stage.redis.ping()))
    hosts = {host.name: host for host in [flask_host(), *(peer.host for peer in others)]}
    ours = [*passing(stage), *admitted(stage), *verbs(stage), *turned_away(stage)]
    theirs = [contender for peer in others for contender in peer.contenders()]
    run = interleave([*ours, *(host.contender() for host in hosts.values()), *theirs], ping, seconds=seconds)
    return {
        **{figure.name: run.median(figure.of) for figure in FIGURES},
        "in_front_of_django_view": in_front_of("admitgate (Django)", run, others),
        "redis_commands_between_renewals": commands(stage, called(stage.gate), stage.admitted()),
        "peers": {peer.name: of_peer(peer, run, stage) for peer in others},
        **{name: run.median(itemgetter(unit)) for name, unit in UNITS.items()},
        "middle_half": {figure.name: run.middle_half(figure.of) for figure in FIGURES},
        "rounds": len(run.rounds),
        "rounds_thrown_away": run.thrown_away,
    }


def of_peer(peer: Peer, run: Run, stage: Stage) -> dict[str, float]:
    """What it adds to its host's view, and what its refusal costs."""
    return {
        "admitted_vs_ping": run.median(added(f"{peer.name} in", f"{peer.name} alone")),
        "redis_commands": commands(stage, answered(peer.application), peer.let_in) / 1000,
        "turned_away_vs_flask_hello": run.median(per(f"{peer.name} away", "Flask hello")),
    }


def in_front_of(name: str, run: Run, measured: list[Peer]) -> float | None:
    """How much longer a view takes with the gate before it; None where its framework is missing."""
    if name not in {peer.name for peer in measured}:
        return None
    return run.median(per(f"{name} in", f"{name} alone"))


def flask_under_gunicorn(url: str, core: int | None) -> dict[str, Any]:
    """Here the two ends have a core each, where there are two."""
    stay_on(load_core)
    kept = kept_under_gunicorn(url, lambda sentence: click.echo(sentence, err=True))
    pin(core)
    return {"gunicorn_flask_kept": min(kept.values()), "gunicorn_flask_kept_by_worker_class": kept}


def machine(url: str, core: int | None) -> dict[str, Any]:
    """What the figures were seen on."""
    return {
        "python": platform.python_version(),
        "redis": redis.Redis.from_url(url).info("server")["redis_version"],
        "redis_py": redis.__version__,
        "hiredis": HIREDIS_AVAILABLE,
        "core": core,
    }


def table(result: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"{'':<38}{'median':>8}  {'middle half':<16}{'target':>8}{'later':>8}"
    for figure in FIGURES:
        value, (low, high) = result[figure.name], result["middle_half"][figure.name]
        targets = "".join(f"{'' if bound is None else bound:>8}" for bound in (figure.target, figure.later))
        missed = "  missed" if figure.target is not None and value > figure.target else ""
        yield f"{figure.name:<38}{value:>8.3f}  {f'{low:.3f} .. {high:.3f}':<16}{targets}{missed}"
    if result["in_front_of_django_view"]:
        yield f"{'in_front_of_django_view':<38}{result['in_front_of_django_view']:>8.3f}{'1.1':>34}"
    kept = ", ".join(
        f"{name} {share:.3f}" for name, share in result["gunicorn_flask_kept_by_worker_class"].items()
    )
    yield f"{'gunicorn_flask_kept':<38}{result['gunicorn_flask_kept']:>8.3f}{'0.9':>34}  ({kept})"
    yield f"{'redis_commands_between_renewals':<38}{result['redis_commands_between_renewals']:>8}{'0':>26}"
    yield ""
    yield f"{'the same request through':<38}{'admitted':>8}{'commands':>12}{'turned away':>14}"
    for name, peer in result["peers"].items():
        admitted, commands, away = peer.values()
        yield f"{name:<38}{admitted:>8.3f}{commands:>12.1f}{away:>14.3f}"
    yield ""
    yield ", ".join(f"{name.removesuffix('_us')} {result[name]:.2f} µs" for name in UNITS)
    yield f"{result['rounds']} rounds, {result['rounds_thrown_away']} thrown away; " + ", ".join(
        f"{name} {value}" for name, value in result["machine"].items()
    )


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--seconds", default=40.0, show_default=True, help="How long to measure.")
@click.option("--core", type=int, help="Which core both ends run on; the first by default.")
def main(is_json: bool, seconds: float, core: int | None) -> None:
    """Measure what the gate adds to a request."""
    core = pin(core)
    with EmbeddedRedis() as server:
        try:
            result = {
                **measure(server.url, seconds),
                **flask_under_gunicorn(server.url, core),
                "machine": machine(server.url, core),
            }
        except TooNoisy as error:
            raise click.ClickException(str(error)) from None
    click.echo(as_json(result) if is_json else "\n".join(table(result)))


if __name__ == "__main__":
    main()
