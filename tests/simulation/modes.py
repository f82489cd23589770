"""What can befall a sale, and beside each what it may cost: the table of losses and promises, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from oracle import Bounds
from virtual import Pauses
from world import Worker, World

LEASE, CLAIM, GRACE = 20.0, 8.0, 6.0

# A slot that comes free is taken by whoever is present at their next poll. Where nobody is, the line moves
# once the last move's grace is over, those it calls see that within a poll, and have a grace of their own.
IDLE = 2 * GRACE + 5
_breaker_most = 6.0  # seconds until a worker tries again, at the longest
_notice = 2.0  # until every worker has noticed an outage
_rest_of_the_clock = 65.0
_calm = 30.0  # between two misfortunes of a run

Misfortune = Callable[[World], Pauses]

_strict = Bounds()


@dataclass(frozen=True)
class Mode:
    """One kind of misfortune, how often a run meets it, and its price."""

    name: str
    happens: Misfortune
    bounds: Bounds = _strict
    times: int = 2
    options: dict[str, Any] = field(default_factory=dict)

    def story(self, world: World) -> Pauses:
        yield world.dice.uniform(3, 25)
        for _ in range(self.times):
            yield from self.happens(world)
            yield world.dice.uniform(_calm, 2 * _calm)


def nothing(_: World) -> Pauses:
    yield from ()


def wipe(world: World) -> Pauses:
    world.oracle.strikes(world.now, "Redis is wiped")
    world.client.flushall()
    world.oracle.capacity = world.terms.capacity
    yield from ()


def loss_of(name: str) -> Misfortune:
    def lose(world: World) -> Pauses:
        key = world.keys().get(name)
        world.oracle.strikes(
            world.now, f"the key {name} is lost" if key else f"there is no key {name} to lose"
        )
        if key:
            world.client.delete(key)
        yield from ()

    return lose


def loss_of_settings(world: World) -> Pauses:
    """An operator changes the capacity, and later what they wrote is lost."""
    world.set_capacity(world.dice.choice([1, world.terms.capacity - 1, world.terms.capacity + 2]))
    yield world.dice.uniform(10, 20)
    world.oracle.strikes(world.now, "the settings are lost")
    world.client.delete(*filter(None, [world.keys().get("settings")]))
    world.oracle.capacity = world.terms.capacity


def raise_of_capacity(world: World) -> Pauses:
    """A sale that opens with one slot, and later has many at once."""
    world.set_capacity(1)
    yield world.dice.uniform(15, 40)
    world.set_capacity(world.dice.randint(8, 20))


def restart(world: World) -> Pauses:
    nth = world.dice.randrange(len(world.fleet))
    world.oracle.strikes(world.now, "a worker is restarted")
    world.fleet[nth].restart()
    yield 3.0  # by then it has asked, and remembers again


def script_flush(world: World) -> Pauses:
    world.oracle.strikes(world.now, "scripts are flushed")
    world.client.script_flush()
    yield from ()


def fail_over(world: World) -> Pauses:
    """The replica that takes over lacks the last moment."""
    copy = _copy(world)
    yield world.dice.uniform(0.5, 2)
    _take_over(world, *copy)


def fail_over_twice(world: World) -> Pauses:
    """And when it has just taken over, another one does, with the same state."""
    copy = _copy(world)
    yield world.dice.uniform(0.5, 1)
    _take_over(world, *copy)
    yield world.dice.uniform(0.5, 1)
    _take_over(world, *copy)


def fail_over_to_another_clock(world: World) -> Pauses:
    """The replica's machine has its own idea of the time."""
    copy = _copy(world)
    yield world.dice.uniform(0.5, 2)
    world.clock.step(world.dice.choice([-3600, -40, -3, 40, 3600]))
    _take_over(world, *copy)
    yield _rest_of_the_clock


def _copy(world: World) -> tuple[float, dict[bytes, bytes]]:
    return world.now, {key: world.client.dump(key) for key in world.keys().values()}


def _take_over(world: World, since: float, copy: dict[bytes, bytes]) -> None:
    world.client.flushall()
    for key, value in copy.items():
        world.client.restore(key, 25 * 3600 * 1000, value)
    world.oracle.loses_moment(since, world.now)


def outage(world: World, *, is_wiped: bool = False, longest: float = 60.0) -> Pauses:
    """Nobody can ask Redis."""
    seconds = min(longest, world.dice.choice([1, 3, 10, 30, 60]) * world.dice.uniform(0.8, 1))
    world.oracle.begins_outage(world.now, f"OUTAGE OF {seconds:.1f} s", is_total=True)
    yield from _cut(world, world.fleet, seconds)
    if is_wiped:
        yield from wipe(world)
    world.oracle.ends_outage(world.now, "the outage is over", stretch=seconds - _notice)
    yield from _recover(world)


def outage_and_wipe(world: World) -> Pauses:
    """Redis dies and comes back with nothing."""
    yield from outage(world, is_wiped=True)


def wipe_after_an_outage(world: World) -> Pauses:
    """What is lost with the line is also by how much its clock was behind that of Redis."""
    yield from outage(world, longest=4.8)  # less than what is taken for a step of the clock
    yield world.dice.uniform(3, 12)
    yield from wipe(world)


def outage_of_one(world: World) -> Pauses:
    """One worker can't ask Redis, the others can."""
    seconds = world.dice.choice([1, 3, 10, 30, 60]) * world.dice.uniform(0.8, 1)
    worker = world.dice.choice(world.fleet)
    world.oracle.begins_outage(world.now, f"A WORKER IS CUT OFF FOR {seconds:.1f} s")
    yield from _cut(world, [worker], seconds)
    world.oracle.ends_outage(world.now, "the worker can ask again")
    yield from _recover(world)


def _cut(world: World, workers: Sequence[Worker], seconds: float) -> Pauses:
    """The balancer asks each worker how it is once a second: so each knows of the outage."""
    for worker in workers:
        worker.wire.is_cut = True
    end = world.now + seconds
    while (left := end - world.now) > 0.001:
        for worker in workers:
            worker.is_well()
        yield min(1.0, left)
    for worker in workers:
        worker.wire.is_cut = False


def _recover(world: World) -> Pauses:
    yield _breaker_most
    world.oracle.is_well_again(world.now)


def clock_steps(seconds: float) -> Misfortune:
    """Not forward twice within a minute: the second step is believed, lest a wrong hint freezes time."""

    def step(world: World) -> Pauses:
        world.oracle.strikes(world.now, f"Redis' clock steps by {seconds:g} s")
        world.clock.step(seconds)
        yield _rest_of_the_clock

    return step


def standstill(world: World) -> Pauses:
    """Redis is frozen with a call in its hands, and carries it out when nobody waits for it any more."""
    wire = world.dice.choice(world.fleet).wire
    world.oracle.begins_outage(world.now, "Redis stands still")
    wire.fates, wire.risk, before = ("frozen",), 1.0, wire.struck
    for _ in range(100):
        yield 0.01  # one call, and not the next
        if wire.struck > before:
            break
    wire.risk = 0.0
    world.oracle.ends_outage(world.now, "Redis goes on")
    yield from _recover(world)
    yield _rest_of_the_clock


def risk_of(fates: Sequence[str], risk: float) -> Misfortune:
    """For half a minute calls may come to nothing."""

    def be_at_risk(world: World) -> Pauses:
        world.oracle.begins_outage(world.now, f"CALLS MAY BE {' OR '.join(fates)}")
        for worker in world.fleet:
            worker.wire.fates, worker.wire.risk = tuple(fates), risk
        yield 30.0
        world.oracle.ends_outage(world.now, "calls are safe again")
        for worker in world.fleet:
            worker.wire.risk = 0.0
        yield from _recover(world)

    return be_at_risk


def everybody_restarts(world: World) -> Pauses:
    world.oracle.strikes(world.now, "Redis is wiped, every worker restarted")
    world.client.flushall()
    for worker in world.fleet:
        worker.restart()
    world.oracle.capacity = world.terms.capacity
    yield from ()


def pause(world: World) -> Pauses:
    """Nobody goes in for a while, but some by hand."""
    world.pulls("pause")
    world.oracle.door.state = "paused"
    yield world.dice.uniform(3, 12)
    if world.dice.random() < 0.5:
        count = world.dice.randint(1, 4)
        world.pulls("admit", count)
        world.oracle.door.extra = count
        yield world.dice.uniform(3, 20)
    world.pulls("resume")
    world.oracle.door.state = ""


def close(world: World) -> Pauses:
    """And opens again, to those who are still there."""
    world.pulls("close")
    world.oracle.door.state = "closed"
    yield world.dice.uniform(3, 40)
    world.pulls("open")
    world.oracle.door.state = ""


def state_of(name: str) -> Misfortune:
    """No newcomer gets a number, or everybody gets one first: the line is served as ever."""

    def set_state(world: World) -> Pauses:
        world.pulls(name)
        yield world.dice.uniform(5, 40)
        world.pulls("resume")

    return set_state


def fall_of_capacity(world: World) -> Pauses:
    """While it is full: nobody is thrown out, and nobody else goes in before it fits."""
    world.set_capacity(1)
    yield world.dice.uniform(10, 40)
    world.set_capacity(world.terms.capacity)


def operator(world: World) -> Pauses:
    """Turns this dial and that, while workers come and go."""
    yield from world.dice.choice(_levers)(world)


_levers = (pause, close, state_of("drain"), state_of("queue_all"), fall_of_capacity, restart, script_flush)


def anything(world: World) -> Pauses:
    """One after the other, while the last one's hold may not be over."""
    yield from world.dice.choice(_misfortunes)(world)


_misfortunes = (
    wipe,
    *map(loss_of, ("line", "leases", "ready", "ready:seen", "released")),
    loss_of_settings,
    restart,
    script_flush,
    fail_over,
    outage,
    outage_of_one,
    clock_steps(-3600),
    risk_of(["lost", "repeated"], 0.05),
)

# Until every old lease is either shown again or over, nobody new goes in; then the present have a grace. The
# first call notices a loss, and a second goes by until the last worker knows that a hold is over.
_noticed = 2.0
_lease_hold = LEASE + _noticed
_hold = LEASE + GRACE

# Leases come back by their tokens, the line by the workers' marks. What was given back only Redis remembers:
# a token that is shown after all is adopted, which starts a hold if none has been since the loss.
_total_loss = Bounds(idle_seconds=_hold, hold=_lease_hold, forgets_releases=True)

# It is noticed by the first worker whose breaker has had its pause.
_loss_in_an_outage = replace(
    _total_loss, idle_seconds=_hold + _breaker_most, hold=_lease_hold + _breaker_most
)

# Leases given in the lost moment are unknown to Redis until they are shown again; slots that came free in it
# are taken until the old deadline. A worker that has heard nothing since the copy was made may ask first;
# then the loss isn't noticed by the marks, numbers of the lost moment are given again, and a lease that is
# shown starts the hold.
_lost_moment = Bounds(
    idle_seconds=LEASE + GRACE,
    hold=LEASE + _lease_hold,
    forgets_admissions=True,
    forgets_releases=True,
    renumbers=True,
)

_modes = (
    Mode("none", nothing, times=0),
    Mode("wipe", wipe, _total_loss),
    Mode("line lost", loss_of("line"), Bounds(idle_seconds=_hold, hold=_lease_hold)),
    Mode("leases lost", loss_of("leases"), Bounds(idle_seconds=_hold, hold=_lease_hold)),
    # Everybody checks in again, and has a grace to do so.
    Mode("ready lost", loss_of("ready"), Bounds(idle_seconds=GRACE)),
    Mode("ready:seen lost", loss_of("ready:seen"), Bounds(idle_seconds=GRACE)),
    Mode(
        "released lost",
        loss_of("released"),
        # A token may be shown for a lease, and starts a hold as long.
        Bounds(idle_seconds=_hold, hold=LEASE + _lease_hold, forgets_releases=True),
    ),
    Mode("settings lost", loss_of_settings),
    Mode("capacity raised", raise_of_capacity, times=1),
    Mode("restart", restart, times=4),
    Mode("script flush", script_flush, times=4),
    Mode("fail-over", fail_over, _lost_moment),
    Mode("fail-over, and once more", fail_over_twice, _lost_moment),
    Mode("fail-over to another clock", fail_over_to_another_clock, _lost_moment, times=1),
    # Who couldn't show presence has a grace to do so, after a worker's breaker has had its pause.
    Mode("outage", outage, Bounds(idle_seconds=_breaker_most + GRACE)),
    Mode("outage and wipe", outage_and_wipe, _loss_in_an_outage),
    # Each worker that comes back from the outage later, when there is little to do, stretches the hold a
    # little.
    Mode("wipe after an outage", wipe_after_an_outage, replace(_total_loss, hold=_lease_hold + GRACE)),
    Mode("outage of one", outage_of_one, Bounds(idle_seconds=GRACE)),
    Mode("clock back", clock_steps(-3600), times=1),
    Mode("clock forward", clock_steps(3600), times=1),
    Mode("standstill", standstill, Bounds(idle_seconds=GRACE), times=1),
    Mode("crash", risk_of(["killed before", "killed after"], 0.05)),
    Mode("lost replies", risk_of(["lost", "repeated"], 0.05), Bounds(idle_seconds=GRACE)),
    Mode(
        "fleet and wipe",
        everybody_restarts,
        # Nobody is left who remembers: as many again as there are slots may go in, whoever asks first. The
        # first old token or ticket that is shown tells of the loss.
        Bounds(
            overshoot=1,
            is_ordered=False,
            idle_seconds=_hold,
            hold=2 * LEASE + _noticed,
            forgets_releases=True,
        ),
        times=1,
    ),
    Mode(
        "fleet and wipe, with a cold hold",
        everybody_restarts,
        # The hold at each birth covers the old leases, and the old numbers are the lower ones.
        Bounds(idle_seconds=2 * LEASE + GRACE, hold=2 * LEASE + _noticed, forgets_releases=True),
        times=1,
        options={"cold_hold": LEASE},
    ),
    Mode(
        "mix",
        anything,
        Bounds(
            idle_seconds=2 * LEASE + 2 * GRACE,
            hold=2 * LEASE,
            forgets_admissions=True,
            forgets_releases=True,
            renumbers=True,
        ),
        times=4,
    ),
)

# An opening, with a draw, that most of the crowd is too early for. What may befall it costs as much as ever,
# and never anybody's place in the draw.
_opening = {"opens_in": 28.0}
_befalls_an_opening = (
    "none",
    "wipe",
    "line lost",
    "ready lost",
    "restart",
    "script flush",
    "outage",
    "outage of one",
    "clock back",
    "clock forward",
    "standstill",
    "crash",
    "lost replies",
    "fail-over",
)
_modes += (
    Mode("operator", operator, times=5),
    *(
        replace(mode, name=f"opening: {mode.name}", options=_opening)
        for mode in _modes
        if mode.name in _befalls_an_opening
    ),
)

MODES = {mode.name: mode for mode in _modes}
