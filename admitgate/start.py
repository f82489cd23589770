"""What a site should hear of its Redis as it starts: too old, a replica, full, forgetful, or barred to us."""

from __future__ import annotations

import logging
import os
import threading
import time

from .config import Config

log = logging.getLogger("admitgate")

_first_pause_seconds = 1.0
_pause_seconds = 30.0


class StartCheck:
    """Looks at Redis once in each process that asks it anything, beside the requests. Silent if all is well.

    A server that forks its workers has them each look for themselves, as a thread doesn't live in a fork.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pid = 0

    def once(self) -> None:
        """Whoever comes first in a process sends the look on its way. Nobody waits for it."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        try:
            threading.Thread(target=self._look_until_seen, name="admitgate-start", daemon=True).start()
        except RuntimeError:  # no thread to be had; whoever wants to know can ask the doctor
            log.debug("Redis isn't looked at: no thread could be started")

    def _look_until_seen(self) -> None:
        """A Redis that is away is an outage, which the breaker tells of; it is looked at when it is back."""
        try:
            time.sleep(_first_pause_seconds)  # a server that forks after its first request has forked by then
            while not self._is_seen():
                time.sleep(_pause_seconds)
        except Exception:  # a look must never do harm, whatever a Redis of tomorrow answers
            log.debug("Redis couldn't be looked at", exc_info=True)

    def _is_seen(self) -> bool:
        from .doctor.diagnosis import at_start  # who is only imported, or forks, needs none of it
        from .doctor.looking import look

        facts = look(self._config, seconds=self._config.redis_timeout_seconds, is_deep=False)
        if not any(not node.away for node in facts.nodes):
            return False
        for finding in at_start(facts):
            log.warning("Redis: %s %s", finding.text, finding.cure)
        return True
