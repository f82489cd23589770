"""The rules by which scripts obey operators, schedules and bounds on places; see ``mutants.py``."""

from __future__ import annotations

from datetime import datetime, timezone

from teeth import Mutant


def _mutant(rule: str, file: str, old: str, new: str, scene: str, *given: object) -> Mutant:
    return Mutant(rule, file, old, new, scene=f"test_operated_line.{scene}", given=given)


OPERATED = (
    _mutant(
        "settings' expiry",
        "prelude",
        "key == SETTINGS and SETTINGS_EXPIRY_MS or EXPIRY_MS",
        "EXPIRY_MS",
        "test_settings_outlive_the_line",
    ),
    _mutant(
        "waiting from",
        "flow",
        "elseif clock_ms < waiting_from then shut = EARLY",
        "elseif false then shut = EARLY",
        "test_before_the_line_opens_nobody_gets_a_number",
    ),
    _mutant(
        "early: no number",
        "join",
        "if shut == EARLY then return conclude('EARLY', 0) end\n",
        "",
        "test_before_the_line_opens_nobody_gets_a_number",
    ),
    _mutant(
        "early: when",
        "flow",
        "shut == EARLY and waiting_from or opens_at",
        "opens_at",
        "test_before_the_line_opens_nobody_gets_a_number",
    ),
    _mutant(
        "opening",
        "flow",
        "elseif clock_ms < opens_at then shut = OPENS end",
        "end",
        "test_before_the_line_opens_nobody_gets_a_number",
    ),
    _mutant(
        "end",
        "flow",
        " or closes_at > 0 and clock_ms >= closes_at then",
        " then",
        "test_nobody_goes_in_after_the_end",
    ),
    _mutant(
        "clock: goes on in an outage",
        "prelude",
        "now, stopped = now - held_ms, stopped + held_ms",
        "now = now - held_ms",
        "test_an_outage_before_the_opening_does_not_put_it_off",
        3600,
    ),
    _mutant(
        "clock: known to the next call",
        "prelude",
        "if stopped ~= (tonumber(line[13]) or 0) then set('stopped', stopped) end\n",
        "",
        "test_an_outage_before_the_opening_does_not_put_it_off",
        3600,
    ),
    _mutant(
        "clock: lost with the line",
        "prelude",
        "if field == 'stood' or not born then stopped",
        "if field == 'stood' then stopped",
        "test_an_outage_before_the_opening_does_not_put_it_off",
        3600,
    ),
    _mutant(
        "clock: waiting from",
        "flow",
        "elseif clock_ms < waiting_from",
        "elseif now < waiting_from",
        "test_an_outage_before_the_opening_does_not_put_it_off",
        3600,
    ),
    _mutant(
        "clock: opening",
        "flow",
        "elseif clock_ms < opens_at then",
        "elseif now < opens_at then",
        "test_an_outage_before_the_opening_does_not_put_it_off",
        3600,
    ),
    _mutant(
        "clock: end",
        "flow",
        "clock_ms >= closes_at then",
        "now >= closes_at then",
        "test_an_outage_before_the_opening_does_not_put_it_off",
        3600,
    ),
    _mutant(
        "clock: draw",
        "flow",
        "first == '0' and clock_ms >= opens_at",
        "first == '0' and now >= opens_at",
        "test_an_outage_before_the_opening_does_not_put_it_off",
        3600,
    ),
    _mutant(
        "clock: reset",
        "reset",
        ", 'stopped', stopped)",
        ")",
        "test_a_reset_does_not_put_an_opening_off_either",
    ),
    _mutant(
        "closed",
        "flow",
        "if live[6] == 'closed' or closes_at",
        "if closes_at",
        "test_a_closed_event_has_nobody_let_in_by_hand",
    ),
    _mutant(
        "paused",
        "flow",
        "elseif live[6] == 'paused' then shut = PAUSED",
        "elseif false then shut = PAUSED",
        "test_somebody_can_be_let_in_by_hand_while_the_line_is_paused",
    ),
    _mutant(
        "by hand in a pause",
        "flow",
        "shut == 0 or shut == PAUSED and extra > 0",
        "shut == 0",
        "test_somebody_can_be_let_in_by_hand_while_the_line_is_paused",
    ),
    _mutant(
        "by hand: used up",
        "admit",
        "redis.call('HINCRBY', SETTINGS, 'extra', -1)",
        "local _ = 1",
        "test_somebody_can_be_let_in_by_hand_while_the_line_is_paused",
    ),
    _mutant(
        "by hand: no more",
        "flow",
        "extra + (shut == 0 and math.floor(math.max(tokens, 0)) or 0))",
        "extra + math.floor(math.max(tokens, 0)))",
        "test_somebody_can_be_let_in_by_hand_while_the_line_is_paused",
    ),
    _mutant(
        "draining",
        "join",
        "if live[6] == 'draining' then return conclude('FULL', 0) end\n",
        "",
        "test_a_draining_line_takes_no_newcomers_and_is_served",
    ),
    _mutant(
        "queueing",
        "join",
        " and live[6] ~= 'queueing'",
        "",
        "test_where_all_queue_a_newcomer_gets_a_number_although_slots_are_free",
    ),
    _mutant(
        "draw: remembered by workers",
        "flow",
        "(draw == '' or is_the_same) then",
        "is_the_same then",
        "test_a_draw_survives_the_loss_of_all_state",
    ),
    _mutant(
        "draw: not anew after a fail-over",
        "flow",
        "(draw == '' or is_the_same) then",
        "draw == '' then",
        "test_a_draw_survives_the_loss_of_its_moment",
    ),
    _mutant(
        "draw: a new one for a new opening",
        "flow",
        "if clock_ms < opens_at and tonumber(drawn_for) ~= opens_at then",
        "if draw == '' and clock_ms < opens_at then",
        "test_another_opening_has_another_seed",
    ),
    _mutant(
        "draw: not without a shuffle",
        "flow",
        "  elseif first == '0' and seed == '' then\n    draw = ''\n",
        "  elseif false then\n    draw = ''\n",
        "test_an_opening_brought_forward_draws_and_one_without_a_shuffle_does_not",
    ),
    _mutant(
        "draw: at the opening",
        "flow",
        "elseif first == '0' and clock_ms >= opens_at then",
        "elseif false then",
        "test_who_came_before_the_opening_goes_in_by_the_order_of_the_draw",
    ),
    _mutant(
        "draw: heard first",
        "flow",
        "    restart_grace(now + math.min(HEAR_MOST_MS, math.max(HEAR_LEAST_MS, hear_ms)) - grace_ms, "
        "serving)\n"
        "    is_grace_over = false\n",
        "",
        "test_after_a_draw_everybody_hears_their_place_before_the_first_are_called",
    ),
    _mutant(
        "draw: without the hole",
        "flow",
        "hole_from, hole_to = math.max(gap_from, from), gap_to\n",
        "hole_from, hole_to = 0, 0\n",
        "test_what_a_loss_left_empty_takes_no_part_in_the_draw",
    ),
    _mutant(
        "draw: the seed stays",
        "flow",
        "string.match(draw, '%x*$'))",
        "seed)",
        "test_the_seed_stays_what_it_was_when_keys_change",
    ),
    _mutant(
        "draw: told of",
        "check_in",
        "    if drawn == 0 then return conclude('DRAWN', 0) end\n",
        "    if drawn == 0 then drawn = number end\n",
        "test_a_worker_that_has_not_heard_of_the_draw_is_told",
    ),
    _mutant(
        "draw: counts",
        "check_in",
        "    number = drawn\n",
        "",
        "test_ready_is_in_the_order_of_the_draw",
    ),
    _mutant(
        "places: at the door",
        "join",
        " and not is_shared() then",
        " then",
        "test_places_that_ended_are_not_counted",
    ),
    _mutant(
        "places: among the ready",
        "check_in",
        "  if is_shared() then return conclude('SHARED', 0) end\n",
        "",
        "test_a_client_has_no_more_places_than_they_may",
    ),
    _mutant(
        "places: of leases",
        "admit",
        "  in_use = in_use + 1\n  take_place()\n",
        "  in_use = in_use + 1\n",
        "test_a_client_has_no_more_places_than_they_may",
    ),
    _mutant(
        "places: counted anew",
        "admit",
        "if in_use + present > 0 and redis.call('EXISTS', PLACES) == 0 then",
        "if false then",
        "test_places_are_counted_anew_where_their_key_was_lost",
        "places",
    ),
    _mutant(
        "places: the sentinel has none",
        "admit",
        "    redis.call('ZREM', PLACES, SENTINEL)\n",
        "",
        "test_places_are_counted_anew_where_their_key_was_lost",
        "places",
    ),
    _mutant(
        "places: given back",
        "release",
        "if places_most > 0 then redis.call('ZREM', PLACES, sid) end\n",
        "",
        "test_a_client_has_no_more_places_than_they_may",
    ),
    _mutant(
        "places: ended",
        "flow",
        "    in_use = in_use - redis.call('ZREM', LEASES, unpack(gone))\n"
        "    if places_most > 0 then redis.call('ZREM', PLACES, unpack(gone)) end\n",
        "    in_use = in_use - redis.call('ZREM', LEASES, unpack(gone))\n",
        "test_places_stay_in_step_with_leases_and_ready",
    ),
    _mutant(
        "places: absent",
        "flow",
        "    present = present - redis.call('ZREM', READY, unpack(gone))\n"
        "    if places_most > 0 then redis.call('ZREM', PLACES, unpack(gone)) end\n",
        "    present = present - redis.call('ZREM', READY, unpack(gone))\n",
        "test_places_stay_in_step_with_leases_and_ready",
    ),
    _mutant(
        "places: a stale one is none",
        "admit",
        "then others = others + 1 else redis.call('ZREM', PLACES, other) end",
        "then others = others + 1 else others = others + 1 end",
        "test_places_that_ended_are_not_counted",
    ),
    _mutant(
        "places: adopted",
        "renew",
        "  if tonumber(ARGV[14]) > 0 then redis.call('ZADD', PLACES, 0, sid) end\n",
        "",
        "test_an_adopted_lease_is_a_place",
    ),
    _mutant(
        "copies",
        "renew",
        "or is_behind and kind ~= CLAIM then return",
        "then return",
        "test_a_token_is_a_copy_once_its_successor_has_been_renewed",
    ),
    _mutant(
        "copies: two behind",
        "renew",
        "deadline - token_deadline > lease_ms * 2 / 3 and",
        "deadline > token_deadline and",
        "test_who_never_got_the_answer_to_a_renewal_stays_in",
    ),
    _mutant(
        "copies: the overlap",
        "renew",
        " and now > deadline - lease_ms + overlap_ms",
        "",
        "test_a_token_is_a_copy_once_its_successor_has_been_renewed",
    ),
    _mutant(
        "copies: claims",
        "renew",
        "is_behind and kind ~= CLAIM",
        "is_behind",
        "test_a_claim_is_good_until_its_end_and_the_overlap",
    ),
    _mutant(
        "copies: claims end",
        "renew",
        "if now > token_deadline + overlap_ms or is_behind",
        "if is_behind",
        "test_a_claim_is_good_until_its_end_and_the_overlap",
    ),
    _mutant(
        "passes",
        "check_in",
        "if is_pass then number = born end\n",
        "",
        "test_a_pass_comes_before_everybody_and_never_above_the_capacity",
    ),
    _mutant(
        "reset: tickets",
        "check_in",
        "if given_at < (tonumber(line[11]) or 0) then return conclude('GONE', 0) end\n",
        "",
        "test_a_reset_voids_what_was_given_out_and_begins_anew",
    ),
    _mutant(
        "reset: leases",
        "renew",
        "  if token_deadline <= (tonumber(line[11]) or -lease_ms) + lease_ms then "
        "return finish('EXPIRED', 0) end",
        "",
        "test_a_reset_voids_what_was_given_out_and_begins_anew",
    ),
    _mutant(
        "reset: no loss",
        "reset",
        "'elders', 1, ",
        "",
        "test_a_reset_voids_what_was_given_out_and_begins_anew",
    ),
    _mutant(
        "history: a day",
        "flow",
        "  redis.call('LTRIM', HISTORY, -MINUTES, -1)\n",
        "",
        "test_a_day_of_minutes_is_all_that_is_kept",
    ),
    _mutant(
        "history: once a minute",
        "flow",
        "  if minute ~= before then ",
        "  if true then ",
        "test_each_minute_in_which_something_happened_is_kept",
    ),
    _mutant(
        "history: forgotten",
        "release",
        ", PLACES, HISTORY)",
        ")",
        "test_a_release_is_counted_and_a_visit_that_was_404_leaves_no_history",
    ),
    _mutant(
        "totals: joined",
        "join",
        "set('joined', (tonumber(line[12]) or 0) + 1)\n",
        "",
        "test_each_minute_in_which_something_happened_is_kept",
    ),
    _mutant(
        "totals: released",
        "release",
        "  freed = freed + 1\n",
        "",
        "test_a_release_is_counted_and_a_visit_that_was_404_leaves_no_history",
    ),
    _mutant(
        "totals: how long",
        "check_in",
        "math.max(0, now - given_at)",
        "0",
        "test_each_minute_in_which_something_happened_is_kept",
    ),
)

_brief = (
    (
        "where people wait",
        " and serving < issued and not held",
        " and not held",
        "where_nobody_waits_any_more_the_answer_is_a_whole_one",
    ),
    ("not for a lease", " and not held[1]", "", "a_call_that_is_repeated_finds_its_lease"),
    ("not after a silence", " and not was_silent", "", "after_a_silence_the_answer_is_a_whole_one"),
    ("not after a loss", " and not loss_hold_ms", "", "after_a_loss_the_answer_is_a_whole_one"),
)

OPERATED += tuple(
    Mutant(f"brief: {rule}", "brief", old, new, scene=f"test_brief_join.test_{scene}")
    for rule, old, new, scene in _brief
)
OPERATED += (
    Mutant(
        "brief: full",
        "brief",
        "tonumber(ARGV[13]) < 0 and ",
        "",
        scene="test_brief_join.test_what_the_rule_says_is_obeyed",
        given=({"max_waiting": 2}, "FULL"),
    ),
    Mutant(
        "brief: a schedule",
        "brief",
        " and ARGV[15] == ''",
        "",
        scene="test_brief_join.test_what_the_rule_says_is_obeyed",
        given=({"closes_at": datetime.fromtimestamp(1, timezone.utc)}, "CLOSED"),
    ),
    *(
        Mutant(
            f"brief: a setting of {setting}",
            "brief",
            old,
            new,
            scene="test_brief_join.test_what_an_operator_set_is_obeyed",
            given=(setting, value, verdict),
        )
        for setting, value, verdict, old, new in (
            ("max_waiting", "1", "FULL", "live[4] or ", ""),
            ("state", "closed", "CLOSED", "live[6] or ", ""),
            ("waiting_from", "4000000000000", "EARLY", "live[7] or ", ""),
            ("closes_at", "1", "CLOSED", " or live[9]", ""),
        )
    ),
)
