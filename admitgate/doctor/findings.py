"""A finding of the doctor's: a sentence, and its cure where something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to. A note is what couldn't be looked at: neither good nor bad."""

    check: str
    level: str
    text: str
    cure: str = ""


def worst(findings: Iterable[Finding]) -> str:
    """The level of all of them together. A note doesn't count."""
    levels = {finding.level for finding in findings}
    return next((level for level in (ERROR, WARNING) if level in levels), OK)


def whole(value: object) -> int:
    """A number that a server told, as text or not; 0 for what is none."""
    try:
        return int(str(value))
    except ValueError:
        return 0


def counted(number: int, noun: str) -> str:
    """'1 replica', '2 replicas'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size(count: float) -> str:
    """Bytes, for people."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB" if count < 1000 else f"{count:,.0f} GB"


def span(seconds: float) -> str:
    """A time, for people."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.2g} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds:,.0f} s"
