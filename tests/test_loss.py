"""What the line does when Redis lost something, and when its clock steps: real Redis, virtual time."""

from __future__ import annotations

from contextlib import suppress

import pytest
import redis
import virtual
from virtual import EVENT, Clock, Hire, Worker, grace, lease

from admitgate import counter
from admitgate.errors import Outage
from admitgate.tokens import Lease

clock, hire = virtual.clock, virtual.hire


def fill(worker: Worker) -> list[int]:
    """Take every slot; the leases' deadlines."""
    replies = [worker.join(f"inside-{nth:09}") for nth in range(worker.rule.capacity)]
    assert {reply.verdict for reply in replies} == {"ADMIT"}
    return [reply.value for reply in replies]


def take_tickets(worker: Worker, count: int) -> list[int]:
    replies = [worker.join(f"visitor-{nth}") for nth in range(count)]
    assert {reply.verdict for reply in replies} == {"TICKET"}
    return [reply.value for reply in replies]


def copy_of(client: redis.Redis) -> dict[bytes, bytes]:
    return {key: client.dump(key) for key in client.scan_iter()}


def fail_over(client: redis.Redis, copy: dict[bytes, bytes]) -> None:
    """A replica that lacked the last writes is the primary now."""
    client.flushall()
    for key, value in copy.items():
        client.restore(key, 25 * 3600 * 1000, value)


def live_leases(client: redis.Redis, worker: Worker) -> int:
    now_ms = worker.memory.now_ms()
    return int(client.zcount(worker.keys["leases"], f"({now_ms}", "(+inf"))


# Leases


def test_lost_leases_are_noticed_and_nobody_new_goes_in_before_the_old_ones_had_time_to_renew(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """The sentinel is missing: one lease time of hold, by any worker, without any memory."""
    worker = hire(capacity=3)
    fill(worker)
    redis_client.delete(worker.keys["leases"])
    stranger = hire(capacity=3)
    for _ in range(int(lease)):
        assert stranger.join().verdict == "TICKET"
        clock.advance(0.999)
    assert stranger.look().snapshot.hold_left_ms > 0
    clock.advance(0.1)
    assert stranger.look().snapshot.hold_left_ms == 0


def test_the_admitted_go_on_unharmed_when_their_leases_were_lost(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Their signed token brings each lease back, with its slot."""
    worker = hire(capacity=3)
    deadlines = fill(worker)
    clock.advance(20)
    redis_client.delete(worker.keys["leases"])
    for nth, deadline in enumerate(deadlines):
        reply = worker.renew(f"inside-{nth:09}", deadline)
        assert (reply.verdict, reply.value) == ("ADMIT", clock.redis_ms + lease * 1000)
    assert live_leases(redis_client, worker) == 3


def test_an_unknown_lease_that_is_still_valid_is_adopted_and_starts_one_hold(
    hire: Hire, clock: Clock
) -> None:
    """State was lost and noticed only now; the second one adopted doesn't make the hold longer."""
    worker = hire(capacity=5)
    worker.join("somebody")
    start_ms = clock.redis_ms
    assert worker.renew("unknown-0", start_ms + 50_000).verdict == "ADMIT"
    assert worker.look().snapshot.hold_left_ms == lease * 1000
    clock.advance(30)
    assert worker.renew("unknown-1", start_ms + 50_000).verdict == "ADMIT"
    assert worker.look().snapshot.hold_left_ms == (lease - 30) * 1000
    assert worker.join().verdict == "TICKET"
    clock.advance(lease - 30)
    assert worker.look().snapshot.hold_left_ms == 0


def test_adopted_leases_count(hire: Hire, redis_client: redis.Redis, clock: Clock) -> None:
    """Above the capacity too: then nobody goes in until enough of them have left."""
    worker = hire(capacity=2)
    worker.join("somebody")
    for nth in range(3):
        worker.renew(f"unknown-{nth}", clock.redis_ms + 50_000)
    (number,) = take_tickets(worker, 1)
    replies = {}
    for _ in range(40):
        clock.advance(2)
        replies = {nth: worker.renew(f"unknown-{nth}", clock.redis_ms + 1000) for nth in range(3)}
        assert worker.look().snapshot.in_use >= 3
        assert worker.check_in("visitor-0", number).verdict in ("WAIT", "READY")
    for nth in range(2):
        worker.release(f"unknown-{nth}", replies[nth].value)
    assert worker.check_in("visitor-0", number).verdict == "ADMIT"


def test_a_lease_that_was_given_back_is_not_adopted(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Not even while the others come back."""
    worker = hire(capacity=2)
    first, second = fill(worker)
    worker.release("inside-000000000", first)
    redis_client.delete(worker.keys["leases"])
    assert worker.renew("inside-000000001", second).verdict == "ADMIT"
    assert worker.renew("inside-000000000", first).verdict == "GONE"


# The line


def test_a_lost_line_goes_on_from_what_the_workers_remember(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """issued and serving come from the marks; the next number is behind all, past a gap."""
    worker = hire(capacity=2)
    fill(worker)
    numbers = take_tickets(worker, 100)
    serving = worker.look().snapshot.serving
    clock.advance(0.1)
    redis_client.delete(worker.keys["line"])
    reply = worker.join("newcomer")
    assert reply.verdict == "TICKET"
    assert reply.value > numbers[-1] + 1
    assert reply.snapshot.serving == serving
    assert reply.snapshot.hold_left_ms > 0


def test_numbers_given_out_by_others_fall_into_the_gap(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """The worker who notices the loss has an old memory: what it doesn't know of stays unique."""
    forgetful, busy = hire(), hire()
    fill(forgetful)
    take_tickets(forgetful, 3)
    theirs = take_tickets(busy, 2000)
    clock.advance(0.1)
    redis_client.flushall()
    ours = [forgetful.join().value for _ in range(5)]
    assert min(ours) > max(theirs)
    busy_again = [busy.join().value for _ in range(5)]
    assert min(busy_again) > max(ours)


def test_the_gap_is_left_out_of_positions_and_of_the_waiting(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Nobody is told that a million people stand before them."""
    worker = hire()
    fill(worker)
    before = take_tickets(worker, 50)
    clock.advance(0.1)
    redis_client.flushall()
    replies = [worker.join(f"later-{nth}") for nth in range(10)]
    snapshot = replies[-1].snapshot
    assert replies[-1].value - before[-1] > 1000
    number = replies[-1].value
    ahead = number - snapshot.serving - (snapshot.gap_to - snapshot.gap_from)
    assert ahead == snapshot.waiting <= 60


def test_the_gap_is_crossed_in_one_move(hire: Hire, redis_client: redis.Redis, clock: Clock) -> None:
    """Those behind it are invited as if it weren't there; nobody is left out and nobody waits for it."""
    worker = hire()
    fill(worker)
    take_tickets(worker, 20)
    clock.advance(0.1)
    redis_client.flushall()
    later = [worker.join(f"later-{nth}").value for nth in range(20)]
    clock.advance(lease)
    for _ in range(6):
        worker.look()
        clock.advance(grace)
    assert worker.look().snapshot.serving == later[-1]


def test_losses_in_a_row_leave_nobody_with_a_million_numbers_to_wait_for(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """A Redis that crashes each time it is started: the workers remember the gap as they do the numbers."""
    worker = hire()
    (deadline,) = fill(worker)
    take_tickets(worker, 5)
    for nth in range(3):
        clock.advance(1)
        redis_client.flushall()
        deadline = worker.renew("inside-000000000", deadline).value
        number = worker.join(f"later-{nth}").value
    worker.release("inside-000000000", deadline)
    for _ in range(int(lease)):
        clock.advance(2)
        worker.look()
    assert worker.look().snapshot.serving == number
    assert worker.check_in("later-2", number).verdict == "ADMIT"


def test_order_survives_a_wipe(hire: Hire, redis_client: redis.Redis, clock: Clock) -> None:
    """Whoever stood there before goes in before whoever came after."""
    worker = hire()
    fill(worker)
    old = {f"visitor-{nth}": number for nth, number in enumerate(take_tickets(worker, 20))}
    redis_client.flushall()
    worker.restart()
    clock.advance(1)
    new = {f"later-{nth}": worker.join(f"later-{nth}") for nth in range(3)}
    tickets = {**{sid: reply.value for sid, reply in new.items() if reply.verdict == "TICKET"}, **old}
    admitted = []
    while len(admitted) < len(tickets) and clock.seconds < 1000:
        clock.advance(2)
        serving = worker.look().snapshot.serving
        for sid, number in tickets.items():
            if number <= serving and sid not in admitted:
                reply = worker.check_in(sid, number)
                if reply.verdict == "ADMIT":
                    admitted.append(sid)
                    worker.release(sid, reply.value)
    assert admitted == sorted(tickets, key=tickets.__getitem__)


def test_after_a_total_loss_old_tickets_start_one_hold(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Redis was wiped and every worker restarted; the first old number tells, the others add nothing."""
    worker = hire(capacity=5)
    fill(worker)
    first, second = take_tickets(worker, 2)
    joined_ms = clock.redis_ms
    redis_client.flushall()
    worker.restart()
    clock.advance(1)
    worker.join()
    reply = worker.check_in("visitor-1", second, joined_ms=joined_ms)
    assert (reply.verdict, reply.snapshot.hold_left_ms) == ("READY", lease * 1000)
    clock.advance(lease / 2)
    reply = worker.check_in("visitor-0", first, joined_ms=joined_ms)
    assert (reply.value, reply.snapshot.hold_left_ms) == (0, lease / 2 * 1000)
    assert worker.join().verdict == "TICKET"
    clock.advance(lease / 2)
    reply = worker.check_in("visitor-1", second, joined_ms=joined_ms)
    assert reply.verdict == "ADMIT"


def test_a_cold_hold_keeps_the_cap_through_a_total_loss(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Nobody remembers anything, but nobody goes in before the old leases have come back."""
    worker = hire(capacity=2, cold_hold_seconds=lease)
    clock.advance(lease)
    worker.join()
    clock.advance(lease)
    worker.look()
    clock.advance(grace)
    deadlines = fill(worker)
    redis_client.flushall()
    worker.restart()
    for nth, deadline in enumerate(deadlines):
        assert worker.join().verdict == "TICKET"
        clock.advance(10)
        assert worker.renew(f"inside-{nth:09}", deadline).verdict == "ADMIT"
    assert live_leases(redis_client, worker) == 2


def test_a_lost_line_is_noticed_by_a_worker_without_memory(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """The leases are there and their line isn't: so it was lost, whoever asks."""
    worker = hire(capacity=2)
    worker.join("inside")
    worker.join("inside-too")
    take_tickets(worker, 5)
    worker.release("inside-too")
    redis_client.delete(worker.keys["line"])
    reply = hire(capacity=2).join("newcomer")
    assert reply.verdict == "TICKET"
    assert reply.snapshot.hold_left_ms > 0


def test_a_line_born_again_behind_a_workers_back_is_noticed_by_that_worker(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Redis was wiped and a new worker asked first; the ones who remember see that it isn't their line."""
    old, new = hire(capacity=2), hire(capacity=2)
    fill(old)
    take_tickets(old, 5)
    redis_client.flushall()
    clock.advance(1)
    new.join("newcomer")
    assert old.look().snapshot.hold_left_ms > 0
    assert new.join().verdict == "TICKET"


# A fail-over


def test_a_fail_over_to_an_older_copy_is_noticed_and_held_for_a_grace(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """The state is older than a worker's memory of it: the present come back first."""
    worker = hire(capacity=3)
    worker.join("inside")
    copy = copy_of(redis_client)
    clock.advance(0.5)
    worker.join("lost with the fail-over")
    worker.memory.is_firm = True
    fail_over(redis_client, copy)
    clock.advance(0.1)
    reply = worker.join("newcomer")
    assert reply.verdict == "TICKET"
    assert reply.snapshot.hold_left_ms == grace * 1000
    clock.advance(grace)
    assert worker.look().snapshot.hold_left_ms == 0


def test_a_fail_over_that_lost_nothing_is_not_noticed(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """No hold without a loss."""
    worker = hire(capacity=3)
    worker.join("inside")
    worker.memory.is_firm = True
    fail_over(redis_client, copy_of(redis_client))
    clock.advance(0.1)
    assert worker.join().verdict == "ADMIT"


def test_serving_never_falls_back(hire: Hire, redis_client: redis.Redis, clock: Clock) -> None:
    """Who was told "it is your turn" is still invited after a fail-over."""
    worker = hire()
    fill(worker)
    take_tickets(worker, 60)
    copy = copy_of(redis_client)
    clock.advance(grace)
    snapshot = worker.look().snapshot
    last = worker.join("one more").value
    fail_over(redis_client, copy)
    after = worker.look().snapshot
    assert after.serving >= snapshot.serving
    assert worker.join("newcomer").value > last
    assert after.waiting <= 60


def test_a_number_that_only_its_ticket_knows_of_counts_as_issued(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """It was given out in the lost moment by a worker that is gone: the next number is above it."""
    worker = hire()
    fill(worker)
    take_tickets(worker, 30)
    copy = copy_of(redis_client)
    lost = worker.join("visitor-30").value
    fail_over(redis_client, copy)
    worker.restart()
    assert worker.check_in("visitor-30", lost).verdict == "WAIT"
    assert worker.join().value > lost


def test_a_second_and_smaller_loss_does_not_shorten_the_hold(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """The leases were lost; then a fail-over loses half a second: the old leases still need their time."""
    worker = hire(capacity=3)
    fill(worker)
    take_tickets(worker, 1)
    redis_client.delete(worker.keys["leases"])
    worker.look()
    copy = copy_of(redis_client)
    clock.advance(0.5)
    worker.look()
    fail_over(redis_client, copy)
    clock.advance(0.5)
    assert worker.look().snapshot.hold_left_ms >= (lease - 1) * 1000


def test_a_line_lost_during_a_hold_starts_it_anew(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """What the hold was for is lost with the line: the old leases still need their time."""
    worker = hire(capacity=3)
    fill(worker)
    take_tickets(worker, 1)
    redis_client.delete(worker.keys["leases"])
    worker.look()
    clock.advance(1)
    redis_client.delete(worker.keys["line"])
    assert worker.look().snapshot.hold_left_ms >= (lease - 1) * 1000


def test_two_fail_overs_to_the_same_copy_leave_nobody_behind_a_gap(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """The copy knows an older gap, long crossed, and nothing of the first fail-over's; the worker does."""
    worker = hire()
    fill(worker)
    take_tickets(worker, 5)
    clock.advance(1)
    redis_client.flushall()
    for _ in range(40):
        clock.advance(2)
        worker.look()
    copy = copy_of(redis_client)
    for nth in range(2):
        clock.advance(1)
        worker.look()
        fail_over(redis_client, copy)
        number = worker.join(f"later-{nth}").value
    for _ in range(20):
        clock.advance(2)
        worker.look()
    assert worker.look().snapshot.serving == number


def test_after_a_loss_nobody_counts_as_having_had_their_grace(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """A later number that asks first when the hold ends doesn't pass the earlier one on its way back."""
    worker = hire(capacity=2, lease_seconds=5)
    fill(worker)
    numbers = take_tickets(worker, 30)
    for _ in range(8):
        clock.advance(grace)
        worker.look()
    redis_client.flushall()
    worker.look()  # a hold of five seconds, and a grace of six
    clock.advance(5.5)
    assert worker.look().snapshot.hold_left_ms == 0
    assert worker.check_in("visitor-1", numbers[1]).verdict == "READY"


# The ready


@pytest.mark.parametrize("lost", ["ready", "ready:seen"])
def test_when_half_of_what_says_who_is_ready_was_lost_everybody_checks_in_again(
    hire: Hire, redis_client: redis.Redis, clock: Clock, lost: str
) -> None:
    """And has a grace to do so, or the first to ask would pass the others."""
    worker = hire(capacity=2)
    deadline, _ = fill(worker)
    numbers = take_tickets(worker, 10)
    for _ in range(4):
        clock.advance(grace)
        worker.look()
    for nth, number in enumerate(numbers):
        worker.check_in(f"visitor-{nth}", number)
    redis_client.delete(worker.keys[lost])
    worker.release("inside-000000000", deadline)
    assert worker.check_in("visitor-9", numbers[9]).verdict == "READY"
    clock.advance(grace - 2)
    assert worker.check_in("visitor-0", numbers[0]).value == 0
    assert worker.check_in("visitor-9", numbers[9]).value == 1
    clock.advance(2)
    assert worker.check_in("visitor-9", numbers[9]).verdict == "READY"
    assert worker.check_in("visitor-0", numbers[0]).verdict == "ADMIT"


def test_a_lost_memory_of_releases_harms_nobody(hire: Hire, redis_client: redis.Redis, clock: Clock) -> None:
    """It is the price of losing it that a released token is good again until its time; the cap holds."""
    worker = hire()
    (deadline,) = fill(worker)
    worker.release("inside-000000000", deadline)
    redis_client.delete(worker.keys["released"])
    assert worker.renew("inside-000000000", deadline).verdict == "ADMIT"
    assert worker.join().verdict == "TICKET"


# Workers who couldn't ask


def test_the_grace_starts_again_where_visitors_could_not_show_presence(hire: Hire, clock: Clock) -> None:
    """Redis was away: when it is back, the first to ask doesn't pass the others who couldn't either."""
    worker = hire()
    (deadline,) = fill(worker)
    first, second = take_tickets(worker, 2)
    for _ in range(4):
        clock.advance(grace)
        worker.look()
        worker.check_in("visitor-0", first)
        worker.check_in("visitor-1", second)
    worker.memories.doubt()
    clock.advance(10)
    worker.release("inside-000000000", deadline)
    assert worker.check_in("visitor-1", second).verdict == "READY"
    clock.advance(grace - 2)
    assert worker.check_in("visitor-0", first).verdict == "READY"
    clock.advance(2)
    assert worker.check_in("visitor-1", second).verdict == "READY"
    assert worker.check_in("visitor-0", first).verdict == "ADMIT"


def test_the_grace_starts_again_for_those_who_had_just_been_invited(hire: Hire, clock: Clock) -> None:
    """They were called in the moment before Redis went away, and nobody had come yet."""
    worker = hire()
    (deadline,) = fill(worker)
    _, first, second = take_tickets(worker, 3)
    clock.advance(grace)
    assert worker.look().snapshot.serving == second
    worker.memories.doubt()
    clock.advance(10)
    worker.release("inside-000000000", deadline)
    assert worker.check_in("visitor-2", second).verdict == "READY"
    clock.advance(grace - 2)
    assert worker.check_in("visitor-1", first).verdict == "READY"
    clock.advance(2)
    assert worker.check_in("visitor-2", second).verdict == "READY"
    assert worker.check_in("visitor-1", first).verdict == "ADMIT"


def test_a_new_worker_does_not_make_anybody_wait_where_nobody_waits(hire: Hire, clock: Clock) -> None:
    """A line stood here this morning. Now it is quiet, and a worker is replaced: the next one goes in."""
    worker = hire()
    (deadline,) = fill(worker)
    take_tickets(worker, 5)
    worker.release("inside-000000000", deadline)
    for _ in range(10):
        clock.advance(grace)
        worker.look()
    clock.advance(600)
    assert hire().join().verdict == "ADMIT"


def test_the_time_of_an_outage_is_on_nobodys_account(hire: Hire, clock: Clock) -> None:
    """Nobody could renew: each lease ends later by as long as Redis was away."""
    fleet = [hire() for _ in range(3)]
    (deadline,) = fill(fleet[0])
    clock.advance(lease - 5)
    for worker in fleet:
        worker.look()
        worker.memories.doubt()
    clock.advance(40)
    for worker in fleet:
        worker.memories.doubt()
    replies = [worker.join() for worker in fleet]
    assert {reply.verdict for reply in replies} == {"TICKET"}
    clock.advance(4)
    assert fleet[1].renew("inside-000000000", deadline).verdict == "ADMIT"


def test_who_does_not_come_back_after_an_outage_loses_the_slot_all_the_same(hire: Hire, clock: Clock) -> None:
    """The outage's time and no more."""
    worker = hire()
    fill(worker)
    worker.memories.doubt()
    clock.advance(40)
    worker.memories.doubt()
    assert worker.join().verdict == "TICKET"
    clock.advance(lease + grace)
    assert worker.look().snapshot.in_use == 0


def test_a_worker_that_was_cut_off_alone_lengthens_no_lease(hire: Hire, clock: Clock) -> None:
    """The others went on: what ended, ended, and may have gone to somebody else."""
    fleet = [hire(), hire()]
    (deadline,) = fill(fleet[0])
    for _ in range(7):
        fleet[0].memories.doubt()
        clock.advance(10)
        fleet[1].look()
    assert fleet[0].renew("inside-000000000", deadline).verdict == "EXPIRED"


def test_a_quiet_time_before_an_outage_counts(hire: Hire, clock: Clock) -> None:
    """Nobody had asked for a minute when Redis went away for a second."""
    worker = hire()
    fill(worker)
    clock.advance(lease)
    worker.memories.doubt()
    clock.advance(1)
    worker.memories.doubt()
    assert worker.join().verdict == "ADMIT"


def test_a_quiet_time_after_an_outage_counts(hire: Hire, clock: Clock) -> None:
    """It was over long before anybody came again: that nobody asked doesn't mean that nobody could."""
    worker = hire()
    fill(worker)
    worker.memories.doubt()
    clock.advance(1)
    worker.memories.doubt()
    clock.advance(lease)
    assert worker.join().verdict == "ADMIT"


def test_a_new_worker_lengthens_no_lease(hire: Hire, clock: Clock) -> None:
    """It doesn't know that anybody could have come; nor that anybody couldn't."""
    fill(hire())
    clock.advance(lease + 1)
    assert hire().join().verdict == "ADMIT"


def test_an_outage_begins_with_the_first_call_in_vain(
    hire: Hire, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many follow, and however long the first one waited."""
    worker = hire()
    (deadline,) = fill(worker)
    clock.advance(lease - 1)
    worker.look()
    with monkeypatch.context() as patch:
        patch.setattr(worker._client, "execute_command", lambda *_: explode())
        for _ in range(120):
            with pytest.raises(Outage):
                worker.look()
            clock.advance(0.5)
    reply = None
    while reply is None:
        with suppress(Outage):
            reply = worker.look()
        clock.advance(0.25)
    assert reply.now_ms < deadline


def explode() -> None:
    raise redis.ConnectionError("away")


def test_what_a_worker_let_in_without_asking_is_adopted_without_a_hold(hire: Hire, clock: Clock) -> None:
    """Beyond the capacity, and only theirs: who opens in an outage has accepted that."""
    worker = hire()
    (deadline,) = fill(worker)
    lease_of_theirs = Lease("let-in", worker.memory.now_ms() + 30_000, 0, is_unasked=True)
    reply = worker.call(counter.renew(worker.rule, worker.event, lease_of_theirs))
    assert reply.verdict == "ADMIT"
    snapshot = worker.look().snapshot
    assert (snapshot.in_use, snapshot.hold_left_ms) == (2, 0)
    worker.release("inside-000000000", deadline)
    assert worker.join().verdict == "TICKET"
    worker.release("let-in", reply.value)
    assert worker.call(counter.renew(worker.rule, worker.event, lease_of_theirs)).verdict == "GONE"


# Redis' clock


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_step_of_the_clock_is_told(
    hire: Hire, clock: Clock, caplog: pytest.LogCaptureFixture, hours: int
) -> None:
    """Once, by the worker that met it, with how far it stepped."""
    fleet = [hire(), hire()]
    fill(fleet[0])
    clock.step(hours * 3600)
    clock.advance(1)
    for worker in (*fleet, *fleet):
        worker.look()
    assert [record.getMessage() for record in caplog.records] == [
        f"the clock of Redis stepped by {hours * 3600} s; event 'gala' goes on by the workers' clocks"
    ]


def test_a_clock_that_is_set_right_by_a_little_is_not_worth_a_line(
    hire: Hire, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A second now and then is what clocks do."""
    worker = hire()
    fill(worker)
    for seconds in (-1, 1, -2):
        clock.step(seconds)
        clock.advance(1)
        worker.look()
    assert not caplog.records


@pytest.mark.parametrize("hours", [-1, 1])
def test_leases_live_their_time_when_the_clock_steps(
    hire: Hire, redis_client: redis.Redis, clock: Clock, hours: int
) -> None:
    """By an hour, back or forward: they neither die at once nor an hour later."""
    worker = hire(capacity=3)
    deadlines = fill(worker)
    worker.look()
    clock.step(hours * 3600)
    clock.advance(1)
    reply = worker.renew("inside-000000000", deadlines[0])
    assert (reply.verdict, reply.value - deadlines[0]) == ("ADMIT", pytest.approx(1000, abs=1000))
    clock.advance(lease - 2)
    assert worker.look().snapshot.in_use == 3
    clock.advance(4)
    assert worker.look().snapshot.in_use == 0


def test_a_quiet_time_counts_though_the_clock_stepped_back_at_its_end(hire: Hire, clock: Clock) -> None:
    """Nobody asked for a while, but the worker knows how long: the lease is over."""
    worker = hire()
    fill(worker)
    clock.advance(lease - 5)
    clock.step(-3600)
    clock.advance(6)
    assert worker.join().verdict == "ADMIT"


@pytest.mark.parametrize("hours", [-1, 1])
def test_workers_agree_on_the_time_after_a_step(hire: Hire, clock: Clock, hours: int) -> None:
    """What one worker gave is good at another's, which hasn't noticed the step."""
    fleet = [hire(capacity=3) for _ in range(3)]
    for worker in fleet:
        worker.join()
    clock.step(hours * 3600)
    clock.advance(0.1)
    reply = fleet[0].renew("somebody", fleet[0].memory.now_ms() + 30_000)
    for worker in fleet:
        assert worker.renew("somebody", reply.value).verdict == "ADMIT"
        assert abs(worker.memory.now_ms() - reply.now_ms) < 1000
        assert worker.look().snapshot.in_use == 4


def test_a_clock_that_steps_to_and_fro_frees_slots_all_the_same(hire: Hire, clock: Clock) -> None:
    """No slot is lost for ever."""
    worker = hire(capacity=3)
    fill(worker)
    for hours in (1, -1, -1, 1, 1):
        clock.step(hours * 3600)
        clock.advance(lease / 4)
        worker.look()
    clock.advance(lease)
    assert worker.look().snapshot.in_use == 0


def test_a_wrong_hint_does_not_freeze_time(hire: Hire, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose monotonic clock stands still (a suspended machine) delays a lease's end, not more."""
    worker = hire()
    fill(worker)
    stuck = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: stuck)
    Clock.run_workers(clock, monkeypatch)
    for _ in range(30):
        clock.advance(10)
        worker.look()
    assert worker.look().snapshot.in_use == 0


def test_a_quiet_hour_is_not_taken_for_a_step(hire: Hire, clock: Clock) -> None:
    """Nobody asked for an hour, and the worker's clock says so too."""
    worker = hire()
    fill(worker)
    clock.advance(3600)
    assert worker.join().verdict == "ADMIT"


def test_no_event_but_ours_is_touched(hire: Hire, redis_client: redis.Redis) -> None:
    """A loss is one event's."""
    worker = hire()
    assert worker.event == EVENT
    redis_client.set("theirs", 1)
    fill(worker)
    assert {key.decode() for key in redis_client.scan_iter()} - set(worker.keys.values()) == {"theirs"}
