"""What a small crowd of a few virtual minutes hardly meets, scene by scene: for the mutants that need it."""

from __future__ import annotations

import pytest
import redis
import virtual
from virtual import Clock, Hire, Worker, grace, lease

from admitgate.errors import Outage

clock, hire = virtual.clock, virtual.hire


def test_a_lease_of_the_lost_moment_comes_back_without_another_hold(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """The fail-over's own hold was for such as this one; a lease time later it would mean another loss."""
    worker = hire(capacity=3)
    worker.join("inside")
    worker.memory.is_firm = True
    copy = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    clock.advance(1)
    deadline_ms = worker.join("lost").value
    redis_client.flushall()
    for key, value in copy.items():
        redis_client.restore(key, 25 * 3600 * 1000, value)
    clock.advance(0.1)
    assert worker.look().snapshot.hold_left_ms > 0
    clock.advance(2 * grace)
    assert worker.renew("lost", deadline_ms).verdict == "ADMIT"
    assert worker.look().snapshot.hold_left_ms == 0


def test_a_404_is_no_reason_to_forget_whose_line_was_lost(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """A worker without memory finds leases and no line: those who are inside must not go with the 404."""
    worker = hire(capacity=3)
    worker.join("inside")
    redis_client.delete(worker.keys["line"])
    worker.renew("inside", 0)
    clock.advance(lease - 1)
    worker.renew("inside", 0)
    clock.advance(2)
    for _ in range(3):
        worker.look()
        clock.advance(grace)
    assert hire(capacity=3).join("nobody").verdict == "ADMIT"
    worker.release("nobody", forget=True)
    assert worker.look().snapshot.in_use == 1


def test_a_404_is_no_reason_to_forget_an_adopted_lease(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """After a total loss the first to be known again is somebody who was inside."""
    deadline_ms = hire(capacity=3).join("inside").value
    redis_client.flushall()
    stranger = hire(capacity=3)
    clock.advance(1)
    deadline_ms = stranger.renew("inside", deadline_ms).value
    clock.advance(lease - 1)
    stranger.renew("inside", deadline_ms)
    clock.advance(grace)
    newcomer = hire(capacity=3)
    assert newcomer.join("nobody").verdict == "ADMIT"
    newcomer.release("nobody", forget=True)
    assert newcomer.look().snapshot.in_use == 1


def test_a_new_worker_knows_of_the_gap(hire: Hire, redis_client: redis.Redis, clock: Clock) -> None:
    """It is kept with the line, and not in the memories alone."""
    worker = hire()
    worker.join()
    for _ in range(9):
        worker.join()
    clock.advance(1)
    redis_client.flushall()
    worker.look()
    assert hire().look().snapshot.waiting <= 9


def test_a_fleet_that_restarts_does_not_cost_the_called_their_grace(hire: Hire, clock: Clock) -> None:
    """They were called, and while every worker was new nobody could say that they are there."""
    worker = hire()
    deadline_ms = worker.join("inside").value
    number = worker.join("called").value
    assert worker.look().snapshot.serving == number
    worker.release("inside", deadline_ms)
    clock.advance(grace + 1)
    assert hire().join("newcomer").verdict == "TICKET"


def test_everybody_present_goes_in_where_a_lease_has_ended(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """One slot is new and one has just come free: two are there, and neither has to ask twice."""
    worker = hire(capacity=2)
    for name in ("stays", "ends"):
        worker.join(name)
    numbers = [worker.join(f"visitor-{nth}").value for nth in range(2)]
    clock.advance(lease / 2)
    worker.renew("stays", worker.memory.now_ms() + 1)
    clock.advance(lease / 2 - 4 * grace)
    for _ in range(8):
        clock.advance(grace / 2 - 0.01)
        for nth, number in enumerate(numbers):
            worker.check_in(f"visitor-{nth}", number)
    redis_client.hset(worker.keys["settings"], "capacity", 3)
    clock.advance(0.1)
    assert worker.check_in("visitor-1", numbers[1]).verdict == "ADMIT"


def test_a_ramp_lets_no_crowd_in_after_a_quiet_time(hire: Hire, clock: Clock) -> None:
    """Five seconds' worth at once, however long nobody came."""
    worker = hire(capacity=100, admit_per_minute=60)
    worker.join()
    clock.advance(30)
    assert sum(worker.join().verdict == "ADMIT" for _ in range(50)) <= 5


def test_a_claim_whose_answer_was_lost_becomes_a_lease_by_the_next_request(hire: Hire, clock: Clock) -> None:
    """The browser still has its ticket, and asks for the page with it."""
    worker = hire()
    deadline_ms = worker.join("inside").value
    number = worker.join("visitor").value
    for _ in range(4):
        clock.advance(grace / 2)
        worker.check_in("visitor", number)
    worker.release("inside", deadline_ms)
    assert worker.check_in("visitor", number).verdict == "ADMIT"
    reply = worker.check_in("visitor", number, is_claim=False)
    assert reply.value - reply.now_ms == lease * 1000


def test_a_lease_given_back_while_redis_had_lost_it_is_not_adopted(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Redis learns the deadline from the token."""
    worker = hire(capacity=2)
    deadline_ms = worker.join("inside").value
    redis_client.delete(worker.keys["leases"])
    worker.release("inside", deadline_ms)
    assert worker.renew("inside", deadline_ms).verdict == "GONE"


def test_releases_are_forgotten_when_their_tickets_have_ended(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """What can't be shown again needs no memory."""
    worker = hire()
    for _ in range(20):
        clock.advance(8 * 3600)
        worker.release("inside", worker.join("inside").value)
        worker.release(f"inside-{clock.seconds}", worker.join(f"inside-{clock.seconds}").value)
    assert redis_client.zcard(worker.keys["released"]) <= 5


def test_an_account_that_gave_its_slot_back_lines_up_anew(hire: Hire, clock: Clock) -> None:
    """Its name comes again: the ticket that led to the slot is used up, and one of after that isn't."""
    worker, account = hire(), "a" * 22
    deadline_ms = worker.join("inside").value
    old, joined_ms = worker.join(account).value, clock.redis_ms
    worker.release("inside", deadline_ms)
    clock.advance(grace + 1)
    worker.check_in(account, old, joined_ms=joined_ms)
    clock.advance(grace)
    claimed = worker.check_in(account, old, joined_ms=joined_ms)
    assert claimed.verdict == "ADMIT"
    worker.release(account, claimed.value)
    worker.join("another")
    assert worker.check_in(account, old, joined_ms=joined_ms).verdict == "GONE"
    clock.advance(1)
    new = worker.join(account).value
    assert new > old
    assert worker.check_in(account, new).verdict in ("WAIT", "READY")


def test_a_release_tells_how_many_are_left(hire: Hire) -> None:
    """Its answer is a snapshot like any other, and goes into the shared status."""
    worker = hire()
    assert worker.release("inside", worker.join("inside").value).snapshot.in_use == 0


def test_the_admitted_are_not_among_the_ready(hire: Hire, clock: Clock) -> None:
    """Else the next in line is told that somebody is before them, and a slot stays free."""
    worker = hire(capacity=2)
    for name in ("inside", "inside-too"):
        worker.join(name)
    numbers = [worker.join(f"visitor-{nth}").value for nth in range(2)]
    for _ in range(4):
        clock.advance(grace / 2)
        for nth, number in enumerate(numbers):
            worker.check_in(f"visitor-{nth}", number)
    worker.release("inside")
    assert worker.check_in("visitor-0", numbers[0]).snapshot.present == 1
    assert worker.check_in("visitor-1", numbers[1]).value == 0


def test_a_ticket_of_a_lost_moment_puts_nobody_millions_of_numbers_away(hire: Hire, clock: Clock) -> None:
    """Its number lies behind a gap that a worker knew of, which is gone; the gap shows in the number."""
    worker = hire()
    deadline_ms = worker.join("inside").value
    first = worker.join("visitor").value
    lost = first + 17_000_000
    assert worker.check_in("lost", lost).verdict == "WAIT"
    assert worker.look().snapshot.waiting <= 2
    worker.release("inside", deadline_ms)
    for _ in range(4):
        clock.advance(grace)
        worker.look()
    assert worker.check_in("lost", lost).verdict == "ADMIT"


# Redis stands still, with a call in its hands


def freeze(worker: Worker, seconds: float, clock: Clock) -> None:
    """The worker's next call is carried out so much later, when nobody waits for the answer any more."""
    client = worker.counter._client
    wakes_at = clock.seconds + seconds

    class Frozen:
        def execute_command(self, *words: object) -> None:
            worker.counter._client = client
            clock.advance_to(wakes_at)
            client.execute_command(*words)
            raise redis.TimeoutError("no answer came")

    worker.counter._client = Frozen()


def present_line(worker: Worker, clock: Clock) -> tuple[int, list[int]]:
    """One inside, two who are there: the lease's deadline and the numbers."""
    deadline_ms = worker.join("inside").value
    numbers = [worker.join(f"visitor-{nth}").value for nth in range(2)]
    for _ in range(4):
        clock.advance(grace / 2 - 0.1)
        for nth, number in enumerate(numbers):
            worker.check_in(f"visitor-{nth}", number)
    return deadline_ms, numbers


def test_while_redis_stands_still_nobodys_time_runs_out(hire: Hire, clock: Clock) -> None:
    """A lease lasts as much longer."""
    worker = hire()
    deadline_ms = worker.join("inside").value
    worker.look()  # a script that Redis does not know yet would be sent again when it is awake
    freeze(worker, 4, clock)
    with pytest.raises(Outage):
        worker.look()
    clock.advance(1)
    left_ms = deadline_ms - worker.look().now_ms
    assert left_ms >= (lease - 1) * 1000 - 300


def test_while_redis_stands_still_the_clock_on_the_wall_goes_on(hire: Hire, clock: Clock) -> None:
    """And an event opens when it was said that it would."""
    worker = hire()
    worker.join("inside")
    worker.look()
    freeze(worker, 4, clock)
    with pytest.raises(Outage):
        worker.look()
    clock.advance(1)
    snapshot = worker.look().snapshot
    assert snapshot
    assert snapshot.at_ms < snapshot.clock_ms == clock.redis_ms


def test_while_redis_stood_still_nobody_could_show_presence(hire: Hire, clock: Clock) -> None:
    """The first to ask afterwards doesn't pass those who come a moment later."""
    worker, other = hire(), hire()
    deadline_ms, numbers = present_line(worker, clock)
    clock.advance(2)
    other.look()
    freeze(worker, 4, clock)
    with pytest.raises(Outage):
        worker.release("inside", deadline_ms)
    clock.advance(grace - 1.5)
    assert other.check_in("visitor-1", numbers[1]).verdict == "READY"


def test_a_renewal_that_met_the_silence_tells_of_it(hire: Hire, clock: Clock) -> None:
    """Whoever asks next won't see it any more, and those who couldn't ask have their grace all the same."""
    worker, other = hire(capacity=2), hire(capacity=2)
    other.join("also-inside")
    deadline_ms, numbers = present_line(worker, clock)
    clock.advance(2)
    other.look()
    freeze(worker, 4, clock)
    with pytest.raises(Outage):
        worker.renew("also-inside", 0)
    other.release("inside", deadline_ms)
    clock.advance(grace - 1.5)
    assert other.check_in("visitor-1", numbers[1]).verdict == "READY"
