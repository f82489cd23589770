"""The shop that the fault tests break: a Flask app behind the gate, served by gunicorn as ``shop:shop(…)``.

Every answer says which worker gave it (Worker) and how long the gate took over it (Gate-Ms): the time of the
whole, less the application's own. It is measured in the worker, so what the network and the queue before
the worker take is not in it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flask import Flask, jsonify, request
from werkzeug.test import Client

from admitgate import AdmitGate, Rule

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]

EVENT, ALONE, CLOSED = "gala", "alone", "closed"  # the last has no slot: whoever asks for it asks Redis


def shop(*, rule: dict[str, Any], options: dict[str, Any], is_warm: bool = False) -> WSGI:
    """The shop. A warm one has asked Redis before gunicorn forks its workers (``--preload``)."""
    app = Flask("shop")
    app.add_url_rule("/", view_func=home)
    app.add_url_rule("/events/<event>/checkout", view_func=checkout)
    app.add_url_rule("/events/<event>/checkout/slow", view_func=slow)
    app.add_url_rule("/events/<event>/thanks", view_func=thanks)
    rules = [
        Rule(f"/events/{CLOSED}/checkout", event=CLOSED, capacity=0),
        Rule(f"/events/{ALONE}/checkout", event=ALONE, **rule | {"capacity": 1}),
        Rule("/events/<event>/checkout", release_on="/events/<event>/thanks", **rule),
    ]
    gate = AdmitGate(
        _leaving_the_gate(app.wsgi_app),
        secret_key="the shop's key, known to nobody outside",
        rules=rules,
        **options,
    )
    site = _entering_the_gate(gate)
    if is_warm:
        assert Client(site).get(f"/events/{CLOSED}/checkout").status_code == 503
    return site


def home() -> str:
    return "a page"


def checkout(event: str) -> Any:
    return jsonify(sid=request.environ["admitgate"].sid)


def slow(event: str) -> Any:
    """A step that takes long. Who kills the worker in the middle of it finds its number in ``folder``."""
    Path(request.args["folder"], "worker").write_text(str(os.getpid()))
    time.sleep(60)
    return checkout(event)


def thanks(event: str) -> str:
    return "thanks"


def _entering_the_gate(gate: WSGI) -> WSGI:
    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        came = time.perf_counter()

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            took = time.perf_counter() - came - environ.get("shop.seconds", 0.0)
            own = [("Worker", str(os.getpid())), ("Gate-Ms", f"{took * 1000:.3f}")]
            return start_response(status, [*headers, *own], *rest)

        return gate(environ, start)

    return site


def _leaving_the_gate(application: WSGI) -> WSGI:
    def inner(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        came = time.perf_counter()

        def start(*answer: Any) -> Any:
            environ["shop.seconds"] = time.perf_counter() - came
            return start_response(*answer)

        return application(environ, start)

    return inner
