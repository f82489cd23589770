"""The five verbs, rule by rule: real Redis, virtual time. What a loss does is in ``test_loss.py``."""

from __future__ import annotations

import random
from typing import Any

import pytest
import redis
import virtual
from virtual import EVENT, Clock, Hire, Worker, claim, grace, lease, virtual_scripts

from admitgate import counter
from admitgate.connection import connect
from admitgate.counter import Call, Counter, Reply
from admitgate.errors import Outage
from admitgate.memory import Memories
from admitgate.rules import Rule
from admitgate.tokens import Lease, Ticket, new_sid

a_day_ms = 24 * 3600 * 1000


clock, hire = virtual.clock, virtual.hire


def fill(worker: Worker) -> list[Reply]:
    """Take every slot."""
    replies = [worker.join(f"inside-{nth:09}") for nth in range(worker.rule.capacity)]
    assert {reply.verdict for reply in replies} <= {"ADMIT"}
    return replies


def take_tickets(worker: Worker, count: int) -> list[int]:
    """The numbers of so many newcomers, called visitor-0 and so on, who find no slot."""
    replies = [worker.join(f"visitor-{nth}") for nth in range(count)]
    assert {reply.verdict for reply in replies} == {"TICKET"}
    return [reply.value for reply in replies]


def serve(worker: Worker, number: int, *, clock: Clock) -> None:
    """Let time pass until the number is invited."""
    for _ in range(1000):
        if worker.look().snapshot.serving >= number:
            return
        clock.advance(1)
    raise AssertionError("the number was never invited")


def line(client: redis.Redis, worker: Worker) -> dict[str, float]:
    return {name.decode(): float(value) for name, value in client.hgetall(worker.keys["line"]).items()}


def live_leases(client: redis.Redis, worker: Worker) -> int:
    now_ms = worker.memory.now_ms()
    return int(client.zcount(worker.keys["leases"], f"({now_ms}", "(+inf"))


# Numbers


def test_a_number_is_the_time_of_the_lines_birth_plus_an_ordinal(hire: Hire, clock: Clock) -> None:
    """born is Redis' time in microseconds; the first person who has to wait has born + 1."""
    worker = hire()
    born = clock.redis_us
    worker.join()
    clock.advance(3)
    assert [worker.join().value for _ in range(3)] == [born + 1, born + 2, born + 3]
    assert born + 3 < 2**53


def test_workers_share_one_row_of_numbers(hire: Hire) -> None:
    """Whichever worker gives it out, the next number is one more."""
    fleet = [hire() for _ in range(3)]
    fill(fleet[0])
    numbers = [fleet[nth % 3].join().value for nth in range(30)]
    assert numbers == list(range(numbers[0], numbers[0] + 30))


def test_a_line_born_again_numbers_everybody_behind_everybody_before(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """A day later nothing is known any more, and yet an old number is smaller than every new one."""
    worker = hire()
    fill(worker)
    old = take_tickets(worker, 100)
    redis_client.flushall()
    worker.restart()
    clock.advance(0.001)
    fill(worker)
    assert min(take_tickets(worker, 5)) > max(old)


def test_two_events_have_nothing_in_common(hire: Hire) -> None:
    """A full gala doesn't keep anybody from the matinee."""
    gala, matinee = hire(event="gala"), hire(event="matinee")
    fill(gala)
    assert gala.join().verdict == "TICKET"
    assert matinee.join().verdict == "ADMIT"
    assert not set(gala.keys.values()) & set(matinee.keys.values())


def test_all_keys_of_an_event_are_in_one_cluster_slot(hire: Hire) -> None:
    """One hash tag; events spread over nodes, an event doesn't."""
    tags = {key[key.index("{") : key.index("}")] for key in hire().keys.values()}
    assert len(tags) == 1


# Join


def test_a_newcomer_goes_straight_in_while_a_slot_is_free_and_nobody_waits(hire: Hire, clock: Clock) -> None:
    """With a full lease, as they came by a request of their own."""
    worker = hire(capacity=3)
    replies = fill(worker)
    assert [reply.value for reply in replies] == [clock.redis_ms + lease * 1000] * 3


def test_never_more_than_the_capacity_goes_in(hire: Hire, redis_client: redis.Redis) -> None:
    """The next one gets a number."""
    worker = hire(capacity=3)
    fill(worker)
    take_tickets(worker, 5)
    assert live_leases(redis_client, worker) == 3


def test_a_capacity_of_zero_lets_nobody_in(hire: Hire, clock: Clock) -> None:
    """A closed door still gives out numbers."""
    worker = hire(capacity=0)
    (number,) = take_tickets(worker, 1)
    serve(worker, number, clock=clock)
    clock.advance(grace)
    assert worker.check_in("visitor-0", number).verdict == "READY"


def test_join_asked_twice_gives_one_lease(hire: Hire, redis_client: redis.Redis) -> None:
    """The worker names the visitor before it asks, so a call repeated after a time-out is harmless."""
    worker = hire()
    first, again = worker.join("visitor"), worker.join("visitor")
    assert (first.verdict, again.verdict, first.value) == ("ADMIT", "INSIDE", again.value)
    assert live_leases(redis_client, worker) == 1


def test_a_newcomer_does_not_pass_those_who_are_not_invited_yet(hire: Hire, clock: Clock) -> None:
    """A slot is free again, but numbers were given out: it is theirs."""
    worker = hire()
    (inside,) = fill(worker)
    take_tickets(worker, 40)
    worker.release("inside-000000000", inside.value)
    clock.advance(grace)
    assert worker.join().verdict == "TICKET"


def test_a_newcomer_does_not_pass_those_who_are_invited_and_may_be_on_their_way(
    hire: Hire, clock: Clock
) -> None:
    """Everybody is invited, nobody has checked in, and the grace is running."""
    worker = hire()
    (inside,) = fill(worker)
    (number,) = take_tickets(worker, 1)
    serve(worker, number, clock=clock)
    worker.release("inside-000000000", inside.value)
    clock.advance(grace - 0.1)
    assert worker.join().verdict == "TICKET"


def test_a_newcomer_does_not_pass_those_who_are_ready(hire: Hire, clock: Clock) -> None:
    """A slot comes free; between two polls of the one who is ready, nobody else gets it."""
    worker = hire()
    (inside,) = fill(worker)
    (number,) = take_tickets(worker, 1)
    serve(worker, number, clock=clock)
    for _ in range(4):
        clock.advance(2)
        assert worker.check_in("visitor-0", number).verdict == "READY"
    worker.release("inside-000000000", inside.value)
    assert worker.join().verdict == "TICKET"
    clock.advance(2)
    assert worker.check_in("visitor-0", number).verdict == "ADMIT"


def test_a_newcomer_goes_straight_in_once_those_before_have_had_their_chance(
    hire: Hire, clock: Clock
) -> None:
    """A crowd that never returns stalls nobody for longer than the grace."""
    worker = hire()
    (inside,) = fill(worker)
    (number,) = take_tickets(worker, 1)
    worker.release("inside-000000000", inside.value)
    serve(worker, number, clock=clock)
    clock.advance(grace)
    assert worker.join().verdict == "ADMIT"


# The line moves on


def test_nobody_who_has_to_wait_is_invited_past_the_numbers_given_out(hire: Hire, clock: Clock) -> None:
    """serving never exceeds issued."""
    worker = hire()
    fill(worker)
    for _ in range(50):
        worker.join()
        clock.advance(1)
        reply = worker.look()
        assert reply.snapshot.serving <= reply.snapshot.issued


def test_a_look_moves_the_line_on(hire: Hire, clock: Clock) -> None:
    """The one who is first need not ask: anybody's look invites them."""
    worker = hire()
    fill(worker)
    numbers = take_tickets(worker, 100)
    seen = [worker.look().snapshot.serving]
    while seen[-1] < numbers[-1]:
        clock.advance(1)
        seen.append(worker.look().snapshot.serving)
    assert seen == sorted(seen)
    assert len(seen) > 3 * grace


def test_the_next_are_invited_only_when_the_grace_of_the_last_is_over(hire: Hire, clock: Clock) -> None:
    """One step at a time."""
    worker = hire()
    fill(worker)
    take_tickets(worker, 200)
    before = worker.look().snapshot.serving
    clock.advance(grace - 0.1)
    serving = worker.look().snapshot.serving
    clock.advance(grace)
    assert worker.look().snapshot.serving > serving
    assert serving in (before, serving)


def test_nobody_more_is_invited_while_half_of_those_who_may_be_ready_are(hire: Hire, clock: Clock) -> None:
    """Ten who wait for one slot are enough for a while."""
    worker = hire(lease_seconds=600)
    fill(worker)
    numbers = take_tickets(worker, 200)
    clock.advance(grace)
    invited = worker.look().snapshot.serving
    for _ in range(10):
        for nth in range(10):
            worker.check_in(f"visitor-{nth}", numbers[nth])
        clock.advance(2)
    assert worker.look().snapshot.serving == invited


def test_nobody_more_is_invited_while_enough_are_ready(hire: Hire, clock: Clock) -> None:
    """People who are present and wait for a slot are all that is needed."""
    worker = hire(lease_seconds=600)
    fill(worker)
    numbers = take_tickets(worker, 200)
    clock.advance(grace)
    invited = worker.look().snapshot.serving
    for _ in range(20):
        for nth, number in enumerate(numbers):
            if number <= invited:
                worker.check_in(f"visitor-{nth}", number)
        clock.advance(2)
    assert numbers[7] < invited < numbers[-1]
    assert worker.look().snapshot.serving <= invited


@pytest.mark.parametrize(
    ("share", "least", "most"),
    [
        pytest.param(0.0, 4.0, 4.0, id="nobody came: four times as many"),
        pytest.param(0.2, 1.5, 2.5, id="under a quarter came: about twice as many"),
        pytest.param(0.5, 1.1, 2.0, id="half came: somewhat more"),
        pytest.param(1.0, 0.3, 1.0, id="everybody came: no more than before"),
    ],
)
def test_how_many_are_invited_follows_how_many_of_the_last_came(
    hire: Hire, clock: Clock, share: float, least: float, most: float
) -> None:
    """So that an abandoned line is crossed fast and a patient one is not called up all at once."""
    worker = hire(lease_seconds=600)
    fill(worker)
    numbers = take_tickets(worker, 3000)
    steps, serving = [], worker.look().snapshot.serving
    for _ in range(3):
        clock.advance(grace)  # and whoever came has left again, or there would be enough of them
        before, serving = serving, worker.look().snapshot.serving
        steps.append(serving - before)
        for number in range(before + 1, before + 1 + int(share * steps[-1])):
            worker.check_in(f"visitor-{number - numbers[0]}", number)
    assert least <= steps[-1] / steps[-2] <= most


def test_fewer_are_invited_again_behind_an_abandoned_stretch(hire: Hire, clock: Clock) -> None:
    """Nobody came, so many were called; now everybody comes, and so the next are fewer."""
    worker = hire(lease_seconds=600)
    fill(worker)
    numbers = take_tickets(worker, 3000)
    steps, serving = [], worker.look().snapshot.serving
    for nth in range(5):
        clock.advance(grace)
        before, serving = serving, worker.look().snapshot.serving
        steps.append(serving - before)
        for number in range(before + 1, serving + 1 if nth == 3 else 0):
            worker.check_in(f"visitor-{number - numbers[0]}", number)
        if nth == 3:  # those who found no place among the ready were called back
            serving = worker.look().snapshot.serving
    assert steps[1] < steps[2] < steps[3]
    assert steps[4] < steps[3]


def test_the_line_does_not_move_on_while_nobody_has_the_time_to_come(hire: Hire, clock: Clock) -> None:
    """A cold hold: numbers are given out, nobody is invited, nobody goes in."""
    worker = hire(cold_hold_seconds=30)
    (number,) = take_tickets(worker, 1)
    clock.advance(29)
    assert worker.look().snapshot.serving < number
    assert worker.look().snapshot.hold_left_ms == 1000
    clock.advance(1)
    assert worker.look().snapshot.serving == number


# Check in


def test_a_number_that_is_not_invited_yet_waits(hire: Hire) -> None:
    """And takes no place among the ready, whatever the page sends."""
    worker = hire()
    fill(worker)
    numbers = take_tickets(worker, 100)
    reply = worker.check_in("visitor-99", numbers[-1])
    assert reply.verdict == "WAIT"
    assert reply.snapshot.present == 0


def test_the_slot_is_the_lowest_number_present_whoever_asks_first(hire: Hire, clock: Clock) -> None:
    """Two are ready, one slot comes free, the second asks first: it is the first one's."""
    worker = hire()
    (inside,) = fill(worker)
    first, second = take_tickets(worker, 2)
    serve(worker, second, clock=clock)
    clock.advance(grace - 1)
    assert worker.check_in("visitor-1", second).value == 0
    assert worker.check_in("visitor-0", first).value == 0
    assert worker.check_in("visitor-1", second).value == 1
    clock.advance(2)
    worker.release("inside-000000000", inside.value)
    assert worker.check_in("visitor-1", second).verdict == "READY"
    assert worker.check_in("visitor-0", first).verdict == "ADMIT"


def test_nobody_newly_invited_goes_in_before_all_invited_with_them_had_time_to_come(
    hire: Hire, clock: Clock
) -> None:
    """The grace is what makes it first come, first served."""
    worker = hire()
    (inside,) = fill(worker)
    _, first, second = take_tickets(worker, 3)
    serve(worker, first, clock=clock)
    worker.release("inside-000000000", inside.value)
    clock.advance(grace - 2)
    assert worker.check_in("visitor-2", second).verdict == "READY"
    clock.advance(1)
    assert worker.check_in("visitor-1", first).verdict == "READY"
    clock.advance(1.1)
    assert worker.check_in("visitor-2", second).verdict == "READY"
    assert worker.check_in("visitor-1", first).verdict == "ADMIT"


def test_who_was_invited_earlier_need_not_wait_for_the_grace_of_those_after(hire: Hire, clock: Clock) -> None:
    """The next step was a moment ago; a latecomer of the one before takes the free slot at once."""
    worker = hire()
    fill(worker)
    numbers = take_tickets(worker, 200)
    serve(worker, numbers[60], clock=clock)
    inside = worker.check_in("inside-000000000", 0, is_claim=False)
    worker.release("inside-000000000", inside.value)
    before = worker.look().snapshot.serving
    while worker.look().snapshot.serving == before:
        clock.advance(0.5)
    assert worker.check_in("visitor-0", numbers[0]).verdict == "ADMIT"


def test_who_comes_late_keeps_their_number_and_takes_the_next_slot(hire: Hire, clock: Clock) -> None:
    """Nobody loses a place by sleeping."""
    worker = hire()
    (inside,) = fill(worker)
    numbers = take_tickets(worker, 3)
    serve(worker, numbers[-1], clock=clock)
    clock.advance(30)
    worker.check_in("visitor-2", numbers[2])
    worker.check_in("visitor-1", numbers[1])
    assert worker.check_in("visitor-0", numbers[0]).value == 0
    worker.release("inside-000000000", inside.value)
    assert worker.check_in("visitor-1", numbers[1]).verdict == "READY"
    assert worker.check_in("visitor-0", numbers[0]).verdict == "ADMIT"


def test_who_stops_asking_is_no_longer_in_the_way(hire: Hire, clock: Clock) -> None:
    """Present is who was heard of within the grace."""
    worker = hire()
    (inside,) = fill(worker)
    first, second = take_tickets(worker, 2)
    serve(worker, second, clock=clock)
    worker.check_in("visitor-0", first)
    worker.release("inside-000000000", inside.value)
    clock.advance(grace - 0.1)
    assert worker.check_in("visitor-1", second).verdict == "READY"
    clock.advance(0.1)
    assert worker.check_in("visitor-1", second).verdict == "ADMIT"


def test_everybody_ready_gets_in_in_order_as_slots_come_free(hire: Hire, clock: Clock) -> None:
    """Ten ready, who ask in any order; slots come free one at a time."""
    worker = hire(capacity=1)
    (inside,) = fill(worker)
    numbers = take_tickets(worker, 10)
    serve(worker, numbers[-1], clock=clock)
    holder, deadline, admitted = "inside-000000000", inside.value, []
    dice = random.Random(1)
    while len(admitted) < 10:
        clock.advance(1)
        waiting = [nth for nth in range(10) if nth not in admitted]
        for nth in dice.sample(waiting, len(waiting)):
            reply = worker.check_in(f"visitor-{nth}", numbers[nth])
            if reply.verdict == "ADMIT":
                admitted.append(nth)
                holder, deadline = f"visitor-{nth}", reply.value
        if clock.seconds > grace:
            worker.release(holder, deadline)
    assert admitted == list(range(10))


def test_the_ready_are_bounded_and_the_highest_number_yields_its_place(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """A latecomer with a lower number finds a place however many are ready; memory stays bounded."""
    worker = hire(grace_seconds=1)
    fill(worker)
    numbers = take_tickets(worker, 1500)
    serve(worker, numbers[-1], clock=clock)
    for nth in range(1499, 0, -1):
        worker.check_in(f"visitor-{nth}", numbers[nth])
    full = redis_client.zcard(worker.keys["ready"])
    assert full < 1000
    assert worker.check_in("visitor-0", numbers[0]).value == 0
    assert redis_client.zcard(worker.keys["ready"]) == full
    assert redis_client.zcard(worker.keys["ready:seen"]) == full
    highest = redis_client.zrange(worker.keys["ready"], -1, -1)[0].decode()
    reply = worker.check_in("visitor-1499", numbers[1499])
    assert highest != "visitor-1499"
    assert reply.verdict == "WAIT"
    assert reply.snapshot.present == full


def test_whom_the_ready_cannot_hold_is_called_back(hire: Hire, clock: Clock) -> None:
    """Else whoever of them happens to ask when a place comes free would pass the others."""
    worker = hire()
    fill(worker)
    numbers = take_tickets(worker, 100)
    serve(worker, numbers[-1], clock=clock)
    for nth in range(1, 17):
        assert worker.check_in(f"visitor-{nth}", numbers[nth]).verdict == "READY"
    reply = worker.check_in("visitor-40", numbers[40])
    assert (reply.verdict, reply.snapshot.serving) == ("WAIT", numbers[16])
    reply = worker.check_in("visitor-0", numbers[0])  # and who yields to a lower number is called back too
    assert (reply.verdict, reply.snapshot.serving) == ("READY", numbers[15])


def test_the_highest_is_not_admitted_while_the_ready_are_full_of_lower_numbers(
    hire: Hire, clock: Clock
) -> None:
    """Finding no place is no way round those who found one."""
    worker = hire(grace_seconds=1)
    (inside,) = fill(worker)
    numbers = take_tickets(worker, 1500)
    serve(worker, numbers[-1], clock=clock)
    for nth in range(1400):
        worker.check_in(f"visitor-{nth}", numbers[nth])
    worker.release("inside-000000000", inside.value)
    assert worker.check_in("visitor-1499", numbers[-1]).verdict == "WAIT"


def test_the_polls_of_the_ready_show_presence_and_stay_few(hire: Hire, clock: Clock) -> None:
    """Each reply says when to ask again: within the grace, and together under 200 times a second."""
    worker = hire(capacity=1000)
    fill(worker)
    numbers = take_tickets(worker, 2000)
    worker.rule = hire(capacity=2000).rule
    serve(worker, numbers[0], clock=clock)
    for nth, number in enumerate(numbers):
        reply = worker.check_in(f"visitor-{nth}", number)
        if reply.verdict == "READY":
            assert 1 <= reply.snapshot.poll_ms / 1000 <= grace * 2 / 3
            assert reply.snapshot.present / (reply.snapshot.poll_ms / 1000) <= 200


def test_a_page_that_is_admitted_has_a_short_lease_which_its_request_makes_full(
    hire: Hire, clock: Clock
) -> None:
    """A claim: the visitor may have closed the page in this very second."""
    worker = hire()
    (inside,) = fill(worker)
    (number,) = take_tickets(worker, 1)
    serve(worker, number, clock=clock)
    worker.release("inside-000000000", inside.value)
    clock.advance(grace)
    claimed = worker.check_in("visitor-0", number, is_claim=True)
    # The rule's claim_seconds, measured by Redis' clock.
    assert (claimed.verdict, claimed.value) == ("ADMIT", clock.redis_ms + claim * 1000)
    clock.advance(1)
    renewed = worker.renew("visitor-0", claimed.value)
    assert (renewed.verdict, renewed.value) == ("ADMIT", clock.redis_ms + lease * 1000)


def test_a_claim_that_nobody_takes_up_comes_free(hire: Hire, clock: Clock) -> None:
    """The next one goes in when the short lease is over."""
    worker = hire()
    (inside,) = fill(worker)
    first, second = take_tickets(worker, 2)
    serve(worker, second, clock=clock)
    worker.release("inside-000000000", inside.value)
    clock.advance(grace)
    assert worker.check_in("visitor-0", first).verdict == "ADMIT"
    clock.advance(claim - 0.1)
    assert worker.check_in("visitor-1", second).verdict == "READY"
    clock.advance(0.1)
    assert worker.check_in("visitor-1", second).verdict == "ADMIT"


def test_a_request_that_checks_in_gets_a_full_lease_at_once(hire: Hire, clock: Clock) -> None:
    """Without JavaScript the page reloads itself: that request is the visit."""
    worker = hire()
    (inside,) = fill(worker)
    (number,) = take_tickets(worker, 1)
    serve(worker, number, clock=clock)
    worker.release("inside-000000000", inside.value)
    clock.advance(grace)
    reply = worker.check_in("visitor-0", number, is_claim=False)
    assert (reply.verdict, reply.value) == ("ADMIT", clock.redis_ms + lease * 1000)


def test_one_ticket_in_a_hundred_check_ins_is_one_slot(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Whether in a hundred tabs or a hundred machines."""
    fleet = [hire(capacity=50) for _ in range(4)]
    fill(fleet[0])
    (number,) = take_tickets(fleet[0], 1)
    clock.advance(lease + 1)
    serve(fleet[0], number, clock=clock)
    clock.advance(grace)
    verdicts = [fleet[nth % 4].check_in("visitor-0", number).verdict for nth in range(100)]
    assert verdicts == ["ADMIT"] * 100
    assert live_leases(redis_client, fleet[0]) == 1


def test_a_check_in_while_inside_does_not_shorten_the_lease(hire: Hire, clock: Clock) -> None:
    """A waiting page left open in another tab takes nothing from the visitor who is in."""
    worker = hire()
    reply = worker.join("visitor")
    clock.advance(1)
    again = worker.check_in("visitor", 1, is_claim=True)
    assert (again.verdict, again.value) == ("ADMIT", reply.value)


# Renew and release


def test_renewing_pushes_the_deadline_on(hire: Hire, clock: Clock) -> None:
    """By a full lease from now, for as long as the visitor is active."""
    worker = hire()
    reply = worker.join("visitor")
    for _ in range(10):
        clock.advance(lease * 0.9)
        reply = worker.renew("visitor", reply.value)
        assert (reply.verdict, reply.value) == ("ADMIT", clock.redis_ms + lease * 1000)


def test_an_extension_only_ever_lengthens(hire: Hire, clock: Clock) -> None:
    """For a step that takes longer than a lease; asking for less changes nothing."""
    worker = hire()
    reply = worker.join("visitor")
    longer = worker.renew("visitor", reply.value, seconds=3600)
    assert longer.value == clock.redis_ms + 3_600_000
    assert worker.renew("visitor", longer.value, seconds=5).value == longer.value
    assert worker.renew("visitor", longer.value).value == longer.value


def test_a_lease_ends_at_its_deadline(hire: Hire, clock: Clock) -> None:
    """Not a moment later: the slot is somebody else's now."""
    worker = hire()
    reply = worker.join("visitor")
    clock.advance(lease)
    assert worker.renew("visitor", reply.value).verdict == "EXPIRED"
    assert worker.join("other").verdict == "ADMIT"


def test_crashed_and_abandoned_sessions_free_their_slots(hire: Hire, clock: Clock) -> None:
    """Within their lease time, all of them, however many."""
    worker = hire(capacity=450)
    assert len(fill(worker)) == 450
    clock.advance(lease)
    for _ in range(10):
        worker.look()
    assert worker.look().snapshot.in_use == 0


def test_a_released_slot_is_free_at_once(hire: Hire) -> None:
    """Paid: the next one can go in."""
    worker = hire()
    reply = worker.join("visitor")
    assert worker.release("visitor", reply.value).verdict == "RELEASED"
    assert worker.join("other").verdict == "ADMIT"


def test_a_released_lease_cannot_be_shown_again(hire: Hire, clock: Clock) -> None:
    """Through no worker and with no verb, for as long as its token would be good."""
    fleet = [hire(capacity=2), hire(capacity=2)]
    reply = fleet[0].join("visitor")
    fleet[0].release("visitor", reply.value)
    for seconds in (0.0, lease / 2, lease / 2 - 0.001):
        clock.advance(seconds)
        assert fleet[1].renew("visitor", reply.value).verdict == "GONE"
        assert fleet[1].check_in("visitor", reply.value).verdict == "GONE"
    clock.advance(0.001)
    assert fleet[1].renew("visitor", reply.value).verdict == "GONE"


def test_a_ticket_leads_to_one_visit(hire: Hire, clock: Clock) -> None:
    """Whoever has put a copy of it aside goes in before all others once, and not again on the same day."""
    worker = hire()
    (inside,) = fill(worker)
    number, behind = take_tickets(worker, 2)
    worker.release("inside-000000000", inside.value)
    serve(worker, behind, clock=clock)
    clock.advance(grace)
    claim = worker.check_in("visitor-0", number)
    assert claim.verdict == "ADMIT"
    worker.release("visitor-0", claim.value)
    for hours in (0.0, 1.0, 12.0):
        clock.advance(hours * 3600)
        assert worker.check_in("visitor-0", number).verdict == "GONE"
        assert worker.check_in("visitor-1", behind).verdict in ("READY", "ADMIT")


def test_an_account_that_has_paid_is_adopted_again_after_an_outage(hire: Hire, clock: Clock) -> None:
    """Its sid comes again: what an open gate has given it since isn't what it had given back."""
    worker, account = hire(), "an-account-of-this-shp"
    before = worker.join(account)
    worker.release(account, before.value)
    clock.advance(lease / 2)
    for later_ms, verdict in ((0, "GONE"), (1000, "ADMIT")):
        given = Lease(account, before.value + later_ms, 0, is_unasked=True)
        assert worker.call(counter.renew(worker.rule, EVENT, given)).verdict == verdict


def test_a_lease_evicted_by_name_cannot_be_shown_again(hire: Hire) -> None:
    """Who knows only the name need not know the deadline: Redis does."""
    worker = hire()
    reply = worker.join("visitor")
    worker.release("visitor")
    assert worker.renew("visitor", reply.value).verdict == "GONE"


def test_a_release_asked_twice_is_one(hire: Hire) -> None:
    """And doesn't free somebody else's slot."""
    worker = hire()
    reply = worker.join("visitor")
    worker.release("visitor", reply.value)
    worker.join("other")
    assert worker.release("visitor", reply.value).snapshot.in_use == 1


def test_a_loop_of_joins_and_releases_leaves_no_heap(hire: Hire, redis_client: redis.Redis) -> None:
    """The memory of released leases is bounded."""
    worker = hire()
    for nth in range(1200):
        worker.release(f"visitor-{nth}", worker.join(f"visitor-{nth}").value)
    assert redis_client.zcard(worker.keys["released"]) <= 1010


def test_what_a_loop_pushes_out_of_that_memory_is_no_lease_again(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """It would make slots of nothing, and a hold for everybody. A later one that is lost is adopted."""
    shop, other, deadlines = hire(), hire(), []
    for nth in range(1200):
        clock.advance(0.001)
        deadlines.append(shop.join(f"visitor-{nth}").value)
        shop.release(f"visitor-{nth}", deadlines[-1])
    clock.advance(lease / 2)
    verdicts = {other.renew(f"visitor-{nth}", deadline).verdict for nth, deadline in enumerate(deadlines)}
    assert verdicts == {"GONE"}
    assert other.look().snapshot.hold_left_ms == 0
    last = shop.join("last")
    redis_client.zrem(shop.keys["leases"], "last")
    assert other.renew("last", last.value).verdict == "ADMIT"


def test_leaving_the_line_takes_the_visitor_out_of_the_ready(hire: Hire, clock: Clock) -> None:
    """Those behind don't wait for them."""
    worker = hire()
    (inside,) = fill(worker)
    _, first, second = take_tickets(worker, 3)
    serve(worker, second, clock=clock)
    for nth, number in ((1, first), (2, second)):
        assert worker.check_in(f"visitor-{nth}", number).verdict == "READY"
    clock.advance(grace - 1)
    worker.check_in("visitor-1", first)
    worker.check_in("visitor-2", second)
    worker.release("inside-000000000", inside.value)
    clock.advance(1)
    assert worker.check_in("visitor-2", second).verdict == "READY"
    assert worker.release("visitor-1").snapshot.present == 1
    assert worker.check_in("visitor-2", second).verdict == "ADMIT"


def test_a_release_moves_the_line_on(hire: Hire, clock: Clock) -> None:
    """No look is needed for the next to be invited."""
    worker = hire()
    (inside,) = fill(worker)
    numbers = take_tickets(worker, 40)
    serving = worker.look().snapshot.serving
    clock.advance(grace)
    assert serving < numbers[-1]
    assert worker.release("inside-000000000", inside.value).snapshot.serving > serving


# Options


def test_a_ramp_admits_no_faster_than_it_says(hire: Hire, clock: Clock) -> None:
    """With 60 a minute and a thousand free slots, about one a second goes in."""
    worker = hire(capacity=1000, admit_per_minute=60, lease_seconds=600)
    admitted = 0
    waiting = []
    for nth in range(150):
        reply = worker.join(f"visitor-{nth:03}")
        admitted += reply.verdict == "ADMIT"
        if reply.verdict == "TICKET":
            waiting.append((f"visitor-{nth:03}", reply.value))
    assert admitted <= 5  # a burst of five seconds' worth
    start = clock.seconds
    while clock.seconds - start < 120:
        clock.advance(1)
        serving = worker.look().snapshot.serving
        for sid, number in [visitor for visitor in waiting if visitor[1] <= serving]:
            if worker.check_in(sid, number).verdict == "ADMIT":
                waiting.remove((sid, number))
                admitted += 1
    assert 105 <= admitted <= 126


def test_a_line_that_is_full_gives_out_no_number(hire: Hire, clock: Clock) -> None:
    """Until somebody has gone in or is gone."""
    worker = hire(max_waiting=10)
    (inside,) = fill(worker)
    numbers = take_tickets(worker, 11)  # the first of them is invited at once
    reply = worker.join()
    assert reply.verdict == "FULL"
    assert reply.snapshot.issued == numbers[-1]
    serve(worker, numbers[-1], clock=clock)
    worker.check_in("visitor-0", numbers[0])
    worker.release("inside-000000000", inside.value)
    assert worker.join().verdict == "TICKET"


def test_no_line_at_all_where_nobody_may_wait(hire: Hire) -> None:
    """max_waiting=0: inside or not at all."""
    worker = hire(max_waiting=0)
    (inside,) = fill(worker)
    assert worker.join().verdict == "FULL"
    worker.release("inside-000000000", inside.value)
    assert worker.join().verdict == "ADMIT"


def test_what_an_operator_sets_is_obeyed_at_once_by_every_worker(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """The settings in Redis win over the rule's."""
    fleet = [hire(), hire()]
    settings = fleet[0].keys["settings"]
    redis_client.hset(settings, mapping={"capacity": 3, "lease_seconds": 30, "message": "Käse & more"})
    replies = [fleet[nth % 2].join() for nth in range(4)]
    deadline_ms = clock.redis_ms + 30_000
    assert [reply.verdict for reply in replies] == ["ADMIT"] * 3 + ["TICKET"]
    assert replies[0].value == deadline_ms
    assert replies[3].snapshot.capacity == 3
    assert replies[3].snapshot.message == "Käse & more"
    redis_client.hset(settings, mapping={"max_waiting": 0})
    assert fleet[1].join().verdict == "FULL"
    redis_client.delete(settings)
    assert fleet[1].join().verdict == "TICKET"


def test_a_ramp_set_live_is_obeyed(hire: Hire, redis_client: redis.Redis) -> None:
    """And so is its end."""
    worker = hire(capacity=100)
    redis_client.hset(worker.keys["settings"], "admit_per_minute", 12)
    assert [worker.join().verdict for _ in range(3)] == ["ADMIT", "TICKET", "TICKET"]


def test_a_capacity_lowered_while_full_throws_nobody_out_and_lets_nobody_in(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Until enough have left."""
    worker = hire(capacity=5)
    inside = fill(worker)
    numbers = [worker.join(f"visitor-{nth}").value for nth in range(1, 3)]
    redis_client.hset(worker.keys["settings"], "capacity", 2)
    serve(worker, numbers[-1], clock=clock)
    clock.advance(grace)
    inside = [worker.renew(f"inside-{nth:09}", reply.value) for nth, reply in enumerate(inside)]
    assert {reply.verdict for reply in inside} == {"ADMIT"}
    for nth in range(3):
        worker.release(f"inside-{nth:09}", inside[nth].value)
        assert worker.check_in("visitor-1", numbers[0]).verdict == "READY"
    worker.release("inside-000000003", inside[3].value)
    assert worker.check_in("visitor-1", numbers[0]).verdict == "ADMIT"


def test_a_capacity_raised_lets_the_ready_in_at_their_next_poll(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """No restart, no waiting for somebody to leave."""
    worker = hire()
    fill(worker)
    first, second = take_tickets(worker, 2)
    serve(worker, second, clock=clock)
    clock.advance(grace)
    assert worker.check_in("visitor-0", first).verdict == "READY"
    redis_client.hset(worker.keys["settings"], "capacity", 2)
    assert worker.check_in("visitor-0", first).verdict == "ADMIT"
    assert worker.check_in("visitor-1", second).verdict == "READY"


@pytest.mark.parametrize("name", ["capacity", "lease_seconds", "admit_per_minute", "max_waiting"])
def test_a_setting_that_is_no_number_counts_as_not_set(
    hire: Hire, redis_client: redis.Redis, name: str
) -> None:
    """Somebody's typing error at the console must not close the shop."""
    worker = hire()
    redis_client.hset(worker.keys["settings"], name, "lots")
    assert worker.join().verdict == "ADMIT"


# Keys come and go


def test_a_look_never_creates_an_event(hire: Hire, redis_client: redis.Redis) -> None:
    """Anybody may ask for the status of any name."""
    reply = hire().look()
    assert (reply.verdict, reply.snapshot) == ("UNKNOWN", None)
    assert redis_client.dbsize() == 0


def test_an_event_that_the_application_does_not_know_leaves_no_keys(
    hire: Hire, redis_client: redis.Redis
) -> None:
    """A first visit was answered with 404: its slot is given back and the event forgotten."""
    worker = hire()
    reply = worker.join("visitor")
    assert worker.release("visitor", reply.value, forget=True).verdict == "FORGOTTEN"
    assert redis_client.dbsize() == 0


def test_two_first_visits_at_a_time_to_an_unknown_event_leave_no_keys(
    hire: Hire, redis_client: redis.Redis
) -> None:
    """The last of them forgets it."""
    fleet = [hire(capacity=5), hire(capacity=5)]
    replies = [worker.join(f"visitor-{nth}") for nth, worker in enumerate(fleet)]
    for nth, worker in enumerate(fleet):
        worker.release(f"visitor-{nth}", replies[nth].value, forget=True)
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize("what", ["a lease", "a ticket", "a released lease", "a ticket long past"])
def test_an_event_of_which_something_is_known_is_not_forgotten(hire: Hire, clock: Clock, what: str) -> None:
    """A page below the check-out that isn't there tells nothing about the event."""
    worker = hire(capacity=3)
    reply = worker.join("first")
    if what == "a released lease":
        worker.release("first", reply.value)
    if what.startswith("a ticket"):
        assert [worker.join().verdict for _ in range(3)][-1] == "TICKET"
    if what == "a ticket long past":
        clock.advance(lease)
        worker.look()
        clock.advance(grace)
    reply = worker.join("lost")
    assert worker.release("lost", reply.value, forget=True).verdict == "RELEASED"


def test_an_event_with_somebody_in_line_is_not_forgotten(hire: Hire) -> None:
    """Their number would be given out again."""
    worker = hire()
    reply = worker.join("lost")
    worker.join("visitor")
    assert worker.release("lost", reply.value, forget=True).verdict == "RELEASED"


def test_a_404_in_a_quiet_hour_is_no_loss_to_the_workers_who_know_the_event(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """Everybody has left; one worker meets a wrong path and forgets; the others must not think of a wipe."""
    shop, other = hire(), hire()
    shop.join("visitor")
    shop.memory.is_firm = True  # the gate's word for: the application knows this event
    clock.advance(lease + 1)
    shop.look()
    reply = other.join("lost")
    other.release("lost", reply.value, forget=True)
    reply = shop.join("next")
    assert reply.snapshot.hold_left_ms == 0
    assert reply.verdict == "ADMIT"


def test_every_key_has_an_expiry_at_all_times(hire: Hire, redis_client: redis.Redis, clock: Clock) -> None:
    """Through every verb and 30 hours of a busy event: a quiet event is gone after a day."""
    worker = hire(capacity=2)
    dice = random.Random(2)
    waiting: dict[str, int] = {}
    inside: dict[str, int] = {}
    for nth in range(400):
        clock.advance(270 if nth % 40 == 0 else dice.uniform(0, 540) if nth % 7 == 0 else 1.5)
        reply = worker.join(f"visitor-{nth}")
        (inside if reply.verdict == "ADMIT" else waiting)[f"visitor-{nth}"] = reply.value
        for sid in dice.sample(sorted(waiting), min(2, len(waiting))):
            if worker.check_in(sid, waiting[sid]).verdict == "ADMIT":
                inside[sid] = clock.redis_ms + 20_000
                del waiting[sid]
        for sid in dice.sample(sorted(inside), min(1, len(inside))):
            if dice.random() < 0.5:
                worker.renew(sid, inside[sid])
            else:
                worker.release(sid, inside.pop(sid))
        worker.look()
        for key in redis_client.scan_iter():
            assert 0 < redis_client.pttl(key) <= a_day_ms * 25 / 24, key


def test_a_call_an_hour_keeps_an_event_alive(hire: Hire, redis_client: redis.Redis, clock: Clock) -> None:
    """The expiry is pushed on, of what the operator set as well, by whichever verb comes."""
    worker = hire()
    fill(worker)
    take_tickets(worker, 1)
    redis_client.hset(worker.keys["settings"], "message", "soon")
    for key in redis_client.scan_iter():
        redis_client.pexpire(key, 1000)
    clock.advance(3601)
    worker.look()
    assert min(map(redis_client.pttl, redis_client.scan_iter())) > a_day_ms


def test_an_event_that_ended_by_itself_is_born_again_as_new(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """A day without a call: no loss, no hold."""
    worker = hire()
    fill(worker)
    take_tickets(worker, 3)
    redis_client.flushall()
    clock.advance(25 * 3600)
    assert worker.join().verdict == "ADMIT"


def test_somebody_who_kept_a_ticket_of_a_line_that_ended_by_itself_starts_anew(
    hire: Hire, redis_client: redis.Redis, clock: Clock
) -> None:
    """And doesn't make the new line hold its breath."""
    worker = hire()
    fill(worker)
    (number,) = take_tickets(worker, 1)
    joined_ms = clock.redis_ms
    redis_client.flushall()
    clock.advance(25 * 3600)
    worker.join()
    reply = worker.check_in("visitor-0", number, joined_ms=joined_ms)
    assert (reply.verdict, reply.snapshot.hold_left_ms) == ("GONE", 0)


# One round trip


def note(act: str) -> tuple[str | int, ...]:
    return f"this {act}", "ada", act, "said of it", 500


ticket = Ticket("visitor", 5, 1)
calls = {
    "join": lambda rule: counter.join(rule, EVENT, new_sid()),
    "check_in": lambda rule: counter.check_in(rule, EVENT, ticket, is_claim=True),
    "renew": lambda rule: counter.renew(rule, EVENT, Lease("visitor", 2**52, 0)),
    "release": lambda rule: counter.release(rule, EVENT, new_sid(), 2**52),
    "look": lambda rule: counter.look(rule, EVENT),
    "ramp": lambda rule: counter.ramp(rule, EVENT, 10, 1),
    "evict": lambda rule: counter.evict(rule, EVENT, "visitor", note("evict")),
    "reset": lambda rule: counter.reset(rule, EVENT, note("reset")),
}
most_commands = {"join": 14, "check_in": 16, "renew": 6, "release": 18, "look": 12, "ramp": 12}
most_commands |= {"evict": 23, "reset": 20}  # each with its note


@pytest.mark.parametrize("verb", calls)
def test_a_verb_is_one_command_and_few_steps_inside(
    redis_url: str, redis_client: redis.Redis, verb: str
) -> None:
    """One EVALSHA and nothing besides; how many commands its script runs is bounded, whatever the state."""
    rule = Rule("/", capacity=2)
    count = Counter(redis_client, Memories())
    for name, make in calls.items():  # the scripts are known, the event is busy
        if name in ("evict", "reset"):
            redis_client.script_load(count._scripts[name][0])
        else:
            count.call(make(rule))
    with redis.Redis.from_url(redis_url) as watcher, watcher.monitor() as monitor:
        count.call(calls[verb](rule))
        redis_client.echo("over")
        seen: list[tuple[str, str]] = []
        for command in monitor.listen():
            if command["command"].startswith("ECHO"):
                break
            seen.append((command["client_type"], command["command"].split()[0]))
    assert [name for kind, name in seen if kind != "lua"] == ["EVALSHA"]
    inside = [name for kind, name in seen if kind == "lua"]
    print(f"{verb:9} {len(inside):2} commands inside: {' '.join(inside)}")
    assert 0 < len(inside) <= most_commands[verb]


def test_a_client_that_decodes_its_answers_works(redis_server: Any, redis_client: redis.Redis) -> None:
    """Somebody's own client, with decode_responses."""
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        count = Counter(client, Memories())
        rule = Rule("/", capacity=1)
        redis_client.hset(count.keys(EVENT).settings, "message", "Bühne frei")
        replies = [count.call(counter.join(rule, EVENT, new_sid())) for _ in range(2)]
    assert [reply.verdict for reply in replies] == ["ADMIT", "TICKET"]
    assert replies[1].snapshot.message == "Bühne frei"


def test_the_client_made_from_a_url_works(redis_url: str) -> None:
    """With its deadlines and its bounded pool."""
    count = Counter(connect(redis_url, 5), Memories())
    assert count.call(counter.join(Rule("/", capacity=1), EVENT, new_sid())).verdict == "ADMIT"


def test_scripts_that_redis_forgot_are_sent_again(hire: Hire, redis_client: redis.Redis) -> None:
    """After SCRIPT FLUSH or a restart nobody notices anything."""
    worker = hire(capacity=5)
    for _ in range(3):
        redis_client.script_flush()
        assert worker.join().verdict == "ADMIT"


@pytest.mark.parametrize("name", ["line", "leases", "ready", "ready:seen", "released", "settings"])
def test_a_key_of_the_wrong_type_is_an_outage_of_that_event(
    hire: Hire, redis_client: redis.Redis, name: str
) -> None:
    """Somebody else's program wrote there: an Outage, which the gate answers, and no traceback."""
    worker, other = hire(), hire(event="matinee")
    worker.join("visitor")
    redis_client.delete(worker.keys[name])
    redis_client.set(worker.keys[name], "not ours")
    verdicts = []
    for verb in (lambda: worker.check_in("visitor", 5), worker.look, lambda: worker.release("visitor", 5)):
        try:
            verdicts.append(verb().verdict)
        except Outage:
            verdicts.append("outage")
    assert "outage" in verdicts or name == "released"
    assert other.join().verdict == "ADMIT"


def test_a_broken_event_takes_no_other_with_it(hire: Hire, redis_client: redis.Redis) -> None:
    """Redis is well: one event's fault opens no breaker for the others of the same worker."""
    worker = hire()
    redis_client.set(worker.keys["line"], "not ours")
    for _ in range(2):
        with pytest.raises(Outage):
            worker.join()
    worker.event = "matinee"
    assert worker.join().verdict == "ADMIT"


@pytest.mark.parametrize("answer", [None, [], [b"ADMIT"], [b"ADMIT", b"x", 1, 2, 3], b"OK", 5])
def test_an_answer_that_no_script_of_ours_gives_is_an_outage(answer: Any) -> None:
    """A proxy between, or another program's Redis."""

    class Odd:
        def execute_command(self, *_: Any) -> Any:
            return answer

    with pytest.raises(Outage):
        Counter(Odd(), Memories()).call(counter.join(Rule("/", capacity=1), EVENT, "visitor"))


def test_every_call_is_made_of_what_the_scripts_name(hire: Hire) -> None:
    """Scripts read the clock in one place, and every verb has one; an operator's two are no verbs."""
    assert set(virtual_scripts()) == set(calls) | {"change", "levels"}
    assert all(isinstance(make(Rule("/", capacity=1)), Call) for make in calls.values())
