"""The ticket shop on show: an example site under gunicorn, a private Redis, perhaps a crowd.

Everything runs under a supervisor and is gone when this process is, however it ends.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.request import ProxyHandler, build_opener

from . import supervisor
from .embedded import resolve
from .errors import AdmitgateError

start_deadline_seconds = 30.0

_code_folder = Path(__file__).resolve().parent.parent
_open = build_opener(ProxyHandler({})).open  # a proxy can't reach our loopback
_event_links = re.compile(r'href="/events/([A-Za-z0-9_.-]+)"').findall
_gunicorn_settings = """\
bind = "127.0.0.1:{port}"
workers = 2
worker_class = "gthread"
threads = 16
graceful_timeout = 1
control_socket_disable = True  # newer gunicorns only; older ones pass over it
"""


@dataclass(frozen=True, slots=True)
class Site:
    """An example site: where it is, what it is made with, how it is prepared and served."""

    folder: str
    framework: str
    application: str
    preparation: tuple[str, ...] = ()


SITES: Mapping[str, Site] = {
    "flask": Site("flask_site", "flask", "wsgi:application"),
    "django": Site(
        "django_site",
        "django",
        "boxoffice.wsgi:application",
        preparation=("manage.py", "migrate", "--verbosity", "0"),
    ),
    "wsgi": Site("wsgi_site", "admitgate", "shop:application"),
}


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop that is open."""

    address: str
    events: tuple[str, ...]
    server: _Process

    def status(self, event: str) -> dict[str, Any] | None:
        """What the gate tells everybody about the event's line; None while it can't be asked."""
        self.server.fail_if_ended()
        with suppress(OSError, ValueError):
            with _open(f"{self.address}_admitgate/status/{event}", timeout=2) as answer:
                status = json.load(answer)
            return status if isinstance(status, dict) else None
        return None


@contextmanager
def open_shop(site: Site, *, port: int, capacity: int, lease_seconds: int, crowd: int) -> Iterator[Shop]:
    """The site with everything it needs, as long as the block."""
    folder = _site_folder(site)
    _check_port(port)
    with ExitStack() as stack:
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="admitgate-")))
        settings = own / "gunicorn.conf.py"
        settings.write_text(_gunicorn_settings.format(port=port))
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(_code_folder), os.environ.get("PYTHONPATH", "")]),
            "ADMITGATE_REDIS_URL": stack.enter_context(resolve()),
            "ADMITGATE_DEMO_CAPACITY": str(capacity),
            "ADMITGATE_DEMO_LEASE_SECONDS": str(lease_seconds),
            "DATABASE_PATH": str(own / "db.sqlite3"),
            # This Redis knows no visitors yet, so cookies of the last demo must not count.
            "SECRET_KEY": secrets.token_hex(),
        }
        start = partial(_Process.start, stack, cwd=folder, env=environment)
        if site.preparation:
            start(site.preparation).wait()
        serve = ("-m", "gunicorn", "--config", str(settings), site.application)
        server = start(serve, own_folder=own)
        address = f"http://127.0.0.1:{port}/"
        shop = Shop(address, _events_when_open(address, server), server)
        if crowd:
            start(("-m", "admitgate.crowd", address, shop.events[0], "--size", str(crowd)))
        yield shop


class _Process:
    """A Python process under a supervisor, and what it said."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self._process = process
        self._log = log

    @classmethod
    def start(
        cls,
        stack: ExitStack,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        own_folder: Path | None = None,
    ) -> _Process:
        """Start it; it ends with the stack, and so does its own folder."""
        log = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
        command = [sys.executable, *arguments]
        process = supervisor.start(command, folder=own_folder, cwd=cwd, env=env, output=log)
        stack.callback(supervisor.stop, process)
        return cls(process, log)

    def wait(self) -> None:
        """Wait for a process that ends by itself."""
        if self._process.wait() != 0:
            self.fail_if_ended()

    def fail_if_ended(self) -> None:
        """Raise what it said last, if it runs no more."""
        if self._process.poll() is not None:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip().splitlines()[-60:]
            raise AdmitgateError("\n".join(["The shop could not go on. It said last:", *said]))


def _events_when_open(address: str, server: _Process) -> tuple[str, ...]:
    """Wait for the home page; the events are what it links to."""
    deadline = time.monotonic() + start_deadline_seconds
    while time.monotonic() < deadline:
        server.fail_if_ended()
        with suppress(OSError), _open(address, timeout=2) as answer:
            return tuple(dict.fromkeys(_event_links(answer.read().decode())))
        time.sleep(0.05)
    raise AdmitgateError(f"The shop did not answer at {address} in {start_deadline_seconds:.0f} s.")


def _site_folder(site: Site) -> Path:
    """Where the site's files are; says what to do when they, or what they need, are not here."""
    for module in ("gunicorn", site.framework):
        if importlib.util.find_spec(module) is None:
            raise AdmitgateError(
                f"The demo needs {module}, which is not installed: pip install 'admitgate[demo]'."
            )
    for base in (_code_folder, Path.cwd()):
        folder = base / "examples" / site.folder
        if folder.is_dir():
            return folder
    raise AdmitgateError(
        f"The demo shows the shop in examples/{site.folder}, which comes with admitgate's source and"
        " not with the installed package: start it in a checkout of the source, with 'make demo'."
    )


def _check_port(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            reason = "is in use by another program" if is_taken else f"can't be used ({error.strerror})"
            raise AdmitgateError(
                f"Port {port} {reason}: choose another with --port (make demo ARGS='--port 8001')."
            ) from error
