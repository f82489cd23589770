"""The rules by which the application's health moves the ceiling (``ramp.lua``); see ``mutants.py``."""

from __future__ import annotations

from teeth import Mutant


def _mutant(rule: str, old: str, new: str, scene: str, *given: object, file: str = "ramp") -> Mutant:
    return Mutant(f"ramp: {rule}", file, old, new, scene=f"test_ramp.{scene}", given=given)


RAMP = (
    _mutant("one decision", "now >= ramp_at + (", "true or (", "test_all_workers_together_decide_once"),
    _mutant(
        "rest",
        "REST_MS, PATIENCE_MS = 5000",
        "REST_MS, PATIENCE_MS = 500",
        "test_all_workers_together_decide_once",
    ),
    _mutant(
        "patience",
        "answers >= ANSWERS_LEAST and REST_MS or PATIENCE_MS",
        "REST_MS",
        "test_few_answers_are_waited_for",
    ),
    _mutant(
        "answers add up",
        "answers + (tonumber(ramp[2]) or 0)",
        "answers",
        "test_all_workers_together_decide_once",
    ),
    _mutant(
        "slow ones add up", "slow + (tonumber(ramp[3]) or 0)", "slow", "test_all_workers_together_decide_once"
    ),
    _mutant("bad luck", " + chance then", " then", "test_bad_luck_is_no_trouble", 20, 3, False),
    _mutant(
        "what is slow",
        "SLOW, WELL = 0.1,",
        "SLOW, WELL = 0.2,",
        "test_bad_luck_is_no_trouble",
        1000,
        110,
        True,
    ),
    _mutant("what is well", "0.1, 0.05", "0.1, 0.1", "test_between_well_and_slow_it_stays"),
    _mutant(
        "not before it shows",
        "    if in_use <= ceiling then",
        "    do",
        "test_it_does_not_go_down_again_before_it_shows",
    ),
    _mutant(
        "from what is inside",
        "math.floor(in_use * DOWN)",
        "math.floor(ceiling * DOWN)",
        "test_slow_answers_leave_room_for_fewer_than_are_inside",
    ),
    _mutant(
        "only where it binds",
        " and in_use >= ceiling * HEADROOM then",
        " then",
        "test_it_does_not_rise_while_nobody_comes",
    ),
    _mutant(
        "small steps",
        "is_near and NEAR_STEPS or STEPS",
        "STEPS",
        "test_the_small_steps_end_a_tenth_above_where_it_was_slow",
    ),
    _mutant(
        "larger steps",
        "is_near and NEAR_STEPS or STEPS",
        "NEAR_STEPS",
        "test_it_goes_up_by_small_steps_and_then_by_larger_ones",
    ),
    _mutant(
        "where it was slow",
        "      set('ramp_knee', in_use)\n",
        "",
        "test_the_small_steps_end_a_tenth_above_where_it_was_slow",
    ),
    _mutant(
        "floor",
        "math.max(ceiling, floor)",
        "math.max(ceiling, 1)",
        "test_it_has_a_floor",
        {"ramp_floor": 30},
        30,
    ),
    _mutant(
        "an operator's capacity",
        "local most = tonumber(live[1]) or tonumber(ARGV[8])",
        "local most = tonumber(ARGV[8])",
        "test_never_above_the_capacity_that_an_operator_sets",
    ),
    _mutant(
        "gone at the capacity",
        "if ceiling >= most then redis.call('HDEL', SETTINGS, 'ramp')\n    else redis.call",
        "do redis.call",
        "test_at_the_capacity_the_ceiling_is_gone",
    ),
    _mutant(
        "forgotten",
        "set('ramp_until', now + LIFE_MS)\n",
        "set('ramp_until', now + 100 * LIFE_MS)\n",
        "test_a_ceiling_of_which_nobody_tells_any_more_is_lifted",
    ),
    _mutant(
        "believed",
        "if now < (tonumber(flow[21]) or 0) then",
        "if false then",
        "test_slow_answers_leave_room_for_fewer_than_are_inside",
        file="flow",
    ),
)
