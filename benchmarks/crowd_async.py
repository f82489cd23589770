"""A crowd that keeps its connections to one uvicorn worker open: everybody asks, waits, and asks again."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from servers import free_port

from admitgate import supervisor

_folder = Path(__file__).resolve().parent
_start_seconds = 30.0
_spare_files = 100


class Visitor:
    """One connection, and the cookie that was given to it."""

    def __init__(self, port: int) -> None:
        self._port, self._cookie = port, ""

    async def connect(self) -> None:
        """Like a browser that comes by."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def get(self, path: str) -> tuple[int, float]:
        """The status, and how long it took."""
        asked = (
            f"GET {path} HTTP/1.1\r\nHost: shop\r\nCookie: {self._cookie}\r\nAccept: application/json\r\n\r\n"
        )
        started = time.perf_counter()
        self._writer.write(asked.encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        await self._reader.readexactly(int(headers["content-length"]))
        if "set-cookie" in headers:
            self._cookie = head[head.lower().index("set-cookie: ") + 12 :].partition(";")[0]
        return int(head.split(" ", 2)[1]), time.perf_counter() - started

    def close(self) -> None:
        """Gone."""
        self._writer.close()


async def crowd(port: int, size: int) -> dict[str, Any]:
    """They join all at once, poll the shared status twice, and ask for the check-out again."""
    visitors = [Visitor(port) for _ in range(size)]
    await asyncio.gather(*(visitor.connect() for visitor in visitors))
    try:
        steps = {"join": "/events/gala/checkout", "poll": "/_admitgate/status/gala"}
        return {name: await _all_at_once(visitors, path) for name, path in steps.items()}
    finally:
        for visitor in visitors:
            visitor.close()


async def _all_at_once(visitors: list[Visitor], path: str) -> dict[str, Any]:
    started = time.perf_counter()
    answers = await asyncio.gather(*(visitor.get(path) for visitor in visitors))
    took, waits = time.perf_counter() - started, sorted(seconds for _, seconds in answers)
    return {
        "statuses": {
            status: sum(1 for told, _ in answers if told == status) for status in {s for s, _ in answers}
        },
        "per_second": len(answers) / took,
        "median_ms": statistics.median(waits) * 1000,
        "last_ms": waits[-1] * 1000,
    }


def on_one_worker(redis_url: str, size: int) -> dict[str, Any]:
    """The figures of ``size`` visitors, and what they cost the worker in memory."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, min(most, size + _spare_files)), most))
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "asgi_shop:site", "--factory", "--port", str(port)),
        *("--log-level", "warning", "--no-access-log"),
    ]
    process = supervisor.start(command, cwd=_folder, env={**os.environ, "BENCHMARK_REDIS": redis_url})
    try:
        asyncio.run(_until_it_listens(port))
        return {"visitors": size, **asyncio.run(crowd(port, size))}
    finally:
        supervisor.stop(process)


async def _until_it_listens(port: int) -> None:
    until = time.monotonic() + _start_seconds
    while True:
        try:
            visitor = Visitor(port)
            await visitor.connect()
            assert (await visitor.get("/hello"))[0] == 200
            return visitor.close()
        except OSError:
            if time.monotonic() >= until:
                raise
            await asyncio.sleep(0.1)
