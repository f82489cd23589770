"""The servers: each framework's shop behind gunicorn, waitress and, where it is installed, uWSGI.

gunicorn and uWSGI have two processes with threads, forked after the first visitor, on a Unix socket;
waitress has one with threads, on a loopback port. All run under ``admitgate.supervisor`` and end with the
tests, however those end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from attack_words import FRAMEWORKS, SERVERS

from admitgate import supervisor

_here = Path(__file__).resolve().parent
_start_seconds = 60.0
_threads = 8
_gunicorn_options = ("--workers", "2", "--graceful-timeout", "1", "--log-level", "warning")
_uwsgi_options = (
    *("--need-app", "--master", "--processes", "2", "--enable-threads"),
    *("--buffer-size", "65535", "--disable-logging", "--die-on-term"),
)


@dataclass
class Host:
    """One framework behind one server."""

    framework: str
    server: str
    redis_url: str
    folder: Path
    has_greenlets: bool = False  # gunicorn's gevent workers, in place of threads
    _process: subprocess.Popen[bytes] | None = None
    _log: Path = field(init=False)

    def __post_init__(self) -> None:
        self._log = self.folder / "log"

    def __str__(self) -> str:
        return f"{self.framework} behind {self.server}"

    def start(self) -> None:
        """Start it and wait until the shop answers."""
        self.stop()
        self._log.write_bytes(b"")
        env = {**os.environ, "SHOP_FRAMEWORK": self.framework, "SHOP_SERVER": self.server}
        env |= {"SHOP_REDIS": self.redis_url, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        with open(self._log, "ab") as log:
            self._process = supervisor.start(self._command(), cwd=_here, env=env, output=log)
        deadline = time.monotonic() + _start_seconds
        while not self._answers():
            assert self._process.poll() is None, f"{self} did not start:\n{self.log()[-3000:]}"
            assert time.monotonic() < deadline, f"{self} did not answer:\n{self.log()[-3000:]}"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            supervisor.stop(self._process)
            self._process = None

    def is_running(self) -> bool:
        """False where the one process was killed that the server has."""
        return self._process is not None and self._process.poll() is None

    def connect(self, patience_seconds: float = 20.0) -> socket.socket:
        """An open connection."""
        if self.server == "waitress":
            found = re.findall(r"Serving on http://127\.0\.0\.1:(\d+)", self.log())
            if not found:
                raise ConnectionRefusedError("not listening yet")
            return socket.create_connection(("127.0.0.1", int(found[-1])), patience_seconds)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(patience_seconds)
        try:
            connection.connect(str(self.folder / "socket"))
        except BaseException:
            connection.close()
            raise
        return connection

    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text("utf-8", "replace")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), self.connect(5.0) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
            return b" 200 " in connection.recv(100)
        return False

    def _command(self) -> list[str]:
        path, application = str(self.folder / "socket"), "attack_targets:application"
        if self.server == "uWSGI":
            command = [str(_uwsgi()), "--http-socket", path, "--module", application, *_uwsgi_options]
            return [*command, "--threads", str(_threads), "--chdir", str(_here)]
        command = [sys.executable, "-m", self.server, application]
        if self.server == "waitress":
            return [*command[:-1], "--listen=127.0.0.1:0", f"--threads={_threads}", application]
        kind = ["gevent"] if self.has_greenlets else ["gthread", "--threads", str(_threads), "--preload"]
        return [*command, "--bind", f"unix:{path}", *_gunicorn_options, "--worker-class", *kind]


def missing(server: str) -> str | None:
    """What a developer would have to do to have this server; None where it is here."""
    if server == "uWSGI":
        return (
            None
            if _uwsgi()
            else "uWSGI isn't here: 'pip install uwsgi' builds it where there is a C compiler"
        )
    return None if importlib.util.find_spec(server) else f"pip install {server}"


def _uwsgi() -> Path | None:
    beside = Path(sys.executable).with_name("uwsgi")
    found = str(beside) if beside.exists() else shutil.which("uwsgi")
    return Path(found) if found else None


@contextlib.contextmanager
def nine_hosts(redis_url: str) -> Iterator[dict[str, Host]]:
    """All that can be had, started side by side, by name."""
    with contextlib.ExitStack() as stack:
        hosts = {}
        for server in SERVERS:
            for framework in FRAMEWORKS:
                if missing(server) is None:
                    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="admitgate-")))
                    host = Host(framework, server, redis_url, folder)
                    hosts[str(host)] = host
                    stack.callback(host.stop)
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(Host.start, hosts.values()))
        try:
            yield hosts
        finally:
            with ThreadPoolExecutor(len(hosts) or 1) as threads:
                list(threads.map(Host.stop, hosts.values()))
