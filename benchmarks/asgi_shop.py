"""A FastAPI shop for the benchmarks: hello, and a check-out behind the gate.

uvicorn serves ``asgi_shop:site`` with BENCHMARK_REDIS in its environment.
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from stage import key

from admitgate import Rule
from admitgate.asgi import AdmitGateASGI


def fastapi_shop() -> FastAPI:
    """The shop without a gate."""
    app = FastAPI()

    @app.get("/hello", response_class=PlainTextResponse)
    @app.get("/{kind}/{event}/checkout", response_class=PlainTextResponse)
    async def hello(kind: str = "", event: str = "") -> str:
        return "Hello, World!"

    return app


def site() -> Any:
    """The shop behind a gate with room for nobody."""
    rule = Rule("/events/<event>/checkout", capacity=0)
    return AdmitGateASGI(
        fastapi_shop(), secret_key=key, redis_url=os.environ["BENCHMARK_REDIS"], rules=[rule]
    )
