"""A sale under virtual time: invented visitors, the real scripts, a private Redis.

Visitors do what the waiting page and the shop's own pages do. What they ask of Redis goes through the
scripts, call by call; what they are told is kept in accounts of our own, so that scripts can be found wrong.
"""

from __future__ import annotations

import heapq
import random
from array import array
from collections.abc import Callable
from contextlib import closing

from . import counter
from .accounts import Leases, Order, Series, Tally
from .asking import MOMENT, MOMENTS_PER_SECOND, Asking
from .counter import Reply
from .embedded import EmbeddedRedis
from .memory import Snapshot
from .places import place_in_line
from .scenario import Scenario
from .tokens import Lease, Ticket
from .virtual import Clock, Fleet, Wire

EVENT = "gala"
LATE_SHARE = 0.05  # so many may wait longer than the target where the 95th percentile keeps it

_hardly_idle_seconds = 600.0
_stays, _leaves_when_called = 2.0, 1.0
_called_share = 0.1
_arrival_scale = 0.25
_session_sigma = 0.5
_newcomer_number = 2**62

_OUTSIDE, _IN_LINE, _CALLED, _INSIDE, _GONE = range(5)

Act = Callable[[int], None]
Progress = Callable[["Simulation"], None]


class Crowd:
    """Who comes, when, and what for. The same for every capacity: so runs can be compared."""

    def __init__(self, scenario: Scenario) -> None:
        dice = random.Random(scenario.seed)
        count = scenario.visitors
        self.arrives = array("d", sorted(_arrival(dice) * scenario.arrive_over for _ in range(count)))
        mu = -(_session_sigma**2) / 2  # so that the mean is 1
        self.session = array(
            "d", (scenario.session_seconds * dice.lognormvariate(mu, _session_sigma) for _ in range(count))
        )
        self.leaves = array("d", (_leaving(dice, scenario.no_show) for _ in range(count)))
        self.pays = bytearray(dice.random() < scenario.pay for _ in range(count))


def _arrival(dice: random.Random) -> float:
    """From 0 to 1, most of them early: exponential, cut off at 1."""
    while (at := dice.expovariate(1 / _arrival_scale)) > 1:
        pass
    return at


def _leaving(dice: random.Random, no_show: float) -> float:
    """After which share of those ahead was called somebody leaves; a tenth of them when called themselves."""
    is_no_show, is_late, share = dice.random() < no_show, dice.random() < _called_share, dice.random()
    if not is_no_show:
        return _stays
    return _leaves_when_called if is_late else share


class Simulation:
    """One run. ``late_seconds``: end it as soon as too many have waited longer than that."""

    def __init__(
        self, scenario: Scenario, redis: EmbeddedRedis, *, late_seconds: float | None = None
    ) -> None:
        self.scenario, self.rule = scenario, scenario.rule()
        self.clock, self.crowd = Clock(), Crowd(scenario)
        self.tally, self.series = Tally(), Series()
        self.leases = Leases(scenario.visitors)
        self.order = Order(scenario.visitors, scenario.grace_seconds)
        self._redis = redis
        self._fleet: Fleet
        self._dice = random.Random(scenario.seed + 1)
        self.asking = Asking(
            scenario.poll(),
            budget=scenario.poll_budget,
            grace=scenario.grace_seconds,
            visitors=scenario.visitors,
            dice=self._dice,
            call=self._call,
        )
        count = scenario.visitors
        self.state = bytearray(count)
        self.waits, self._ends = array("d", [-1.0]) * count, array("d", [0.0]) * count
        self._number, self._joined_ms = array("q", [0]) * count, array("q", [0]) * count
        self._events: list[tuple[float, int, Act, int]] = []
        self._turn = 0
        self.arrived = 0
        self.in_line = self.inside = 0
        self._quitters: list[tuple[float, int]] = []
        self._last_number = 0
        self._moved_at = 0.0
        self.calls: dict[str, int] = {}
        self._calls_before: dict[str, int] = {}
        self.late_seconds, self.late, self._late_next = late_seconds, 0, 0
        self.stayers = sum(share == _stays for share in self.crowd.leaves)
        self.is_stuck = self.is_cut = self.is_too_late = False

    # -- time -------------------------------------------------------------------------------------------

    def run(self, progress: Progress = lambda _: None) -> None:
        """Until everybody has been, or nothing can change any more."""
        with closing(Wire(self._redis.socket_path)) as wire, self.clock.drives_the_workers():
            wire.ask("FLUSHALL")
            self._fleet = Fleet(wire, self.clock, self.rule, EVENT, self.scenario.workers)
            self.calls = self._fleet.calls
            self._calls_before = dict(self.calls)
            self.series.calls = {verb: array("d") for verb in self.calls}
            self._run(progress)

    def _run(self, progress: Progress) -> None:
        tick = 0
        while not self._is_over():
            self._live_through(tick)
            tick += 1
            if tick % MOMENTS_PER_SECOND == 0:
                self.clock.seconds = tick / MOMENTS_PER_SECOND
                self._sample()
                progress(self)

    def _is_over(self) -> bool:
        if self.is_stuck or self.is_cut or self.is_too_late:
            return True
        is_inside_of_interest = self.late_seconds is None
        return not (
            self.arrived < self.scenario.visitors or self.in_line or (self.inside and is_inside_of_interest)
        )

    def _live_through(self, tick: int) -> None:
        end = (tick + 1) / MOMENTS_PER_SECOND
        arrives, events = self.crowd.arrives, self._events
        while True:
            arrival = arrives[self.arrived] if self.arrived < len(arrives) else end
            if events and events[0][0] < min(end, arrival):
                at, _, act, who = heapq.heappop(events)
                self.clock.seconds = at
                act(who)
            elif arrival < end:
                self.clock.seconds = arrival
                self.arrived += 1
                self._join(self.arrived - 1)
            else:
                break
        self._fleet.send()
        self.clock.seconds = end
        if self.in_line:
            self._poll_status(tick + 1)
        self._fleet.hear()

    def _at(self, seconds: float, act: Act, who: int) -> None:
        self._turn += 1
        heapq.heappush(self._events, (seconds, self._turn, act, who))

    # -- coming, waiting, leaving -----------------------------------------------------------------------

    def _join(self, who: int) -> None:
        call = counter.join(self.rule, EVENT, f"{who:016x}")
        self._fleet.put(call, lambda reply: self._joined(who, reply))

    def _joined(self, who: int, reply: Reply) -> None:
        if reply.verdict == "ADMIT":
            self.tally.admitted_at_once += 1
            self._admit(who, _newcomer_number, reply)
            self._enter(who, is_claim=False)
        elif reply.verdict == "TICKET" and reply.snapshot:
            self._stand_in_line(who, reply.value, reply.now_ms, reply.snapshot)
        else:
            self.tally.refused += 1
            self.state[who] = _GONE

    def _stand_in_line(self, who: int, number: int, now_ms: int, line: Snapshot) -> None:
        now = self.clock.seconds
        if self._last_number and number != self._last_number + 1:
            self.tally.numbers_wrong += 1
        self._last_number, self._number[who], self._joined_ms[who] = number, number, now_ms
        self.in_line += 1
        self.tally.line_most = max(self.tally.line_most, self.in_line)
        leaves = self.crowd.leaves[who]
        if leaves < _leaves_when_called:
            heapq.heappush(self._quitters, (line.serving + leaves * (number - line.serving), who))
        elif leaves == _stays and self.scenario.patience_seconds:
            self._at(now + self._patience(), self._give_up, who)
        self.state[who] = _IN_LINE
        place = place_in_line(self.rule, EVENT, line, number, None, self.asking.policy(line))
        self.asking.begin(who, number, place.poll_seconds, now)

    def _patience(self) -> float:
        return max(MOMENT, self._dice.expovariate(1 / (self.scenario.patience_seconds or 1)))

    def _give_up(self, who: int) -> None:
        if self.state[who] in (_IN_LINE, _CALLED):
            self.tally.gave_up += 1
            self._leave(who)

    def _leave(self, who: int) -> None:
        """Without a word: nobody but the visitor knows."""
        self.asking.stop(who)
        self.state[who] = _GONE
        self.in_line -= 1

    def _poll_status(self, moment: int) -> None:
        """Everybody's look at the shared status in this moment, each by another worker in turn."""
        askers = self.asking.count(moment)
        if not askers:
            return
        looks = [self._fleet.status() for _ in range(min(askers, self.scenario.workers))]
        lines = [line for line in looks if line]
        if lines:
            newest = max(lines, key=_told_at)
            self._let_quitters_go(newest.serving)
            self.asking.see(newest, self.clock.seconds)
        self.asking.ask(moment, lines)

    def _let_quitters_go(self, serving: int) -> None:
        while self._quitters and self._quitters[0][0] <= serving:
            _, who = heapq.heappop(self._quitters)
            if self.state[who] == _IN_LINE:
                self.tally.no_shows += 1
                self._leave(who)

    def _call(self, who: int, at: float) -> None:
        self.state[who] = _CALLED
        self._at(at, self._check_in, who)

    # -- "I am here" ------------------------------------------------------------------------------------

    def _check_in(self, who: int) -> None:
        if self.state[who] != _CALLED:
            return
        ticket = Ticket(f"{who:016x}", self._number[who], self._joined_ms[who])
        call = counter.check_in(self.rule, EVENT, ticket, is_claim=True)
        self._fleet.put(call, lambda reply: self._checked_in(who, reply))

    def _checked_in(self, who: int, reply: Reply) -> None:
        is_here = self.state[who] == _CALLED
        if reply.verdict == "ADMIT":
            self._admit(who, self._number[who], reply)
        elif reply.verdict == "READY":
            self.order.waits_on(who, self._number[who], self.clock.seconds)
        if not is_here:
            return
        if self.crowd.leaves[who] == _leaves_when_called:
            self.tally.no_shows += 1
            self._leave(who)
        elif reply.verdict == "ADMIT":
            self.in_line -= 1
            self._enter(who, is_claim=True)
        elif reply.verdict in ("READY", "WAIT") and reply.snapshot:
            self._wait_on(who, reply, reply.snapshot)
        else:
            self.tally.refused += 1
            self._leave(who)

    def _wait_on(self, who: int, reply: Reply, line: Snapshot) -> None:
        rank = reply.value if reply.verdict == "READY" else None
        place = place_in_line(self.rule, EVENT, line, self._number[who], rank, self.asking.policy(line))
        due = self.clock.seconds + self.asking.jittered(place.poll_seconds)
        if rank is None:
            self.state[who] = _IN_LINE
            self.asking.again(who, due)
        else:
            self._at(due, self._check_in, who)

    def _admit(self, who: int, number: int, reply: Reply) -> None:
        self._moved_at = self.clock.seconds
        self.order.enters(number, self._moved_at)
        self.leases.hold(who, reply.value, reply.now_ms)

    # -- inside -----------------------------------------------------------------------------------------

    def _enter(self, who: int, *, is_claim: bool) -> None:
        now = self.clock.seconds
        self.tally.admitted += 1
        self.waits[who] = now - self.crowd.arrives[who]
        self.state[who] = _INSIDE
        self.inside += 1
        if is_claim:
            self._at(now + self._dice.uniform(0.2, 0.6), self._request, who)
        else:
            self._begin(who)

    def _begin(self, who: int) -> None:
        self._ends[who] = self.clock.seconds + max(MOMENT, self.crowd.session[who])
        self._go_on(who)

    def _go_on(self, who: int) -> None:
        """To the first request that finds a third of the lease used up, or to the end."""
        now = self.clock.seconds
        third = (self.leases.deadline_ms[who] - self._now_ms()) / 3000
        request = now + third + self.scenario.request_seconds * self._dice.random()
        if request < self._ends[who]:
            self._at(request, self._request, who)
        else:
            self._at(self._ends[who], self._end, who)

    def _request(self, who: int) -> None:
        call = counter.renew(self.rule, EVENT, Lease(f"{who:016x}", self.leases.deadline_ms[who], 0))
        self._fleet.put(call, lambda reply: self._renewed(who, reply))

    def _renewed(self, who: int, reply: Reply) -> None:
        if reply.verdict != "ADMIT":
            self._lose(who)
            return
        self.leases.hold(who, reply.value, reply.now_ms)
        if self._ends[who]:
            self._go_on(who)
        else:
            self._begin(who)

    def _end(self, who: int) -> None:
        if self.leases.deadline_ms[who] <= self._now_ms():
            self._lose(who)
            return
        self.inside -= 1
        self.state[who] = _GONE
        if self.crowd.pays[who]:
            self.tally.paid += 1
            call = counter.release(self.rule, EVENT, f"{who:016x}", self.leases.deadline_ms[who])
            self._fleet.put(call, lambda _: self.leases.drop(who))
        else:
            self.tally.walked_away += 1
            self.leases.abandon(who)

    def _lose(self, who: int) -> None:
        """A session that went on without a request for longer than its lease."""
        self.tally.outlived += 1
        self.inside -= 1
        self.state[who] = _GONE

    def _now_ms(self) -> int:
        return self.clock.redis_us() // 1000

    # -- figures ----------------------------------------------------------------------------------------

    def _sample(self) -> None:
        """Once a second: what is, and what was asked since."""
        self.leases.expire(self._now_ms())
        series, tally, leases = self.series, self.tally, self.leases
        series.in_line.append(self.in_line)
        series.leases.append(leases.count)
        series.abandoned.append(leases.abandoned)
        series.status_polls.append(self.asking.polls - tally.status_polls)
        tally.status_polls = self.asking.polls
        for verb, count in self.calls.items():
            series.calls[verb].append(count - self._calls_before[verb])
            self._calls_before[verb] = count
        if self.in_line:
            tally.seconds_waited_for += 1
            tally.use += leases.count / self.scenario.capacity
            tally.use_by_the_gone += leases.abandoned / self.scenario.capacity
        self._judge()

    def _judge(self) -> None:
        """Is there a reason to end early?"""
        now = self.clock.seconds
        self.is_cut = self.scenario.stop_after is not None and now >= self.scenario.stop_after
        if self.leases.count >= self.scenario.capacity or not self.in_line:
            self._moved_at = now
        pace = self.scenario.admit_per_minute
        self.is_stuck = now - self._moved_at > max(_hardly_idle_seconds, 180 / pace if pace else 0)
        if self.late_seconds is not None:
            self._count_late(now - self.late_seconds)

    def _count_late(self, before: float) -> None:
        arrives = self.crowd.arrives
        while self._late_next < self.arrived and arrives[self._late_next] < before:
            self.late += self.waits[self._late_next] < 0 and self.crowd.leaves[self._late_next] == _stays
            self._late_next += 1
        self.is_too_late = self.late > LATE_SHARE * self.stayers

    def late_share(self) -> float:
        """Of those who stay for as long as it takes: the share that waited too long, or gave up."""
        most = self.late_seconds or 0.0
        waits = zip(self.waits, self.crowd.leaves, strict=True)
        on_time = sum(leaves == _stays and 0 <= wait <= most for wait, leaves in waits)
        is_known = self.arrived == self.scenario.visitors and not self.in_line
        late = self.stayers - on_time if is_known else self.late
        return late / max(1, self.stayers)


def _told_at(line: Snapshot) -> int:
    return line.at_ms
