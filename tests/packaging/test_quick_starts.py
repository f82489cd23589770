"""The README's quick starts, copied out of its text into an empty directory, with only the package installed.

They stand as they are, but for the address of Redis: the tests' own is used, and no other ever touched.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import installing
import pytest
import redis
from installing import ROOT, Installed

from admitgate.counter import event_keys

pytestmark = pytest.mark.slow

installed = installing.installed

README = (ROOT / "README.md").read_text("utf-8")
QUICK_STARTS = README[README.index("## Quick starts") : README.index("## Settings")]
WRITTEN = "redis://localhost:6379/0"
KEY = "oS7cVtQ2mZx9LrBfWd4Jh1uKpEa6YgNi"
CHECKOUT = "/events/gala/checkout"
SHOP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"pay here"]
"""
URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("events/<slug:event>/checkout", lambda request, event: HttpResponse("pay here"))]
"""


def code_of(name: str) -> str:
    """The first Python block behind a quick start's name, as it is but for the address of Redis."""
    block = re.search(rf"\*\*{name}\*\*.*?```python\n(.*?)```", QUICK_STARTS, re.DOTALL)
    assert block, f"the README has no quick start for {name}"
    assert block[1].count(WRITTEN) == 1
    return block[1]


def flask(folder: Path, installed: Installed, code: str, port: int) -> list[str]:
    """One file, and the command that stands beside it."""
    (folder / "shop.py").write_text(code, "utf-8")
    return ["-m", "flask", "--app", "shop", "run", "--port", str(port)]


def django(folder: Path, installed: Installed, code: str, port: int) -> list[str]:
    """The end of the settings of a project that startproject has made, which has a view."""
    made = installed.run("-m", "django", "startproject", "boxoffice", str(folder), cwd=folder)
    assert made.returncode == 0, made.stderr
    with (folder / "boxoffice" / "settings.py").open("a", encoding="utf-8") as settings:
        settings.write(code)
    (folder / "boxoffice" / "urls.py").write_text(URLS, "utf-8")
    checked = installed.run(str(folder / "manage.py"), "check", "--fail-level", "WARNING", cwd=folder)
    assert checked.returncode == 0, checked.stderr
    return [str(folder / "manage.py"), "runserver", "--noreload", str(port)]


def wsgi(folder: Path, installed: Installed, code: str, port: int) -> list[str]:
    """A file beside a shop, under gunicorn."""
    (folder / "shop.py").write_text(SHOP, "utf-8")
    (folder / "wsgi.py").write_text(code, "utf-8")
    return ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "wsgi"]


def asgi(folder: Path, installed: Installed, code: str, port: int) -> list[str]:
    """One file, under uvicorn."""
    (folder / "main.py").write_text(code, "utf-8")
    return ["-m", "uvicorn", "main:application", "--port", str(port)]


@contextmanager
def running(installed: Installed, command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The server, which ends with the block, with its whole group."""
    environ = {"PATH": os.environ["PATH"], "SECRET_KEY": KEY}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [installed.python, *command],
            cwd=folder,
            env=environ,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield server
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    cookie: str


def ask(port: int, cookie: str = "") -> Answer:
    """One request for the check-out. A server that is still starting is asked again."""
    deadline = time.monotonic() + 20
    while True:
        with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            try:
                connection.request("GET", CHECKOUT, headers={"Cookie": cookie, "Accept": "application/json"})
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
            else:
                with connection.getresponse() as told:
                    return Answer(told.status, told.read(), told.headers.get("Set-Cookie", "").split(";")[0])
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "put"),
    [
        pytest.param("Flask", flask, id="Flask"),
        pytest.param("Django", django, id="Django"),
        pytest.param("Any WSGI callable", wsgi, id="any WSGI callable"),
        pytest.param("Any ASGI application", asgi, id="any ASGI application"),
    ],
)
def test_a_quick_start_runs_as_it_stands(
    name: str,
    put: Callable[[Path, Installed, str, int], list[str]],
    installed: Installed,
    redis_url: str,
    redis_client: redis.Redis,
    free_port: int,
    tmp_path: Path,
) -> None:
    """The first visitor is in and stays in; when there is no room the next one waits."""
    code = code_of(name).replace(WRITTEN, redis_url)
    command = put(tmp_path, installed, code, free_port)
    with running(installed, command, tmp_path):
        first = ask(free_port)
        assert (first.status, first.body) == (200, b"pay here"), (tmp_path / "server.log").read_text()
        redis_client.hset(event_keys("admitgate", "gala").settings, "capacity", 0)
        second = ask(free_port)
        assert second.status == 503
        assert b'"position":1' in second.body
        assert ask(free_port, first.cookie).body == b"pay here"
