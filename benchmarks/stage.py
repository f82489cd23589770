"""A gate before an application that does nothing, its Redis, and visitors in every state."""

from __future__ import annotations

import time

import redis
from visitors import Environ, get, no_op, request

from admitgate import AdmitGate, Rule, counter
from admitgate.config import Config
from admitgate.connection import connect
from admitgate.counter import Counter
from admitgate.memory import Memories
from admitgate.tokens import Lease, Ticket, Tokens, new_sid

key = "a key for the benchmark, which signs nothing else"
half_a_day = 43_200
out_of_reach = 200_000  # further back in line than the steps of one run come
present = 16

room = Rule("/events/<event>/checkout", capacity=1_000_000, lease_seconds=half_a_day)
full = Rule("/full/<event>/checkout", event="full/{event}", capacity=1_000, lease_seconds=half_a_day)
shut = Rule("/shut/<event>/checkout", event="shut/{event}", capacity=0, grace_seconds=2)
rules = [room, full, shut]


def event_of(rule: Rule) -> str:
    """The event that everybody here wants."""
    return rule.template().format(event="gala")


class Stage:
    """Where it all happens: ``full`` has no slot left, ``shut`` has visitors who are ready and stay so."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = redis.Redis.from_url(url)
        self.config = Config.from_options({"secret_key": key, "redis_url": url, "rules": rules})
        self.gate = AdmitGate(no_op, self.config)
        self.counter = Counter(connect(url, self.config.redis_timeout_seconds), Memories())
        self._tokens = Tokens(self.config.keys)
        self._match = self.config.compiled_rules().match
        self.inside = [self.join(full) for _ in range(full.capacity)]
        self.ready = self._make_ready()

    def join(self, rule: Rule) -> Lease | Ticket:
        """A newcomer's token."""
        sid = new_sid()
        reply = self.counter.call(counter.join(rule, event_of(rule), sid))
        if reply.verdict == "ADMIT":
            return Lease(sid, reply.value, reply.now_ms + (reply.value - reply.now_ms) // 3)
        return Ticket(sid, reply.value, reply.now_ms)

    def check_in(self, ticket: Ticket) -> str:
        """The verdict on a visitor of ``shut``."""
        call = counter.check_in(shut, event_of(shut), ticket, is_claim=False)
        return self.counter.call(call).verdict

    def request_with(self, rule: Rule, token: Lease | Ticket) -> Environ:
        """A request for the event by somebody who has ``token``."""
        path = rule.path.replace("<event>", "gala")
        match = self._match(path)
        assert match is not None
        return request(path, f"{match.cookie}={self._tokens.write(match.event, token)}")

    def admitted(self) -> Environ:
        """A request by somebody who got in through the gate itself."""
        path = room.path.replace("<event>", "gala")
        status, headers, _ = get(self.gate, request(path))
        assert status == 200
        return request(path, headers["Set-Cookie"].partition(";")[0])

    def admitted_elsewhere(self) -> Environ:
        """A request with a lease as good as any, which no worker has read yet."""
        now_ms = time.time_ns() // 1_000_000  # Redis is on this machine
        return self.request_with(room, Lease(new_sid(), now_ms + 40_000_000, now_ms + 20_000_000))

    def waiting(self) -> Environ:
        """A request by somebody whose turn won't come."""
        ticket = self.join(full)
        assert isinstance(ticket, Ticket)
        # A long line stands behind them: a number that wasn't given out would be taken for a loss.
        self.redis.hset(self.counter.keys(event_of(full)).line, "issued", ticket.number + 2 * out_of_reach)
        return self.request_with(full, Ticket(ticket.sid, ticket.number + out_of_reach, ticket.joined_ms))

    def commands(self) -> int:
        """How many commands Redis has run, those inside of scripts included, looks like this one not."""
        stats = self.redis.info("commandstats")
        return sum(stat["calls"] for name, stat in stats.items() if not name.startswith("cmdstat_info"))

    def _make_ready(self) -> list[Ticket]:
        tokens = [self.join(shut) for _ in range(2 * present)]
        crowd = [token for token in tokens if isinstance(token, Ticket)]
        time.sleep(shut.grace_seconds + 0.1)  # the first was invited alone; now come the others
        self.check_in(crowd[-1])
        invited = crowd[:present]
        assert {self.check_in(ticket) for ticket in invited} == {"READY"}
        return invited
