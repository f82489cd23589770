"""gunicorn with a site of ``shop.py``, on one core, while the load generator and Redis have the other."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from typing import IO

from admitgate import supervisor

_folder = Path(__file__).resolve().parent
_allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
site_core, load_core = _allowed[0], _allowed[-1]  # read before anybody pins this process
start_deadline_seconds = 30.0


class DidNotStart(Exception):
    """gunicorn said no; its words are the message."""


def stay_on(core: int) -> None:
    """Keep this process, and what it starts from now on, on ``core``, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


@contextmanager
def gunicorn(
    site: str,
    *,
    worker_class: str = "sync",
    workers: int = 2,
    threads: int = 1,
    port: int = 0,
    core: int = site_core,
) -> Iterator[int]:
    """The port of ``site``, an expression such as ``flask_site()``. Gone with the block, or with us."""
    port = port or free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", f"shop:{site}", "--bind", f"127.0.0.1:{port}"),
        *("--worker-class", worker_class, "--workers", str(workers), "--threads", str(threads)),
        *("--graceful-timeout", "1", "--log-level", "warning"),
    ]
    with tempfile.TemporaryFile() as log:
        process = _on_core(core, command, log.fileno())
        try:
            _wait_until_it_listens(port, process, log)
            yield port
        finally:
            supervisor.stop(process)


def _on_core(core: int, command: list[str], log: int) -> Popen[bytes]:
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    stay_on(core)
    try:
        return supervisor.start(command, cwd=_folder, output=log)
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)


def _wait_until_it_listens(port: int, process: Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + start_deadline_seconds
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /hello HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            if connection.recv(5) == b"HTTP/":
                return
        time.sleep(0.05)
    log.seek(0)
    raise DidNotStart(log.read().decode(errors="replace")[-2000:])


def free_port() -> int:
    """One that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
