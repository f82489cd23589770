"""Either configuration on this machine, with a waiting room behind it: ``python run.py microcache [port]``.

Then http://127.0.0.1:8080/_admitgate/status/gala. Needs nginx and gunicorn, and no root: everything is in a
temporary folder and ends with Ctrl-C. The Redis is a private one, unless ADMITGATE_REDIS_URL names another.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from admitgate import supervisor
from admitgate.embedded import resolve

HERE = Path(__file__).resolve().parent
WAYS = ("microcache", "published")
START_SECONDS = 20

# What Debian's nginx.conf has around the files in conf.d, without root and in the foreground.
AROUND = """
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile 4096;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/conf.d/*.conf;
}}
"""


def nginx_path() -> str | None:
    """Where nginx is; not always on the PATH of those who aren't root."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def configuration(way: str, *, folder: Path, port: int, room_port: int) -> str:
    """The file as it is, with the addresses and folders of this machine."""
    text = (HERE / f"{way}.conf").read_text("utf-8")
    for theirs, ours in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8001", f"127.0.0.1:{room_port}"),
        ("127.0.0.1:8002", f"127.0.0.1:{free_port()}"),
        ("/var/cache/nginx/waiting-room", f"{folder}/cache"),
        ("/var/lib/admitgate/status", f"{folder}/status"),
    ):
        text = text.replace(theirs, ours)
    return text


@dataclass
class Nginx:
    """An nginx with configurations by name, all below ``folder``."""

    folder: Path
    configurations: Mapping[str, str]
    port: int
    workers: int = 1
    _process: Any = field(default=None, init=False)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens; what is in its caches stays there."""
        (self.folder / "conf.d").mkdir(exist_ok=True)
        (self.folder / "status").mkdir(exist_ok=True)
        for name, text in self.configurations.items():
            (self.folder / "conf.d" / f"{name}.conf").write_text(text)
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
        around = AROUND.format(folder=self.folder, workers=self.workers, user=user)
        (self.folder / "nginx.conf").write_text(around)
        log = self.folder / "error.log"
        command = [nginx_path() or "nginx", "-p", self.folder, "-e", log, "-c", self.folder / "nginx.conf"]
        self._process = supervisor.start(command, output=-3)
        wait_for(self.port, self._process, log)

    def stop(self) -> None:
        """End it."""
        supervisor.stop(self._process)


def wait_for(port: int, process: Any, log: Path | None = None) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    said = log.read_text() if log and log.exists() else ""
    raise SystemExit(f"Nobody listens on port {port}. {said}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def python(*words: str, environment: Mapping[str, str]) -> Iterator[Any]:
    """A Python program, here, as long as the block."""
    process = supervisor.start([sys.executable, *words], cwd=HERE, env={**os.environ, **environment})
    try:
        yield process
    finally:
        supervisor.stop(process)


def room_words(port: int, *more: str) -> Sequence[str]:
    """How the waiting room is started."""
    bind = ("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "8")
    return ("-m", "gunicorn", *bind, "--log-level", "warning", *more, "admitgate.status:application")


@contextmanager
def opened(way: str, *, port: int, redis_url: str, folder: Path) -> Iterator[Nginx]:
    """nginx, the waiting room and, where the way needs it, the publisher."""
    environment = {
        "SECRET_KEY": os.environ.get("SECRET_KEY") or secrets.token_hex(),
        "ADMITGATE_SETTINGS": "settings",
        "ADMITGATE_REDIS_URL": redis_url,
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
    }
    room_port = free_port()
    text = configuration(way, folder=folder, port=port, room_port=room_port)
    nginx = Nginx(folder, {way: text}, port)
    with ExitStack() as stack:
        room = stack.enter_context(python(*room_words(room_port), environment=environment))
        wait_for(room_port, room)
        nginx.start()
        stack.callback(nginx.stop)
        if way == "published":
            words = ("-m", "admitgate", "publish", "--directory", f"{folder}/status")
            stack.enter_context(python(*words, environment=environment))
        yield nginx


def main(way: str = "", port: str = "8080") -> None:
    """Run one way until Ctrl-C."""
    if way not in WAYS:
        raise SystemExit(f"usage: python run.py {'|'.join(WAYS)} [port]")
    if nginx_path() is None:
        raise SystemExit("nginx is missing: apt install nginx-light")
    with (
        resolve() as url,
        tempfile.TemporaryDirectory(prefix="admitgate-") as folder,
        opened(way, port=int(port), redis_url=url, folder=Path(folder)) as nginx,
    ):
        print(f"{nginx.address}/_admitgate/status/gala, until Ctrl-C")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main(*sys.argv[1:])
