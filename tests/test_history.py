"""What a day's entries say, read back minute by minute."""

from __future__ import annotations

from functools import reduce

import pytest
import redis
import virtual
from made_up_history import entry
from virtual import Clock, Hire

from admitgate.history import (
    MOST,
    WAIT_BOUNDS,
    Minute,
    Totals,
    filled,
    minutes_of,
    totals_of,
    wait_seconds,
)

hire, clock = virtual.hire, virtual.clock


def waits(**at):
    """Fourteen counts, with those given at ``b0`` … ``b13``."""
    return tuple(at.get(f"b{index}", 0) for index in range(len(WAIT_BOUNDS) + 1))


def totals(joined=0, admitted=0, released=0, expired=0, absent=0, **at):
    return Totals(joined, admitted, released, expired, absent, waits(**at))


def test_a_minute_is_the_difference_of_two_entries():
    """The entries hold running totals; what happened in a minute is what they grew by."""
    first = entry(100, totals(10, 8, 1, 2, 3, b0=8), in_use=5, waiting=2, capacity=5)
    second = entry(101, totals(15, 10, 4, 2, 3, b0=8, b2=2), in_use=4, waiting=3, capacity=6)
    one, two = minutes_of([first, second])
    assert one[:9] == (100, 10, 8, 1, 2, 3, 5, 2, 5)
    assert two[:9] == (101, 5, 2, 3, 0, 0, 4, 3, 6)
    assert two.waits == waits(b2=2)


def test_redis_answers_in_bytes_and_that_is_read_too():
    """A client without decode_responses gives bytes."""
    text = entry(100, totals(1, 1, b0=1), 1, 0, 5)
    assert minutes_of([text.encode()]) == minutes_of([text])


def test_totals_that_fall_begin_again_at_zero():
    """A line that was born anew counts from 0: its first minute is what its totals say."""
    before = entry(100, totals(1000, 900), 100, 100, 100)
    after = entry(103, totals(7, 5), 5, 2, 100)
    assert minutes_of([before, after])[1][:3] == (103, 7, 5)


def test_a_minute_in_which_the_line_was_born_anew_counts_both_lives():
    """Two entries of one minute are one minute: the figures added, the levels those of the later one."""
    (minute,) = minutes_of([entry(100, totals(9, 8), 8, 1, 10), entry(100, totals(2, 1), 1, 1, 10)])
    assert minute[:9] == (100, 11, 9, 0, 0, 0, 1, 1, 10)


def test_the_oldest_of_a_full_list_is_only_compared_with():
    """What stood before the oldest entry was thrown away, so its own minute can't be told."""
    entries = [entry(minute, totals(minute), 0, 0, 1) for minute in range(1, MOST + 1)]
    found = minutes_of(entries)
    assert len(found) == MOST - 1
    assert {minute.joined for minute in found} == {1}


def test_who_asks_for_a_few_minutes_gives_one_entry_more():
    """Of the newest three entries come two minutes; of a list with no more than two come both."""
    entries = [entry(minute, totals(10 * minute), 0, 0, 1) for minute in (1, 2, 3)]
    assert [minute.joined for minute in minutes_of(entries, 2)] == [10, 10]
    assert [minute.joined for minute in minutes_of(entries[:2], 2)] == [10, 10]


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param("", id="an empty text"),
        pytest.param("one two three", id="words"),
        pytest.param("100 1 1", id="too short"),
        pytest.param(b"\xff\xfe", id="bytes of something else"),
    ],
)
def test_what_is_no_entry_is_left_out(strange):
    """Whatever somebody wrote to the key: the minutes that can be read are read."""
    good = entry(100, totals(1), 0, 0, 1)
    assert [minute.minute for minute in minutes_of([strange, good, strange])] == [100]


def test_an_entry_without_waits_has_none():
    """A shorter text is read as far as it goes: of whom no wait is told, they went in at once."""
    (minute,) = minutes_of(["100 5 4 3 2 1 4 1 9"])
    assert minute[:9] == (100, 5, 4, 3, 2, 1, 4, 1, 9)
    assert (minute.waits, minute.p50) == (waits(b0=4), 0)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        pytest.param({}, Totals(), id="a line that was just born"),
        pytest.param({b"joined": b"3", b"waits": b"1,2"}, totals(3, b0=1, b1=2), id="bytes"),
        pytest.param({"joined": "3", "released": None}, totals(3), id="HMGET's None"),
        pytest.param({"joined": "x", "absent": "2"}, totals(absent=2), id="a figure that isn't one"),
    ],
)
def test_the_totals_up_to_now_stand_in_the_line(fields, found):
    """What is missing or strange is 0."""
    assert totals_of(fields) == found


def test_the_running_minute_is_what_the_totals_have_beyond_the_last_entry():
    """Nobody waits for a minute to end to see it."""
    now = totals_of({"joined": "12", "admitted": "9"})
    minutes = minutes_of([entry(100, totals(10, 8), 8, 2, 9), entry(101, now, 9, 3, 9)])
    assert minutes[-1][:9] == (101, 2, 1, 0, 0, 0, 9, 3, 9)


def test_gaps_are_minutes_in_which_nothing_happened():
    """They have zeros, and the levels of the minute before them; before the first nobody was there."""
    known = minutes_of([entry(100, totals(4, 4), 4, 0, 9), entry(103, totals(5, 4), 4, 1, 8)])
    line = filled(known, 104, 6)
    assert [(m.minute, m.joined, m.in_use, m.waiting, m.capacity) for m in line] == [
        (99, 0, 0, 0, 9),
        (100, 4, 4, 0, 9),
        (101, 0, 4, 0, 9),
        (102, 0, 4, 0, 9),
        (103, 1, 4, 1, 8),
        (104, 0, 4, 1, 8),
    ]


def test_levels_come_from_before_the_window():
    """A quiet hour still shows who is inside."""
    known = minutes_of([entry(100, totals(4, 4), 4, 0, 9)])
    assert [(m.minute, m.joined, m.in_use, m.capacity) for m in filled(known, 201, 2)] == [
        (200, 0, 4, 9),
        (201, 0, 4, 9),
    ]


def test_an_event_nobody_has_come_to_has_an_empty_hour():
    """Sixty minutes of nothing, and no error."""
    line = filled([], 100, 60)
    assert len(line) == 60
    assert set(line) == {Minute(m.minute, 0, 0, 0, 0, 0, 0, 0, 0, waits(), None, None) for m in line}


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        pytest.param(waits(), 0.5, None, id="nobody was admitted"),
        pytest.param(waits(b0=10), 0.95, 0, id="all at once"),
        pytest.param(waits(b0=50, b3=50), 0.5, 0, id="half at once"),
        pytest.param(waits(b3=10), 0.5, 15, id="halfway between 10 and 20 s"),
        pytest.param(waits(b3=10), 1, 20, id="the last of those"),
        pytest.param(waits(b1=90, b4=10), 0.95, 30, id="in the upper count"),
        pytest.param(waits(b13=5), 0.5, WAIT_BOUNDS[-1], id="beyond the last bound: at least that"),
    ],
)
def test_percentiles_are_as_near_as_the_counts_tell(counts, share, seconds):
    """Those within a count are taken to be spread evenly over it."""
    assert wait_seconds(counts, share) == seconds


def test_the_bounds_double_from_five_seconds():
    """As the scripts count them: at once, 5, 10, 20 … seconds, and above."""
    assert WAIT_BOUNDS[:5] == (0, 5, 10, 20, 40)
    assert (len(WAIT_BOUNDS), WAIT_BOUNDS[-1]) == (13, 10240)


def test_what_the_scripts_wrote_adds_up(hire: Hire, clock: Clock, redis_client: redis.Redis) -> None:
    """An hour of visits on the real scripts: the minutes, with the one that still runs, are the totals."""
    worker = hire(capacity=1)
    for nth in range(60):
        reply = worker.join(f"visitor-{nth}")
        if reply.verdict == "TICKET":
            clock.advance(7)
            worker.check_in(f"visitor-{nth}", reply.value)
        if nth % 3:
            worker.release(f"visitor-{nth}")
        clock.advance(40 * (nth % 4))
    entries = redis_client.lrange(worker.keys["history"], 0, -1)
    now = totals_of(redis_client.hgetall(worker.keys["line"]))
    running = entry(clock.redis_ms // 60_000, now, 0, 0, 1)
    minutes = minutes_of([*entries, running])
    assert len(minutes) > 20
    assert reduce(Totals.plus, (minute.happened for minute in minutes)) == now
    assert now.admitted == sum(now.waits) > 20
    assert min(now.joined, now.released, now.expired) > 0
    assert [minute.minute for minute in minutes] == sorted({minute.minute for minute in minutes})
    assert {minute.capacity for minute in minutes} == {1}
