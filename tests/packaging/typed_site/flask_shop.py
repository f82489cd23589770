"""The same with Flask."""

from __future__ import annotations

from flask import Flask, g

from admitgate import Admission
from admitgate.flask import AdmitGate, gated, ungated

gate = AdmitGate()


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["ADMITGATE"] = {"RULES": [{"PATH": "/events/<event>/checkout", "CAPACITY": 500}]}
    gate.init_app(app)

    @app.get("/events/<event>/seats")
    @gated(event="{event}", capacity=500)
    def seats(event: str) -> str:
        admission: Admission | None = g.admitgate
        return admission.event if admission else event

    @app.get("/events/<event>/checkout/terms")
    @ungated
    def terms(event: str) -> str:
        return "nobody waits for these"

    return app


def paid(event: str, sid: str) -> None:
    gate.release(event, sid)
