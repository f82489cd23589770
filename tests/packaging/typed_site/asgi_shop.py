"""The same for ASGI, whatever framework is behind it."""

from __future__ import annotations

import os

from admitgate import Admission, Rule
from admitgate.asgi import AdmitGateASGI, Receive, Scope, Send


async def shop(scope: Scope, receive: Receive, send: Send) -> None:
    admission: Admission | None = scope.get("admitgate")
    if admission is not None:
        await admission.aextend(1200)
        await admission.arelease()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"pay here"})


app = AdmitGateASGI(
    shop,
    secret_key=os.environ["SECRET_KEY"],
    redis_url="redis://localhost:6379/0",
    rules=[Rule("/events/<event>/checkout", capacity=500)],
)
