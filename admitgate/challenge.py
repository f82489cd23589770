"""The proof that a check-in may demand: a little reckoning, so that many places cost their holder something.

Off unless the setting ``challenge`` names one. Whoever is called and brings no proof that holds is given a
challenge in place of an answer, and Redis isn't asked. ``Altcha`` is ours: proof of work by the package
altcha. It stays on this server, knows no third party, and needs no eyes, ears or hands.

Nothing is kept of it. A challenge is signed, for one visitor of one event and for some minutes. A solution
comes along with every check-in until then, and is worth nothing to anybody else. It doesn't tell people from
robots: it takes the profit out of a crowd of places.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from .asked import found_at
from .rules import is_number

HEADER = "admitgate-proof"

_longest_answer = 4000  # an answer of Altcha's has about 450 letters
_cure = "give a challenge such as Altcha(), or its place such as 'admitgate.challenge.Altcha'"


class Challenge(Protocol):
    """What may be demanded of who checks in. Called within a request, so it should ask nobody for long.

    ``now_ms`` is the event's time: workers' clocks may be an hour apart. One that has ``faults`` is asked at
    start what is wrong with its options, in sentences.
    """

    def ask(self, event: str, sid: str, now_ms: int) -> Mapping[str, Any]:
        """A new challenge for this visitor, as JSON for the page."""

    def verify(self, event: str, sid: str, answer: str, now_ms: int) -> bool:
        """True if ``answer``, which may be anything, solves a challenge that was made for this visitor."""


@runtime_checkable
class NeedsKeys(Protocol):
    """A challenge that signs: it is asked for the same with the gate's keys, the oldest first."""

    def with_keys(self, keys: Sequence[str | bytes]) -> Challenge:
        """The challenge that is used."""


@dataclass(frozen=True, kw_only=True)
class Altcha:
    """Proof of work: a browser tries ``hashes`` numbers on average and twice as many at most.

    100,000 take a desktop a fifth of a second, a cheap telephone two. A solution holds for ``valid_seconds``.
    """

    hashes: int = 100_000
    valid_seconds: float = 600
    keys: tuple[bytes, ...] = field(default=(), repr=False)

    def with_keys(self, keys: Sequence[str | bytes]) -> Altcha:
        """The same, signing with the last of ``keys`` and believing all of them."""
        return replace(self, keys=tuple(key.encode() if isinstance(key, str) else key for key in keys))

    def ask(self, event: str, sid: str, now_ms: int) -> Mapping[str, Any]:
        """A challenge whose number lies below twice ``hashes``: nobody has bad luck for minutes."""
        from altcha import create_challenge

        challenge = create_challenge(
            "SHA-256",
            1,
            counter=secrets.randbelow(2 * self.hashes),
            key_length=16,
            data={"until": now_ms + round(self.valid_seconds * 1000)},
            hmac_secret=_key_for(self.keys[-1], event, sid),
        )
        asked: dict[str, Any] = challenge.to_dict()
        return asked

    def verify(self, event: str, sid: str, answer: str, now_ms: int) -> bool:
        """True for altcha's own payload of a challenge that was made for this visitor and holds still.

        When it ends stands in what we signed: altcha would ask this worker's clock.
        """
        from altcha import Payload, verify_solution

        try:
            payload = Payload.from_base64(answer)
            keys = (_key_for(key, event, sid) for key in self.keys)
            if not any(verify_solution(payload, key).verified for key in keys):
                return False
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False  # not altcha's form
        signed = payload.challenge.parameters.data
        return isinstance(signed, dict) and signed["until"] > now_ms

    def faults(self) -> list[str]:
        """A sentence for each option that can't be used."""
        found = []
        try:
            from altcha.v2 import DEFAULT_COUNTER_MODE  # noqa: F401 (new in 2.3, which takes any answer)
        except ImportError:
            text = "challenge is Altcha, which needs the package altcha, 2.3 or newer"
            found.append(f"{text}: pip install 'admitgate[altcha]'.")
        if not is_number(self.hashes, 1000, 10_000_000, is_whole=True):
            found.append(f"challenge: hashes is {self.hashes!r}: give a whole number from 1000 to 10000000.")
        if not is_number(self.valid_seconds, 60, 86_400):
            found.append(
                f"challenge: valid_seconds is {self.valid_seconds!r}: give seconds from 60 to 86400."
            )
        return found


def made(given: object, keys: Sequence[str | bytes]) -> Challenge | None:
    """The challenge that the settings name, if any: an object, a class of such, or where either is found."""
    if given is None:
        return None
    challenge: Challenge = _found(given)
    return challenge.with_keys(keys) if isinstance(challenge, NeedsKeys) else challenge


def challenge_faults(given: object) -> list[str]:
    """A sentence for each reason why the challenge can't be used."""
    if given is None:
        return []
    try:
        challenge = _found(given)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        return [f"challenge is {given!r}, but that can't be had ({error}): {_cure}."]
    if not all(callable(getattr(challenge, method, None)) for method in ("ask", "verify")):
        return [f"challenge is {given!r}, which has no methods ask and verify: {_cure}."]
    return [*challenge.faults()] if hasattr(challenge, "faults") else []


def holds(challenge: Challenge, event: str, sid: str, answer: str, now_ms: int) -> bool:
    """Is the visitor's answer the proof? One that isn't there, or is a whole book, is not looked at."""
    return 0 < len(answer) <= _longest_answer and challenge.verify(event, sid, answer, now_ms)


def _found(given: object) -> Any:
    if isinstance(given, str):
        given = found_at(given)
    return given() if isinstance(given, type) else given


def _key_for(key: bytes, event: str, sid: str) -> bytes:
    """A key for one visitor of one event, so that nobody else's solution bears the right signature."""
    return hmac.digest(key, f"admitgate.c:{sid}:{event}".encode(), "sha256")
