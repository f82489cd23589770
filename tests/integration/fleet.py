"""gunicorn with the shop of ``shop.py``: several workers, to be killed and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from pathlib import Path
from typing import Any

from servers import free_ports, until

from admitgate import supervisor

ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Told:
    """One answer. ``status`` is 0 where none came."""

    asked_at: float
    came_at: float
    status: int = 0
    worker: int = 0
    gate_ms: float = 0.0
    cookie: str | None = None
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """What somebody is told who isn't let in."""
        return str(self.body.get("state", ""))


class Fleet:
    """The shop at one address. ``start`` and ``kill`` may follow each other."""

    def __init__(
        self,
        redis_url: str,
        *,
        rule: dict[str, Any],
        workers: int = 2,
        threads: int = 8,
        worker_class: str = "gthread",
        is_warm: bool = False,
        **options: Any,
    ) -> None:
        self.workers = workers
        self.capacity: int = rule["capacity"]
        (self.port,) = free_ports(1)
        site = f"shop:shop(rule={rule!r}, options={options | {'redis_url': redis_url}!r}, is_warm={is_warm})"
        self._command = [
            *(sys.executable, "-m", "gunicorn", site, "--bind", f"127.0.0.1:{self.port}"),
            *("--worker-class", worker_class, "--workers", str(workers), "--threads", str(threads)),
            *("--graceful-timeout", "1", "--log-level", "warning", *(["--preload"] if is_warm else [])),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as we do)

    def start(self) -> None:
        """All workers are up when it returns."""
        self._process = supervisor.start(self._command, cwd=Path(__file__).parent, output=self._log.fileno())
        seen: set[int] = set()

        def are_up() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log()
            seen.add(self.ask("/").worker)
            return len(seen - {0}) == self.workers

        until(are_up, seconds=30, what="the workers are up")

    def stop(self) -> None:
        """In good order."""
        if self._process is not None:
            supervisor.stop(self._process)
        self._process = None

    def kill(self) -> None:
        """kill -9 for all of it."""
        assert self._process is not None
        supervisor.stop(self._process, keep_folder_and_send=signal.SIGKILL)
        self._process = None

    def log(self) -> str:
        """What gunicorn and the gate have written."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def ask(self, path: str, method: str = "GET", cookie: str = "") -> Told:
        """One request over a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        headers = {"Accept": "application/json", "Connection": "close"} | (
            {"Cookie": cookie} if cookie else {}
        )
        asked_at = time.monotonic()
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException):
            return Told(asked_at, time.monotonic())
        finally:
            connection.close()
        is_json = "json" in (response.getheader("Content-Type") or "")
        return Told(
            asked_at,
            time.monotonic(),
            response.status,
            int(response.getheader("Worker") or 0),
            float(response.getheader("Gate-Ms") or 0),
            response.getheader("Set-Cookie"),
            json.loads(body) if is_json else {},
        )


class Balanced:
    """Several fleets at one address, which take turns."""

    def __init__(self, fleets: Sequence[Fleet]) -> None:
        self.capacity = fleets[0].capacity
        self.workers = sum(fleet.workers for fleet in fleets)
        self._turns = cycle(fleets)

    def ask(self, path: str, method: str = "GET", cookie: str = "") -> Told:
        """One request, to the next of them."""
        return next(self._turns).ask(path, method, cookie)


@contextmanager
def fleet(redis_url: str, **options: Any) -> Iterator[Fleet]:
    """A fleet that runs, and is gone with the block."""
    fleet = Fleet(redis_url, **options)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.stop()
        fleet._log.close()
