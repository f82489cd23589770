"""The Flask edge: ``AdmitGate(app)``, or ``gate.init_app(app)`` in a factory.

Reads ``app.config["ADMITGATE"]`` (upper-case names); the keys are the app's own SECRET_KEY and
SECRET_KEY_FALLBACKS unless ADMITGATE names others. It wraps ``app.wsgi_app``, so the gate stands before
sessions, blueprints and the router; wrap ProxyFix around afterwards. In a request that was let in,
``g.admitgate`` is the Admission; in any other it is None.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, g, request

from .config import Config
from .middleware import AdmitGate as WSGIGate

_name = "admitgate"


class AdmitGate:
    """The extension. One instance may serve several apps; options given here are defaults for all of them."""

    def __init__(self, app: Flask | None = None, **options: Any) -> None:
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Put the gate before ``app``. Raises ConfigError with every fault of the settings."""
        if _name in app.extensions:
            raise RuntimeError("admitgate is already set up for this app: call init_app once.")
        defaults = {
            "secret_key": app.config.get("SECRET_KEY"),
            "secret_key_fallbacks": app.config.get("SECRET_KEY_FALLBACKS") or (),
            **self._options,
        }
        config = Config.from_mapping(app.config.get("ADMITGATE") or {}, **defaults)
        gate = app.extensions[_name] = WSGIGate(app.wsgi_app, config)
        app.wsgi_app = gate  # type: ignore[method-assign]
        app.before_request(_remember_admission)

    def release(self, event: str, sid: str) -> None:
        """Give back the slot of ``sid`` in the current app, such as from a payment's callback."""
        gate: WSGIGate = current_app.extensions[_name]
        gate.release(event, sid)


def _remember_admission() -> None:
    g.admitgate = request.environ.get("admitgate")
