"""What an operator or a schedule makes of a line: the scripts that obey the settings, at the next call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
import virtual
from virtual import Clock, Hire, Worker, at, grace

from admitgate import counter
from admitgate.draw import drawn_number
from admitgate.tokens import new_sid, seeds_of

Settle = Callable[..., None]

clock, hire = virtual.clock, virtual.hire


def operator(hire: Hire, client: redis.Redis) -> Settle:
    """Somebody who changes settings of the event; None takes a change back."""
    key = hire().keys["settings"]

    def settle(**settings: Any) -> None:
        for name, value in settings.items():
            if value is None:
                client.hdel(key, name)
            else:
                client.hset(key, name, value)

    return settle


def a_line(worker: Worker, people: int) -> list[tuple[str, int]]:
    """So many newcomers who have to wait: their sids and numbers."""
    visitors = []
    for _ in range(people):
        sid = new_sid()
        reply = worker.join(sid)
        assert reply.verdict == "TICKET"
        visitors.append((sid, reply.value))
    return visitors


def present(worker: Worker, clock: Clock, visitors: list[tuple[str, int]]) -> dict[str, str]:
    """Everybody checks in, has their grace, and keeps asking: what each hears in the end."""
    for turn in range(6):
        heard = {}
        for sid, number in visitors:
            reply = worker.call(_check_in(worker, sid, number))
            heard[sid] = reply.verdict
        if turn < 5:
            clock.advance(grace * 0.6)
    return heard


def _check_in(worker: Worker, sid: str, number: int) -> counter.Call:
    snapshot = worker.memory.snapshot
    ticket = counter.Ticket(sid, number, worker.clock.redis_ms)
    drawn = snapshot.drawn(number) if snapshot else 0
    return counter.check_in(worker.rule, worker.event, ticket, is_claim=True, drawn=drawn)


def test_a_draining_line_takes_no_newcomers_and_is_served(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """They hear that it is full, also while there are slots; who has a number goes in."""
    settle = operator(hire, redis_client)
    worker = hire(capacity=1)
    worker.join("inside")
    line = a_line(worker, 1)
    settle(state="draining")
    assert worker.join().verdict == "FULL"
    worker.release("inside")
    assert set(present(worker, clock, line).values()) == {"ADMIT"}
    worker.release(line[0][0])
    clock.advance(2 * grace)
    assert worker.join().verdict == "FULL"


def test_where_all_queue_a_newcomer_gets_a_number_although_slots_are_free(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """And goes in by checking in, like everybody."""
    settle = operator(hire, redis_client)
    worker = hire(capacity=5)
    settle(state="queueing")
    line = a_line(worker, 2)
    assert set(present(worker, clock, line).values()) == {"ADMIT"}
    settle(state=None)
    clock.advance(2 * grace)
    assert worker.join().verdict == "ADMIT"


def test_an_operator_lets_some_in_above_the_rate_and_never_above_the_capacity(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """What was said is used up, one by one."""
    settle = operator(hire, redis_client)
    worker = hire(capacity=3, admit_per_minute=0.001)
    assert worker.join().verdict == "ADMIT"
    line = a_line(worker, 4)
    assert "ADMIT" not in present(worker, clock, line).values()
    settle(extra=1)
    assert list(present(worker, clock, line).values()).count("ADMIT") == 1
    settle(extra=100)
    assert list(present(worker, clock, line).values()).count("ADMIT") == 2
    assert worker.look().snapshot.in_use == 3  # type: ignore[union-attr]
    assert redis_client.hget(worker.keys["settings"], "extra") == b"99"


def test_somebody_can_be_let_in_by_hand_while_the_line_is_paused(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """Nobody but them: whoever asks first, it is the first in line who go in."""
    settle = operator(hire, redis_client)
    worker = hire(capacity=10)
    settle(state="paused")
    line = a_line(worker, 5)
    assert "ADMIT" not in present(worker, clock, line).values()
    settle(extra=2)
    heard = present(worker, clock, line[::-1])
    assert [heard[sid] for sid, _ in line] == ["ADMIT", "ADMIT", "READY", "READY", "READY"]


def test_a_closed_event_has_nobody_let_in_by_hand(hire: Hire, redis_client: redis.Redis) -> None:
    """Closed is closed, by an operator and by the clock."""
    settle = operator(hire, redis_client)
    worker = hire(capacity=10)
    settle(state="closed", extra=5)
    assert worker.join().verdict == "CLOSED"


def test_who_stays_while_it_is_closed_goes_in_by_their_number_when_it_opens_again(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """Whoever happens to ask first then isn't the only one who was there."""
    settle = operator(hire, redis_client)
    worker = hire(capacity=1)
    deadline = worker.join("inside").value
    line = a_line(worker, 3)
    assert set(present(worker, clock, line).values()) == {"READY"}
    settle(state="closed")
    worker.release("inside", deadline)
    for _ in range(3):
        heard = present(worker, clock, line)
        assert set(heard.values()) == {"READY"}
    settle(state=None)
    assert worker.check_in(*line[2]).verdict == "READY"
    assert worker.check_in(*line[0]).verdict == "ADMIT"


def test_before_the_line_opens_nobody_gets_a_number(hire: Hire, clock: Clock) -> None:
    """They are told when it does; then they wait for the opening, and then they go in."""
    worker = hire(capacity=5, waiting_from=at(clock, 60), opens_at=at(clock, 120))
    early = worker.join()
    assert early.verdict == "EARLY"
    assert early.snapshot
    assert early.snapshot.shut == "early"
    assert early.snapshot.opens_at == clock.redis_ms + 60_000
    clock.advance(60)
    line = a_line(worker, 2)
    snapshot = worker.look().snapshot
    assert snapshot
    assert snapshot.shut == "opens"
    assert snapshot.opens_at == clock.redis_ms + 60_000
    assert "ADMIT" not in present(worker, clock, line).values()
    clock.advance(60)
    assert set(present(worker, clock, line).values()) == {"ADMIT"}


def test_nobody_goes_in_after_the_end(hire: Hire, clock: Clock) -> None:
    """An operator can put it off, and 0 means never."""
    worker = hire(capacity=5, closes_at=at(clock, 60))
    assert worker.join().verdict == "ADMIT"
    clock.advance(60)
    assert worker.join().verdict == "CLOSED"


@pytest.mark.parametrize("away_seconds", [4, 3600])
def test_an_outage_before_the_opening_does_not_put_it_off(
    away_seconds: float, hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """Leases last longer by what it took; a date that was announced can't move, nor be lost with the line."""
    opens_at, closes_at = (at(clock, away_seconds + seconds) for seconds in (60, 120))
    worker = hire(opens_at=opens_at, closes_at=closes_at, shuffle=True)
    worker.counter._seed = seeds_of(["a key"])
    worker.join()
    operator(hire, redis_client)(waiting_from=clock.redis_ms + (away_seconds + 30) * 1000)
    worker.look()
    worker.memories.doubt()
    clock.advance(away_seconds)
    worker.memories.doubt()
    before = worker.look().snapshot
    redis_client.delete(worker.keys["line"])
    lost = worker.look().snapshot
    assert before.clock_ms == lost.clock_ms == clock.redis_ms > before.at_ms  # type: ignore[union-attr]
    heard = []
    for seconds in (29.9, 0.2, 29.8, 0.2, 59.8, 0.2):
        clock.advance(seconds)
        snapshot = worker.look().snapshot
        assert snapshot
        heard.append((snapshot.shut, snapshot.draw is not None))
    assert heard == [
        ("early", False), ("opens", False), ("opens", False), ("", True), ("", True), ("closed", True),
    ]  # fmt: skip


def test_a_reset_does_not_put_an_opening_off_either(hire: Hire, clock: Clock) -> None:
    """What an outage took is known of the line that begins anew."""
    worker = hire(opens_at=at(clock, 100))
    worker.join()
    worker.memories.doubt()
    clock.advance(40)
    worker.memories.doubt()
    worker.look()
    worker.call(counter.reset(worker.rule, worker.event))
    assert worker.look().snapshot.clock_ms == clock.redis_ms  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["waiting_from", "opens_at", "closes_at"])
def test_an_operator_can_take_a_time_of_the_rules_away(
    name: str, hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """0 says never, whatever the rule has."""
    settle = operator(hire, redis_client)
    worker = hire(capacity=5, **{name: at(clock, -60 if name == "closes_at" else 60)})
    settle(**{name: 0})
    assert worker.join().verdict == "ADMIT"


def shuffled(hire: Hire, clock: Clock, **options: Any) -> tuple[Worker, Worker]:
    """Two workers of an event that opens in a minute, with a draw."""
    opens_at = at(clock, 60)
    workers = [hire(opens_at=opens_at, shuffle=True, **options) for _ in range(2)]
    for worker in workers:
        worker.counter._seed = seeds_of(["a key"])
    return workers[0], workers[1]


def test_who_came_before_the_opening_goes_in_by_the_order_of_the_draw(hire: Hire, clock: Clock) -> None:
    """And late-comers behind them, by the order they came in."""
    worker, other = shuffled(hire, clock, capacity=50)
    early = a_line(worker, 40)
    clock.advance(60)
    other.look()
    late = a_line(other, 2)
    clock.advance(30)
    snapshot = worker.look().snapshot
    assert snapshot
    assert snapshot.draw
    assert snapshot.draw.people == 40
    drawn = {sid: drawn_number(snapshot.draw, snapshot.seed, number) for sid, number in early}
    assert sorted(drawn.values()) == [number for _, number in early]
    assert list(drawn.values()) != [number for _, number in early]
    assert all(snapshot.drawn(number) == number for _, number in late)
    assert set(present(worker, clock, [*early, *late]).values()) == {"ADMIT"}


def test_ready_is_in_the_order_of_the_draw(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """What counts is what the draw made of a number, for every worker."""
    worker, other = shuffled(hire, clock, capacity=0)
    early = a_line(worker, 8)
    clock.advance(60)
    worker.look()
    clock.advance(30)
    worker.look()
    other.look()
    clock.advance(grace)
    for nth, (sid, number) in enumerate(early):
        by = (worker, other)[nth % 2]
        assert by.call(_check_in(by, sid, number)).verdict == "READY"
    snapshot = worker.look().snapshot
    assert snapshot
    wanted = sorted(early, key=lambda visitor: snapshot.drawn(visitor[1]))
    assert redis_client.zrange(worker.keys["ready"], 0, -1) == [sid.encode() for sid, _ in wanted]


def test_after_a_draw_everybody_hears_their_place_before_the_first_are_called(
    hire: Hire, clock: Clock
) -> None:
    """Else whoever happens to ask first would go in first: pages ask every half a minute, in a crowd less."""
    worker, _ = shuffled(hire, clock, capacity=50)
    early = a_line(worker, 40)
    clock.advance(60)
    opened = worker.look().snapshot
    assert opened
    clock.advance(29.9)
    assert worker.look().snapshot.serving == opened.serving  # type: ignore[union-attr]
    assert {worker.call(_check_in(worker, *visitor)).verdict for visitor in early} == {"WAIT"}
    clock.advance(0.1)
    assert worker.look().snapshot.serving > opened.serving  # type: ignore[union-attr]


def test_a_worker_that_has_not_heard_of_the_draw_is_told(hire: Hire, clock: Clock) -> None:
    """It asks once more, with the number that counts."""
    worker, other = shuffled(hire, clock, capacity=5)
    (sid, number), *_ = a_line(worker, 3)
    clock.advance(60)
    other.look()
    reply = worker.check_in(sid, number)
    assert reply.verdict == "DRAWN"
    assert reply.snapshot
    assert reply.snapshot.draw
    assert worker.call(_check_in(worker, sid, number)).verdict in ("READY", "WAIT")


def test_the_seed_stays_what_it_was_when_keys_change(hire: Hire, clock: Clock) -> None:
    """Its hash has been shown."""
    worker, other = shuffled(hire, clock)
    seed = worker.join().snapshot.seed  # type: ignore[union-attr]
    assert len(seed) == 32
    other.counter._seed = seeds_of(["another key"])
    assert other.look().snapshot.seed == seed  # type: ignore[union-attr]
    clock.advance(60)
    assert other.look().snapshot.seed == seed  # type: ignore[union-attr]


def test_another_opening_has_another_seed(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """The one of the last sale is known by now."""
    settle = operator(hire, redis_client)
    worker, _ = shuffled(hire, clock)
    before = worker.join().snapshot
    clock.advance(60)
    assert worker.look().snapshot.draw  # type: ignore[union-attr]
    settle(opens_at=clock.redis_ms + 60_000, shuffle=1, seed="f" * 32)
    after = worker.look().snapshot
    assert before
    assert after
    assert after.seed == "f" * 32 != before.seed
    assert after.draw is None


def test_an_opening_brought_forward_draws_and_one_without_a_shuffle_does_not(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """ "Open now" is an opening like any other."""
    settle = operator(hire, redis_client)
    worker, _ = shuffled(hire, clock)
    a_line(worker, 3)
    settle(opens_at=0)
    assert worker.look().snapshot.draw  # type: ignore[union-attr]
    settle(opens_at=clock.redis_ms + 90_000)
    a_line(worker, 3)
    settle(shuffle=0, opens_at=0)
    assert worker.look().snapshot.draw is None  # type: ignore[union-attr]


def test_who_came_in_a_moment_that_was_lost_comes_behind_those_who_drew(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """How many they are nobody knows: so they draw no lot, and have nobody's place."""
    worker, other = shuffled(hire, clock, capacity=5)
    early = a_line(worker, 3)
    (sid, number), *_ = a_line(other, 1)
    redis_client.flushall()
    worker.look()
    early += a_line(worker, 3)
    clock.advance(60)
    opened = worker.look().snapshot
    assert opened
    assert opened.draw
    assert opened.draw.people == 6
    assert max(opened.drawn(one) for _, one in early) < opened.drawn(number) <= opened.draw.last
    assert worker.check_in(sid, number).verdict == "DRAWN"


def test_a_draw_survives_the_loss_of_all_state(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """Any worker that saw it puts it right: nobody is drawn twice."""
    worker, other = shuffled(hire, clock, capacity=1)
    a_line(worker, 5)
    clock.advance(60)
    before = worker.look().snapshot
    clock.advance(1)
    redis_client.delete(*worker.keys.values())
    after = worker.look().snapshot
    assert before
    assert after
    assert before.draw == after.draw
    assert before.seed == after.seed
    assert other.look().snapshot.draw == before.draw  # type: ignore[union-attr]


def test_a_draw_survives_the_loss_of_its_moment(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """A copy that is a second older would draw again, with who has come since then."""
    worker, other = shuffled(hire, clock, capacity=1)
    settle = operator(hire, redis_client)
    a_line(worker, 5)
    older = redis_client.dump(worker.keys["line"])
    settle(opens_at=0)
    before = worker.look().snapshot
    a_line(worker, 2)
    clock.advance(1)
    redis_client.restore(worker.keys["line"], 0, older, replace=True)
    after = worker.look().snapshot
    assert before
    assert after
    assert before.draw == after.draw is not None
    assert other.look().snapshot.draw == before.draw  # type: ignore[union-attr]


def test_what_a_loss_left_empty_takes_no_part_in_the_draw(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """A gap before the opening is a hole afterwards, and the numbers are as dense as the people."""
    worker, _ = shuffled(hire, clock, capacity=20)
    early = a_line(worker, 5)
    clock.advance(1)
    redis_client.delete(*worker.keys.values())
    early += a_line(worker, 5)
    clock.advance(61)
    snapshot = worker.look().snapshot
    assert snapshot
    assert snapshot.draw
    assert snapshot.draw.people == 10
    first = snapshot.draw.first
    assert sorted(snapshot.drawn(number) for _, number in early) == list(range(first + 1, first + 11))


def test_a_client_has_no_more_places_than_they_may(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """Leases and places among the ready, counted together; the next goes in once one is through."""
    worker = hire(capacity=3, places_per_client=2)
    mine = [f"mine!{nth:011d}" for nth in range(4)]
    assert [worker.join(sid).verdict for sid in mine] == ["ADMIT", "ADMIT", "TICKET", "TICKET"]
    hers = a_line(worker, 1)
    number = worker.memory.marks.issued - 2
    tickets = [(mine[2], number), (mine[3], number + 1)]
    heard = present(worker, clock, [*tickets, *hers])
    assert list(heard.values()) == ["SHARED", "SHARED", "ADMIT"]
    worker.release(mine[0])
    assert mine[0].encode() not in redis_client.zrange(worker.keys["places"], 0, -1)
    assert list(present(worker, clock, tickets).values()) == ["ADMIT", "SHARED"]


def test_places_that_ended_are_not_counted(hire: Hire, clock: Clock) -> None:
    """A lease that ran out is nobody's place, although nobody has swept it up."""
    worker = hire(capacity=100, places_per_client=1)
    assert worker.join("mine!" + "a" * 11).verdict == "ADMIT"
    clock.advance(61)
    assert worker.join("mine!" + "c" * 11).verdict == "ADMIT"
    assert worker.join("mine!" + "d" * 11).verdict == "TICKET"


@pytest.mark.parametrize("lost", ["places", "switched on"])
def test_places_are_counted_anew_where_their_key_was_lost(
    lost: str, hire: Hire, redis_client: redis.Redis
) -> None:
    """Or where nobody has counted so far."""
    worker = hire(capacity=100, places_per_client=1 if lost == "places" else None)
    assert worker.join("mine!" + "a" * 11).verdict == "ADMIT"
    redis_client.delete(worker.keys["places"])
    worker = hire(capacity=100, places_per_client=1)
    assert worker.join("mine!" + "b" * 11).verdict == "TICKET"
    assert redis_client.zrange(worker.keys["places"], 0, -1) == [b"mine!" + b"a" * 11]
    assert redis_client.pttl(worker.keys["places"]) > 0


def test_an_adopted_lease_is_a_place(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """Its owner may have no more than others."""
    worker = hire(capacity=100, places_per_client=1)
    lease = worker.join("mine!" + "a" * 11)
    redis_client.delete(*worker.keys.values())
    worker.restart()
    assert worker.renew("mine!" + "a" * 11, lease.value).verdict == "ADMIT"
    assert redis_client.zrange(worker.keys["places"], 0, -1) == [b"mine!" + b"a" * 11]


def test_places_stay_in_step_with_leases_and_ready(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """The key never grows beyond who is there."""
    worker = hire(capacity=2, places_per_client=1)
    for _ in range(30):
        line = [(sid, reply.value) for sid in (new_sid() for _ in range(4)) if (reply := worker.join(sid))]
        present(worker, clock, line)
        clock.advance(70)
        worker.look()
    known = redis_client.zrange(worker.keys["places"], 0, -1)
    there = redis_client.zrange(worker.keys["leases"], 0, -1) + redis_client.zrange(
        worker.keys["ready"], 0, -1
    )
    assert set(known) <= set(there)


def test_a_token_is_a_copy_once_its_successor_has_been_renewed(hire: Hire, clock: Clock) -> None:
    """Somebody else went on with it; the slot stays theirs."""
    worker = hire(lease_seconds=600)
    first = worker.join("visitor").value
    clock.advance(201)
    second = _renew(worker, first).value
    clock.advance(201)
    third = _renew(worker, second)
    clock.advance(59)
    assert _renew(worker, first).verdict == "ADMIT"
    clock.advance(2)
    last = _renew(worker, third.value)
    assert last.verdict == "ADMIT"
    clock.advance(61)
    assert _renew(worker, first).verdict == "COPIED"
    assert _renew(worker, last.value).verdict == "ADMIT"


def test_who_never_got_the_answer_to_a_renewal_stays_in(hire: Hire, clock: Clock) -> None:
    """One token behind is no proof of a copy: the response may have been lost in a tunnel."""
    worker = hire(lease_seconds=600)
    first = worker.join("visitor").value
    clock.advance(201)
    _renew(worker, first)
    clock.advance(300)
    assert _renew(worker, first).verdict == "ADMIT"


def test_the_devices_of_one_account_renew_each_by_their_own_token(hire: Hire, clock: Clock) -> None:
    """They share a lease, and not a cookie."""
    worker = hire(lease_seconds=600)
    account = "a" * 22
    first = worker.join(account).value
    for _ in range(3):
        clock.advance(201)
        _renew(worker, worker.memory.marks.last_ms + 399_000, sid=account)
    assert _renew(worker, first, sid=account).verdict == "ADMIT"


def _renew(worker: Worker, deadline_ms: int, sid: str = "visitor") -> counter.Reply:
    return worker.call(counter.renew(worker.rule, worker.event, counter.Lease(sid, deadline_ms, 1)))


def test_a_claim_is_good_until_its_end_and_the_overlap(hire: Hire, clock: Clock) -> None:
    """It is much shorter than the lease it becomes, which is no sign of a copy; shown for ever it is one."""
    worker = hire(lease_seconds=600, claim_seconds=60)
    (line,) = a_line(hire(capacity=0), 1)
    clock.advance(grace)
    worker.look()
    clock.advance(grace)
    claim = worker.check_in(*line).value
    clock.advance(10)
    assert worker.renew(line[0], claim).verdict == "ADMIT"
    clock.advance(105)
    assert worker.renew(line[0], claim).verdict == "ADMIT"
    clock.advance(10)
    assert worker.renew(line[0], claim).verdict == "COPIED"


def test_a_pass_comes_before_everybody_and_never_above_the_capacity(hire: Hire, clock: Clock) -> None:
    """The number 0 goes into the next slot."""
    worker = hire(capacity=1)
    lease = worker.join("inside")
    line = a_line(worker, 3)
    present(worker, clock, line)
    assert worker.check_in("the pass", 0).verdict == "READY"
    worker.release("inside", lease.value)
    heard = present(worker, clock, [*line, ("the pass", 0)])
    assert heard.pop("the pass") == "ADMIT"
    assert "ADMIT" not in heard.values()


def test_a_reset_voids_what_was_given_out_and_begins_anew(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """Workers that remember the old line don't take it for a loss: there is no hold."""
    worker, other = hire(capacity=1), hire(capacity=1)
    lease = worker.join("inside")
    (sid, number), *_ = a_line(other, 5)
    joined_ms = clock.redis_ms
    clock.advance(10)
    assert worker.call(counter.reset(worker.rule, worker.event)).verdict == "RESET"
    assert other.look().snapshot.hold_left_ms == 0  # type: ignore[union-attr]
    assert other.check_in(sid, number, joined_ms=joined_ms).verdict == "GONE"
    assert other.renew("inside", lease.value).verdict == "EXPIRED"
    assert other.join("first").verdict == "ADMIT"
    assert other.join("second").verdict == "TICKET"
    assert redis_client.pttl(worker.keys["line"]) > 0


def test_there_is_nothing_to_reset_where_nobody_came(hire: Hire, redis_client: redis.Redis) -> None:
    """And no key is left behind."""
    worker = hire()
    assert worker.call(counter.reset(worker.rule, worker.event)).verdict == "UNKNOWN"
    assert redis_client.dbsize() == 0


def test_settings_outlive_the_line(hire: Hire, redis_client: redis.Redis) -> None:
    """What is set up on Monday is there on the Saturday of the sale."""
    settle = operator(hire, redis_client)
    worker = hire()
    settle(capacity=7)
    worker.join()
    a_day = 86_400_000
    assert redis_client.pttl(worker.keys["settings"]) > 29 * a_day
    assert redis_client.pttl(worker.keys["line"]) < 2 * a_day


def test_each_minute_in_which_something_happened_is_kept(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """Running totals, as they were when it was over; the levels as they are when it is written."""
    worker = hire(capacity=1, lease_seconds=30)
    worker.join("inside")
    line = a_line(worker, 2)
    minute, joined_ms = clock.redis_ms // 60_000, clock.redis_ms
    clock.advance(60)
    for sid, number in line:
        worker.check_in(sid, number, joined_ms=joined_ms)
    clock.advance(60)
    worker.look()
    totals = worker_totals(redis_client, worker)
    first, second = redis_client.lrange(worker.keys["history"], 0, -1)
    assert first.decode() == f"{minute} 2 1 0 0 0 1 0 1 0{',0' * 13}"
    assert second.decode() == f"{minute + 1} 2 2 0 1 0 0 0 1 0,0,0,0,0,1{',0' * 8}"
    assert [totals[name] for name in ("joined", "admitted", "expired", "absent")] == ["2", "2", "2", "1"]


def worker_totals(client: redis.Redis, worker: Worker) -> dict[str, str]:
    """What has happened since the line was born."""
    return {name.decode(): value.decode() for name, value in client.hgetall(worker.keys["line"]).items()}


def test_a_day_of_minutes_is_all_that_is_kept(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """It doesn't grow."""
    worker = hire(capacity=1)
    worker.join()
    for _ in range(1445):
        clock.advance(60)
        worker.look()
    assert redis_client.llen(worker.keys["history"]) == 1440
    assert redis_client.memory_usage(worker.keys["history"]) < 200_000


def test_a_release_is_counted_and_a_visit_that_was_404_leaves_no_history(
    hire: Hire, clock: Clock, redis_client: redis.Redis
) -> None:
    """Nothing is left of an event that nobody knows."""
    worker = hire(capacity=1, lease_seconds=600)
    lease = worker.join("visitor")
    clock.advance(60)
    worker.look()
    worker.release("visitor", lease.value, forget=True)
    assert redis_client.dbsize() == 0
    worker = hire(capacity=1)
    worker.release("visitor", worker.join("visitor").value)
    assert worker_totals(redis_client, worker)["released"] == "1"
