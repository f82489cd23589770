"""A FastAPI shop behind the gate, which uvicorn serves as ``asgi_shop:shop``, and what visitors do slowly."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse

from admitgate import Rule
from admitgate.asgi import AdmitGateASGI

began: list[str] = []


@asynccontextmanager
async def life(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """What a shop opens when it starts."""
    began.append("life")
    yield {"catalogue": "open"}


app = FastAPI(lifespan=life)


@app.get("/")
async def home(request: Request) -> dict[str, Any]:
    return {"catalogue": request.state.catalogue, "began": began}


@app.get("/events/{event}/checkout")
async def checkout(request: Request, event: str) -> dict[str, Any]:
    return {"sid": request.scope["admitgate"].sid}


@app.get("/events/{event}/checkout/slow")
async def slow(request: Request, event: str) -> dict[str, Any]:
    """A step that takes as long as the visitor stays."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    return {}


@app.get("/events/{event}/checkout/stream")
async def stream(event: str) -> StreamingResponse:
    """Piece by piece, until the visitor has heard enough."""

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"seat "
            await asyncio.sleep(0.01)

    return StreamingResponse(pieces())


@app.websocket("/events/{event}/checkout/seats")
async def seats(socket: WebSocket, event: str) -> None:
    await socket.accept()
    await socket.send_text("a seat")
    await socket.close()


shop = AdmitGateASGI(
    app,
    secret_key="the shop's key, known to nobody outside",
    redis_url=os.environ.get("ASGI_SHOP_REDIS", "redis://nowhere"),
    redis_timeout_seconds=5,
    rules=[Rule("/events/<event>/checkout", capacity=1)],
)
