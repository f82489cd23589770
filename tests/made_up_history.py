"""What the scripts would have written of minutes that never were."""

from __future__ import annotations

from admitgate.history import Totals


def entry(minute: int, totals: Totals, in_use: int, waiting: int, capacity: int) -> str:
    """An entry of a history as the scripts write it: the running ``totals`` at the end of a minute."""
    waits = ",".join(map(str, totals.waits))
    return " ".join(map(str, (minute, *totals[:5], in_use, waiting, capacity, waits)))
