"""What gunicorn serves in the benchmarks: a Flask app that says hello, and a shop whose check-out is dear.

Named on gunicorn's command line, as in ``shop:flask_site()``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from admitgate import AdmitGate, Rule
from admitgate.config import Config
from admitgate.room import WaitingRoom

key = "a key for the benchmark, which signs nothing else"
steps = 4  # of a check-out, each a request; the last one pays and gives the slot back


def flask_site(*, redis_url: str = "", capacity: int = 0) -> Any:
    """Hello at /hello and, behind the gate unless there is no Redis, at /events/<event>/checkout.

    What is asked of /no-op never comes to Flask: that is what gunicorn itself takes.
    """
    from flask import Flask

    app = Flask("benchmark")
    app.config["SECRET_KEY"] = key
    for path in ("/hello", "/events/<event>/checkout"):
        app.add_url_rule(path, endpoint=path, view_func=lambda event="": "Hello, World!")
    if redis_url:
        from admitgate.flask import AdmitGate as Extension

        rule = Rule("/events/<event>/checkout", capacity=capacity)
        Extension(app, redis_url=redis_url, rules=[rule])

    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/no-op":
            return app.wsgi_app(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    return site


def checkout_site(*, cpu_ms: float, wait_ms: float, gate: dict[str, Any] | None = None) -> Any:
    """A check-out of ``steps`` requests, each of which burns CPU and waits for somebody else's machine."""

    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, headers = environ["PATH_INFO"], [("Content-Type", "text/plain"), ("Content-Length", "2")]
        if path != "/hello":
            burn(cpu_ms / 1000)
            time.sleep(wait_ms / 1000)
        if path.endswith(f"/{steps}"):
            headers.append(("Admitgate-Release", "1"))
        start_response("200 OK", headers)
        return [b"ok"]

    return AdmitGate(shop, config_of(**gate)) if gate else shop


def waiting_room(*, gate: dict[str, Any]) -> Any:
    """The line of the same shop on a server of its own."""
    return WaitingRoom(config_of(**gate))


def config_of(*, rule: dict[str, Any], **options: Any) -> Config:
    """What the shop and its waiting room have in common."""
    the_rule = Rule("/events/<event>/checkout", lease_seconds=60, **rule)
    return Config.from_options({"secret_key": key, "rules": [the_rule], **options})


def burn(seconds: float) -> None:
    """So much of this thread's own CPU time, however busy the machine is: work, not a clock."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(500))
