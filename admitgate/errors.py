"""Everything admitgate raises on purpose. Each error carries the evidence it was raised on."""

from __future__ import annotations

from collections.abc import Sequence


class AdmitgateError(Exception):
    """The base of every error raised by this package."""


class ConfigError(AdmitgateError):
    """The settings can't be used. ``faults`` has one sentence for each thing that is wrong."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults: tuple[str, ...] = tuple(faults)
        super().__init__("\n".join(["admitgate's settings can't be used:", *self._bullets()]))

    def _bullets(self) -> list[str]:
        return [f"  * {fault}" for fault in self.faults]


class BadToken(AdmitgateError):
    """A cookie that is not a token of ours. To a visitor it is the same as no cookie."""

    def __init__(self, reason: str, raw: str) -> None:
        self.reason = reason
        self.raw: str = raw[:64]
        super().__init__(f"{reason}: {self.raw!r}")


class Outage(AdmitgateError):
    """Redis could not be asked in time. ``cause`` is what the client raised, if it was asked at all."""

    def __init__(self, reason: str, cause: BaseException | None = None) -> None:
        self.reason = reason
        self.cause = cause
        super().__init__(reason)
