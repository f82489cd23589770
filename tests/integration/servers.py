"""Real servers for the tests: Redis with a replica and three Sentinels, and a Cluster of three nodes.

All are started under ``admitgate.supervisor`` and end with the tests, however those end.
"""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import RedisError

from admitgate import supervisor
from admitgate.embedded import EmbeddedRedis, Server

SERVICE = "tickets"
_slots = 16384


def until(is_so: Callable[[], Any], *, seconds: float = 15.0, what: str = "") -> Any:
    """Wait for something to be true, and return it. Servers that can't be asked yet are asked again."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(RedisError, OSError):
            if result := is_so():
                return result
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or is_so}"
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, nor on the one 10,000 above, where a cluster's nodes talk."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(11000, 22000)
        if port not in found and _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def client_of(server: EmbeddedRedis) -> redis.Redis:
    """A patient client on one server."""
    return redis.Redis(port=server.port or 0, socket_timeout=5)


def kill(server: EmbeddedRedis) -> None:
    """kill -9; its folder stays for ``start``."""
    assert server._process is not None
    supervisor.stop(server._process, keep_folder_and_send=signal.SIGKILL)


def revive(server: EmbeddedRedis) -> None:
    """Start a server that was killed; one that runs goes on."""
    if server._process is None or server._process.poll() is not None:
        server.start()


def cannot(server: Server, word: str) -> bool:
    """True if this Redis doesn't know how to be a Sentinel, or was built without TLS."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.conf")
        file.write_text("port 0\nno-such-setting 1\n")
        said = subprocess.run(
            [server.path, file, word], capture_output=True, text=True, timeout=10, check=False
        )
    return "no-such-setting" not in said.stdout + said.stderr


# --- Sentinels


class SentinelServer:
    """One Sentinel, which keeps what it learns in a file of its own."""

    def __init__(self, server: Server, port: int, master_port: int) -> None:
        self.port = port
        self._server, self._master_port = server, master_port
        self._folder = Path(tempfile.mkdtemp(prefix="admitgate-sentinel-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        file = self._folder / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self._folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._master_port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\n"
            f"sentinel failover-timeout {SERVICE} 2000\n"
        )
        with open(self._folder / "log", "wb") as log:
            command = [self._server.path, file, "--sentinel"]
            self._process = supervisor.start(command, folder=self._folder, output=log)
        until(lambda: self.client().ping(), what="a Sentinel answers")

    def stop(self) -> None:
        if self._process is not None:
            supervisor.stop(self._process)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=2)

    def facts(self) -> dict[str, Any]:
        """What it knows of the service."""
        facts: dict[str, Any] = self.client().sentinel_master(SERVICE)
        return facts

    def flags_of_replica(self) -> str:
        """How the replica does, in Redis' words."""
        (facts,) = self.client().sentinel_slaves(SERVICE)
        return str(facts["flags"])


@dataclass
class Watched:
    """A master, its replica and the three Sentinels that watch them."""

    servers: list[EmbeddedRedis]
    sentinels: list[SentinelServer]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def master(self) -> EmbeddedRedis:
        """The server that most of the Sentinels take for the master."""
        ports = sorted(sentinel.facts()["port"] for sentinel in self.sentinels)
        return next(server for server in self.servers if server.port == ports[1])

    def replica(self) -> EmbeddedRedis:
        """The other."""
        return next(server for server in self.servers if server is not self.master())

    def are_in_step(self) -> bool:
        """Everybody knows everybody, and the replica has all that the master has."""
        facts = [sentinel.facts() for sentinel in self.sentinels]
        with client_of(self.master()) as master, client_of(self.replica()) as replica:
            return (
                len({fact["port"] for fact in facts}) == 1
                and all(fact["num-slaves"] == 1 and fact["num-other-sentinels"] == 2 for fact in facts)
                and all(fact["flags"] == "master" for fact in facts)
                and all(sentinel.flags_of_replica() == "slave" for sentinel in self.sentinels)
                and replica.info("replication").get("master_link_status") == "up"
                and master.execute_command("WAIT", 1, 500) == 1
            )

    def wait_until_in_step(self) -> None:
        until(self.are_in_step, seconds=30, what="Sentinels and replica are in step")


@contextlib.contextmanager
def watched(server: Server) -> Iterator[Watched]:
    """Start all five, and end them."""
    ports = free_ports(5)
    quick = ["--repl-diskless-sync-delay", "0"]
    follow = ["--replicaof", "127.0.0.1", str(ports[0])]
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(
                EmbeddedRedis(server=server, port=port, appendonly=True, extra=[*quick, *extra])
            )
            for port, extra in ((ports[0], []), (ports[1], follow))
        ]
        with client_of(servers[1]) as replica:
            until(
                lambda: replica.info("replication")["master_link_status"] == "up", what="the replica follows"
            )
        sentinels = [SentinelServer(server, port, ports[0]) for port in ports[2:]]
        for sentinel in sentinels:
            stack.callback(sentinel.stop)
            sentinel.start()
        all_five = Watched(servers, sentinels)
        all_five.wait_until_in_step()
        yield all_five


# --- Cluster


@dataclass
class Nodes:
    """A Cluster's nodes, each with a third of the slots."""

    servers: list[EmbeddedRedis]
    ids: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def form(self) -> None:
        """Hand out the slots and let the nodes meet."""
        for number, server in enumerate(self.servers):
            first, last = (_slots * share // len(self.servers) for share in (number, number + 1))
            with client_of(server) as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *range(first, last))
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.servers[0].port)
                self.ids.append(client.execute_command("CLUSTER", "MYID").decode())
        self.wait_until_well()

    def are_well(self) -> bool:
        """Every node says that all slots are looked after, by as many nodes as there are."""
        return all(
            said["cluster_state"] == "ok"
            and said["cluster_known_nodes"] == str(len(self.servers))
            and said["cluster_slots_ok"] == str(_slots)
            for said in (client_of(server).execute_command("CLUSTER INFO") for server in self.servers)
        )

    def wait_until_well(self) -> None:
        until(self.are_well, seconds=30, what="the cluster is well")

    def owner_of(self, key: str) -> EmbeddedRedis:
        """The node that has a key's slot, as the first one sees it."""
        with client_of(self.servers[0]) as client:
            slot = client.execute_command("CLUSTER", "KEYSLOT", key)
            for first, last, (_, port, *_), *_ in client.execute_command("CLUSTER SLOTS"):
                if first <= slot <= last:
                    return next(server for server in self.servers if server.port == port)
        raise AssertionError(f"nobody has {key}")


@contextlib.contextmanager
def cluster(server: Server, count: int = 3) -> Iterator[Nodes]:
    """Start the nodes, form the cluster, and end them."""
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
    options += ["--cluster-require-full-coverage", "no"]
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(EmbeddedRedis(server=server, port=port, appendonly=True, extra=options))
            for port in free_ports(count)
        ]
        nodes = Nodes(servers)
        nodes.form()
        yield nodes
