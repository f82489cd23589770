"""A shop of somebody else's, as their type checker sees it: plain WSGI."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from typing_extensions import assert_type

from admitgate import Admission, AdmitGate, AdmitgateError, Config, ConfigError, Outage, Rule

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    admission: Admission | None = environ.get("admitgate")
    if admission is not None:
        assert_type(admission.event, str)
        assert_type(admission.sid, str | None)
        assert_type(admission.expires_at, datetime | None)
        assert_type(admission.would_wait, bool)
        try:
            admission.extend(1200)
        except Outage as outage:
            assert_type(outage.reason, str)
        admission.release()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"pay here"]


def events() -> list[str]:
    return ["gala"]


application = AdmitGate(
    shop,
    secret_key=os.environ["SECRET_KEY"],
    redis_url="redis://localhost:6379/0",
    rules=[Rule("/events/<event>/checkout", capacity=500, lease_seconds=600, events=events)],
)
application.release("gala", "AAAAAAAAAAAAAAAA")


def config() -> Config | None:
    try:
        return Config.from_options({"rules": [], "secret_key": "x"})
    except ConfigError as error:
        assert_type(error.faults, tuple[str, ...])
        base: AdmitgateError = error
        print(base)
        return None
