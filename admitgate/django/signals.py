"""Django's signals for what happens at an event; each has the ``occurrence`` (see ``admitgate.signals``).

@receiver(signals.outage_began)
def page_the_team(occurrence, **kwargs): ...
"""

from __future__ import annotations

from django.dispatch import Signal

from ..signals import KINDS, Occurrence

queueing_started: Signal = Signal()
queueing_stopped: Signal = Signal()
hold_began: Signal = Signal()
hold_ended: Signal = Signal()
settings_changed: Signal = Signal()
outage_began: Signal = Signal()
outage_ended: Signal = Signal()

_signals = {kind: globals()[kind] for kind in KINDS}


def send(occurrence: Occurrence) -> None:
    """To every receiver; one that raises is logged by Django."""
    _signals[occurrence.kind].send_robust(sender=Occurrence, occurrence=occurrence)
