"""Flask's signals for what happens at an event; sent by the app, with the ``occurrence``.

    @signals.outage_began.connect_via(app)
    def page_the_team(app, occurrence): ...

They come outside of any request's context as well: a receiver that needs one opens ``app.app_context()``.
"""

from __future__ import annotations

from typing import Any

from blinker import NamedSignal, Namespace

from .signals import KINDS, Occurrence

_namespace = Namespace()

queueing_started: NamedSignal = _namespace.signal("queueing_started")
queueing_stopped: NamedSignal = _namespace.signal("queueing_stopped")
hold_began: NamedSignal = _namespace.signal("hold_began")
hold_ended: NamedSignal = _namespace.signal("hold_ended")
settings_changed: NamedSignal = _namespace.signal("settings_changed")
outage_began: NamedSignal = _namespace.signal("outage_began")
outage_ended: NamedSignal = _namespace.signal("outage_ended")

_signals = {kind: _namespace[kind] for kind in KINDS}


def send(app: Any, occurrence: Occurrence) -> None:
    """To every receiver that listens to ``app``."""
    _signals[occurrence.kind].send(app, occurrence=occurrence)
