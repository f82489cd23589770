"""A call in Redis' wire format says what its words would have said."""

from __future__ import annotations

import pytest
import redis

from admitgate import Rule, counter
from admitgate.connection import connect
from admitgate.counter import Call, Counter
from admitgate.memory import Memories
from admitgate.tokens import Lease, Ticket
from admitgate.wire import evalsha

SID = "s" * 16
RULE = Rule("/<event>", capacity=7, lease_seconds=61, admit_per_minute=2.5, max_waiting=9)
CALLS = [
    counter.join(RULE, "gala", SID),
    counter.check_in(RULE, "100 % Ünïcode", Ticket(SID, 2**53 - 1, 1_800_000_000_000), is_claim=True),
    counter.renew(RULE, "x" * 100, Lease(SID, 1_800_000_000_000, 0, is_unasked=True), seconds=90),
    counter.release(RULE, "gala", SID, 1, forget=True),
    counter.look(RULE, "gala"),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.verb)
def test_a_script_reads_the_same_from_a_packed_call_as_from_its_words(
    call: Call, redis_url: str, redis_client: redis.Redis
) -> None:
    """Figures have leading zeros, and are read as numbers."""
    echo = "return cjson.encode({KEYS, ARGV})"
    figures = (
        "return cjson.encode({KEYS, {"
        + ", ".join(f"tonumber(ARGV[{nth}]) or ARGV[{nth}]" for nth in range(1, 19 + len(call.args)))
        + "}})"
    )
    for source in (echo, figures):
        scripts = dict.fromkeys(counter.load_scripts(), source)
        both = [
            Counter(client, Memories(), scripts=scripts) for client in (connect(redis_url, 5), redis_client)
        ]
        redis_client.script_load(source)
        packed, in_words = [each._ask(call, Memories().of(call.event)) for each in both]
        if source is figures:
            assert packed == in_words
        else:
            assert len(packed) >= len(in_words)


def test_percent_signs_in_what_stays_the_same_are_no_places_to_fill_in() -> None:
    """An event's name in a slug has none, but nothing here should depend on that."""
    text = evalsha("d" * 40, ["100%d"], ["%s"], "%b", 0) % (*range(7), 1, b"x", 0, b"")
    assert b"100%d" in text
    assert b"$2\r\n%s" in text
    assert b"$2\r\n%b" in text
